#!/usr/bin/env python3
"""The ViT of $OCTET_DATA: speed in turns with ONNX Runtime, and accuracy on all 10,000 test images; writes docs/transformer.md.

usage: transformer.py [--speed] [--accuracy [--methods entropy,max]] [--rounds N] [--seconds S] [--program build/octet]   (neither: the page
from the last runs alone)

Speed: octet and ONNX Runtime take turns on the same noise, one thread; the table holds the median of the slices' medians and their
spread. Accuracy: ranges from 600 training images, 60 a class; logits of every image by `octet run`, paired with FP32's.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import zipfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # noqa: E402
import models  # noqa: E402
from engines import Octet, ort_lane  # noqa: E402

MODEL = "vit_tiny_c10"
STORE = f"{models.WORK}/transformer.json"
FORMS = [("entropy", "entropy (the default)"), ("max", "max"), ("mse", "mse"), ("percentile", "percentile 99.99"), ("auto", "auto")]


def version():
    words = subprocess.run([models.OCTET, "--version"], capture_output=True, text=True, check=True).stdout.split(",")[0]
    return words.strip()


def speed(rounds, seconds):
    files, rows = models.prepare(MODEL), []
    for batch in (1, 8):
        x = models.noise(MODEL, batch, 0)
        lanes = [Octet("octet INT8", files["octet"], x, 1, "int8"), Octet("octet, ONNX Runtime's u8 file", files["u8"], x, 1, "int8"), ort_lane("ONNX Runtime u8", files["u8"], x, 1),
                 Octet("octet, ONNX Runtime's s8 file", files["s8"], x, 1, "int8"), ort_lane("ONNX Runtime s8", files["s8"], x, 1), Octet("octet FP32", files["fp32"], x, 1, "fp32"),
                 ort_lane("ONNX Runtime FP32", files["fp32"], x, 1)]
        samples = {lane.label: [] for lane in lanes}
        for _ in range(rounds):
            for lane in lanes:
                samples[lane.label].append(lane.slice_ms(seconds))
        rows.append({"batch": batch, "ms": {k: [statistics.median(v), min(v), max(v)] for k, v in samples.items()}})
    return {"rows": rows, "isa": lanes[0].isa, "rounds": rounds, "seconds": seconds, "date": machine.today(), "version": version()}


def calibration_folder():
    folder = f"{models.WORK}/vit_calibration"
    if not os.path.isdir(folder):
        with zipfile.ZipFile(f"{os.environ['OCTET_DATA']}/cifar10/train_jpeg_30000.zip") as archive:
            seen = {}
            for image in sorted(n for n in archive.namelist() if n.endswith(".jpg")):
                label = image.split("/")[-2]
                seen[label] = seen.get(label, 0) + 1
                if seen[label] <= 60:
                    os.makedirs(f"{folder}/{label}", exist_ok=True)
                    with open(f"{folder}/{label}/{os.path.basename(image)}", "wb") as file:
                        file.write(archive.read(image))
    return folder


def logits(path):
    out = f"{models.WORK}/vit_logits.npy"
    models.octet("run", path, "--data", f"{os.environ['OCTET_DATA']}/cifar10/test_batch.bin", "--preprocess", "cifar10", "--batch", "8", "-o", out, "--quiet")
    return np.load(out).reshape(-1, 10)


def accuracy(methods):
    fp32, ranges, rows = models.prepare(MODEL)["fp32"], f"{models.WORK}/vit_ranges.json", []
    models.octet("calibrate", fp32, "--calib-data", calibration_folder(), "--limit", "0", "--preprocess", "cifar10", "--method",
                 "auto" if "auto" in methods else "entropy", "-o", ranges, "--quiet")
    labels = np.fromfile(f"{os.environ['OCTET_DATA']}/cifar10/test_batch.bin", np.uint8).reshape(-1, 3073)[:, 0]
    want = logits(fp32)
    right = want.argmax(1) == labels
    for method, title in FORMS:
        if method not in methods:
            continue
        file = f"{models.WORK}/vit_{method}.onnx"
        models.octet("quantize", fp32, "--ranges", ranges, "--method", method, "-o", file, "--quiet")
        have = logits(file)
        change = (have.argmax(1) == labels).astype(float) - right
        rows.append([title, int((have.argmax(1) == labels).sum()), 100 * change.mean(), 196 * change.std() / np.sqrt(len(labels)),
                     100 * float((have.argmax(1) == want.argmax(1)).mean()), 10 * np.log10((want**2).sum() / ((have - want)**2).sum())])
        print(rows[-1], flush=True)
    return {"fp32": int(right.sum()), "images": len(labels), "rows": rows, "date": machine.today(), "version": version()}


def cell(ms):
    return f"{ms[0]:.3f} ({ms[1]:.3f} .. {ms[2]:.3f})"


def write(data):
    lines = ["# The transformer", "", "Written by `bench/peers/transformer.py`; not edited by hand. The network is the ViT of the shared models (6 blocks, 4 heads of 32,",
             "64 tokens, CIFAR-10). In octet's INT8 form the projections and both products of attention run on integer kernels; Softmax,",
             "LayerNormalization and the residual additions are float.", ""]
    if (s := data.get("speed")) and (a := data.get("accuracy")):
        times = [row["ms"]["ONNX Runtime u8"][0] / row["ms"]["octet INT8"][0] for row in s["rows"]]
        floats = [row["ms"]["octet FP32"][0] / row["ms"]["octet INT8"][0] for row in s["rows"]]
        lines += [f"octet's INT8 is {min(times):.2f} to {max(times):.2f} times as fast as ONNX Runtime's u8 form and {min(floats):.2f} to {max(floats):.2f} times as fast as octet's FP32.",
                  f"Top-1 changes by {min(r[2] for r in a['rows']):+.2f} to {max(r[2] for r in a['rows']):+.2f} points.", ""]
    if s := data.get("speed"):
        lines += ["## Speed", "", f"{machine.cpu_model()}. {s['date']}, {s['version'].split(' (')[0]} ({s['isa']}), one thread, {s['rounds']} slices of {s['seconds']} s "
                  "in turns; milliseconds, smallest and largest slice in brackets.", "",
                  "| batch | " + " | ".join(s["rows"][0]["ms"]) + " | ONNX Runtime u8 over octet INT8 | over octet on the same u8 file | s8 likewise | FP32, ONNX Runtime over octet |",
                  "|" + " --- |" * 12]
        for row in s["rows"]:
            ms = {label: value[0] for label, value in row["ms"].items()}
            ratios = (ms["ONNX Runtime u8"] / ms["octet INT8"], ms["ONNX Runtime u8"] / ms["octet, ONNX Runtime's u8 file"],
                      ms["ONNX Runtime s8"] / ms["octet, ONNX Runtime's s8 file"], ms["ONNX Runtime FP32"] / ms["octet FP32"])
            lines.append(f"| {row['batch']} | " + " | ".join(cell(ms) for ms in row["ms"].values()) + "".join(f" | {r:.2f}" for r in ratios) + " |")
        lines.append("")
    if a := data.get("accuracy"):
        lines += ["## Accuracy", "", f"{a['images']} images of `test_batch.bin`, ranges from 600 training images; {a['date']}, {a['version']}. FP32: {a['fp32']} right. "
                  "Change in points, paired image by", "image, with its 95 % interval.", "",
                  "| method | right | change | same answer as FP32 | SQNR of the logits |", "| --- | --- | --- | --- | --- |"]
        lines += [f"| {t} | {r} | {d:+.2f} (+-{w:.2f}) | {g:.2f} % | {q:.1f} dB |" for t, r, d, w, g, q in a["rows"]]
        lines += ["", "ONNX Runtime's own quantization of the same network has 8041 (u8, MinMax) and 8071 (u8, percentile 99.999) right of FP32's 8071."]
    with open("docs/transformer.md", "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--methods", default=",".join(method for method, _ in FORMS))
    parser.add_argument("--program", default=models.OCTET)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3)
    args = parser.parse_args()
    models.OCTET = args.program
    data = {}
    if os.path.exists(STORE):
        with open(STORE, encoding="utf-8") as file:
            data = json.load(file)
    if args.speed:
        data["speed"] = speed(args.rounds, args.seconds)
    if args.accuracy:
        data["accuracy"] = accuracy(args.methods.split(","))
    with open(STORE, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, default=float)  # numpy's numbers
    write(data)


if __name__ == "__main__":
    main()

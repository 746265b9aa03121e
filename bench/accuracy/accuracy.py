#!/usr/bin/env python3
"""Accuracy tables of docs/accuracy.md, all measured with the octet program.

usage: accuracy.py [--models a,b] [--no-write]     (OCTET_DATA must be set)

FP32: logits against the stored references, right answers against the stated counts. INT8: post-training quantization with
each method, ranges from 600 training images; the method is chosen by the SQNR of the logits on 3,000 other training images,
never on test images; then all 10,000 images of test_batch.bin. The exported file is run by ONNX Runtime, optimizations off.
"""
import argparse
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import onnxruntime as ort

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
import machine  # noqa: E402

OCTET = "build/octet"
WORK = "build/accuracy"
DATA = os.environ["OCTET_DATA"]
METHODS = ("max", "entropy", "percentile", "mse")
# model, preprocessing, right answers FP32 of the 10,000 re-encoded images, allowed loss in points
CIFAR = [
    ("resnet18_c10", "cifar10", 9076, 0.2),
    ("mobilenet_v3_small_c10", "cifar10", 8596, 0.5),
    ("efficientnet_b0_c10", "cifar10", 8342, 1.0),
    ("resnet20_cifar10", "rgb,norm=imagenet", 8103, 0.3),
    ("mobilenet_v2_cifar10", "rgb,norm=cifar", 8291, 0.3),
]
FP32_ONLY = [("resnet18_cifar10", "rgb,norm=half", 7846), ("resnet56_cifar10_bn_pad", "rgb,norm=cifar", 8332)]
PHOTO = [("mobilenet_v2_imagenet", "none,norm=imagenet", "imagenet", 16), ("squeezenet1_1_imagenet", "none,norm=caffe_bgr", "resize=256,crop=224,norm=caffe_bgr", 15)]
MEAN_STD = {"cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)), "rgb,norm=imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            "rgb,norm=cifar": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))}


def octet(*args):
    done = subprocess.run([OCTET, *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"octet {' '.join(args)}\n{done.stderr}")
    return done.stdout


def split_training_images():
    """60 images a class to calibrate, 300 others a class to choose the method."""
    calibration, held_out = f"{WORK}/train_calibration", f"{WORK}/train_held_out"
    if os.path.isdir(held_out):
        return calibration, held_out
    with zipfile.ZipFile(f"{DATA}/cifar10/train_jpeg_30000.zip") as archive:
        by_class = {}
        for name in sorted(n for n in archive.namelist() if n.endswith(".jpg")):
            by_class.setdefault(name.split("/")[-2], []).append(name)
        for label, names in by_class.items():
            for folder, chosen in ((calibration, names[0:60]), (held_out, names[1000:1300])):
                os.makedirs(f"{folder}/{label}", exist_ok=True)
                for name in chosen:
                    with open(f"{folder}/{label}/{os.path.basename(name)}", "wb") as file:
                        file.write(archive.read(name))
    return calibration, held_out


def fp32_rows(models):
    rows = []
    test = f"{DATA}/cifar10/test_batch.bin"
    for name, preprocess, stated in [(m, p, n) for m, p, n, _ in CIFAR] + FP32_ONLY:
        if models and name not in models:
            continue
        path = f"{DATA}/models/{name}.onnx"
        out = f"{WORK}/{name}_logits.npy"
        octet("run", path, "--data", test, "--limit", "256", "--preprocess", preprocess, "-o", out, "--quiet")
        reference = np.load(f"{DATA}/refs/{name}_fp32_logits.npy")
        error = np.abs(np.load(out) - reference).max() / np.abs(reference).max()
        result = json.loads(octet("eval", path, "--data", test, "--preprocess", preprocess, "--threads", "0", "--json", "--quiet"))
        rows.append((name, f"{error:.2e}", result["top1_right"], stated))
        print(rows[-1], flush=True)
    for name, on_array, on_files, stated in PHOTO:
        if models and name not in models:
            continue
        path = f"{DATA}/models/{name}.onnx"
        out = f"{WORK}/{name}_logits.npy"
        octet("run", path, "--data", f"{DATA}/images/imagenet17_rgb_u8.npy", "--preprocess", on_array, "--shapes", "input:1x3x224x224", "-o", out, "--quiet")
        reference = np.load(f"{DATA}/refs/{name}_fp32_logits.npy")
        ours = np.load(out).reshape(reference.shape)
        error = np.abs(ours - reference).max() / np.abs(reference).max()
        right = photographs_right(ours)
        rows.append((name, f"{error:.2e}", f"{right} of 17", f"{stated} of 17"))
        print(rows[-1], flush=True)
    return rows


def photographs_right(logits):
    import csv
    with open(f"{DATA}/images/imagenet17_labels.csv", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    key = next(k for k in table[0] if "class" in k)
    accepted = [set(int(c) for c in row[key].replace(";", " ").replace("|", " ").split()) for row in table]
    return sum(int(a) in ok for a, ok in zip(logits.argmax(1), accepted))


def ort_right(path, preprocess):
    """Right answers of the file in ONNX Runtime, graph optimizations off."""
    rows = np.fromfile(f"{DATA}/cifar10/test_batch.bin", np.uint8).reshape(-1, 3073)
    mean, std = (np.asarray(v, np.float32).reshape(1, 3, 1, 1) for v in MEAN_STD[preprocess])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    right = 0
    for begin in range(0, 10000, 250):
        x = rows[begin:begin + 250, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255)
        x = np.ascontiguousarray((x - mean) / std)
        right += int((session.run(None, {name: x})[0].argmax(1) == rows[begin:begin + 250, 0]).sum())
    return right


def int8_rows(models, target):
    calibration, held_out = split_training_images()
    test = f"{DATA}/cifar10/test_batch.bin"
    rows = []
    for name, preprocess, _, allowed in CIFAR:
        if models and name not in models:
            continue
        path = f"{DATA}/models/{name}.onnx"
        ranges = f"{WORK}/{name}_ranges.json"
        octet("calibrate", path, "--calib-data", calibration, "--preprocess", preprocess, "--limit", "0", "--threads", "0", "-o", ranges, "--quiet")
        row = {"model": name, "allowed": allowed, "by_method": {}}
        for method in METHODS:
            file = f"{WORK}/{name}_{target}_{method}.onnx"
            octet("quantize", path, "--ranges", ranges, "--method", method, "--target", target, "-o", file, "--quiet")
            chosen_on = json.loads(octet("eval", path, file, "--data", held_out, "--preprocess", preprocess, "--threads", "0", "--json", "--quiet"))
            judged = json.loads(octet("eval", path, file, "--data", test, "--preprocess", preprocess, "--threads", "0", "--json", "--quiet"))
            row["by_method"][method] = {"sqnr_held_out": chosen_on["sqnr_db"], "agreement_held_out": chosen_on["agreement"],
                                        "right": judged["second"]["top1_right"], "difference": 100 * judged["difference"],
                                        "ci95": 100 * judged["difference_ci95"]}
            row["fp32_right"] = judged["first"]["top1_right"]
        row["chosen"] = max(METHODS, key=lambda m: row["by_method"][m]["sqnr_held_out"])
        row["ort_right"] = ort_right(f"{WORK}/{name}_{target}_{row['chosen']}.onnx", preprocess)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def text(fp32, int8, tensorrt):
    lines = ["# Accuracy", "", f"Generated by `make accuracy` on {machine.today()}; not edited by hand. CPU: {machine.cpu_model()}. {machine.versions()}.", "",
             "Commands behind the figures: `octet run MODEL --data test_batch.bin --limit 256 ...` against the stored logits, `octet eval MODEL --data",
             "test_batch.bin --preprocess ...`, `octet calibrate`, `octet quantize --method M`, `octet eval FP32 INT8 ...` (bench/accuracy/accuracy.py has them all).", "",
             "## FP32", "", "`test_batch.bin` (10,000 images, JPEG re-encoded) for the CIFAR-10 networks, 17 photographs for ImageNet ones.", "",
             "| model | max abs(a-b) / max abs(b) | right | stated |", "| --- | --- | --- | --- |"]
    lines += [f"| {n} | {e} | {r} | {s} |" for n, e, r, s in fp32]
    for title, rows in (("INT8, octet's own target (u8 with zero point where it is more accurate)", int8), ("INT8, `--target tensorrt` (s8 symmetric activations only)", tensorrt)):
        if not rows:
            continue
        lines += ["", f"## {title}", "",
                  "Change of top-1 in points on all 10,000 images of `test_batch.bin` (95 % interval of the paired difference in brackets); ranges from 600 training",
                  "images; the method in bold was chosen by the SQNR of the logits on 3,000 other training images.", "",
                  "| model | FP32 right | " + " | ".join(METHODS) + " | allowed | the chosen file in ONNX Runtime |", "| --- | --- |" + " --- |" * (len(METHODS) + 2)]
        for r in rows:
            cells = []
            for m in METHODS:
                v = r["by_method"][m]
                cell = f"{v['difference']:+.2f} (+-{v['ci95']:.2f})"
                cells.append(f"**{cell}**" if m == r["chosen"] else cell)
            chosen = r["by_method"][r["chosen"]]["right"]
            lines.append(f"| {r['model']} | {r['fp32_right']} | " + " | ".join(cells) + f" | -{r['allowed']} | {r['ort_right']} right (octet {chosen}) |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--skip-tensorrt", action="store_true")
    args = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    models = set(args.models.split(",")) - {""}
    page = text(fp32_rows(models), int8_rows(models, "octet"), [] if args.skip_tensorrt else int8_rows(models, "tensorrt"))
    if args.no_write:
        print(page)
        return
    layers = ""
    if os.path.exists(f"{WORK}/layers.md"):
        with open(f"{WORK}/layers.md", encoding="utf-8") as file:
            layers = "\n" + file.read()
    with open("docs/accuracy.md", "w", encoding="utf-8") as file:
        file.write(page + layers)


if __name__ == "__main__":
    main()

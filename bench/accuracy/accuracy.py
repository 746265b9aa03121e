#!/usr/bin/env python3
"""Accuracy tables of docs/accuracy.md, all measured with the octet program.

usage: accuracy.py [--models a,b] [--no-write] [--skip-tensorrt] [--limit N] [--threads N] [--resume]   (OCTET_DATA must be set)

FP32: logits against the stored references, right answers against the stated counts. INT8: post-training quantization with every
method. Ranges: 600 training images (re-encoded ones for the *_c10 models, which were trained on such, original pixels for the others);
`auto` holds a quarter of them, at most 128, out of its ranges to choose by. No test image chooses anything. Then the logits of all
10,000 images of test_batch.bin, each file once; differences are paired, image by image. The file of auto is run by ONNX Runtime,
optimizations off. ONNX Runtime's own post-training quantization: the counts of the data's README.
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
import transformer_tables  # noqa: E402

OCTET = "build/octet"
WORK = "build/accuracy"
DATA = os.environ["OCTET_DATA"]
PERCENTILES = ("99.9", "99.99", "99.999")
# Column, method of the command line, which ranges file holds it.
COLUMNS = [("max", "max", "99.99"), ("entropy", "entropy", "99.99"), ("p99.9", "percentile", "99.9"), ("p99.99", "percentile", "99.99"),
           ("p99.999", "percentile", "99.999"), ("mse", "mse", "99.99"), ("auto", "auto", "auto")]
# model, preprocessing, right answers FP32 of the 10,000 re-encoded images, allowed loss in points
CIFAR = [
    ("resnet18_c10", "cifar10", 9076, 0.2),
    ("mobilenet_v3_small_c10", "cifar10", 8596, 0.5),
    ("efficientnet_b0_c10", "cifar10", 8342, 1.0),
    ("resnet20_cifar10", "rgb,norm=imagenet", 8103, 0.3),
    ("mobilenet_v2_cifar10", "rgb,norm=cifar", 8291, 0.3),
    ("resnet18_cifar10", "rgb,norm=half", 7846, 0.3),
    ("resnet56_cifar10_bn_pad", "rgb,norm=cifar", 8332, 0.3),
]
LAYER_BY_LAYER = ["resnet18_c10", "mobilenet_v3_small_c10", "efficientnet_b0_c10", "resnet20_cifar10", "mobilenet_v2_cifar10"]
PHOTO = [("mobilenet_v2_imagenet", "none,norm=imagenet", "imagenet", 16), ("squeezenet1_1_imagenet", "none,norm=caffe_bgr", "resize=256,crop=224,norm=caffe_bgr", 15)]
MEAN_STD = {"cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)), "rgb,norm=imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            "rgb,norm=cifar": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)), "rgb,norm=half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))}


def octet(*args):
    done = subprocess.run([OCTET, *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"octet {' '.join(args)}\n{done.stderr}")
    return done.stdout


def calibration_data(name):
    """600 training images, 60 a class, or the first 600 with their original pixels: --calib-data arguments."""
    if not name.endswith("_c10"):
        return ["--calib-data", f"{DATA}/cifar10/train_exact_4000.bin", "--limit", "600"]
    folder = f"{WORK}/train_calibration"
    if not os.path.isdir(folder):
        with zipfile.ZipFile(f"{DATA}/cifar10/train_jpeg_30000.zip") as archive:
            by_class = {}
            for image in sorted(n for n in archive.namelist() if n.endswith(".jpg")):
                by_class.setdefault(image.split("/")[-2], []).append(image)
            for label, images in by_class.items():
                os.makedirs(f"{folder}/{label}", exist_ok=True)
                for image in images[0:60]:
                    with open(f"{folder}/{label}/{os.path.basename(image)}", "wb") as file:
                        file.write(archive.read(image))
    return ["--calib-data", folder, "--limit", "0"]


def fp32_rows(models):
    rows = []
    test = f"{DATA}/cifar10/test_batch.bin"
    for name, preprocess, stated in [(m, p, n) for m, p, n, _ in CIFAR]:
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
    shape = session.get_inputs()[0].shape
    batch = shape[0] if isinstance(shape[0], int) else 250  # some files fix the batch at 1
    for begin in range(0, 10000, batch):
        x = rows[begin:begin + batch, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255)
        x = np.ascontiguousarray((x - mean) / std)
        right += int((session.run(None, {name: x})[0].argmax(1) == rows[begin:begin + batch, 0]).sum())
    return right


def ort_quantization():
    """(model, "u8" or "s8") -> "MinMax 9073, ...": right answers of ONNX Runtime's own post-training quantization."""
    found = {}
    with open(f"{DATA}/README.md", encoding="utf-8") as file:
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in file if line.startswith("|")]
    header = []
    for cells in lines:
        if cells[0] == "model":
            header = cells
        elif len(header) == 8 and header[2] == "u8 MinMax" and len(cells) == 8:
            for title, cell in zip(header[2:], cells[2:] if '/' in cells[2] else []):
                found.setdefault((cells[0], title[:2]), []).append(f"{title[3:]} {cell.split('/')[1].strip()}")
        elif header[1:3] == ["activations", "calibration"] and cells[1] in ("u8", "s8"):
            found.setdefault((cells[0], cells[1]), []).append(f"{cells[2]} {cells[4].split('(')[0].strip()}")
    return {key: ", ".join(value) for key, value in found.items()}


def right_answers(path, preprocess, args):
    """For each test image whether the answer is right."""
    out = f"{WORK}/test_logits.npy"
    octet("run", path, "--data", f"{DATA}/cifar10/test_batch.bin", "--limit", str(args.limit), "--preprocess", preprocess, "--batch", "8", "--threads",
          str(args.threads), "-o", out, "--quiet")
    labels = np.fromfile(f"{DATA}/cifar10/test_batch.bin", np.uint8).reshape(-1, 3073)[:, 0]
    logits = np.load(out).reshape(-1, 10)
    return logits.argmax(1) == labels[:len(logits)]


def paired(second, first):
    """Difference of accuracies in points and its 95 % interval."""
    gained, lost, n = int((second & ~first).sum()), int((first & ~second).sum()), len(first)
    d = gained - lost
    return 100.0 * d / n, 196.0 * max(gained + lost - d * d / n, 0.0) ** 0.5 / n


def int8_rows(args, target):
    rows = []
    for name, preprocess, _, allowed in CIFAR:
        if args.models and name not in args.models:
            continue
        kept = f"{WORK}/{name}_{target}_row.json"
        if args.resume and os.path.exists(kept):
            with open(kept, encoding="utf-8") as file:
                rows.append(json.load(file))
            continue
        path = f"{DATA}/models/{name}.onnx"
        common = ["calibrate", path, *calibration_data(name), "--preprocess", preprocess, "--threads", str(args.threads), "--quiet"]
        for p in PERCENTILES:
            octet(*common, "--percentile", p, "-o", f"{WORK}/{name}_{p}.json")
        octet(*common, "--method", "auto", "--target", target, "-o", f"{WORK}/{name}_auto.json")
        float_right = right_answers(path, preprocess, args)
        right, row = {}, {"model": name, "target": target, "allowed": allowed, "fp32_right": int(float_right.sum()), "columns": {}}
        for column, method, ranges in COLUMNS:
            file = f"{WORK}/{name}_{target}_{column}.onnx"
            octet("quantize", path, "--ranges", f"{WORK}/{name}_{ranges}.json", "--method", method, "--target", target, "-o", file, "--quiet")
            right[column] = right_answers(file, preprocess, args)
            difference, ci95 = paired(right[column], float_right)
            row["columns"][column] = {"right": int(right[column].sum()), "difference": difference, "ci95": ci95}
        best = max((c for c, _, _ in COLUMNS if c != "auto"), key=lambda c: row["columns"][c]["right"])
        row["best"] = best
        row["auto_against_best"] = paired(right["auto"], right[best])
        if args.limit == 0:
            row["ort_right"] = ort_right(f"{WORK}/{name}_{target}_auto.onnx", preprocess)
        rows.append(row)
        with open(kept, "w", encoding="utf-8") as file:
            json.dump(row, file)
        print(json.dumps(row), flush=True)
    return rows


def contains_zero(difference, ci95):
    """Whether the interval holds 0; one above 0 is told apart, since auto is then better."""
    if difference - ci95 > 0:
        return "above 0: better"
    return "yes" if difference + ci95 >= 0 else "**no**"


def int8_text(rows, title, activations, ort):
    names = [c for c, _, _ in COLUMNS]
    lines = ["", f"## {title}", "",
             "Change of top-1 in points on the 10,000 images of `test_batch.bin` against FP32 (95 % interval of the paired difference in brackets); ranges",
             "from 600 training images, `auto` chosen on training images too. `auto - best`: against the best single method, which was found by looking at",
             "the test images and is therefore flattered; `contains 0`: the paired interval of that difference does, or lies above it.",
             "**missed**: `auto` loses more than is allowed.", "",
             "| model | FP32 right | " + " | ".join(names) + " | auto - best | contains 0 | allowed | auto's file in ONNX Runtime | quantized by ONNX Runtime: right |",
             "| --- | --- |" + " --- |" * (len(names) + 5)]
    for r in rows:
        cells = [f"{r['columns'][c]['difference']:+.2f} (+-{r['columns'][c]['ci95']:.2f})" for c in names]
        if r["columns"]["auto"]["difference"] < -r["allowed"]:
            cells[names.index("auto")] += " **missed**"
        difference, ci95 = r["auto_against_best"]
        ours = r["columns"]["auto"]["right"]
        lines.append(f"| {r['model']} | {r['fp32_right']} | " + " | ".join(cells) + f" | {difference:+.2f} (+-{ci95:.2f}) to {r['best']} | "
                     f"{contains_zero(difference, ci95)} | -{r['allowed']} | "
                     f"{r.get('ort_right', '-')} right (octet {ours}) | {ort.get((r['model'], activations), '-')} |")
    return lines


def finding(rows, title):
    """One line of what a table shows."""
    auto = [r["columns"]["auto"]["difference"] for r in rows]
    missed = [f"{r['model']} ({d:+.2f}, -{r['allowed']} allowed)" for r, d in zip(rows, auto) if d < -r["allowed"]]
    return (f"* {title}: with ranges chosen by `--method auto`, top-1 changes by {min(auto):+.2f} to {max(auto):+.2f} points on {len(rows)} networks. "
            + (f"More than is allowed is lost by {' and '.join(missed)}." if missed else "None loses more than is allowed."))


def text(fp32, int8, tensorrt):
    lines = ["# Accuracy", "", "Top-1 of INT8 beside FP32 on the 10,000 test images of CIFAR-10:", "",
             *([finding(int8, "octet's own target")] if int8 else []), *([finding(tensorrt, "`--target tensorrt`")] if tensorrt else []),
             "* Weights of 3 bits, and what fine-tuning brings back: [Fine-tuning](#fine-tuning).", "",
             f"Generated by `make accuracy` on {machine.today()} up to \"Fine-tuning\", which is written by hand. CPU: {machine.cpu_model()}. {machine.versions()}.", "",
             "Commands behind the figures: `octet run MODEL --data test_batch.bin ...` for all logits, `octet calibrate`, `octet quantize --method M`",
             "(bench/accuracy/accuracy.py has them all).", "",
             "## FP32", "", "`test_batch.bin` (10,000 images, JPEG re-encoded) for the CIFAR-10 networks, the error against the stored logits of its first 256; 17 photographs for ImageNet ones.", "",
             "| model | max abs(a-b) / max abs(b) | right | stated |", "| --- | --- | --- | --- |"]
    lines += [f"| {n} | {e} | {r} | {s} |" for n, e, r, s in fp32]
    ort = ort_quantization()
    if int8:
        lines += int8_text(int8, "INT8, octet's own target (u8 with zero point where it is more accurate)", "u8", ort)
    if tensorrt:
        lines += int8_text(tensorrt, "INT8, `--target tensorrt` (s8 symmetric activations only)", "s8", ort)
    lines += transformer_tables.table("Accuracy")
    return "\n".join(lines) + "\n"


def layers_text():
    """The table of bench/accuracy/layers.py, run now on the files that "auto" has written. Exits with its lines where a layer is further away than it allows."""
    if os.path.exists(f"{WORK}/layers.md"):
        os.remove(f"{WORK}/layers.md")  # an earlier run's rows
    files = [f"{WORK}/{model}_octet_auto.onnx" for model in LAYER_BY_LAYER]
    for path in filter(os.path.exists, files):
        done = subprocess.run([sys.executable, "bench/accuracy/layers.py", path], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"accuracy: {path}, layer by layer (the rows before it are kept, --resume goes on from them):\n{done.stdout}{done.stderr}")
    if not os.path.exists(f"{WORK}/layers.md"):
        return ""
    with open(f"{WORK}/layers.md", encoding="utf-8") as file:
        return "\n" + file.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--skip-tensorrt", action="store_true")
    parser.add_argument("--skip-fp32", action="store_true")
    parser.add_argument("--limit", type=int, default=0, help="only the first N test images, for a look")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="keep the rows that an interrupted run has finished")
    args = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    args.models = set(args.models.split(",")) - {""}
    page = text([] if args.skip_fp32 else fp32_rows(args.models), int8_rows(args, "octet"), [] if args.skip_tensorrt else int8_rows(args, "tensorrt"))
    if args.no_write:
        print(page)
        return
    layers = layers_text()
    with open("bench/accuracy/fine_tuning.md", encoding="utf-8") as file:  # takes a GPU: its own runs, kept as they were
        fine_tuning = file.read()
    with open("docs/accuracy.md", "w", encoding="utf-8") as file:
        file.write(page + layers + fine_tuning)


if __name__ == "__main__":
    main()

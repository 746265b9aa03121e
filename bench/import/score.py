#!/usr/bin/env python3
"""The table of docs/import.md: bench/import/score.py OCTET FOLDER [NAME of a CIFAR-10 file, for its rows only]

Every quantized file of $OCTET_DATA/models as it is (--no-repair), mended in octet, and the mended file in ONNX Runtime with its graph
optimizations and without; the eager export's logits against refs/. Needs numpy and onnxruntime."""
import csv
import os
import re
import subprocess
import sys

import numpy as np
import onnxruntime as ort

OCTET, FOLDER, DATA = sys.argv[1], sys.argv[2], os.environ["OCTET_DATA"]
WANTED = sys.argv[3:]
EXACT = f"{DATA}/cifar10/test_exact_1017.bin"
NORMS = {"imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
         "cifar": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])}


def normalized(x, norm):
    if norm == "half":  # (x - 127.5) / 127.5, as the data's README has it: other last bits than (x / 255 - 0.5) / 0.5
        return (x.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    mean, std = (np.float32(v).reshape(3, 1, 1) for v in NORMS[norm])
    return ((x.astype(np.float32) / 255 - mean) / std).astype(np.float32)


def cifar(count, norm, size=32):
    raw = np.fromfile(EXACT, np.uint8).reshape(-1, 3073)[:count]
    x = raw[:, 1:].reshape(-1, 3, 32, 32)
    if size != 32:
        from PIL import Image
        x = np.stack([np.asarray(Image.fromarray(i.transpose(1, 2, 0)).resize((size, size), Image.BILINEAR)).transpose(2, 0, 1) for i in x])
    return normalized(x, norm), [{int(c)} for c in raw[:, 0]]


def photographs():
    x = np.load(f"{DATA}/images/imagenet17_rgb_u8.npy")
    with open(f"{DATA}/images/imagenet17_labels.csv") as file:
        rows = list(csv.DictReader(file))
    return normalized(x, "imagenet"), [{int(c) for c in re.findall(r"\d+", row["accepted_classes"])} for row in rows]


def octet(*arguments):
    run = subprocess.run([OCTET, *arguments], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"octet {' '.join(arguments)}: {run.stderr}")
    return run.stdout


def run_octet(path, x, *options):
    np.save(f"{FOLDER}/in.npy", x)
    octet("run", path, "--data", f"{FOLDER}/in.npy", "--preprocess", "none", "-o", f"{FOLDER}/out.npy", "--quiet", *options)
    return np.load(f"{FOLDER}/out.npy").reshape(len(x), -1)


def run_ort(path, x, optimized, batch=1):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL if optimized else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([np.asarray(session.run(None, {name: x[i:i + batch]})[0]).reshape(len(x[i:i + batch]), -1) for i in range(0, len(x), batch)])


def right(answers, accepted):
    return sum(int(c) in a for c, a in zip(answers.argmax(1), accepted))


def row(label, path, mended, x, accepted, *options):
    print(f"| {label} | {right(run_octet(path, x, '--no-repair', *options), accepted) if path else ''} | "
          f"{right(run_octet(mended, x, *options), accepted)} | {right(run_ort(mended, x, True), accepted)}, "
          f"{right(run_ort(mended, x, False), accepted)} |", flush=True)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    print(octet("--version").splitlines()[0], "onnxruntime", ort.__version__)
    files = {"resnet18_cifar10_eager_int8": "half", "mobilenet_v2_cifar10_fakequant_qdq": "cifar", "mobilenet_v2_cifar10_int8_qlinear": "cifar",
             "resnet20_cifar10_ort_qdq_s8": "imagenet"}
    for name, norm in files.items():
        if WANTED and name not in WANTED:
            continue
        path, mended = f"{DATA}/models/{name}.onnx", f"{FOLDER}/{name}_mended.onnx"
        octet("repair", path, "-o", mended, "--quiet")
        x, accepted = cifar(1017, norm)
        row(name, path, mended, x, accepted)
        if name == "mobilenet_v2_cifar10_int8_qlinear":
            octet("repair", path, "--free-batch", "-o", mended, "--quiet")
            print(f"| the same, `repair --free-batch`, batch 8 | | {right(run_octet(mended, x, '--batch', '8'), accepted)} | "
                  f"{right(run_ort(mended, x, True, 8), accepted)}, {right(run_ort(mended, x, False, 8), accepted)} |")
        if name == "resnet18_cifar10_eager_int8":
            want = np.load(f"{DATA}/refs/resnet18_cifar10_eager_int8_logits_exact1017.npy")
            for where, have in (("octet", run_octet(path, x)), ("ONNX Runtime, mended", run_ort(mended, x, False))):
                print(f"  logits against PyTorch's, {where}: correlation {np.corrcoef(have.ravel(), want.ravel())[0, 1]:.5f}", flush=True)
    if WANTED:
        return
    x, accepted = photographs()
    name = "mobilenet_v2_imagenet_ort_qdq"
    path, mended = f"{DATA}/models/{name}.onnx", f"{FOLDER}/{name}_mended.onnx"
    octet("repair", path, "-o", mended, "--quiet")
    row(name + ", 17 photographs", path, mended, x, accepted)
    np.save(f"{FOLDER}/photographs.npy", x)
    again = f"{FOLDER}/{name}_recalibrated.onnx"
    octet("repair", path, "--recalibrate", "--calib-data", f"{FOLDER}/photographs.npy", "--preprocess", "none", "-o", again, "--quiet")
    row("the same, `--recalibrate` on the same 17 photographs", "", again, x, accepted)
    name = "mobilenet_v2_cifar10_224_ort_dynamic"
    path, mended = f"{DATA}/models/{name}.onnx", f"{FOLDER}/{name}_mended.onnx"
    octet("repair", path, "-o", mended, "--quiet")
    x, accepted = cifar(300, "imagenet", 224)
    row(name + ", first 300", path, mended, x, accepted, "--batch", "1")
    again = f"{FOLDER}/{name}_recalibrated.onnx"
    octet("repair", path, "--recalibrate", "--calib-data", f"{DATA}/cifar10/train_exact_4000.bin", "--calib-limit", "64", "--preprocess",
          "stretch=224x224,rgb,norm=imagenet", "-o", again, "--quiet")
    row("the same, `--recalibrate` on 64 training images", "", again, x, accepted)


if __name__ == "__main__":
    main()

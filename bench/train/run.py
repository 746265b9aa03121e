#!/usr/bin/env python3
"""Training speed, paired: octet against plain libtorch on ResNet-18, and INT8 fine-tuning against the same in FP32.

usage: run.py BUILD_DIR [--device cpu|cuda] [--batch 128] [--images 2048] [--rounds 5] [--threads 0]

Each round runs every program once, in turn; medians and their ratios are printed. octet's figure is its last epoch's, data loading
and augmentation included; plain libtorch computes one batch in memory again and again.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def last_rate(report):
    return json.loads(report)["epochs"][-1]["images_per_s"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0 = all")
    args = parser.parse_args()
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # plain libtorch's
    train = os.path.join(args.build, "octet-train")
    plain = os.path.join(args.build, "octet_plain_training")
    work = tempfile.mkdtemp()
    path = os.path.join(work, "resnet18.onnx")
    steps = max(1, args.images // args.batch)
    common = ["--data", f"shapes-train:{args.images}", "--preprocess", "rgb,norm=half", "--batch", args.batch, "--held-out", 0,
              "--device", args.device, "--threads", args.threads, "--epochs", 2, "--quiet", "--json"]
    float_net = [train, "train", "resnet18", *common, "-o", path]
    programs = {
        "plain libtorch": lambda: float(output(plain, args.device, args.batch, steps)),
        "octet train": lambda: last_rate(output(*float_net)),
        "finetune fp32": lambda: last_rate(output(train, "finetune", path, *common, "--precision", "fp32", "-o", os.path.join(work, "f.onnx"))),
        "finetune int8": lambda: last_rate(output(train, "finetune", path, *common, "--distill", 0, "--method", "max", "--calib-limit", 64, "-o", os.path.join(work, "q.onnx"))),
        "finetune 3 bits, LSQ": lambda: last_rate(output(train, "finetune", path, *common, "--distill", 0, "--method", "max", "--calib-limit", 64, "--weight-bits", 3, "--lsq", "-o", os.path.join(work, "q3.onnx"))),
    }
    if args.device != "cpu":
        programs["plain libtorch, fast"] = lambda: float(output(plain, args.device, args.batch, steps, "--fast"))
    output(*float_net)
    rates = {name: [] for name in programs}
    for _ in range(args.rounds):
        for name, program in programs.items():
            rates[name].append(program())
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name}: {median[name]:.0f} images/s (of {', '.join(f'{v:.0f}' for v in values)})")
    for name in median:
        if name.startswith("plain"):
            print(f"octet train / {name}: {median['octet train'] / median[name]:.3f}")
    for name in median:
        if name.startswith("finetune") and name != "finetune fp32":
            print(f"{name}: {median['finetune fp32'] / median[name] - 1:+.1%} time of finetune fp32")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Prints one network in three steps as a table: PyTorch as it comes, octet's float engine, octet's INT8 engine.

usage: three_steps.py BIN_DIR FLOAT.onnx INT8.onnx CIFAR10.bin [OUT.json]

Latency of one picture that lies in the GPU's memory, median; class and confidence of the first picture. PyTorch runs the
graph of FLOAT.onnx operator by operator (eager, FP32, cuDNN's choice by measurement, and without cuDNN as the plainest way).
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MEAN, STD = np.array([0.4914, 0.4822, 0.4465], np.float32), np.array([0.2470, 0.2435, 0.2616], np.float32)


class EagerGraph(torch.nn.Module):
    """A convolution network of an ONNX file, one PyTorch call per node."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        self.tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()).cuda() for t in graph.initializer}
        self.nodes = [(n.op_type, list(n.input), n.output[0], {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute})
                      for n in graph.node]
        self.input, self.output = graph.input[0].name, graph.output[0].name

    def forward(self, x):
        values = dict(self.tensors)
        values[self.input] = x
        for op, names, out, a in self.nodes:
            v = [values[n] if n else None for n in names]
            if op == "Conv":
                pads = a.get("pads", [0, 0, 0, 0])
                if pads[:2] != pads[2:]:
                    v[0], pads = F.pad(v[0], (pads[1], pads[3], pads[0], pads[2])), [0, 0]
                y = F.conv2d(v[0], v[1], v[2] if len(v) > 2 else None, a.get("strides", [1, 1]), pads[:2], a.get("dilations", [1, 1]), a.get("group", 1))
            elif op == "Relu":
                y = F.relu(v[0])
            elif op == "Add":
                y = v[0] + v[1]
            elif op == "GlobalAveragePool":
                y = v[0].mean((2, 3), keepdim=True)
            elif op == "Flatten":
                y = torch.flatten(v[0], a.get("axis", 1))
            elif op == "Gemm":
                w = v[1] if a.get("transB", 0) else v[1].t()
                y = F.linear(v[0], w, v[2] if len(v) > 2 else None)
            else:
                raise ValueError(f"three_steps: no PyTorch call for {op}")
            values[out] = y
        return values[self.output]


def confidence(logits):
    p = np.exp(logits - logits.max())
    p /= p.sum()
    return CLASSES[int(p.argmax())], float(p.max())


def torch_step(path, x, cudnn):
    from torch_peers import median_ms
    torch.backends.cudnn.enabled = cudnn
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model, x = EagerGraph(path).eval(), torch.from_numpy(x).cuda()
    with torch.inference_mode():
        logits = model(x)[0].float().cpu().numpy()
        return median_ms(lambda: model(x)), logits


def octet_step(bin_dir, path, precision, images):
    with tempfile.TemporaryDirectory() as work:
        out = os.path.join(work, "y.npy")
        subprocess.run([os.path.join(bin_dir, "octet"), "run", path, "--data", images, "--preprocess", "cifar10", "--limit", "1", "--batch", "1",
                        "--device", "cuda", "--quiet", "-o", out], check=True, stdout=subprocess.DEVNULL)
        logits = np.load(out).reshape(-1)[:10].astype(np.float32)
    bench = subprocess.run([os.path.join(bin_dir, "octet_gpu_bench"), path, precision, "1"], check=True, stdout=subprocess.PIPE)
    return json.loads(bench.stdout)["single_ms"], logits


def main():
    bin_dir, float_model, int8_model, images = sys.argv[1:5]
    with open(images, "rb") as file:
        record = np.frombuffer(file.read(3073), np.uint8)
    pixels = record[1:].reshape(3, 32, 32).astype(np.float32) / np.float32(255)
    x = ((pixels - MEAN[:, None, None]) / STD[:, None, None])[None].copy()
    steps = [("PyTorch eager FP32, without cuDNN",) + torch_step(float_model, x, False), ("PyTorch eager FP32",) + torch_step(float_model, x, True),
             ("octet FP32 engine",) + octet_step(bin_dir, float_model, "fp32", images),
             ("octet FP16 engine",) + octet_step(bin_dir, float_model, "fp16", images),
             ("octet INT8 engine",) + octet_step(bin_dir, int8_model, "int8", images)]
    rows = []
    print(f"Picture 0 of the test set, true class {CLASSES[record[0]]}; {os.path.basename(float_model)}, batch 1.\n")
    print("| step | latency ms | speed-up | class | confidence |\n| --- | --- | --- | --- | --- |")
    for name, ms, logits in steps:
        word, p = confidence(logits)
        rows.append({"step": name, "ms": ms, "class": word, "confidence": p})
        print(f"| {name} | {ms:.4f} | {steps[0][1] / ms:.1f} | {word} | {100 * p:.2f} % |")
    if len(sys.argv) > 5:
        with open(sys.argv[5], "w", encoding="utf-8") as file:
            json.dump({"model": os.path.basename(float_model), "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()

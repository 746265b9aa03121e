#!/usr/bin/env python3
"""Networks with transposed convolutions: octet against ONNX Runtime, one thread, batch 1, in turns.

    bench/transposed/run.py --octet build/octet --work DIR [--rounds 3] [MODEL ...]

Random weights (torch, seed 0): a U-Net (2x2 kernels of stride 2), a DCGAN generator and a CenterNet head (4x4, stride 2,
pads 1), FSRCNN x3 (9x9, stride 3), an autoencoder (3x3, stride 2, output_padding 1). ONNX Runtime's INT8 file is
quantize_static's (QDQ, u8 activations, one scale a channel of the weights), octet's is octet quantize's; the ranges are
those of noise. Prints least times in ms. Needs torch, onnx and onnxruntime.
"""
import argparse
import os
import re
import subprocess
import time

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn


def layer(inputs, outputs, kernel=3, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs),
                         nn.ReLU())


def up(inputs, outputs, kernel=4, stride=2, pad=1, **more):
    return [nn.ConvTranspose2d(inputs, outputs, kernel, stride, pad, bias=False, **more), nn.BatchNorm2d(outputs),
            nn.ReLU()]


class UNet(nn.Module):
    def __init__(self, width=32, depth=4):
        super().__init__()
        sizes = [width << i for i in range(depth + 1)]
        block = lambda i, o: nn.Sequential(layer(i, o), layer(o, o))
        self.down = nn.ModuleList(block(i, o) for i, o in zip([3] + sizes, sizes))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * s, s, 2, 2) for s in sizes[-2::-1])
        self.join = nn.ModuleList(block(2 * s, s) for s in sizes[-2::-1])
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if i else x)
            skips.append(x)
        skips.pop()
        for grow, join in zip(self.up, self.join):
            x = join(torch.cat([skips.pop(), grow(x)], 1))
        return self.last(x)


def fsrcnn(scale):
    parts = [nn.Conv2d(1, 56, 5, padding=2), nn.PReLU(56), nn.Conv2d(56, 12, 1), nn.PReLU(12)]
    for _ in range(4):
        parts += [nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12)]
    parts += [nn.Conv2d(12, 56, 1), nn.PReLU(56)]
    return nn.Sequential(*parts, nn.ConvTranspose2d(56, 1, 9, scale, 4, output_padding=scale - 1))


MODELS = {
    "unet": (UNet, (1, 3, 256, 256)),
    "dcgan": (lambda: nn.Sequential(*up(100, 512, 4, 1, 0), *up(512, 256), *up(256, 128), *up(128, 64),
                                    nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh()), (1, 100, 1, 1)),
    "centernet": (lambda: nn.Sequential(layer(3, 64, 7, 4), layer(64, 128, 3, 2), layer(128, 256, 3, 2),
                                        layer(256, 512, 3, 2), *up(512, 256), *up(256, 128), *up(128, 64),
                                        layer(64, 64), nn.Conv2d(64, 80, 1)), (1, 3, 256, 256)),
    "fsrcnn_x3": (lambda: fsrcnn(3), (1, 1, 128, 128)),
    "autoencoder": (lambda: nn.Sequential(layer(3, 64, 3, 2), layer(64, 128, 3, 2),
                                          *up(128, 64, 3, output_padding=1), *up(64, 16, 3, output_padding=1),
                                          nn.Conv2d(16, 3, 3, padding=1)), (1, 3, 256, 256)),
}


class Noise(CalibrationDataReader):
    def __init__(self, shape):
        self.left = [{"input": np.random.default_rng(i).standard_normal(shape).astype("f")} for i in range(2)]

    def get_next(self):
        return self.left.pop() if self.left else None


def make(name, octet, work):
    """The float file, ONNX Runtime's INT8 file and octet's."""
    torch.manual_seed(0)
    build, shape = MODELS[name]
    model = build().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight)
    files = [os.path.join(work, name + end) for end in (".onnx", ".ort.onnx", ".octet.onnx")]
    torch.onnx.export(model, torch.randn(shape), files[0], opset_version=17, input_names=["input"], dynamo=False)
    quant_pre_process(files[0], files[1], skip_symbolic_shape=True)
    quantize_static(files[1], files[1], Noise(shape), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    subprocess.run([octet, "quantize", files[0], "--calib-data", "synthetic:8", "-o", files[2], "--quiet"], check=True,
                   capture_output=True)
    return files


def octet_ms(octet, file, runs, *more):
    done = subprocess.run([octet, "bench", file, "--warm-up", "0", "--duration", "0", "--iterations", str(runs), *more],
                          capture_output=True, text=True, check=True)
    return float(re.search(r"^GPU Compute Time: min = (\S+) ms", done.stdout, re.M).group(1))


def onnxruntime_ms(file, shape, runs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    x = {"input": np.random.default_rng(0).standard_normal(shape).astype("f")}
    times = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        session.run(None, x)
        times.append(1e3 * (time.perf_counter() - begin))
    return min(times[1:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--octet", default="build/octet")
    parser.add_argument("--work", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    print(f"onnxruntime {onnxruntime.__version__}\n\n| network | octet FP32 as a ConvTranspose | octet FP32 | ONNX Runtime "
          "FP32 | octet INT8 | ONNX Runtime INT8 |\n| --- | --- | --- | --- | --- | --- |")
    for name in args.models:
        f32, ort, own = [os.path.join(args.work, name + end) for end in (".onnx", ".ort.onnx", ".octet.onnx")]
        if not os.path.exists(own):
            make(name, args.octet, args.work)
        shape, rows = MODELS[name][1], []
        before = octet_ms(args.octet, f32, 1, "--skip-pass", "conv_transpose_to_conv")
        for _ in range(args.rounds):
            rows.append([octet_ms(args.octet, f32, 8), onnxruntime_ms(f32, shape, 6), octet_ms(args.octet, own, 12),
                         onnxruntime_ms(ort, shape, 6)])
        least = [min(column) for column in zip(*rows)]
        print(f"| {name} | {before:.1f} | " + " | ".join(f"{ms:.2f}" for ms in least) + " |", flush=True)


if __name__ == "__main__":
    main()

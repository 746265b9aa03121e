#!/usr/bin/env python3
"""Trains examples/models/shapes_cnn.onnx, the network of the demo without OCTET_DATA, on pictures that octet draws.

usage: train_shapes.py PIXELS.npy OUT.onnx      (needs torch, onnx, numpy; takes a few minutes on one core)

The file beside this was made from shapes-train:20000 with torch 2.11 on 26 November 2026; 90.60 % of shapes:2000.

PIXELS.npy: uint8 or float32 [N,3,32,32], pixels 0..255, as `octet run IDENTITY.onnx --data shapes-train:N -o PIXELS.npy` writes them
for a network of one Identity node; picture i is of class i mod 10. Preprocessing: rgb,norm=half, that is (x - 127.5) / 127.5.
"""
import sys

import numpy as np
import torch
from torch import nn


def conv(ic, oc, k, stride=1):
    return nn.Sequential(nn.Conv2d(ic, oc, k, stride, k // 2, bias=False), nn.BatchNorm2d(oc))


class Block(nn.Module):
    def __init__(self, ic, oc, stride):
        super().__init__()
        self.a, self.b = conv(ic, oc, 3, stride), conv(oc, oc, 3)
        self.skip = conv(ic, oc, 1, stride) if stride != 1 or ic != oc else nn.Identity()

    def forward(self, x):
        return torch.relu(self.b(torch.relu(self.a(x))) + self.skip(x))


def network():
    return nn.Sequential(conv(3, 24, 3), nn.ReLU(), Block(24, 24, 1), Block(24, 48, 2), Block(48, 96, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10))


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    pixels = np.load(sys.argv[1])
    x = (torch.from_numpy(pixels.astype(np.float32)) - 127.5) / 127.5
    y = torch.arange(len(x)) % 10
    net = network().to(memory_format=torch.channels_last)
    epochs, batch = 5, 100
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, steps)
    for epoch in range(epochs):
        right = 0
        for index in torch.randperm(len(x)).split(batch):
            logits = net(x[index].contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(logits, y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            right += int((logits.argmax(1) == y[index]).sum())
        print(f"epoch {epoch + 1}: {right / len(x):.4f} right while training", flush=True)
    net.eval()
    torch.onnx.export(net, x[:1], sys.argv[2], input_names=["input"], output_names=["logits"], opset_version=13, dynamo=False,
                      dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})


if __name__ == "__main__":
    main()

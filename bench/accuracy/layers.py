#!/usr/bin/env python3
"""Layer by layer: octet, ONNX Runtime (optimizations off) and numpy on the same input codes.

usage: layers.py QDQ.onnx [PREPROCESS]      (OCTET_DATA must be set; writes build/accuracy/layers.md)

Every activation QuantizeLinear of the file, with the nodes between it and the codes that feed it, becomes a small network of
its own; it is fed the codes that ONNX Runtime sees there on 64 test images. Required: at least 99.99 % of codes equal, none
more than one apart. Convolutions are also computed by numpy in 64-bit integers with the requantize expression of docs/numerics.md.
"""
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

OCTET = "build/octet"
WORK = "build/accuracy"


def session(model):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def regions(model):
    """(list of input code names, nodes, output code name) for every activation QuantizeLinear."""
    producer = {o: n for n in model.graph.node for o in n.output}
    constants = {i.name for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        inputs, nodes, stack, seen = [], [], [node], set()
        while stack:
            n = stack.pop()
            if id(n) in seen:
                continue
            seen.add(id(n))
            nodes.append(n)
            for name in n.input:
                if not name or name in constants:
                    continue
                if n.op_type == "DequantizeLinear" or name not in producer:
                    if name not in inputs:
                        inputs.append(name)
                else:
                    stack.append(producer[name])
        order = {id(n): i for i, n in enumerate(model.graph.node)}
        yield inputs, sorted(nodes, key=lambda n: order[id(n)]), node.output[0]


def code_values(model, x):
    """Every tensor that a region starts or ends with, as ONNX Runtime computes it."""
    names = sorted({name for inputs, _, out in regions(model) for name in [*inputs, out]} - {i.name for i in model.graph.input})
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    types = {}
    producer = {o: n for n in model.graph.node for o in n.output}
    initializers = {i.name: i for i in model.graph.initializer}
    for name in names:
        n = producer[name]
        while n.op_type != "QuantizeLinear":  # a reshape or a pool on codes
            n = producer[n.input[0]]
        types[name] = initializers[n.input[2]].data_type
        copy.graph.output.append(helper.make_tensor_value_info(name, types[name], None))
    feed = {model.graph.input[0].name: x}
    return {**dict(zip(names, session(copy).run(names, feed))), **feed}, types


def octet_run(path, feeds, out):
    args = [OCTET, "run", path, "-o", out, "--quiet"]
    for i, (name, value) in enumerate(feeds.items()):
        raw = f"{WORK}/layer_in{i}.raw"
        np.ascontiguousarray(value).tofile(raw)
        args += ["--loadInputs", f"{name}:{raw}"]
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(args)}\n{done.stderr}")
    return np.load(out)


def numpy_conv(model, nodes, values):
    """The requantize expression on exact integers for a plain Conv [+ Relu/Clip] region without residual; None if it is another."""
    initializers = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    conv = next((n for n in nodes if n.op_type == "Conv"), None)
    if conv is None or any(n.op_type not in ("Conv", "Relu", "Clip", "QuantizeLinear", "DequantizeLinear") for n in nodes):
        return None
    producer = {o: n for n in nodes for o in n.output}
    dq, dw = producer[conv.input[0]], producer[conv.input[1]]
    sx, zx = initializers[dq.input[1]].item(), int(initializers[dq.input[2]].item())
    w, sw = initializers[dw.input[0]].astype(np.int64), initializers[dw.input[1]].astype(np.float64)
    attrs = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
    if attrs.get("group", 1) != 1:
        return None
    x = values[dq.input[0]][:2].astype(np.int64) - zx
    (ph, pw, qh, qw), (sh, sw_) = attrs.get("pads", [0] * 4), attrs.get("strides", [1, 1])
    x = np.pad(x, ((0, 0), (0, 0), (ph, qh), (pw, qw)))
    oh, ow = (x.shape[2] - w.shape[2]) // sh + 1, (x.shape[3] - w.shape[3]) // sw_ + 1
    acc = np.zeros((x.shape[0], w.shape[0], oh, ow), np.int64)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            acc += np.einsum("nchw,oc->nohw", x[:, :, i:i + sh * oh:sh, j:j + sw_ * ow:sw_], w[:, :, i, j])
    if len(conv.input) > 2:
        acc += initializers[producer[conv.input[2]].input[0]].astype(np.int64).reshape(1, -1, 1, 1)
    q = next(n for n in nodes if n.op_type == "QuantizeLinear")
    sy, zy = initializers[q.input[1]].item(), initializers[q.input[2]]
    m = (np.float64(sx) * sw / np.float64(sy)).astype(np.float32).reshape(1, -1, 1, 1)
    real = np.rint(acc.astype(np.float32) * m).astype(np.int64) + int(zy.item())
    low, high = np.iinfo(zy.dtype).min, np.iinfo(zy.dtype).max
    for n in nodes:
        if n.op_type == "Relu":
            low = max(low, int(zy.item()))
        if n.op_type == "Clip":
            bound = [int(np.rint(np.float32(initializers[name].item()) / np.float32(sy))) + int(zy.item()) for name in n.input[1:]]
            low, high = max(low, bound[0]), min(high, bound[1])
    return np.clip(real, low, high)


def main():
    os.makedirs(WORK, exist_ok=True)
    path = sys.argv[1]
    model = onnx.load(path)
    rows = np.fromfile(f"{os.environ['OCTET_DATA']}/cifar10/test_batch.bin", np.uint8)[:64 * 3073].reshape(-1, 3073)
    x = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255)
    mean = np.asarray((0.4914, 0.4822, 0.4465), np.float32).reshape(1, 3, 1, 1)
    std = np.asarray((0.2470, 0.2435, 0.2616), np.float32).reshape(1, 3, 1, 1)
    values, types = code_values(model, np.ascontiguousarray((x - mean) / std))
    total = different = worst = layers = numpy_layers = numpy_different = 0
    for inputs, nodes, output in regions(model):
        def info(name):
            kind = types.get(name, onnx.TensorProto.FLOAT)
            return helper.make_tensor_value_info(name, kind, values[name].shape)
        used = {i for n in nodes for i in n.input}
        graph = helper.make_graph(nodes, "layer", [info(n) for n in inputs], [info(output)],
                                  [i for i in model.graph.initializer if i.name in used])
        layer = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        onnx.save(layer, f"{WORK}/layer.onnx")
        ours = octet_run(f"{WORK}/layer.onnx", {n: values[n] for n in inputs}, f"{WORK}/layer_out.npy")
        gap = np.abs(ours.astype(int) - values[output].astype(int))
        layers += 1
        total += gap.size
        different += int((gap > 0).sum())
        worst = max(worst, int(gap.max()))
        by_numpy = numpy_conv(model, nodes, values)
        if by_numpy is not None:
            numpy_layers += 1
            numpy_different += int((by_numpy != ours[:2]).sum())
        if gap.max() > 1 or (gap > 0).mean() > 1e-4:
            print(f"{output}: {(gap > 0).mean():.2e} of the codes differ, largest {gap.max()}: {[n.op_type for n in nodes]}")
    line = (f"| {os.path.basename(path)} | {layers} | {total} | {100 * (1 - different / total):.5f} % | {worst} | "
            f"{numpy_layers} layers, {numpy_different} codes differ |")
    print(line)
    head = ["## Layer by layer against ONNX Runtime and numpy", "",
            "Each layer alone, fed the codes ONNX Runtime (optimizations off) sees there on 64 test images: `bench/accuracy/layers.py FILE`.", "",
            "| file | layers | codes | equal | largest difference | numpy, exact integers |", "| --- | --- | --- | --- | --- | --- |"]
    page = f"{WORK}/layers.md"
    old = []
    if os.path.exists(page):
        with open(page, encoding="utf-8") as file:
            old = [row for row in file.read().splitlines() if row.startswith("| ") and ".onnx |" in row and os.path.basename(path) not in row]
    with open(page, "w", encoding="utf-8") as file:
        file.write("\n".join([*head, *old, line]) + "\n")
    sys.exit(1 if worst > 1 or different > total * 1e-4 else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Reads the files of trtexec's --exportLayerInfo, --exportProfile, --exportTimes and --exportOutput the way public tools do.

usage: read_trtexec_files.py [--layers FILE] [--profile FILE] [--times FILE] [--output FILE]

A reader of its own, written from what published readers expect of these files: the engine explorer of NVIDIA/TensorRT (tools/experimental/
trt-engine-explorer: layers are objects, names match the profile one to one, formats and weight types are words of a fixed list, convolutions have
Kernel, Groups and 4-dimensional activations), its profiler.py and tracer.py, and polygraphy-trtexec (name, dimensions "1x10", values). Prints a
summary; exits with 1 and a sentence when a file would not do for them.
"""
import argparse
import json
import math
import sys
from collections import Counter

# Format/Datatype texts (without dots) that the engine explorer knows, and the precision it takes them for.
FORMATS = {
    "Row major linear FP32": ("FP32", 4), "Channel major FP32 format": ("FP32", 4),
    "Row major Int8 format": ("INT8", 1), "Channel major Int8 format": ("INT8", 1),
    "Row major linear FP16 format": ("FP16", 2), "Channel major FP16 format": ("FP16", 2),
    "Row major linear Int32": ("INT32", 4), "Row major linear Int64 format": ("INT64", 8), "Row major linear BOOL": ("Bool", 0),
}
WEIGHT_BYTES = {"Int8": 1, "Half": 2, "Float": 4, "Int32": 4, "FP16": 2, "FP32": 4}
TIMES = ["startEnqMs", "endEnqMs", "startH2dMs", "endH2dMs", "startComputeMs", "endComputeMs", "startD2hMs", "endD2hMs",
         "h2dMs", "computeMs", "d2hMs", "latencyMs"]


def fail(text):
    print(f"read_trtexec_files: {text}")
    sys.exit(1)


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except ValueError as error:
        fail(f"{path}: not JSON: {error}")


def tensor_bytes(where, tensor):
    text = tensor["Format/Datatype"].replace(".", "")
    if text not in FORMATS:
        fail(f"{where}: format '{text}' is not known to the engine explorer")
    return FORMATS[text][0], math.prod(tensor["Dimensions"]) * FORMATS[text][1]


def constant_bytes(where, constant):
    if constant["Type"] not in WEIGHT_BYTES:
        fail(f"{where}: weight type '{constant['Type']}' is not known to the engine explorer")
    return constant["Count"] * WEIGHT_BYTES[constant["Type"]]


def read_layers(path):
    graph = load(path)
    layers, bindings = graph["Layers"], graph["Bindings"]
    if not layers or not isinstance(layers[0], dict):
        fail(f"{path}: layers are names only; write it with --profilingVerbosity=detailed")
    precisions, weights, activations, made = Counter(), 0, 0, set(bindings)
    for layer in layers:
        where = f"{path}: layer '{layer['Name']}'"
        for tensor in layer["Inputs"]:
            if tensor["Name"] not in made:
                fail(f"{where}: input '{tensor['Name']}' is no binding and no earlier layer's output")
        for tensor in layer["Inputs"] + layer["Outputs"]:
            activations += tensor_bytes(where, tensor)[1]
        made.update(t["Name"] for t in layer["Outputs"])
        precisions[tensor_bytes(where, (layer["Inputs"] or layer["Outputs"])[0])[0]] += 1
        weights += sum(constant_bytes(where, layer[role]) for role in ("Weights", "Bias") if role in layer)
        if layer.get("ParameterType", layer["LayerType"]) == "Convolution":
            check_convolution(where, layer)
        int(layer["TacticValue"], 16)
    missing = [b for b in bindings if b not in {t["Name"] for l in layers for t in l["Inputs"] + l["Outputs"]}]
    if missing:
        fail(f"{path}: bindings {missing} belong to no layer")
    print(f"{len(layers)} layers ({', '.join(f'{n} {p}' for p, n in sorted(precisions.items()))}), weights {weights} bytes, "
          f"activations {activations} bytes, bindings {', '.join(bindings)}")
    return [layer["Name"] for layer in layers]


def check_convolution(where, layer):
    _, channels, _, _ = layer["Inputs"][0]["Dimensions"]
    _, maps, _, _ = layer["Outputs"][0]["Dimensions"]
    rows, columns = layer["Kernel"]
    if layer["OutMaps"] != maps or layer["Weights"]["Count"] != maps * channels // layer["Groups"] * rows * columns:
        fail(f"{where}: {layer['Weights']['Count']} weights, {maps} maps of {channels}/{layer['Groups']} x {rows} x {columns}")


def read_profile(path, names):
    rows = load(path)
    count, layers = rows[0]["count"], [r for r in rows if len(r) in (4, 5)]
    if len(layers) != len(rows) - 1:
        fail(f"{path}: rows of another size than name, timeMs, averageMs, medianMs, percentage")
    if names is not None and [r["name"] for r in layers] != names:
        fail(f"{path}: its layers are not those of the layer file, in order")
    total = sum(r["timeMs"] for r in layers)
    for r in layers:
        if abs(r["timeMs"] - r["averageMs"] * count) > 1e-4 * max(total, 1):
            fail(f"{path}: '{r['name']}': averageMs x count is not timeMs")
    if total > 0 and abs(sum(r["percentage"] for r in layers) - 100) > 0.1:
        fail(f"{path}: percentages do not sum up to 100")
    print(f"profile of {count} runs, {total / count:.4f} ms each")


def read_times(path):
    rows = load(path)
    for row in rows:
        if list(row) != TIMES:
            fail(f"{path}: keys {list(row)}")
        if not row["startH2dMs"] <= row["endH2dMs"] <= row["startComputeMs"] <= row["endComputeMs"] <= row["startD2hMs"] <= row["endD2hMs"]:
            fail(f"{path}: phases out of order at {row['startH2dMs']} ms")
    print(f"times of {len(rows)} queries")


def read_output(path):
    for entry in load(path):
        dims = [int(d) for d in entry["dimensions"].split("x")]
        if math.prod(dims) != len(entry["values"]):
            fail(f"{path}: '{entry['name']}' is {entry['dimensions']}, but has {len(entry['values'])} values")
        print(f"output {entry['name']} {entry['dimensions']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--layers", "--profile", "--times", "--output"):
        parser.add_argument(flag)
    args = parser.parse_args()
    names = read_layers(args.layers) if args.layers else None
    if args.profile:
        read_profile(args.profile, names)
    if args.times:
        read_times(args.times)
    if args.output:
        read_output(args.output)


if __name__ == "__main__":
    main()

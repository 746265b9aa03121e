"""Model files without what can be made again, and back: how the networks of the comparison travel to another machine.

A constant of an INT8 file is nearly the codes of the same layer in another file, or what rounding the float weights gives; a skeleton
holds the difference, mostly zeros, in its place, and a recipe says from what to add it up. `cut` makes skeleton and recipe, `restore` the
file, byte for byte where the files that it is made from are. A float file of a trained network comes back with its weights rounded to
the codes of its INT8 file.
"""
import hashlib
import re

import numpy as np
import onnx
from onnx import numpy_helper

LEAST = 4096  # bytes of a constant that is worth a line of the recipe


def constants(path, kind):
    """(offset, length, channels) of the constants of a type: "i8" or "f32"."""
    if path.endswith(".xml"):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found = re.findall(r'type="Const"[^>]*>\s*<data element_type="(\w+)" shape="([\d, ]*)" offset="(\d+)" size="(\d+)"', text)
        lines = [(int(at), int(size), int((shape or "1").split(",")[0])) for element, shape, at, size in found if element == kind]
        return sorted({line for line in lines if line[1] >= LEAST})
    with open(path, "rb") as file:
        data = file.read()
    wanted = {"i8": onnx.TensorProto.INT8, "f32": onnx.TensorProto.FLOAT}[kind]
    lines, at = [], 0
    for tensor in onnx.load_model_from_string(data).graph.initializer:
        if len(tensor.raw_data) < LEAST:
            continue
        at = data.index(tensor.raw_data, at)
        if tensor.data_type == wanted and (kind == "i8" or len(tensor.dims) > 1):
            lines.append((at, len(tensor.raw_data), tensor.dims[0]))
        at += len(tensor.raw_data)
    return lines


def weight_scales(path):
    """By offset of an INT8 constant of a Q/DQ file: offset and count of its scales."""
    with open(path, "rb") as file:
        data = file.read()
    graph = onnx.load_model_from_string(data).graph
    tensors = {t.name: t for t in graph.initializer}
    scale_of = {n.input[0]: n.input[1] for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in tensors}
    found, at = {}, 0
    for tensor in graph.initializer:
        if len(tensor.raw_data) < LEAST:
            continue
        at = data.index(tensor.raw_data, at)
        scale = tensors.get(scale_of.get(tensor.name))
        if tensor.data_type == onnx.TensorProto.INT8 and scale is not None:
            numbers = numpy_helper.to_array(scale).astype(np.float32).tobytes()
            found[at] = (data.index(numbers), len(numbers) // 4)
        at += len(tensor.raw_data)
    return found


def rounded(weights, scales):
    by_channel = weights.reshape(len(scales), -1) / scales[:, None]
    return np.clip(np.rint(by_channel), -127, 127).astype(np.int8).ravel()


def predicted(recipe, own, sources):
    """The codes, or float weights, that a recipe's line promises. own: bytes of the file itself; sources: of others, by name."""
    source = sources[recipe["from"]]
    if recipe["how"] == "codes":
        return np.frombuffer(source, np.int8, recipe["length"], recipe["at"])
    scales_in = own if recipe["how"] == "round" else source
    scales = np.frombuffer(scales_in, np.float32, recipe["channels"], recipe["scales"])
    if recipe["how"] == "round":
        return rounded(np.frombuffer(source, np.float32, recipe["length"], recipe["at"]), scales)
    codes = np.frombuffer(source, np.int8, recipe["length"] // 4, recipe["at"])
    return (codes.reshape(len(scales), -1) * scales[:, None]).astype(np.float32).ravel()


def distance(a, b):
    """Mean distance of two arrays of codes around the circle of 256."""
    return float(np.abs((a.astype(np.int16) - b + 128) % 256 - 128).mean())


def cut_codes(path, data, name, base):
    """Recipe of an INT8 file against another one's codes. base: (path, bytes)."""
    lines = []
    others = constants(base[0], "i8")
    for offset, length, _ in constants(path, "i8"):
        codes = np.frombuffer(data, np.int8, length, offset)
        choices = [(distance(codes, np.frombuffer(base[1], np.int8, length, at)), at) for at, n, _ in others if n == length]
        if choices and min(choices)[0] < 8:
            lines.append({"how": "codes", "from": name, "at": min(choices)[1], "offset": offset, "length": length})
    return lines


def cut_same(path, data, name, base):
    """Lines for float weights of an IR that are those of a float file. base: bytes."""
    found = ((offset, length, base.find(data[offset:offset + length])) for offset, length, _ in constants(path, "f32"))
    return [{"how": "codes", "from": name, "at": at, "offset": offset, "length": length} for offset, length, at in found if at >= 0]


def cut_rounded(path, data, name, base):
    """Recipe of an INT8 file against float weights."""
    lines, scales = [], weight_scales(path)
    floats = constants(base[0], "f32")
    for offset, length, _ in constants(path, "i8"):
        if offset not in scales:
            continue
        at_scale, channels = scales[offset]
        codes = np.frombuffer(data, np.int8, length, offset)
        choices = [(distance(codes, rounded(np.frombuffer(base[1], np.float32, length, at), np.frombuffer(data, np.float32, channels, at_scale))), at)
                   for at, n, _ in floats if n == 4 * length]
        if choices and min(choices)[0] < 8:
            lines.append({"how": "round", "from": name, "at": min(choices)[1], "scales": at_scale, "channels": channels, "offset": offset, "length": length})
    return lines


def cut_floats(path, data, name, base):
    """Recipe of a float file that takes its weights from an INT8 file's codes."""
    lines, scales = [], weight_scales(base[0])
    for offset, length, _ in constants(path, "f32"):
        weights = np.frombuffer(data, np.float32, length // 4, offset)
        choices = []
        for at, n, _ in constants(base[0], "i8"):
            if 4 * n == length and at in scales:
                at_scale, channels = scales[at]
                codes = rounded(weights, np.frombuffer(base[1], np.float32, channels, at_scale))
                choices.append((distance(codes, np.frombuffer(base[1], np.int8, n, at)), at))
        if choices and min(choices)[0] < 1:
            at_scale, channels = scales[min(choices)[1]]
            lines.append({"how": "floats", "from": name, "at": min(choices)[1], "scales": at_scale, "channels": channels, "offset": offset, "length": length})
    return lines


def skeleton(data, recipe, sources):
    """What is left of a file when a recipe's lines are taken off it."""
    left = bytearray(data)
    for line in recipe:
        at, end = line["offset"], line["offset"] + line["length"]
        if line["how"] == "floats":
            left[at:end] = bytes(line["length"])
        else:
            codes = np.frombuffer(data, np.int8, line["length"], at).astype(np.int16) - predicted(line, data, sources)
            left[at:end] = (codes % 256).astype(np.uint8).tobytes()
    return bytes(left)


def restore(left, recipe, sources):
    data = bytearray(left)
    for line in recipe:
        at, end = line["offset"], line["offset"] + line["length"]
        made = predicted(line, left, sources)
        if line["how"] == "floats":
            data[at:end] = made.tobytes()
        else:
            data[at:end] = ((np.frombuffer(left, np.uint8, line["length"], at).astype(np.int16) + made) % 256).astype(np.uint8).tobytes()
    return bytes(data)


def digest(data):
    return hashlib.sha256(data).hexdigest()

#!/usr/bin/env python3
"""Writes node tests of the operators that ONNX has none of (GlobalLpPool, LpNormalization), in the form of ONNX's own.

usage: own_node_tests.py FOLDER

FOLDER/<test>/ gets model.onnx and test_data_set_0/{input,output}_0.pb. The expected numbers follow the operator's text, in double:
GlobalLpPool: y[n, c] = (sum over all spatial elements of |x|^p)^(1/p); LpNormalization: y = x / (sum along axis of |x|^p)^(1/p). Standard library only; the few protobuf fields in use are written by hand."""
import itertools
import os
import random
import struct
import sys


def varint(value):
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes(made) + bytes([value])


def integer(number, value):
    return varint(number << 3) + varint(value)


def message(number, *parts):
    body = b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)
    return varint(number << 3 | 2) + varint(len(body)) + body


def tensor(name, dims, values):  # TensorProto: dims 1, data_type 2 (1 = float), name 8, raw_data 9
    return b"".join(integer(1, d) for d in dims) + integer(2, 1) + message(8, name) + message(9, struct.pack(f"<{len(values)}f", *values))


def value_info(name, dims):  # ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 } } } }
    shape = message(2, *(message(1, integer(1, d)) for d in dims))
    return message(1, name) + message(2, message(1, integer(1, 1), shape))


def model(op, attributes, opset, x, y):
    """attributes: ints. NodeProto: input 1, output 2, name 3, op_type 4, attribute 5 { name 1, i 3, type 20 (2 = INT) }."""
    node = message(1, "x") + message(2, "y") + message(3, "node") + message(4, op)
    node += b"".join(message(5, message(1, key), integer(3, value), integer(20, 2)) for key, value in attributes.items())
    graph = message(1, node) + message(2, "g") + message(11, value_info("x", x)) + message(12, value_info("y", y))
    return integer(1, 8) + message(7, graph) + message(8, message(1, ""), integer(2, opset))


def write(folder, made, x, y):
    os.makedirs(os.path.join(folder, "test_data_set_0"), exist_ok=True)
    for name, data in (("model.onnx", made), ("test_data_set_0/input_0.pb", x), ("test_data_set_0/output_0.pb", y)):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


def global_lp_pool(root, name, dims, p, opset):
    random.seed(name)
    each = 1
    for d in dims[2:]:
        each *= d
    rows = dims[0] * dims[1]
    x = [struct.unpack("<f", struct.pack("<f", random.uniform(-3, 3)))[0] for _ in range(rows * each)]
    power = 2 if p is None else p
    y = [sum(abs(v)**power for v in x[r * each:(r + 1) * each])**(1 / power) for r in range(rows)]
    out = dims[:2] + [1] * (len(dims) - 2)
    write(os.path.join(root, name), model("GlobalLpPool", {} if p is None else {"p": p}, opset, dims, out), tensor("x", dims, x), tensor("y", out, y))


def lp_normalization(root, name, axis, p, opset):
    random.seed(name)
    dims = [2, 3, 4]
    x = [struct.unpack("<f", struct.pack("<f", random.uniform(-3, 3)))[0] for _ in range(24)]
    along, power = 2 if axis is None else axis, 2 if p is None else p
    step = (12, 4, 1)[along]
    line = [i // (step * dims[along]) * step * dims[along] + i % step for i in range(24)]  # the first element of each one's line
    norm = {first: sum(abs(x[first + k * step])**power for k in range(dims[along]))**(1 / power) for first in line}
    y = [v / norm[line[i]] for i, v in enumerate(x)]
    attributes = {key: value for key, value in (("axis", axis), ("p", p)) if value is not None}
    write(os.path.join(root, name), model("LpNormalization", attributes, opset, dims, dims), tensor("x", dims, x), tensor("y", dims, y))


def main():
    for axis, p, opset in itertools.product((None, 0, 1), (None, 1, 2), (7, 23)):
        name = f"test_lp_normalization_axis_{'default' if axis is None else axis}_{'default' if p is None else f'p{p}'}_opset_{opset}"
        lp_normalization(sys.argv[1], name, axis, p, opset)
    for (rank, dims), p in itertools.product({"1d": [2, 3, 7], "2d": [2, 3, 5, 4], "3d": [1, 2, 3, 4, 5]}.items(), (None, 1, 2, 3)):
        for opset in (7, 23):
            global_lp_pool(sys.argv[1], f"test_global_lp_pool_{rank}_{'default' if p is None else f'p{p}'}_opset_{opset}", dims, p, opset)


if __name__ == "__main__":
    main()

"""Writes the *_cases.inc files of this folder: one graph per case as octet's text, with the answer of ONNX Runtime (graph
optimizations off) as a constant beside it. Run: python tests/ops/make_cases.py, with numpy, onnx and onnxruntime."""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

FOLDER = pathlib.Path(__file__).parent
WORDS = {np.dtype(k): v for k, v in {
    "float32": "f32", "float64": "f64", "float16": "f16", "int8": "s8", "uint8": "u8", "int16": "s16", "uint16": "u16",
    "int32": "s32", "uint32": "u32", "int64": "s64", "uint64": "u64", "bool": "bool"}.items()}
rng = np.random.default_rng(20240607)


def literal(x):
    if x.dtype.kind == "f":
        return [("nan" if np.isnan(v) else str(v).replace("-inf", "-inf")) for v in x.ravel()]
    return [str(int(v)) for v in x.ravel()]


def constant(name, x):
    dims = ",".join(str(d) for d in x.shape)
    return f"const {name}: {WORDS[x.dtype]}[{dims}] = {{{', '.join(literal(x))}}}"


def attribute_text(key, value):
    if key in ("to", "dtype"):
        return f'{key}="{WORDS[np.dtype(helper.tensor_dtype_to_np_dtype(value))]}"'
    if isinstance(value, str):
        return f'{key}="{value}"'
    if isinstance(value, list):
        return f"{key}=[{','.join(str(v) for v in value)}]"
    if isinstance(value, np.ndarray):
        dims = ",".join(str(d) for d in value.shape)
        return f"{key}=tensor({WORDS[value.dtype]}[{dims}], {{{', '.join(literal(value))}}})"
    return f"{key}={value}"


def case(op, inputs, attributes=None, outputs=1, opset=18):
    """inputs: numpy arrays, None for an absent one."""
    attributes = attributes or {}
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    made = [f"y{i}" for i in range(outputs)]
    onnx_attributes = {k: onnx.numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v
                       for k, v in attributes.items()}
    node = helper.make_node(op, names, made, **onnx_attributes)
    graph = helper.make_graph(
        [node], "case",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
         for n, x in zip(names, inputs) if x is not None],
        [helper.make_empty_tensor_value_info(y) for y in made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        answers = session.run(None, {n: x for n, x in zip(names, inputs) if x is not None})
    except Exception as error:  # a dtype that ONNX Runtime has no kernel for: said, and left to the hand-written tests
        print(f"left out: {op} {attributes}: {str(error)[:150]}", file=sys.stderr)
        return None
    lines = [constant(n, x) for n, x in zip(names, inputs) if x is not None]
    lines += [constant(f"want{i}", np.asarray(a)) for i, a in enumerate(answers)]
    arguments = [n or "_" for n in names] + [attribute_text(k, v) for k, v in attributes.items()]
    lines.append(f"{', '.join(made)} = {op}({', '.join(arguments)})")
    pairs = ", ".join(f"{y}, want{i}" for i, y in enumerate(made))
    return f"graph () -> ({pairs}) {{\n  " + "\n  ".join(lines) + "\n}"


def write(name, cases):
    head = f"// Made by make_cases.py with ONNX Runtime {ort.__version__}, onnx {onnx.__version__}.\n"
    (FOLDER / f"{name}_cases.inc").write_text(head + "".join(f'R"({c})",\n' for c in cases if c))


def floats(*dims):
    return rng.normal(size=dims).astype(np.float32).round(3)


def count(*dims, dtype=np.float32):
    return np.arange(np.prod(dims), dtype=np.int64).reshape(dims).astype(dtype)


def ints(*values, dtype=np.int64):
    return np.array(values, dtype=dtype)


def movement_cases():
    x = count(2, 3, 4)
    yield case("Identity", [x])
    for to in (TensorProto.INT8, TensorProto.INT32, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BOOL):
        yield case("Cast", [np.array([0, 1.5, -1.5, 2.9, -2.9, 100.25], np.float32)], {"to": to})
    yield case("Cast", [ints(-1, 0, 255, 256, 300)], {"to": TensorProto.UINT8})
    yield case("Cast", [np.array([True, False])], {"to": TensorProto.FLOAT})
    yield case("Cast", [ints(16777217, -3, dtype=np.int64)], {"to": TensorProto.FLOAT})
    for attributes in ({}, {"start": 1}, {"end": -1}, {"start": -2, "end": 99}, {"start": 2, "end": 1}):
        yield case("Shape", [x], attributes)
    yield case("Size", [x])
    for target in (ints(6, 4), ints(-1), ints(0, -1), ints(0, 0, 2, -1), ints(4, -1, 3), ints(1, 0, -1, 1)):
        yield case("Reshape", [x, target])
    yield case("Reshape", [count(0, 3), ints(3, 0)], {"allowzero": 1})
    yield case("Reshape", [np.array(7, np.uint8), ints(1, 1)])
    for axis in (0, 1, 2, 3, -1, -3):
        yield case("Flatten", [x], {"axis": axis})
    yield case("Squeeze", [count(1, 3, 1, 2), ints(0, -2)])
    yield case("Squeeze", [count(1, 3, 1, 2)])
    yield case("Squeeze", [count(1, 1), ints(1)])
    yield case("Unsqueeze", [count(2, 3), ints(0, -1)])
    yield case("Unsqueeze", [count(2, 3), ints(3, 1)])
    yield case("Unsqueeze", [np.array(3, np.int64), ints(0)])
    for perm in ([0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 2, 1]):
        yield case("Transpose", [x], {"perm": perm})
    yield case("Transpose", [count(2, 3, 5, dtype=np.int8)])
    yield case("Transpose", [np.array(5, np.float32)])
    for axis in (0, 1, -1):
        yield case("Concat", [x, x + 100], {"axis": axis})
    yield case("Concat", [count(2, 1, dtype=np.uint8), count(2, 0, dtype=np.uint8), count(2, 3, dtype=np.uint8)], {"axis": 1})
    yield case("Concat", [ints(7), ints(-1, 5)], {"axis": 0})
    big = 2**63 - 1
    slices = [((1,), (3,), None, None), ((0, 1), (2, 3), (0, 2), None), ((-3,), (-1,), (-1,), None), ((0,), (big,), (1,), (2,)),
              ((-1,), (-big,), (2,), (-1,)), ((3,), (0,), (2,), (-2,)), ((99,), (-99,), (2,), (-3,)), ((2,), (1,), (2,), None),
              ((0, 0, 0), (big, big, big), None, (1, 2, 3)), ((-99,), (99,), (0,), (big,)), ((1,), (1,), (1,), None)]
    for start, end, axes, steps in slices:
        yield case("Slice", [x, ints(*start), ints(*end), None if axes is None else ints(*axes), None if steps is None else ints(*steps)])
    yield case("Slice", [count(7, dtype=np.int64), ints(5, dtype=np.int32), ints(-8, dtype=np.int32), ints(0, dtype=np.int32), ints(-2, dtype=np.int32)])
    yield case("Split", [x, ints(1, 3)], {"axis": 2}, outputs=2)
    yield case("Split", [x, ints(0, 3)], {"axis": -2}, outputs=2)
    yield case("Split", [x], {"axis": 2, "num_outputs": 2}, outputs=2)
    yield case("Split", [count(7)], {"num_outputs": 3}, outputs=3)
    for axis, indices in ((0, ints(1, 0, 1)), (1, ints(-1)), (2, ints(3, -4).reshape(2, 1)), (-1, np.array(2, np.int64))):
        yield case("Gather", [x, indices], {"axis": axis})
    yield case("Gather", [ints(5, 6, 7), np.array(1, np.int32)])
    yield case("Expand", [count(3, 1), ints(2, 1, 4)])
    yield case("Expand", [count(2, 3), ints(3)])
    yield case("Expand", [count(1), ints(0, 2)])
    yield case("Tile", [count(2, 3), ints(2, 1)])
    yield case("Tile", [count(2, 1, 2, dtype=np.uint8), ints(1, 3, 2)])
    yield case("Tile", [count(2, 2), ints(0, 2)])
    y = count(3, 4)
    for mode, pads, value in (("constant", (1, 0, 0, 2), None), ("constant", (1, 1, 1, 1), np.float32(2.5)), ("constant", (-1, 1, 0, -2), np.float32(9)),
                              ("reflect", (2, 0, 1, 3), None), ("reflect", (0, 3, 2, 0), None), ("edge", (2, 1, 0, 5), None), ("edge", (-1, 0, 0, 2), None)):
        yield case("Pad", [y, ints(*pads), None if value is None else np.array(value)], {"mode": mode})
    yield case("Pad", [y, ints(1, 2), None, ints(-1)])
    yield case("Pad", [count(2, 2, dtype=np.uint8), ints(1, 0, 0, 1), np.array(128, np.uint8)])
    yield case("Pad", [y, ints(3, 1, 2, 4), None], {"mode": "wrap"}, opset=19)
    for mode in ("DCR", "CRD"):
        yield case("DepthToSpace", [count(1, 8, 2, 3)], {"blocksize": 2, "mode": mode})
    yield case("DepthToSpace", [count(2, 9, 1, 2)], {"blocksize": 3})
    yield case("SpaceToDepth", [count(1, 2, 4, 6)], {"blocksize": 2})
    yield case("SpaceToDepth", [count(2, 1, 3, 6)], {"blocksize": 3})
    yield case("ConstantOfShape", [ints(2, 3)])
    yield case("ConstantOfShape", [ints(2, 0)], {"value": np.array([7], np.int64)})
    yield case("ConstantOfShape", [ints()], {"value": np.array([3], np.uint8)})
    for a in ((0, 10, 3), (10, 0, -3), (0, 0, 1), (5, 0, 1)):
        yield case("Range", [np.array(v, np.int64) for v in a])
    yield case("Range", [np.array(v, np.float32) for v in (0, 1, 0.25)])
    yield case("Range", [np.array(v, np.float32) for v in (1, -1, -0.75)])


def exact_cases():
    a, b = floats(2, 3), floats(3)
    i, j = ints(7, -7, 9, -9, 0, 5), ints(2, 2, -4, -4, 3, -1)
    for op in ("Add", "Sub", "Mul", "Div"):
        yield case(op, [a, b])
        yield case(op, [floats(2, 1, 2), floats(3, 1)])
        yield case(op, [i, j])
        yield case(op, [i.astype(np.int32), np.array(3, np.int32)])
        yield case(op, [floats(0, 3), floats(1)])
    yield case("Add", [np.array([2**63 - 1, -(2**63)], np.int64), ints(1, -1)])
    yield case("Mul", [np.array([2**62, 3], np.int64), ints(4, -5)])
    yield case("Div", [np.array([1, -1, 0], np.float32), np.array([0, 0, 0], np.float32)])
    yield case("Pow", [np.array([2, -3, 0.5, 0], np.float32), np.array([3, 2, -1, 0], np.float32)])
    yield case("Pow", [np.array([[2], [3]], np.float32), ints(0, 1, 2)])
    yield case("Pow", [ints(2, -3, 10), ints(10, 3, 0)])
    special = np.array([1, np.nan, -np.inf, np.inf, -0.0, 2.5], np.float32)
    for op in ("Min", "Max"):
        yield case(op, [special, special[::-1].copy()])
        yield case(op, [floats(2, 3), floats(3), floats(2, 1)])
        yield case(op, [ints(3, -4, 5), ints(1)])
        yield case(op, [floats(4)])
    yield case("Sum", [floats(2, 3), floats(3), floats(2, 1)])
    yield case("Sum", [floats(3)])
    ties = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 3.49, -0.0, np.inf, np.nan], np.float32)
    for op in ("Floor", "Ceil", "Round", "Neg", "Abs"):
        yield case(op, [ties])
    yield case("Neg", [ints(5, -(2**63))])
    yield case("Abs", [ints(-5, 5, dtype=np.int32)])
    for op in ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"):
        yield case(op, [special, np.array([1, np.nan, -np.inf, 1, 0, 3], np.float32)])
        yield case(op, [ints(1, 2, 3).reshape(3, 1), ints(2, 3)])
    yield case("Equal", [np.array([True, False]), np.array([True])])
    t, u = np.array([True, True, False, False]), np.array([True, False, True, False])
    for op in ("And", "Or", "Xor"):
        yield case(op, [t, u])
        yield case(op, [t.reshape(4, 1), u[:2]])
    yield case("Not", [t])
    yield case("Where", [u.reshape(2, 2), floats(2, 1), floats(1)])
    yield case("Where", [np.array([True, False]), count(3, 1, dtype=np.int64), count(2, 1, 1, dtype=np.int64)])
    yield case("Where", [np.array(False), count(2, dtype=np.uint8), count(2, dtype=np.uint8) + 1])
    x = count(2, 3, 4)
    for op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceSumSquare"):
        yield case(op, [x, ints(1)])
        yield case(op, [x, ints(0, -1)], {"keepdims": 0})
        yield case(op, [x[:, :2, :2].copy()], {"keepdims": 0})
        yield case(op, [x[:1, :2, :2].copy(), ints()], {"noop_with_empty_axes": 1})
        yield case(op, [ints(5, -7, 2, 9, -1, 3, dtype=np.int32).reshape(2, 3), ints(1)])
    yield case("ReduceMax", [ints(5, -7, 2, dtype=np.int8), ints(0)])
    yield case("ReduceMin", [ints(5, 250, 2, dtype=np.uint8), ints(0)])
    yield case("ReduceSum", [np.zeros((2, 0), np.float32), ints(1)])
    yield case("ReduceProd", [np.zeros((2, 0), np.float32), ints(1)])
    z = np.array([[3, 1, 3, 2], [0, 0, 0, 0], [-1, -5, -1, -1]], np.float32)
    for op in ("ArgMax", "ArgMin"):
        for axis in (0, 1, -1):
            yield case(op, [z], {"axis": axis})
        yield case(op, [z], {"axis": 1, "keepdims": 0, "select_last_index": 1})
    yield case("ArgMax", [ints(5, -7, 9, 2, 4, 6, dtype=np.int32).reshape(2, 3)], {"axis": 1})

    image = count(1, 2, 3, 4) + floats(1, 2, 3, 4).round(1)
    for coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"):
        for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            yield case("Resize", [image[:, :1], None, None, ints(1, 1, 7, 3)],
                       {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}, opset=19)
    yield case("Resize", [image, None, np.array([1, 1, 2, 2], np.float32)],
               {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"})
    yield case("Resize", [image.astype(np.uint8), None, np.array([1, 1, 2.6, 0.6], np.float32)], {"mode": "nearest"})


def close_cases():
    x = np.concatenate([floats(20) * 3, np.array([0, 1, -1, 1e-3, 5, -5], np.float32)])
    for op in ("Exp", "Erf"):
        yield case(op, [x])
    for op in ("Sqrt", "Log", "Reciprocal"):
        yield case(op, [np.abs(x) + np.float32(0.01)])
    yield case("Exp", [x.astype(np.float64)])
    yield case("Sqrt", [np.array([0, -1, np.inf, np.nan], np.float32)])
    yield case("Log", [np.array([0, -1, np.inf, 1], np.float32)])
    yield case("Reciprocal", [np.array([0, -0.0, np.inf, 4], np.float32)])
    yield case("Pow", [np.abs(x[:8]), np.array(1.7, np.float32)])
    yield case("Mean", [floats(2, 3), floats(3), floats(2, 1)])
    wave = np.abs(floats(1, 2, 3, 4)) + 1
    for coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"):
        yield case("Resize", [wave, None, np.array([1, 1, 1.7, 2.4], np.float32)],
                   {"mode": "linear", "coordinate_transformation_mode": coordinates}, opset=19)
        yield case("Resize", [wave, None, None, ints(1, 2, 1, 3)],
                   {"mode": "linear", "coordinate_transformation_mode": coordinates}, opset=19)
    for axis in (-1, 1):
        y = floats(2, 3, 4)
        yield case("LayerNormalization", [y, np.abs(floats(*y.shape[axis:])), np.abs(floats(*y.shape[axis:])) + 8],
                   {"axis": axis, "epsilon": 0.001})
    yield case("LayerNormalization", [floats(3, 5) + np.arange(5, dtype=np.float32), floats(5)])
    for axis in (0, 1, 2, -1):
        yield case("Softmax", [floats(2, 3, 4) * 5], {"axis": axis})
        yield case("LogSoftmax", [floats(2, 3, 4).astype(np.float64) * 5], {"axis": axis})
    yield case("Softmax", [np.array([[1000, 1000.5, -1000], [88, 89, 90]], np.float32)])
    yield case("Softmax", [floats(5, 1)])
    yield case("ReduceMean", [np.abs(floats(2, 3, 4)), ints(-1, 1)])  # of one sign: sums in float do not cancel
    yield case("ReduceSum", [np.abs(floats(2, 3, 7)), ints(2)])
    yield case("ReduceProd", [floats(3, 5), ints(0)])
    yield case("ReduceL2", [floats(3, 5), ints(0)])
    yield case("ReduceL2", [floats(3, 5)], {"keepdims": 0})


def circular_cases():
    x = np.concatenate([floats(20) * 3, np.array([0, -0.0, 1, -1, 1e-3, 100.5], np.float32)])
    odd = np.array([0, -0.0, 1, -1, 2, np.inf, np.nan], np.float32)
    inside = np.tanh(x).astype(np.float32)
    for op, data in (("Sin", x), ("Cos", x), ("Tan", x), ("Atan", x), ("Sinh", x[:-1]), ("Cosh", x[:-1]), ("Asinh", x),
                     ("Asin", inside), ("Acos", inside), ("Atanh", inside), ("Acosh", np.abs(x) + 1)):
        yield case(op, [data.reshape(-1, 1)])
        yield case(op, [odd])
        yield case(op, [data[:5].astype(np.float64)])
        yield case(op, [data[:5].astype(np.float16)])


def eye_cases():
    x = count(3, 5)
    for k in (0, 1, 4, 5, -1, -2, -3, 2**62, -(2**62)):
        yield case("EyeLike", [x], {"k": k} if k else None)
    for to in (TensorProto.INT32, TensorProto.INT64, TensorProto.DOUBLE, TensorProto.UINT64):
        yield case("EyeLike", [x.astype(np.int32)], {"dtype": to, "k": 1})
    yield case("EyeLike", [count(4, 2, dtype=np.int64)])
    yield case("EyeLike", [count(0, 2)])


def rare_cases():
    odd = np.array([1, -2, np.inf, -np.inf, np.nan, 0], np.float32)
    for dtype in (np.float32, np.float64, np.float16):
        yield case("IsNaN", [odd.astype(dtype)], opset=20)
        yield case("IsInf", [odd.astype(dtype)], opset=20)
    yield case("IsInf", [odd], {"detect_negative": 0})
    yield case("IsInf", [odd], {"detect_positive": 0})
    x = floats(2, 3, 4)
    for axis in (0, 1, -1):
        for p in (1, 2):
            yield case("LpNormalization", [x], {"axis": axis, "p": p})
        yield case("Hardmax", [x.round(0)], {"axis": axis})
    yield case("LpNormalization", [np.array([[0, 0], [3, 4]], np.float32)])
    yield case("Hardmax", [x[0].astype(np.float64)])
    for attributes in ({}, {"lambd": 1.0, "bias": 0.5}, {"lambd": -0.25}):
        yield case("Shrink", [x[0]], attributes)
    yield case("Shrink", [ints(-3, 0, 1, 5, dtype=np.int32)], {"lambd": 1.5, "bias": 1.0})
    yield case("Shrink", [ints(2**62 + 1, -(2**62) - 1, 0)])
    for a, b in ((ints(-7, 12, 5), ints(3, -1, 6)), (ints(1, 250, 77, dtype=np.uint8).reshape(3, 1), ints(15, 3, dtype=np.uint8))):
        for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            yield case(op, [a, b])
        yield case("BitwiseNot", [a])
    for dtype in (np.uint8, np.uint32, np.uint64):
        for direction in ("LEFT", "RIGHT"):
            yield case("BitShift", [ints(1, 200, 77, dtype=dtype), ints(0, 3, 7, dtype=dtype)], {"direction": direction})
    for axis, at in ((0, [[1, 0, -1]]), (1, [[2, 0, 1], [-1, 1, 0]]), (-1, [[4], [0], [2]])):
        at = np.array(at)
        updates = floats(*at.shape)
        yield case("ScatterElements", [count(3, 5), at, updates], {"axis": axis})
        for reduction in ("add", "mul", "min", "max"):
            yield case("ScatterElements", [count(3, 5), at, updates], {"axis": axis, "reduction": reduction})
    yield case("ScatterElements", [count(4, dtype=np.int64), ints(1, 1, 3, dtype=np.int32), ints(5, 6, 7)], {"reduction": "add"})
    yield case("ScatterElements", [np.array([True, False, True]), ints(1), np.array([True])])
    yield case("ScatterElements", [count(4), np.zeros(0, np.int64), np.zeros(0, np.float32)])


def sampled_cases():
    y = np.abs(floats(2, 2, 3, 4).round(1)) + 1  # of one sign: sums in float do not cancel
    places = np.concatenate([np.array([-1, -0.5, 0, 0.5, 1, 1.2, -1.2, 2.7, -3.4, 9, -20, 0.99], np.float32), floats(12) / 2])
    grid = np.stack([rng.permutation(places) for _ in range(4)]).reshape(2, 6, 4, 2)
    for mode in ("linear", "nearest", "cubic"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (0, 1):
                attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
                yield case("GridSample", [y, grid], attributes, opset=20)
    solid = floats(1, 2, 2, 3, 4).round(1)
    for mode in ("linear", "nearest"):
        yield case("GridSample", [solid, (floats(1, 2, 2, 3, 3) / 2)], {"mode": mode, "padding_mode": "border"}, opset=20)
    yield case("GridSample", [y[:, :1, :1, :1].copy(), grid], {"padding_mode": "reflection"}, opset=20)


if __name__ == "__main__":
    ort.set_default_logger_severity(4)
    for name, cases in (("movement", movement_cases), ("exact", exact_cases), ("close", close_cases),
                        ("circular", circular_cases), ("eye", eye_cases), ("rare", rare_cases),
                        ("sampled", sampled_cases)):
        write(name, cases())
    sys.exit(0)

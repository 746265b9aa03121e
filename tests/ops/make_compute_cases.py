"""Writes compute_cases.inc (convolutions, products, pools, activations, Q/DQ against ONNX Runtime), smooth_cases.inc (functions
that round) and integer_{conv,gemm,pair,pool}_cases.inc (octet's integer ops against numpy, written from src/ir/ops/README.md and nothing else).
Run: python tests/ops/make_compute_cases.py, with numpy, onnx and onnxruntime.

The float cases hold small integers, so that every sum is exact in float and ONNX Runtime's answer is the only right one."""
import itertools
import pathlib
import sys
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime as ort

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tensor" / "golden"))
import exp_f32 as exact
from make_cases import FOLDER, attribute_text, case, constant, ints

rng = np.random.default_rng(20240611)
F = np.float32


def whole(*dims, low=-8, high=8):
    return rng.integers(low, high + 1, size=dims).astype(F)


# ---- against ONNX Runtime ----

def conv_cases():
    same = {"pads": [1, 1, 1, 1]}
    yield case("Conv", [whole(1, 3, 5, 4), whole(2, 3, 3, 3)], same)
    yield case("Conv", [whole(2, 2, 7, 5), whole(3, 2, 3, 2), whole(3)], {"strides": [2, 3], "pads": [0, 1, 2, 0]})
    yield case("Conv", [whole(1, 4, 6, 6), whole(4, 2, 3, 3), whole(4)], {"group": 2, "dilations": [2, 1], "pads": [2, 1, 1, 2]})
    yield case("Conv", [whole(1, 3, 5, 5), whole(6, 1, 3, 3)], {"group": 3, "strides": [2, 2], **same})
    yield case("Conv", [whole(1, 5, 1, 1), whole(3, 5, 1, 1), whole(3)])
    yield case("Conv", [whole(2, 3, 9), whole(2, 3, 4), whole(2)], {"strides": [2], "pads": [3, 1], "dilations": [2]})
    yield case("Conv", [whole(1, 2, 4, 3, 5), whole(2, 1, 2, 3, 2)], {"group": 2, "strides": [1, 2, 3], "pads": [1, 0, 1, 0, 2, 0]})
    yield case("Conv", [whole(1, 1, 2, 2), whole(1, 1, 5, 5)], {"pads": [2, 3, 2, 1]})
    yield case("Conv", [whole(0, 2, 3, 3), whole(3, 2, 2, 2)])
    for auto_pad, stride in itertools.product(("SAME_UPPER", "SAME_LOWER", "VALID"), (1, 2)):
        yield case("Conv", [whole(1, 1, 7, 6), whole(1, 1, 2, 3)], {"auto_pad": auto_pad, "strides": [stride, stride], "kernel_shape": [2, 3]})


def product_cases():
    for a, b in itertools.product((0, 1), (0, 1)):
        yield case("Gemm", [whole(*((5, 3) if a else (3, 5))), whole(*((4, 5) if b else (5, 4))), whole(4)],
                   {"transA": a, "transB": b, "alpha": 0.5, "beta": 2.0})
    for c in ((), (1,), (4,), (1, 4), (3, 1), (3, 4)):
        yield case("Gemm", [whole(3, 2), whole(2, 4), whole(*c)], {"beta": 0.25})
    yield case("Gemm", [whole(2, 3), whole(3, 1)], {"alpha": -3.0})
    for a, b in (((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((2, 1, 2, 3), (4, 3, 1)), ((2, 3, 1), (1, 5)),
                 ((5, 2, 3), (3,)), ((3,), (2, 3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 3))):
        yield case("MatMul", [whole(*a), whole(*b)])


def pool_cases():
    x = whole(1, 2, 7, 6, low=-40, high=40)
    shapes = [{"kernel_shape": [2, 2], "strides": [2, 2]}, {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 1, 1]},
              {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, {"kernel_shape": [3, 3], "strides": [2, 4], "pads": [1, 1, 1, 1], "ceil_mode": 1},
              {"kernel_shape": [2, 2], "dilations": [2, 3]}, {"kernel_shape": [3, 2], "dilations": [2, 2], "pads": [1, 1, 2, 0], "strides": [3, 1], "ceil_mode": 1},
              {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}]
    for attributes in shapes:
        yield case("MaxPool", [x], attributes, opset=22)
        yield case("MaxPool", [rng.integers(0, 256, x.shape).astype(np.uint8)], attributes, opset=22)
        for include in (0, 1):
            yield case("AveragePool", [x], {**attributes, "count_include_pad": include}, opset=22)
    yield case("MaxPool", [rng.integers(-128, 128, (1, 1, 4, 4)).astype(np.int8)], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, opset=22)
    yield case("MaxPool", [whole(2, 1, 8)], {"kernel_shape": [3], "strides": [3], "pads": [1, 0], "ceil_mode": 1}, opset=22)
    yield case("MaxPool", [np.full((1, 1, 2, 2), -np.inf, F)], {"kernel_shape": [2, 1]}, opset=22)
    yield case("AveragePool", [whole(1, 1, 3, 4, 3)], {"kernel_shape": [2, 2, 2], "strides": [1, 2, 2]}, opset=22)
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        yield case(op, [whole(2, 3, 4, 5)])
        yield case(op, [whole(1, 2, 7)])


def activation_cases():
    x = np.array([-np.inf, -7, -3, -2.5, -0.5, -0.0, 0, 0.5, 1, 2.75, 3, 9, np.inf, np.nan], F)
    yield case("Relu", [x])
    yield case("LeakyRelu", [x])
    yield case("LeakyRelu", [x], {"alpha": 0.25})
    scalar = lambda v: np.array(v, F)
    yield case("Clip", [x[1:-2], scalar(0), scalar(6)])
    yield case("Clip", [x[1:-2], scalar(-2.5)])
    yield case("Clip", [x[1:-2], None, scalar(2.75)])
    yield case("Clip", [x[1:-2], scalar(4), scalar(2)])  # crossed: the maximum wins
    yield case("Clip", [ints(-5, 0, 7, 300), ints(0).reshape(()), ints(255).reshape(())])
    yield case("HardSigmoid", [x[1:-1]], {"alpha": 0.25, "beta": 0.5})
    g = np.array([0.5, -2, 1.5], F)
    yield case("BatchNormalization", [whole(2, 3, 2, 2), g, whole(3), whole(3), np.array([4, 0.25, 16], F)], {"epsilon": 0.0}, opset=15)
    yield case("BatchNormalization", [whole(4, 3), g, whole(3), whole(3), np.array([4, 0.25, 1], F)], {"epsilon": 0.0}, opset=15)


def smooth_cases():
    """Of one sign or far from 0, where ONNX Runtime's float formulas do not cancel."""
    x = np.array([-3, -1.5, -0.75, 0.25, 1, 2.5, 8, 30], F)
    yield case("Gelu", [x[1:]], opset=20)
    yield case("Gelu", [x[1:]], {"approximate": "tanh"}, opset=20)
    for op in ("Elu", "Selu", "Softplus", "Mish"):
        yield case(op, [x])
    yield case("Elu", [x], {"alpha": 0.5})
    yield case("PRelu", [whole(2, 3, 2), whole(3, 1)])
    yield case("PRelu", [whole(2, 2), whole(1)])
    positive = np.abs(whole(2, 5, 2)) + 1
    yield case("HardSwish", [np.concatenate([x, -x])])
    yield case("BatchNormalization", [positive, *(np.abs(whole(5)) + 1 for _ in range(2)), -np.abs(whole(5)), np.abs(whole(5)) + 1], opset=15)


def linear_cases():
    ties = np.array([[-3, -2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5], [126.5, 127.5, 128.5, 254.5, 255.5, 1e30, -1e30, -128.5]], F)
    for dtype, zero in ((np.uint8, 0), (np.uint8, 255), (np.uint8, 128), (np.int8, 0), (np.int8, -128), (np.int8, 127)):
        yield case("QuantizeLinear", [ties, np.array(1, F), np.array(zero, dtype)])
        yield case("QuantizeLinear", [whole(1, 3, 4, high=999, low=-999), np.array(0.3, F), np.array(zero, dtype)])
        codes = np.array([np.iinfo(dtype).min, -1 if dtype == np.int8 else 1, 0, 7, np.iinfo(dtype).max]).astype(dtype)
        yield case("DequantizeLinear", [codes, np.array(0.1, F), np.array(zero, dtype)])
    yield case("QuantizeLinear", [ties, np.array(0.5, F)])
    scales, zeros = np.array([0.1, 3, 0.037], F), np.array([0, -5, 9], np.int8)
    for axis in (1, -2):
        yield case("QuantizeLinear", [whole(2, 3, 4, low=-30, high=30), scales, zeros], {"axis": axis})
        yield case("DequantizeLinear", [rng.integers(-128, 128, (2, 3, 2)).astype(np.int8), scales, zeros], {"axis": axis})
    yield case("QuantizeLinear", [whole(3, 4, low=-9), scales, zeros], {"axis": 0})
    yield case("DequantizeLinear", [rng.integers(-128, 128, (2, 3)).astype(np.int8), scales])  # axis 1 unless said
    yield case("DequantizeLinear", [np.array([2**31 - 1, -2**31, 16777217, -5], np.int32), np.array(0.01, F)])
    yield case("DequantizeLinear", [np.array([7, -9, 100], np.int32), scales], {"axis": 0})


# ---- the integer ops, from README.md ----

def f32(fraction):
    """A rational as the nearest f32."""
    return F(float(exact.rounded(Fraction(fraction))))


def fma(a, b, c):
    return f32(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)))


def rational_clip(x, low, high):
    return F(min(max(float(x), low), high))


def exp(x):
    return np.uint32(exact.exp_f32(x)).view(F)


ACTIVATIONS = {
    "": lambda x: x,
    "Relu": lambda x: F(max(x, F(0))),
    "Clip": lambda x, low, high: rational_clip(x, low, high),
    "LeakyRelu": lambda x, alpha: x * F(alpha) if x < 0 else x,
    "Sigmoid": lambda x: F(1) / (F(1) + exp(-x)),
    "HardSigmoid": lambda x, alpha, beta: rational_clip(fma(x, F(alpha), F(beta)), 0, 1),
    "HardSwish": lambda x: x * rational_clip(fma(x, F(1) / F(6), F(0.5)), 0, 1),
    "Silu": lambda x: x / (F(1) + exp(-x)),
    "Tanh": lambda x: F(1) - F(2) / (exp(x + x) + F(1)),
}
RANGE = {"u8": (0, 255), "s8": (-128, 127)}
NUMPY = {"u8": np.uint8, "s8": np.int8, "f32": F}


def rne(v):
    return int(np.rint(min(max(float(v), -2.0**30), 2.0**30)))


def output(real_scale, acc, a, residual=None):
    """Forms 2 and 3 for one accumulator. real_scale: acc * real_scale is the value, a rational or double; residual:
    (r - zr, residual_scale)."""
    to, name, params = a["to"], a.get("activation", ""), a.get("activation_params", [])
    form2 = to != "f32" and name in ("", "Relu", "Clip")
    y_scale = float(F(a["y_scale"])) if "y_scale" in a else 1.0
    m = F(real_scale / y_scale) if form2 else F(real_scale)
    v = F(acc) * m
    if residual is not None:
        mr = F(float(F(residual[1])) / y_scale) if form2 else F(residual[1])
        v = fma(F(acc), m, F(residual[0]) * mr)
    if not form2:
        v = ACTIVATIONS[name](v, *params)
        if to == "f32":
            return v
        v = v * F(1.0 / y_scale)
    low, high = RANGE[to]
    zero = a["y_zero_point"]
    code = min(max(rne(v) + zero, low), high)
    if form2 and name == "Relu":
        code = max(code, zero)
    if form2 and name == "Clip":
        bounds = [min(max(rne(F(p) / F(y_scale)) + zero, low), high) for p in params]
        code = min(max(code, bounds[0]), bounds[1])
    return code


def integer_case(op, inputs, attributes, want):
    lines = [constant(f"x{i}", x) for i, x in enumerate(inputs) if x is not None] + [constant("want", want)]
    arguments = [f"x{i}" if x is not None else "_" for i, x in enumerate(inputs)] + [attribute_text(k, v) if k != "to" else f'to="{v}"' for k, v in attributes.items()]
    return "graph () -> (y, want) {\n  " + "\n  ".join(lines + [f"y = {op}({', '.join(arguments)})"]) + "\n}"


def accumulate(x, w, bias, a):
    """Exact sums [N,OC,OH,OW] of a 2-D convolution of x - x_zero_point."""
    x, w = x.astype(np.int64) - a["x_zero_point"], w.astype(np.int64)
    top, left, bottom, right = a.get("pads", [0] * 4)
    (sh, sw), (dh, dw), g = a.get("strides", [1, 1]), a.get("dilations", [1, 1]), a.get("group", 1)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    oc, icg, kh, kw = w.shape
    oh, ow = (x.shape[2] - (kh - 1) * dh - 1) // sh + 1, (x.shape[3] - (kw - 1) * dw - 1) // sw + 1
    y = np.zeros((x.shape[0], oc, oh, ow), np.int64)
    for n, c, i, j in np.ndindex(*y.shape):
        first = c // (oc // g) * icg
        window = x[n, first:first + icg, i * sh:i * sh + (kh - 1) * dh + 1:dh, j * sw:j * sw + (kw - 1) * dw + 1:dw]
        y[n, c, i, j] = (window * w[c]).sum() + (0 if bias is None else int(bias[c]))
    return y


def codes(dtype, *dims):
    return rng.integers(*RANGE[dtype], size=dims, endpoint=True).astype(NUMPY[dtype])


def weights(*dims):
    return rng.integers(-127, 128, size=dims).astype(np.int8)


def quant_conv(x, w, w_scale, bias, a, residual=None):
    acc = accumulate(x, w, bias, a)
    want = np.zeros(acc.shape, NUMPY[a["to"]])
    for at in np.ndindex(*acc.shape):
        r = None if residual is None else (int(residual[at]) - a["residual_zero_point"], a["residual_scale"])
        want[at] = output(float(F(a["x_scale"])) * float(w_scale[at[1]]), int(acc[at]), a, r)
    inputs = [x, w, w_scale, bias] + ([residual] if residual is not None else [])
    return integer_case("QuantConv", inputs if bias is not None or residual is not None else inputs[:3], a, want)


def params(to, x_zero=3, y_zero=0, y_scale=0.37, **more):
    a = {"x_scale": 0.021, "x_zero_point": x_zero, "to": to, **more}
    return a if to == "f32" else {**a, "y_scale": y_scale, "y_zero_point": y_zero}


ACTS = [("", []), ("Relu", []), ("Clip", [-1.5, 3.25]), ("LeakyRelu", [0.125]), ("Sigmoid", []), ("HardSigmoid", [0.25, 0.5]),
        ("HardSwish", []), ("Silu", []), ("Tanh", [])]


def act(name, values):
    return {"activation": name, **({"activation_params": values} if values else {})} if name else {}


def quant_conv_cases():
    s3 = np.array([0.011, 0.0007, 0.05], F)
    b3 = np.array([-3000, 12, 70000], np.int32)
    for x, xz in (("u8", 0), ("u8", 255), ("u8", 131), ("s8", 0), ("s8", -128), ("s8", 127)):
        for to, yz in (("u8", 0), ("u8", 255), ("s8", -128), ("s8", 127), ("s8", 0)):
            yield quant_conv(codes(x, 1, 2, 3, 3), weights(3, 2, 2, 2), s3, b3, params(to, xz, yz, pads=[1, 0, 0, 1]))
    geometry = {"pads": [1, 2, 0, 1], "strides": [2, 1], "dilations": [1, 2]}
    for name, values in ACTS:
        for to, yz, ys in (("u8", 100, 0.05), ("s8", -100, 0.031), ("f32", 0, 0)):
            a = params(to, 7, yz, ys, **geometry, **act(name, values))
            yield quant_conv(codes("u8", 1, 2, 4, 3), weights(3, 2, 3, 2), s3 / 8, b3, a)
            a.update(residual_scale=0.013, residual_zero_point=-9, pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1])
            yield quant_conv(codes("u8", 1, 2, 2, 3), weights(3, 2, 3, 3), s3 / 8, b3, a, codes("s8", 1, 3, 2, 3))
    yield quant_conv(codes("s8", 2, 3, 5, 4), weights(3, 1, 3, 3), s3, None, params("s8", -4, 5, group=3, pads=[1, 1, 1, 1], strides=[2, 2]))
    yield quant_conv(codes("u8", 1, 4, 3, 3), weights(2, 2, 2, 2), s3[:2], None, params("u8", 9, 5, group=2))
    # Ties and saturation: x_scale * w_scale / y_scale = 1/2, accumulators 0..12 and the largest ones.
    half = {"x_scale": 0.5, "x_zero_point": 0, "to": "u8", "y_scale": 1.0, "y_zero_point": 0}
    ramp = np.arange(13, dtype=np.uint8).reshape(1, 1, 1, 13)
    yield quant_conv(ramp, np.array([1, -1], np.int8).reshape(2, 1, 1, 1), np.ones(2, F), None, half)
    yield quant_conv(ramp, np.array([1, -1], np.int8).reshape(2, 1, 1, 1), np.ones(2, F), None, {**half, "to": "s8", "y_zero_point": -7})
    full = np.full((1, 9, 3, 3), 255, np.uint8)
    extremes = np.stack([np.full((9, 3, 3), v) for v in (127, -127, 1)]).astype(np.int8)
    for zero in (0, 255):
        yield quant_conv(full - zero, extremes, np.array([1, 1, 1], F), None, params("u8", zero, 128, 40.0, pads=[1, 1, 1, 1]))
    # m beyond float's range, below it, and products beyond int32.
    wild = np.array([3e38, 1e-38, 1e5], F)
    yield quant_conv(codes("u8", 1, 1, 2, 2), weights(3, 1, 1, 1), wild, b3, {**params("s8", 100, 3, 0.37), "x_scale": 1e-3})


def quant_gemm_cases():
    for to, yz, bias in (("u8", 7, True), ("s8", -8, False), ("f32", 0, True)):
        for name, values in ACTS[:3] + ACTS[6:8]:
            a = params(to, -3, yz, 0.4, **act(name, values))
            x, w, s = codes("s8", 2, 11), weights(3, 11), np.array([0.01, 0.002, 0.03], F)
            b = np.array([500, -500, 7], np.int32) if bias else None
            acc = (x.astype(np.int64) + 3) @ w.T.astype(np.int64) + (0 if b is None else b)
            want = np.zeros(acc.shape, NUMPY[to])
            for at in np.ndindex(*acc.shape):
                want[at] = output(float(F(0.021)) * float(s[at[1]]), int(acc[at]), a)
            yield integer_case("QuantGemm", [x, w, s] + ([b] if bias else []), a, want)


def quant_pair_cases():
    for op, (x, y, to), (name, values) in itertools.product(("QuantAdd", "QuantMul"), (("u8", "s8", "u8"), ("s8", "s8", "s8"), ("u8", "u8", "f32")), ACTS[:3]):
        for dims_a, dims_b in (((1, 2, 3, 2), (1, 2, 3, 2)), ((1, 3, 2, 2), (1, 3, 1, 1)), ((2, 1), (3,))):
            a, b = codes(x, *dims_a), codes(y, *dims_b)
            at = {"a_scale": 0.043, "a_zero_point": RANGE[x][1], "b_scale": 0.019, "b_zero_point": 5, "to": to, **act(name, values)}
            if to != "f32":
                at.update(y_scale=0.06, y_zero_point=RANGE[to][0] + 40)
            wide_a, wide_b = np.broadcast_arrays(a.astype(np.int64) - at["a_zero_point"], b.astype(np.int64) - 5)
            want = np.zeros(wide_a.shape, NUMPY[to])
            for i in np.ndindex(*want.shape):
                p, q = int(wide_a[i]), int(wide_b[i])
                want[i] = (output(float(F(0.043)), p, at, (q, 0.019)) if op == "QuantAdd" else
                           output(float(F(0.043)) * float(F(0.019)), p * q, at))
            yield integer_case(op, [a, b], at, want)
    # 2 + 3 halves and its neighbours: ties of the sum go to the even code.
    a, b = np.arange(8, dtype=np.uint8), np.array([1] * 8, np.uint8)
    at = {"a_scale": 1.0, "a_zero_point": 0, "b_scale": 0.5, "b_zero_point": 0, "to": "u8", "y_scale": 1.0, "y_zero_point": 0}
    yield integer_case("QuantAdd", [a, b], at, np.array([0, 2, 2, 4, 4, 6, 6, 8], np.uint8))


def pool_scale(x_scale, a, n):
    """m of an average: (float)(x_scale / (y_scale * n)), or without y_scale for f32."""
    return F(float(F(x_scale)) / ((float(F(a["y_scale"])) if a["to"] != "f32" else 1.0) * n))


def average(acc, n, a):
    v = F(acc) * pool_scale(a["x_scale"], a, n)
    if a["to"] == "f32":
        return v
    low, high = RANGE[a["to"]]
    return min(max(rne(v) + a["y_zero_point"], low), high)


def quant_pool_cases():
    for x_type, to, include, pads in itertools.product(("u8", "s8"), ("u8", "s8", "f32"), (0, 1), ([0, 0, 0, 0], [1, 0, 1, 1])):
        x = codes(x_type, 1, 2, 5, 4)
        a = params(to, 11, -3 if to == "s8" else 3, 0.017, kernel_shape=[3, 2], strides=[2, 2], pads=pads, count_include_pad=include)
        top, left, bottom, right = pads
        oh, ow = (5 + top + bottom - 3) // 2 + 1, (4 + left + right - 2) // 2 + 1
        want = np.zeros((1, 2, oh, ow), NUMPY[to])
        for n, c, i, j in np.ndindex(*want.shape):
            taps = [(i * 2 - top + p, j * 2 - left + q) for p in range(3) for q in range(2)]
            inside = [int(x[n, c, p, q]) - 11 for p, q in taps if 0 <= p < 5 and 0 <= q < 4]
            want[n, c, i, j] = average(sum(inside), 6 if include else len(inside), a)
        yield integer_case("QuantAveragePool", [x], a, want)
        a = params(to, 11, -3 if to == "s8" else 3, 0.017)
        want = np.array([[[[average(int((x[0, c].astype(np.int64) - 11).sum()), 20, a)]] for c in range(2)]], NUMPY[to])
        yield integer_case("QuantGlobalAveragePool", [x], a, want)
    for x_type, table in itertools.product(("u8", "s8"), ("u8", "s8")):
        x, t = codes(x_type, 3, 5), codes(table, 256)
        yield integer_case("QuantLookup", [x, t], {}, t[x.view(np.uint8)])


# ---- pools with auto_pad, against the operators' text ----
# ONNX AveragePool-22, MaxPool-22, LpPool-22: out = ceil(in / stride), pad_shape = (out - 1) * stride + (kernel - 1) * dilation + 1
# - in, of which an odd element goes behind (SAME_UPPER) or before (SAME_LOWER). Pads are never negative (onnx's shape inference and
# TensorFlow, whose rule this is). ONNX Runtime 1.32 pads without regard to dilations, and cuts the input where pad_shape is negative.

def same_pool(op, x, a):
    upper, inside_only = a["auto_pad"] == "SAME_UPPER", not a.get("count_include_pad", 0)
    spatial = x.shape[2:]
    numbers = list(zip(spatial, a["kernel_shape"], a["strides"], a["dilations"]))
    out = [-(-n // s) for n, _, s, _ in numbers]
    totals = [max((o - 1) * s + (k - 1) * d + 1 - n, 0) for o, (n, k, s, d) in zip(out, numbers)]
    begin = [t // 2 if upper else t - t // 2 for t in totals]
    y = np.zeros((*x.shape[:2], *out), F)
    for at in np.ndindex(*y.shape):
        taps = [[o * s - b + k * d for k in range(kernel)] for o, b, (_, kernel, s, d) in zip(at[2:], begin, numbers)]
        inside = [x[at[:2] + tap] for tap in itertools.product(*taps) if all(0 <= i < n for i, n in zip(tap, spatial))]
        total = sum(float(v) for v in inside)
        if op == "MaxPool":
            y[at] = max(inside)
        elif op == "LpPool":
            y[at] = sum(abs(float(v)) for v in inside)
        else:
            y[at] = total / (len(inside) if inside_only else len(list(itertools.product(*taps))))
    return y


def same_pool_cases():
    numbers = np.random.default_rng(20261128)
    for auto_pad, (kernel, strides, dilations) in itertools.product(
            ("SAME_UPPER", "SAME_LOWER"),
            (([3, 2], [2, 2], [2, 1]), ([3, 3], [1, 3], [1, 2]), ([2, 3], [3, 1], [3, 2]), ([1, 1], [4, 3], [1, 1]), ([2, 1], [5, 2], [1, 1]))):
        for op, more in (("MaxPool", {}), ("AveragePool", {}), ("AveragePool", {"count_include_pad": 1}), ("LpPool", {"p": 1})):
            x = numbers.integers(-40, 41, size=(1, 2, 7, 6)).astype(F)
            a = {"auto_pad": auto_pad, "kernel_shape": kernel, "strides": strides, "dilations": dilations, **more}
            yield integer_case(op, [x], a, same_pool(op, x, a))


def write(name, oracle, cases):
    head = f"// Made by make_compute_cases.py with {oracle}.\n"
    (FOLDER / f"{name}_cases.inc").write_text(head + "".join(f'R"({c})",\n' for c in cases if c))


if __name__ == "__main__":
    ort.set_default_logger_severity(4)
    np.seterr(all="ignore")
    write("compute", f"ONNX Runtime {ort.__version__}, onnx {onnx.__version__}",
          itertools.chain(conv_cases(), product_cases(), pool_cases(), activation_cases(), linear_cases()))
    write("integer_conv", f"numpy {np.__version__}", quant_conv_cases())
    write("integer_gemm", f"numpy {np.__version__}", quant_gemm_cases())
    write("integer_pair", f"numpy {np.__version__}", quant_pair_cases())
    write("integer_pool", f"numpy {np.__version__}", quant_pool_cases())
    write("same_pool", f"numpy {np.__version__}", same_pool_cases())
    write("smooth", f"ONNX Runtime {ort.__version__}, onnx {onnx.__version__}", smooth_cases())

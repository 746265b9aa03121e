#!/usr/bin/env python3
"""Writes foreign_cases.inc: small quantized files as exporters and quantizers write them, and what ONNX Runtime (graph
optimizations off) answers for each. Run: python tests/repair/make_foreign_cases.py, with numpy, onnx and onnxruntime.

A case is a function that returns a model; its name is the test's. `@case(...)` says which repairs must have a row (none:
the file must need none) and how far answers may lie from ONNX Runtime's; without `within` they are equal but for the order of float sums (2e-6 of
the largest)."""
import base64
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

F = np.float32
CASES = []


def case(*repairs, within=0.0, own=None):
    """own: octet's meaning differs from the file's on purpose; the model whose answers are right."""
    def keep(make):
        CASES.append((make.__name__, make, repairs, within, own))
        return make
    return keep


class Net:
    """A graph under construction; every method returns the name of its result."""

    def __init__(self, opset=13, seed=0, ir=8, **domains):
        self.nodes, self.initializers, self.count = [], [], 0
        self.opset, self.ir, self.domains = opset, ir, domains
        self.rng = np.random.default_rng(seed)

    def const(self, array, name=None, dtype=None):
        name = name or f"c{len(self.initializers)}"
        tensor = numpy_helper.from_array(np.asarray(array), name) if dtype is None else \
            h.make_tensor(name, dtype, np.shape(array), np.ravel(array))
        self.initializers.append(tensor)
        return name

    def constant(self, array):
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(array)))

    def op(self, kind, *inputs, domain="", outputs=1, **attributes):
        names = [f"{kind.lower()}_{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(h.make_node(kind, list(inputs), names, f"node_{kind}_{len(self.nodes)}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def q(self, x, s, z, **attributes):
        return self.op("QuantizeLinear", *([x, s] if z is None else [x, s, z]), **attributes)

    def dq(self, x, s, z=None, **attributes):
        return self.op("DequantizeLinear", *([x, s] if z is None else [x, s, z]), **attributes)

    def pair(self, x, scale=0.05, zero=0, dtype=np.int8):
        s, z = self.const(F(scale)), self.const(dtype(zero))
        return self.dq(self.q(x, s, z), s, z)

    def weight(self, *dims, dtype=np.int8, low=-127, high=127):
        return self.rng.integers(low, high + 1, size=dims).astype(dtype)

    def model(self, inputs, outputs):
        """inputs: {name: shape}; outputs: names."""
        def info(name, shape):
            dtype = T.FLOAT
            if isinstance(shape, tuple) and shape and isinstance(shape[0], str):
                dtype, shape = getattr(T, shape[0]), shape[1]
            return h.make_tensor_value_info(name, dtype, shape)
        graph = h.make_graph(self.nodes, "g", [info(n, s) for n, s in inputs.items()],
                             [h.make_empty_tensor_value_info(n) if t is None else h.make_tensor_value_info(n, t, None)
                              for n, t in outputs.items()], self.initializers)
        imports = [h.make_opsetid("", self.opset)] + [h.make_opsetid(d.replace("_", "."), v) for d, v in self.domains.items()]
        return h.make_model(graph, opset_imports=imports, ir_version=self.ir, producer_name="case")


def out(name, dtype=T.FLOAT):
    return {name: dtype}


X = {"x": [2, 3, 4, 4]}
XS, WS = 0.05, (0.002, 0.004, 0.001, 0.003)


def conv_net(n, data="x", weight=None, bias=None, **attributes):
    """data -> pair -> Conv with an int8 weight per channel [4,3,3,3] -> Relu -> pair."""
    x = n.pair(data, XS)
    if weight is None:
        weight = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.zeros(4, np.int8)), axis=0)
    c = n.op("Conv", x, weight, *([] if bias is None else [bias]), **attributes)
    return n.pair(n.op("Relu", c), 0.04)


def grid(scale=XS):
    return (F(scale) * F(WS)).astype(F)


B32 = np.int32([700, -900, 4000, 150])


# ---- between Q and DQ ----

@case("between_pairs", "back_to_back")
def cast_to_the_codes_type():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(0))
    y = conv_net(n, n.dq(n.op("Cast", n.q("x", s, z), to=T.INT8), s, z))
    return n.model(X, out(y))


@case("between_pairs")
def cast_through_int32_and_float():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(100))
    c = n.op("Cast", n.op("Cast", n.q("x", s, z), to=T.INT32), to=T.FLOAT)
    y = conv_net(n, n.dq(n.op("Cast", c, to=T.UINT8), s, z))
    return n.model(X, out(y))


def clip_of_codes(opset, low, high, zero):
    n = Net(opset=opset)
    s, z = n.const(F(0.05)), n.const(zero)
    bounds = [n.const(zero.dtype.type(b)) if b is not None else "" for b in (low, high)]
    c = n.op("Clip", n.q("x", s, z), *bounds) if high is not None else n.op("Clip", n.q("x", s, z), bounds[0])
    return n.model(X, out(conv_net(n, n.dq(c, s, z))))


@case("between_pairs")
def clip_of_codes_to_seven_bits():
    return clip_of_codes(13, 0, 127, np.uint8(64))


@case("between_pairs")
def clip_of_codes_without_a_lowest():
    return clip_of_codes(13, None, 100, np.uint8(100))


@case("between_pairs")
def clip_of_codes_without_a_highest():
    return clip_of_codes(13, -127, None, np.int8(5))


@case("between_pairs", "back_to_back")
def clip_of_four_bit_codes():
    return clip_of_codes(16, -8, 7, np.int8(0))


@case("between_pairs")
def reshape_identity_and_cast_between():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(2))
    q = n.op("Identity", n.op("Cast", n.q("x", s, z), to=T.INT8))
    y = n.dq(n.op("Reshape", q, n.const(np.int64([2, -1]))), s, z)
    w = n.dq(n.const(n.weight(48, 5)), n.const(F(0.01)), n.const(np.int8(0)))
    return n.model(X, out(n.pair(n.op("MatMul", y, w), 0.5)))


@case("missing_zero_points")
def transpose_before_dq_with_several_scales():
    n = Net()
    q = n.q("x", n.const(F(0.05)), n.const(np.int8(0)))
    y = n.dq(n.op("Transpose", q, perm=[0, 2, 1, 3]), n.const(F([0.01, 0.05, 0.1, 0.03])))  # no axis written: axis 1
    return n.model(X, out(n.op("Relu", y)))


@case("missing_zero_points")
def reshape_before_dq_with_several_scales():
    n = Net()
    q = n.q("x", n.const(F(0.05)), n.const(np.int8(0)))
    y = n.dq(n.op("Reshape", q, n.const(np.int64([2, 6, 8]))), n.const(np.linspace(0.01, 0.1, 6, dtype=F)))
    return n.model(X, out(n.op("Relu", y)))


@case()
def clip_and_transpose_before_dq_with_several_scales():
    n = Net()
    q = n.q("x", n.const(F(0.05)), n.const(np.int8(0)))
    c = n.op("Clip", q, n.const(np.int8(-20)), n.const(np.int8(30)))
    s, z = n.const(F([0.01, 0.05, 0.1, 0.03])), n.const(np.int8([0, 0, 0, 0]))
    y = n.dq(n.op("Transpose", c, perm=[0, 2, 1, 3]), s, z, axis=1)
    return n.model(X, out(n.op("Relu", y)))


@case()
def max_pool_transpose_and_slice_of_codes():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(90))
    q = n.op("MaxPool", n.q("x", s, z), kernel_shape=[2, 2], strides=[2, 2])
    q = n.op("Transpose", q, perm=[0, 2, 3, 1])
    q = n.op("Slice", q, n.const(np.int64([0])), n.const(np.int64([2])), n.const(np.int64([1])))
    return n.model(X, out(n.op("Relu", n.dq(q, s, z))))


@case()
def pad_of_codes_with_the_zero_point():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(90))
    q = n.op("Pad", n.q("x", s, z), n.const(np.int64([0, 0, 1, 1, 0, 0, 1, 1])), z)
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(0.01)), n.const(np.int8(0)))
    return n.model(X, out(n.pair(n.op("Conv", n.dq(q, s, z), w), 0.5)))


@case()
def pad_of_codes_with_code_0_is_no_zero():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(90))
    q = n.op("Pad", n.q("x", s, z), n.const(np.int64([0, 0, 1, 1, 0, 0, 1, 1])))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(0.01)), n.const(np.int8(0)))
    return n.model(X, out(n.pair(n.op("Conv", n.dq(q, s, z), w), 0.5)))


@case()
def concat_of_codes_with_one_scale():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(90))
    q = n.op("Concat", n.q("x", s, z), n.q(n.op("Neg", "x"), s, z), axis=1)
    return n.model(X, out(n.op("Sigmoid", n.dq(q, s, z))))


@case()
def the_networks_output_is_codes():
    n = Net()
    y = conv_net(n)
    q = n.q(y, n.const(F(0.05)), n.const(np.uint8(3)))
    return n.model(X, out(q, T.UINT8))


@case()
def the_networks_input_is_codes():
    n = Net()
    d = n.dq("x", n.const(F(0.05)), n.const(np.uint8(128)))
    return n.model({"x": ("UINT8", [2, 3, 4, 4])}, out(conv_net(n, d)))


# ---- zero points ----

def zero_point_case(make, dtype=np.int8, opset=13):
    n = Net(opset=opset)
    s, z = n.const(F(0.05)), make(n)
    return n.model(X, out(conv_net(n, n.dq(n.q("x", s, z), s, z))))


@case("computed_parameters")
def zero_point_through_identity_and_reshape():
    return zero_point_case(lambda n: n.op("Reshape", n.op("Identity", n.const(np.uint8([77]))), n.const(np.int64([]))))


@case("computed_parameters", "back_to_back")
def zero_point_from_constant_of_shape_and_cast():
    return zero_point_case(lambda n: n.op("Cast", n.op("ConstantOfShape", n.const(np.int64([]))), to=T.INT8))


@case("computed_parameters")
def zero_point_from_a_float_cast():
    return zero_point_case(lambda n: n.op("Cast", n.constant(F(12)), to=T.UINT8))


@case("computed_parameters")
def zero_point_through_squeeze_of_int64():
    return zero_point_case(lambda n: n.op("Cast", n.op("Squeeze", n.const(np.int64([[31]]))), to=T.UINT8))


@case("computed_parameters")
def zero_point_from_arithmetic():
    return zero_point_case(lambda n: n.op("Cast", n.op("Round", n.op("Div", n.const(F(5.02)), n.const(F(0.05)))), to=T.UINT8))


@case()
def zero_point_shared_by_all():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(0))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(0.01)), z)
    c = n.op("Conv", n.dq(n.q("x", s, z), s, z), w)
    return n.model(X, out(n.dq(n.q(c, s, z), s, z)))


@case("missing_zero_points")
def zero_points_left_out():
    n = Net()
    s = n.const(F(0.05))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(0.01)))
    c = n.op("Conv", n.dq(n.q("x", s, None), s), w)
    return n.model(X, out(n.dq(n.q(n.op("Relu", c), s, None), s)))


@case("missing_zero_points")
def output_dtype_instead_of_a_zero_point():
    n = Net(opset=21, ir=10)
    s = n.const(F(0.05))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(0.01)))
    c = n.op("Conv", n.dq(n.q("x", s, None, output_dtype=T.INT8), s), w)
    return n.model(X, out(n.dq(n.q(c, s, None, output_dtype=T.INT8), s)))


@case()
def output_dtype_beside_a_zero_point():
    n = Net(opset=21, ir=10)
    s, z = n.const(F(0.05)), n.const(np.uint8(99))
    d = n.dq(n.q("x", s, z, output_dtype=T.UINT8), s, z)
    return n.model(X, out(conv_net(n, d)))


@case("unsigned_128")
def activations_and_weights_with_zero_point_128():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    w = n.dq(n.const(n.weight(4, 3, 3, 3, dtype=np.uint8, low=1, high=255)), n.const(F(WS)), n.const(np.uint8([128] * 4)), axis=0)
    c = n.op("Conv", n.dq(n.q("x", s, z), s, z), w)
    return n.model(X, out(n.dq(n.q(c, s, z), s, z)))


@case("unsigned_128")
def codes_with_zero_point_128_through_max_pool_pad_and_concat():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    q = n.q("x", s, z)
    m = n.op("MaxPool", q, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    p = n.op("Pad", n.op("Concat", q, m, axis=1), n.const(np.int64([0, 0, 1, 0, 0, 0, 0, 1])), n.const(np.uint8(90)))
    w = n.dq(n.const(n.weight(4, 6, 3, 3)), n.const(F(WS)), n.const(np.zeros(4, np.int8)), axis=0)
    return n.model(X, out(n.pair(n.op("Conv", n.dq(p, s, z), w), 0.2)))


@case("unsigned_128")
def codes_with_zero_point_128_padded_with_code_0():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    p = n.op("Pad", n.q("x", s, z), n.const(np.int64([0, 0, 1, 1, 0, 0, 1, 1])))
    return n.model(X, out(n.dq(n.op("Reshape", p, n.const(np.int64([2, -1]))), s, z)))


@case()
def codes_with_zero_point_128_that_are_an_output():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    q = n.q("x", s, z)
    return n.model(X, {q: T.UINT8, n.dq(q, s, z): T.FLOAT})


@case()
def codes_with_zero_point_128_that_are_read_with_another_one_too():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    q = n.q("x", s, z)
    return n.model(X, out(n.op("Mul", n.dq(q, s, z), n.dq(q, s, n.const(np.uint8(100))))))


@case("unsigned_128", "back_to_back")
def codes_with_zero_point_128_and_two_dequantize():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    q = n.q("x", s, z)
    return n.model(X, out(n.op("Mul", n.dq(q, s, z), n.dq(q, s, z))))


@case()
def weights_with_true_zero_points_per_channel():
    n = Net()
    w = n.dq(n.const(n.weight(4, 3, 3, 3, dtype=np.uint8, low=0, high=255)), n.const(F(WS)), n.const(np.uint8([10, 128, 200, 97])), axis=0)
    return n.model(X, out(conv_net(n, weight=w)))


@case()
def weights_with_a_true_zero_point_per_tensor_and_padding():
    n = Net()
    w = n.dq(n.const(n.weight(4, 3, 3, 3, dtype=np.uint8, low=0, high=255)), n.const(F(0.01)), n.const(np.uint8(113)))
    c = n.op("Conv", n.pair("x", 0.05, 140, np.uint8), w, pads=[1, 1, 1, 1])
    return n.model(X, out(n.pair(c, 0.2, 101, np.uint8)))


# ---- scales ----

@case("computed_parameters")
def double_scale_behind_a_cast():
    n = Net()
    s = n.op("Cast", n.constant(np.float64(0.0473)), to=T.FLOAT)
    z = n.const(np.int8(0))
    return n.model(X, out(conv_net(n, n.dq(n.q("x", s, z), s, z))))


@case("computed_parameters", "back_to_back")
def scale_from_amax_in_the_graph():
    n = Net()
    s = n.op("Div", n.const(F(6.35)), n.const(F(127)))
    z = n.const(np.int8(0))
    return n.model(X, out(conv_net(n, n.dq(n.q("x", s, z), s, z))))


@case()
def scales_of_shape_1():
    n = Net()
    s, z = n.const(F([0.05])), n.const(np.uint8([3]))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F([0.01])), n.const(np.int8([0])))
    c = n.op("Conv", n.dq(n.q("x", s, z), s, z), w)
    return n.model(X, out(n.dq(n.q(c, s, z), s, z)))


@case("scales")
def dead_channels_with_scale_0():
    n = Net()
    codes = n.weight(4, 3, 3, 3)
    codes[1] = 0
    w = n.dq(n.const(codes), n.const(F([0.01, 0, 0.02, 0.03])), n.const(np.int8([0] * 4)), axis=0)
    b = n.dq(n.const(B32), n.const(F([0.01, 0, 0.02, 0.03]) * F(XS)), n.const(np.int32([0] * 4)), axis=0)
    return n.model(X, out(conv_net(n, weight=w, bias=b)))


@case()
def float16_scales_of_opset_19():
    n = Net(opset=19, ir=9)
    s, z = n.const(np.float16(0.05)), n.const(np.int8(0))
    half = n.op("Cast", "x", to=T.FLOAT16)
    d = n.op("Cast", n.dq(n.q(half, s, z), s, z), to=T.FLOAT)
    return n.model(X, out(conv_net(n, d)))


@case()
def float16_network_around_float_pairs():
    n = Net()
    half = n.op("Cast", n.op("Cast", "x", to=T.FLOAT16), to=T.FLOAT)
    d = n.op("Cast", n.op("Cast", n.pair(half, 0.05), to=T.FLOAT16), to=T.FLOAT)
    return n.model(X, out(conv_net(n, d)))


# ---- weights ----

@case("quantized_weights")
def float_weights_behind_a_pair():
    n = Net()
    s, z = n.const(F(WS)), n.const(np.int8([0] * 4))
    w = n.const(n.rng.normal(0, 0.1, (4, 3, 3, 3)).astype(F))
    return n.model(X, out(conv_net(n, weight=n.dq(n.q(w, s, z, axis=0), s, z, axis=0))))


@case("computed_parameters", "between_pairs", "quantized_weights")
def float_weights_behind_identity_and_a_clipped_pair():
    n = Net()
    s, z = n.const(F(0.002)), n.const(np.int8(0))
    w = n.op("Identity", n.const(n.rng.normal(0, 0.1, (4, 3, 3, 3)).astype(F)))
    q = n.op("Clip", n.q(w, s, z), n.const(np.int8(-127)), n.const(np.int8(127)))
    return n.model(X, out(conv_net(n, weight=n.dq(q, s, z))))


@case()
def transpose_between_dq_and_the_product():
    n = Net()
    w = n.dq(n.const(n.weight(5, 4)), n.const(F([0.01, 0.02, 0.03, 0.04, 0.05])), n.const(np.int8([0] * 5)), axis=0)
    y = n.op("MatMul", n.pair("x", 0.05), n.op("Transpose", w, perm=[1, 0]))
    return n.model(X, out(n.pair(n.op("Add", y, n.const(F([1, -2, 3, 0.5, 0]))), 0.2)))


@case("computed_parameters")
def transpose_of_codes_before_dq():
    n = Net()
    codes = n.op("Transpose", n.const(n.weight(5, 4)), perm=[1, 0])
    w = n.dq(codes, n.const(F(0.01)), n.const(np.int8(0)))
    return n.model(X, out(n.pair(n.op("MatMul", n.pair("x", 0.05), w), 0.2)))


@case()
def reshape_between_dq_and_a_convolution():
    n = Net()
    w = n.dq(n.const(n.weight(4, 27)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    return n.model(X, out(conv_net(n, weight=n.op("Reshape", w, n.const(np.int64([4, 3, 3, 3]))))))


@case()
def negative_axis():
    n = Net()
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=-4)
    return n.model(X, out(conv_net(n, weight=w)))


@case()
def scales_along_the_rows_of_a_matrix():
    n = Net()
    w = n.dq(n.const(n.weight(4, 5)), n.const(F([0.01, 0.02, 0.03, 0.04])), n.const(np.int8([0] * 4)), axis=0)
    return n.model(X, out(n.pair(n.op("MatMul", n.pair("x", 0.05), w), 0.2)))


@case()
def shared_weight_of_two_layers():
    n = Net()
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F(0.01)), n.const(np.int8(0)))
    a = n.op("Relu", n.op("Conv", n.pair("x", 0.05), w, pads=[1, 1, 1, 1]))
    return n.model(X, out(n.pair(n.op("Conv", n.pair(a, 0.1), w, pads=[1, 1, 1, 1]), 0.5)))


@case()
def transposed_convolution_along_axis_1():
    n = Net()
    w = n.dq(n.const(n.weight(3, 4, 2, 2)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=1)
    y = n.op("ConvTranspose", n.pair("x", 0.05), w, strides=[2, 2], output_padding=[1, 0])
    return n.model(X, out(n.pair(y, 0.02)))


@case()
def transposed_convolution_along_axis_0_in_groups():
    n = Net()
    w = n.dq(n.const(n.weight(3, 2, 2, 2)), n.const(F([0.01, 0.02, 0.03])), n.const(np.int8([0] * 3)), axis=0)
    y = n.op("ConvTranspose", n.pair("x", 0.05), w, group=3)
    return n.model(X, out(n.pair(y, 0.1)))


@case()
def float_bias_of_a_transposed_convolution_stays():
    n = Net()
    w = n.dq(n.const(n.weight(3, 4, 2, 2)), n.const(F(0.01)), n.const(np.int8(0)))
    y = n.op("ConvTranspose", n.pair("x", 0.05), w, n.const(F([0.1003, -0.2, 0.3, 0.77777])))
    return n.model(X, out(n.pair(y, 0.02)))


@case()
def float_bias_of_a_one_dimensional_convolution_stays():
    n = Net()
    w = n.dq(n.const(n.weight(4, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    r = n.op("Reshape", "x", n.const(np.int64([2, 3, 16])))
    y = n.op("Conv", n.pair(r, 0.05), w, n.const(F([0.1003, -0.2, 0.3, 0.77777])))
    return n.model(X, out(n.pair(y, 0.02)))


@case("output_ranges", "unsigned_128")
def relu_as_a_range_beside_codes_with_zero_point_128():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.zeros(4, np.int8)), axis=0)
    c = n.op("Conv", n.dq(n.q("x", s, z), s, z), w)
    return n.model(X, out(n.pair(c, 0.01, 0, np.uint8)))


@case()
def one_and_three_dimensional_convolutions():
    n = Net()
    w1 = n.dq(n.const(n.weight(4, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    a = n.op("Conv", n.pair(n.op("Reshape", "x", n.const(np.int64([2, 3, 16]))), 0.05), w1, pads=[1, 1], dilations=[1])
    x3 = n.op("Reshape", n.pair(n.op("Relu", a), 0.02), n.const(np.int64([2, 4, 2, 2, 4])))
    w3 = n.dq(n.const(n.weight(2, 4, 2, 2, 2)), n.const(F([0.01, 0.03])), n.const(np.int8([0] * 2)), axis=0)
    return n.model(X, out(n.pair(n.op("Conv", x3, w3), 0.1)))


# ---- biases ----

@case()
def int32_bias_per_channel_behind_dq():
    n = Net()
    b = n.dq(n.const(B32), n.const(grid()), n.const(np.int32([0] * 4)), axis=0)
    return n.model(X, out(conv_net(n, bias=b)))


@case("computed_parameters")
def int32_bias_whose_scale_the_graph_multiplies():
    n = Net()
    s = n.op("Mul", n.const(F(XS)), n.const(F(WS)))
    b = n.dq(n.const(B32), s, axis=0)
    return n.model(X, out(conv_net(n, bias=b)))


@case("biases")
def int32_bias_on_another_grid():
    n = Net()
    b = n.dq(n.const(np.int32([70, -90, 300, 15])), n.const(F(0.0011)), n.const(np.int32(0)))
    return n.model(X, out(conv_net(n, bias=b)))


@case("biases")
def uint8_bias_with_a_zero_point():
    n = Net()
    b = n.dq(n.const(np.uint8([3, 200, 128, 90])), n.const(F(0.01)), n.const(np.uint8(121)))
    return n.model(X, out(conv_net(n, bias=b)))


@case("quantized_weights", "biases")
def float_bias_behind_an_int8_pair():
    n = Net()
    b = n.pair(n.const(F([0.31, -0.7, 0.155, 0.02])), 0.00613)
    return n.model(X, out(conv_net(n, bias=b)))


@case()
def float_bias():
    n = Net()
    return n.model(X, out(conv_net(n, bias=n.const(F([0.31, -0.7, 0.155, 0.02])))))


@case("computed_parameters")
def double_bias_behind_a_cast():
    n = Net()
    b = n.op("Cast", n.const(np.float64([0.31, -0.7, 0.155, 0.02])), to=T.FLOAT)
    return n.model(X, out(conv_net(n, bias=b)))


@case()
def bias_as_an_add_of_dequantized_codes():
    n = Net()
    w = n.dq(n.const(n.weight(4, 5)), n.const(F(0.01)), n.const(np.int8(0)))
    b = n.dq(n.const(np.int32([100, -200, 300, 50, 0])), n.const(F(0.05) * F(0.01)))
    return n.model(X, out(n.pair(n.op("Add", b, n.op("MatMul", n.pair("x", 0.05), w)), 0.2)))


@case()
def bias_name_left_empty():
    n = Net()
    x = n.pair("x", XS)
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    return n.model(X, out(n.pair(n.op("Conv", x, w, ""), 0.1)))


# ---- pairs around ops ----

@case()
def pairs_on_both_sides_of_a_concat_with_three_scales():
    n = Net()
    c = n.op("Concat", n.pair("x", 0.05), n.pair(n.op("Sigmoid", "x"), 0.004, 0, np.uint8), axis=1)
    w = n.dq(n.const(n.weight(4, 6, 1, 1)), n.const(F(0.01)), n.const(np.int8(0)))
    return n.model(X, out(n.pair(n.op("Conv", n.pair(c, 0.06, 3), w), 0.1)))


@case("back_to_back")
def a_pair_for_each_consumer_and_one_behind_the_other():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(90))
    d = n.dq(n.q("x", s, z), s, z)
    e = n.dq(n.q(d, s, z), s, z)
    w = n.dq(n.const(n.weight(3, 3, 1, 1)), n.const(F(0.01)), n.const(np.int8(0)))
    c = n.op("Conv", n.dq(n.q(e, s, z), s, z), w)
    a = n.op("Add", n.pair(c, 0.1), n.dq(n.q(e, s, z), s, z))
    return n.model(X, out(n.pair(a, 0.1, 100, np.uint8)))


@case()
def two_pairs_in_a_row_with_different_scales():
    n = Net()
    return n.model(X, out(conv_net(n, n.pair(n.pair("x", 0.05, 3), 0.07, 100, np.uint8))))


@case()
def dequantized_by_another_scale():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(0))
    d = n.dq(n.q("x", s, z), n.const(F(0.025)), z)
    return n.model(X, out(conv_net(n, d)))


@case()
def residual_with_a_float_identity_that_may_lie_beyond_its_codes():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(0))
    x = n.op("Relu", "x")
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F(0.004)), z)
    a = n.op("Add", n.op("Conv", n.dq(n.q(x, s, z), s, z), w, pads=[1, 1, 1, 1]), x)
    return n.model(X, out(n.pair(n.op("Relu", a), 0.1)))


@case()
def residual_with_pairs_on_both_branches():
    n = Net()
    x = n.pair("x", 0.05)
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F(0.004)), n.const(np.int8(0)))
    a = n.op("Add", n.pair(n.op("Conv", x, w, pads=[1, 1, 1, 1]), 0.08, 90, np.uint8), x)
    return n.model(X, out(n.pair(n.op("Relu", a), 0.1)))


@case("output_ranges")
def relu6_as_a_range_of_int8():
    n = Net()
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    y = n.pair(n.op("Conv", n.pair("x", 0.05), w), 6 / 255, -128)
    return n.model(X, out(y))


@case("output_ranges")
def relu_as_a_range_of_a_product():
    n = Net()
    w = n.dq(n.const(n.weight(4, 5)), n.const(F(0.01)), n.const(np.int8(0)))
    y = n.op("MatMul", n.pair("x", 0.05), w)
    y = n.pair(y, 0.02, 0, np.uint8)
    w2 = n.dq(n.const(n.weight(5, 3)), n.const(F(0.01)), n.const(np.int8(0)))
    return n.model(X, out(n.pair(n.op("MatMul", y, w2), 0.02)))


@case()
def batch_normalization_behind_a_quantized_convolution():
    n = Net()
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    c = n.op("Conv", n.pair("x", 0.05), w)
    b = n.op("BatchNormalization", c, n.const(F([1, 2, -0.5, 1])), n.const(F([0, 1, 2, -1])), n.const(F([0.1, 0, 0, 3])), n.const(F([1, 0.5, 2, 4])))
    return n.model(X, out(n.pair(n.op("Relu", b), 0.04)))


@case()
def softmax_with_zero_point_minus_128():
    n = Net()
    y = n.op("Softmax", n.pair("x", 0.05), axis=1)
    return n.model(X, out(n.pair(y, 1 / 255, -128)))


@case()
def activations_between_pairs():
    n = Net(opset=14)
    y = n.pair("x", 0.05, 120, np.uint8)
    for op, attributes, scale in (("HardSwish", {}, 0.03), ("LeakyRelu", {"alpha": 0.1}, 0.03), ("Sigmoid", {}, 0.004)):
        y = n.pair(n.op(op, y, **attributes), scale, 100 if op != "Sigmoid" else 0, np.uint8)
    return n.model(X, out(y))


@case()
def pools_and_means_between_pairs():
    n = Net(opset=13)
    y = n.pair("x", 0.05, 120, np.uint8)
    y = n.pair(n.op("AveragePool", y, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]), 0.04, 110, np.uint8)
    y = n.pair(n.op("ReduceMean", y, axes=[2, 3], keepdims=0), 0.0213, 117, np.uint8)
    return n.model(X, out(y))


@case()
def gemm_with_transa_alpha_and_beta():
    n = Net()
    x = n.op("Reshape", "x", n.const(np.int64([4, 24])))
    w = n.dq(n.const(n.weight(4, 5)), n.const(F(0.01)), n.const(np.int8(0)))
    g = n.op("Gemm", n.pair(x, 0.05), w, n.const(F([1, 2, 3, 4, 5])), transA=1, alpha=0.5, beta=2.0)
    return n.model(X, out(n.pair(g, 0.1)))


def gemm_net(n, bias, **factors):
    x = n.op("Reshape", "x", n.const(np.int64([4, 24])))
    w = n.dq(n.const(n.weight(24, 4)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=1)
    g = n.op("Gemm", n.pair(x, 0.05), w, n.const(bias), **factors)
    return n.model(X, out(n.pair(g, 0.1)))


@case("gemm_factors", "biases", within=0.1)
def gemm_with_alpha_and_beta():
    return gemm_net(Net(), F([0.31, -0.7, 0.155, 0.02]), alpha=0.5, beta=2.0)


@case("gemm_factors", "biases", within=0.1)
def gemm_with_a_bias_of_one_number():
    return gemm_net(Net(), F(0.3111))


@case()
def gemm_with_a_negative_alpha():
    return gemm_net(Net(), F([0.31, -0.7, 0.155, 0.02]), alpha=-0.5)


@case()
def gemm_with_a_bias_beyond_int32():
    return gemm_net(Net(), F([1e9, -0.7, 0.155, 0.02]))


@case("unsigned_128")
def codes_with_zero_point_128_read_through_a_cast_for_their_extent():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    q = n.q("x", s, z)
    shape = n.op("Shape", n.op("Cast", q, to=T.FLOAT))
    return n.model(X, out(n.op("Reshape", n.op("Relu", n.dq(q, s, z)), shape)))


@case("unsigned_128")
def codes_with_zero_point_128_beside_a_fill_of_codes():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(128))
    q = n.q("x", s, z)
    fill = n.op("ConstantOfShape", n.op("Shape", q), value=h.make_tensor("v", T.UINT8, [1], [200]))
    return n.model(X, out(n.dq(n.op("Concat", q, fill, axis=1), s, z)))


@case()
def product_of_two_activations():
    n = Net()
    a = n.pair("x", 0.05, 130, np.uint8)
    y = n.op("MatMul", a, n.pair(n.op("Transpose", "x", perm=[0, 1, 3, 2]), 0.05, 7))
    return n.model(X, out(n.pair(y, 0.4)))


# ---- quantization written out ----

def written_out(n, x, scale, zero, low, high, invert=False, minmax=False, add_first=False):
    y = n.op("Mul", x, n.const(F(1) / F(scale))) if invert else n.op("Div", x, n.const(F(scale)))
    if zero and add_first:
        y = n.op("Add", y, n.const(F(zero)))
    y = n.op("Round", y)
    if zero and not add_first:
        y = n.op("Add", y, n.const(F(zero)))
    if minmax:
        y = n.op("Min", n.op("Max", y, n.const(F(low))), n.const(F(high)))
    else:
        y = n.op("Clip", y, n.const(F(low)), n.const(F(high)))
    if zero:
        y = n.op("Sub", y, n.const(F(zero)))
    return n.op("Mul", y, n.const(F(scale)))


@case("rounding_chains", "back_to_back")
def div_round_clip_mul():
    n = Net()
    return n.model(X, out(conv_net(n, written_out(n, "x", 0.05, 0, -127, 127))))


@case("rounding_chains")
def div_round_add_clip_sub_mul():
    n = Net()
    return n.model(X, out(conv_net(n, written_out(n, "x", 0.05, 111, 0, 255))))


@case("rounding_chains")
def mul_add_round_clip_sub_mul():
    n = Net()
    return n.model(X, out(conv_net(n, written_out(n, "x", 0.0625, 97, 0, 255, invert=True, add_first=True))))


@case("rounding_chains", "back_to_back")
def div_round_max_min_mul():
    n = Net()
    return n.model(X, out(conv_net(n, written_out(n, "x", 0.05, 0, -128, 127, minmax=True))))


@case("rounding_chains", "quantized_weights")
def weights_written_out_per_channel():
    n = Net()
    w = n.const(n.rng.normal(0, 0.1, (4, 3, 3, 3)).astype(F))
    s = n.const(F(WS).reshape(4, 1, 1, 1))
    y = n.op("Clip", n.op("Round", n.op("Div", w, s)), n.const(F(-127)), n.const(F(127)))
    return n.model(X, out(conv_net(n, weight=n.op("Mul", y, s))))


@case("rounding_chains", "back_to_back")
def floor_of_a_half_more():
    n = Net()
    y = n.op("Floor", n.op("Add", n.op("Div", "x", n.const(F(0.05))), n.const(F(0.5))))
    y = n.op("Mul", n.op("Clip", y, n.const(F(-128)), n.const(F(127))), n.const(F(0.05)))
    return n.model(X, out(conv_net(n, y)))


@case("rounding_chains")
def clip_of_opset_10_before_round():
    n = Net(opset=11)
    y = n.op("Div", "x", n.const(F(0.05)))
    y = n.op("Round", n.op("Clip", y, n.const(F(-127)), n.const(F(127))))
    return n.model(X, out(n.op("Relu", n.op("Mul", y, n.const(F(0.05))))))


# ---- operator forms ----

@case()
def qlinear_conv_with_everything():
    n = Net()
    s = [n.const(F(v)) for v in (0.05, 0.1)]
    z = [n.const(np.uint8(v)) for v in (120, 90)]
    w = [n.const(n.weight(6, 1, 3, 3)), n.const(F([0.01, 0.02, 0.015, 0.005, 0.03, 0.01])), n.const(np.int8([0] * 6))]
    y = n.op("QLinearConv", n.q("x", s[0], z[0]), s[0], z[0], *w, s[1], z[1], n.const(np.int32([10, -50, 300, 7, 0, 900])), group=3,
             auto_pad="SAME_UPPER", strides=[2, 2])
    return n.model(X, out(n.dq(y, s[1], z[1])))


@case()
def qlinear_conv_of_uint8_weights_with_zero_points():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(120))
    w = [n.const(n.weight(4, 3, 3, 3, dtype=np.uint8, low=0, high=255)), n.const(F(0.01)), n.const(np.uint8(99))]
    y = n.op("QLinearConv", n.q("x", s, z), s, z, *w, n.const(F(0.2)), n.const(np.uint8(100)), pads=[1, 1, 1, 1])
    return n.model(X, out(y, T.UINT8))


@case()
def qlinear_matmul_with_scales_per_column():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(-5))
    w = [n.const(n.weight(4, 5)), n.const(F([0.01, 0.02, 0.03, 0.01, 0.02])), n.const(np.int8([0] * 5))]
    y = n.op("QLinearMatMul", n.q("x", s, z), s, z, *w, n.const(F(0.0973)), n.const(np.int8(3)))
    return n.model(X, out(y, T.INT8))


@case("back_to_back", within=4 / 256)
def microsoft_operator_forms():
    n = Net(com_microsoft=1)
    s, z = n.const(F(0.05)), n.const(np.uint8(120))
    q = n.q("x", s, z)
    t, u = n.const(F(0.06)), n.const(np.uint8(110))
    a = n.op("QLinearAdd", q, s, z, n.const(np.uint8([[[1]], [[200]], [[90]]])), n.const(F(0.01)), n.const(np.uint8(80)), t, u, domain="com.microsoft")
    m = n.op("QLinearMul", a, t, u, q, s, z, n.const(F(0.2)), n.const(np.uint8(40)), domain="com.microsoft")
    c = n.op("QLinearConcat", t, u, a, t, u, m, n.const(F(0.2)), n.const(np.uint8(40)), domain="com.microsoft", axis=1)
    p = n.op("QLinearAveragePool", c, t, u, s, z, domain="com.microsoft", kernel_shape=[2, 2], strides=[2, 2])
    g = n.op("QLinearGlobalAveragePool", p, s, z, t, u, domain="com.microsoft", channels_last=0)
    l = n.op("QLinearLeakyRelu", g, t, u, t, u, domain="com.microsoft", alpha=0.1)
    return n.model(X, out(n.dq(n.op("QLinearSigmoid", l, t, u, n.const(F(1 / 256)), n.const(np.uint8(0)), domain="com.microsoft"), n.const(F(1 / 256)), n.const(np.uint8(0)))))


@case()
def microsoft_qgemm():
    n = Net(com_microsoft=1)
    s, z = n.const(F(0.05)), n.const(np.uint8(120))
    q = n.q(n.op("Reshape", "x", n.const(np.int64([24, 4]))), s, z)
    w = [n.const(n.weight(5, 4)), n.const(F([0.01, 0.02, 0.03, 0.01, 0.02])), n.const(np.int8([0] * 5))]
    y = n.op("QGemm", q, s, z, *w, n.const(np.int32([9, -80, 700, 6, 0])), n.const(F(0.1)), n.const(np.uint8(130)), domain="com.microsoft", transB=1, alpha=1.0)
    return n.model(X, out(y, T.UINT8))


@case("gemm_factors")
def microsoft_qgemm_with_a_bias_of_one_row():
    n = Net(com_microsoft=1)
    s, z = n.const(F(0.05)), n.const(np.uint8(120))
    q = n.q(n.op("Reshape", "x", n.const(np.int64([24, 4]))), s, z)
    w = [n.const(n.weight(4, 5)), n.const(F([0.01, 0.02, 0.03, 0.01, 0.02])), n.const(np.int8([0] * 5))]
    y = n.op("QGemm", q, s, z, *w, n.const(np.int32([[9, -80, 700, 6, 0]])), n.const(F(0.1)), n.const(np.uint8(130)), domain="com.microsoft", transB=0, alpha=0.5)
    return n.model(X, out(y, T.UINT8))


@case("integer_products", within=1e-5)
def conv_integer_with_zero_points():
    n = Net()
    y = n.op("ConvInteger", n.q("x", n.const(F(0.05)), n.const(np.uint8(120))), n.const(n.weight(4, 3, 3, 3, dtype=np.uint8, low=0, high=255)),
             n.const(np.uint8(120)), n.const(np.uint8(101)), pads=[1, 1, 1, 1])
    return n.model(X, out(n.op("Mul", n.op("Cast", y, to=T.FLOAT), n.const(F(0.0005)))))


@case()
def dynamic_quantization_of_a_product():
    n = Net()
    q, s, z = n.op("DynamicQuantizeLinear", "x", outputs=3)
    y = n.op("MatMulInteger", q, n.const(n.weight(4, 5)), z, n.const(np.int8(0)))
    y = n.op("Mul", n.op("Cast", y, to=T.FLOAT), n.op("Mul", s, n.const(F(0.01))))
    return n.model(X, out(n.op("Add", y, n.const(F([1, 2, 3, 4, 5])))))


@case()
def scale_of_the_data_computed_by_reduce_max():
    n = Net()
    s = n.op("Div", n.op("ReduceMax", n.op("Abs", "x"), keepdims=0), n.const(F(127)))
    z = n.const(np.int8(0))
    return n.model(X, out(conv_net(n, n.dq(n.q("x", s, z), s, z))))


# ---- opsets ----

@case()
def opset_10_per_tensor():
    n = Net(opset=10, ir=5)
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(0.01)), n.const(np.int8(0)))
    c = n.op("Conv", n.pair("x", 0.05), w)
    return n.model(X, out(n.pair(n.op("Clip", c, min=0.0, max=6.0), 6 / 127)))


@case()
def weights_in_blocks_of_int4():
    n = Net(opset=21, ir=10)
    codes = n.rng.integers(-8, 8, (4, 5))
    w = n.dq(n.const(codes, dtype=T.INT4), n.const(n.rng.uniform(0.05, 0.2, (2, 5)).astype(F)), axis=0, block_size=2)
    return n.model(X, out(n.op("MatMul", "x", w)))


def negative_blocks(dtype, zero):
    n = Net(opset=21, ir=10)
    low = 0 if dtype == T.UINT4 else -8
    codes = n.rng.integers(low, low + 16, (4, 5))
    codes[0] = low
    s = n.const((n.rng.uniform(0.05, 0.2, (2, 5)) * np.where(np.arange(10).reshape(2, 5) % 3, -1, 1)).astype(F))
    z = () if zero is None else (n.const(np.full((2, 5), zero), dtype=dtype),)
    w = n.dq(n.const(codes, dtype=dtype), s, *z, axis=0, block_size=2)
    return n.model(X, out(n.op("MatMul", "x", w)))


@case("missing_zero_points", "scales")
def negative_scales_of_blocks_of_int4():
    return negative_blocks(T.INT4, None)


@case("scales")
def negative_scales_of_blocks_of_uint4_with_zero_points():
    return negative_blocks(T.UINT4, 8)


@case()
def activations_of_16_bits():
    n = Net(opset=21, ir=10)
    s, z = n.const(F(0.0002)), n.const(np.uint16(32768))
    d = n.dq(n.q("x", s, z), s, z)
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    t, u = n.const(F(0.0001)), n.const(np.int16(0))
    return n.model(X, out(n.dq(n.q(n.op("Conv", d, w), t, u), t, u)))


@case()
def microsoft_pairs_of_16_bits():
    n = Net(opset=17, com_microsoft=1)
    s, z = n.const(F(0.0002)), n.const(np.uint16(32768))
    q = n.op("QuantizeLinear", "x", s, z, domain="com.microsoft")
    d = n.op("DequantizeLinear", q, s, z, domain="com.microsoft")
    w = n.op("DequantizeLinear", n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), domain="com.microsoft", axis=0)
    return n.model(X, out(n.op("Conv", d, w)))


# ---- meant otherwise than written: `own` is the file as it was meant, and what is right ----

def eager(zero):
    """PyTorch's eager qint8 export: a signed stub, then uint8 zero points on signed tensors, a Cast in every pair."""
    n = Net()
    s, t, z8 = n.const(F(0.05)), n.const(F(0.08)), n.const(np.int8(0))
    z = n.const(zero)
    to = T.INT8 if zero.dtype == np.int8 else T.UINT8
    x = n.dq(n.op("Cast", n.q("x", s, z8), to=T.INT8), s, z8)
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F([0.004, 0.002, 0.006])), n.const(np.int8([0] * 3)), axis=0)
    z32 = n.op("Cast", n.op("ConstantOfShape", n.const(np.int64([3]))), to=T.INT32)
    b = n.dq(n.const(np.int32([50, -700, 90])), n.const(F(0.05) * F([0.004, 0.002, 0.006])), z32, axis=0)
    c = n.op("Conv", x, w, b, pads=[1, 1, 1, 1])
    d = n.dq(n.op("Cast", n.q(c, t, z), to=to), t, z)
    a = n.dq(n.op("Cast", n.q(n.op("Add", d, x), t, z), to=to), t, z)
    r = n.dq(n.op("Cast", n.q(n.op("Relu", a), t, z), to=to), t, z)
    return n.model(X, out(r))


@case("computed_parameters", "eager_zero_points", "between_pairs", own=lambda: eager(np.int8(0)))
def eager_qint8_export():
    return eager(np.uint8(0))


def eager_of_a_divided_picture(zero):
    """Float ops before the stub; ops that move codes, and MaxPool, between QuantizeLinear and DequantizeLinear."""
    n = Net()
    s, t, z8, z = n.const(F(0.03)), n.const(F(0.08)), n.const(np.int8(0)), n.const(zero)
    to = T.INT8 if zero.dtype == np.int8 else T.UINT8
    x = n.op("Transpose", n.op("Div", n.op("Sub", "x", n.const(F(0.5))), n.const(F(2))), perm=[0, 1, 3, 2])
    x = n.dq(n.op("Cast", n.q(x, s, z8), to=T.INT8), s, z8)
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F([0.004, 0.002, 0.006])), n.const(np.int8([0] * 3)), axis=0)
    c = n.op("Cast", n.q(n.op("Conv", x, w, pads=[1, 1, 1, 1]), t, z), to=to)
    c = n.op("Conv", n.dq(n.op("Transpose", c, perm=[0, 1, 3, 2]), t, z), w, pads=[1, 1, 1, 1])
    c = n.op("Cast", n.q(c, t, z), to=to)
    return n.model(X, out(n.dq(n.op("Flatten", n.op("MaxPool", c, kernel_shape=[2, 2])), t, z)))


@case("eager_zero_points", "between_pairs", own=lambda: eager_of_a_divided_picture(np.int8(0)))
def eager_qint8_export_of_a_divided_picture():
    return eager_of_a_divided_picture(np.uint8(0))


@case("between_pairs")
def a_cast_behind_a_stub_without_one_is_no_eager_export():
    n = Net()
    s, z8, z = n.const(F(0.05)), n.const(np.int8(0)), n.const(np.uint8(0))
    c = n.op("Relu", n.op("Conv", n.dq(n.q("x", s, z8), s, z8), n.const(n.weight(3, 3, 3, 3).astype(F) * F(0.003))))
    return n.model(X, out(n.dq(n.op("Cast", n.q(c, s, z), to=T.UINT8), s, z)))


def axis_case(axis, square):
    n = Net()
    shape = (4, 4, 1, 1) if square else (4, 3, 3, 3)
    codes = n.weight(*shape, low=-90, high=90)
    codes[:, 0, 0, 0] = 127
    w = n.dq(n.const(codes), n.const(F(WS)), n.const(np.int8([0] * 4)), **({} if axis is None else dict(axis=axis)))
    x = n.op("Concat", "x", n.op("Slice", "x", n.const(np.int64([0])), n.const(np.int64([1])), n.const(np.int64([1]))), axis=1) if square else "x"
    return n.model(X, out(conv_net(n, x, w)))


@case("channel_axis", own=lambda: axis_case(0, False))
def axis_left_out_of_a_convolution_weight():
    return axis_case(None, False)


@case("channel_axis", own=lambda: axis_case(0, True))
def axis_left_out_of_a_square_weight():
    return axis_case(None, True)


@case("scales")
def negative_scales_of_weights():
    n = Net()
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS) * F([1, -1, 1, -1])), n.const(np.int8([0] * 4)), axis=0)
    return n.model(X, out(conv_net(n, weight=w)))


@case("scales")
def subnormal_scales_of_weights_and_biases():
    n = Net()
    s = F([0.002, 1e-40, 0.001, 0.003])
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(s), n.const(np.int8([0] * 4)), axis=0)
    b = n.dq(n.const(B32), n.const(s * F(XS)), axis=0)
    return n.model(X, out(conv_net(n, weight=w, bias=b)))


@case("written_dequantize")
def activations_dequantized_by_hand():
    n = Net()
    q = n.q("x", n.const(F(0.05)), n.const(np.uint8(101)))
    d = n.op("Mul", n.const(F(0.05)), n.op("Sub", n.op("Cast", q, to=T.FLOAT), n.const(F(101))))
    return n.model(X, out(conv_net(n, d)))


@case()
def a_picture_cast_to_float_is_no_dequantization():
    n = Net()
    x = n.op("Mul", n.op("Sub", n.op("Cast", "x", to=T.FLOAT), n.const(F(128))), n.const(F(0.0173)))
    return n.model({"x": ("UINT8", [2, 3, 4, 4])}, out(conv_net(n, x)))


# ---- more of what people have ----

@case("back_to_back")
def a_dq_for_each_consumer():
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.uint8(90))
    q = n.q("x", s, z)
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F(0.007)), n.const(np.int8(0)))
    c = n.op("Conv", n.dq(q, s, z), w, pads=[1, 1, 1, 1])
    return n.model(X, out(n.pair(n.op("Add", c, n.dq(q, s, z)), 0.11, 100, np.uint8)))


@case()
def movers_between_dq_and_q():
    n = Net(opset=13)
    y = n.pair("x", 0.05, 120, np.uint8)
    y = n.op("DepthToSpace", n.op("Concat", y, y, y, y, axis=1), blocksize=2)
    a, b = n.op("Split", y, n.const(np.int64([4, 4])), axis=2, outputs=2)
    y = n.op("Gather", n.op("Tile", a, n.const(np.int64([1, 1, 1, 2]))), n.const(np.int64([3, 0, 5])), axis=3)
    y = n.op("Flatten", n.op("Unsqueeze", n.op("Squeeze", n.op("Expand", n.op("Unsqueeze", y, n.const(np.int64([0]))), n.const(np.int64([1, 2, 3, 4, 3]))), n.const(np.int64([0]))), n.const(np.int64([0]))), axis=2)
    w = n.dq(n.const(n.weight(36, 3)), n.const(F(0.01)), n.const(np.int8(0)))
    return n.model(X, out(n.pair(n.op("MatMul", n.pair(y, 0.05, 120, np.uint8), w), 0.3)))


@case()
def nearest_and_linear_resize_between_pairs():
    n = Net()
    y = n.pair(n.op("Resize", n.pair("x", 0.05, 120, np.uint8), "", n.const(F([1, 1, 2, 2])), mode="nearest"), 0.05, 120, np.uint8)
    y = n.op("Resize", y, "", n.const(F([1, 1, 1.5, 1.5])), mode="linear", coordinate_transformation_mode="asymmetric")
    return n.model(X, out(n.pair(y, 0.0431, 120, np.uint8)))


@case()
def several_scales_on_an_activation():
    n = Net()
    s, z = n.const(F([0.05, 0.03, 0.07])), n.const(np.int8([0, 0, 0]))
    return n.model(X, out(conv_net(n, n.dq(n.q("x", s, z, axis=1), s, z, axis=1))))


@case("rounding_chains", "back_to_back")
def chain_with_codes_cast_to_uint8_and_back():
    n = Net()
    z = n.const(F(111))
    y = n.op("Add", n.op("Round", n.op("Div", "x", n.const(F(0.05)))), z)
    y = n.op("Cast", n.op("Cast", n.op("Clip", y, n.const(F(0)), n.const(F(255))), to=T.UINT8), to=T.FLOAT)
    d = n.op("Mul", n.op("Sub", y, z), n.const(F(0.05)))
    e = n.pair(d, 0.05, 111, np.uint8)
    return n.model(X, out(conv_net(n, e)))


@case("written_dequantize")
def weights_dequantized_by_cast_and_mul():
    n = Net()
    w = n.op("Mul", n.op("Cast", n.const(n.weight(4, 3, 3, 3)), to=T.FLOAT), n.const(F(WS).reshape(4, 1, 1, 1)))
    return n.model(X, out(conv_net(n, weight=w)))


@case("written_dequantize")
def weights_dequantized_by_cast_sub_and_mul():
    n = Net()
    c = n.op("Cast", n.const(n.weight(4, 5, dtype=np.uint8, low=0, high=255)), to=T.FLOAT)
    w = n.op("Mul", n.op("Sub", c, n.const(F(117))), n.const(F(0.01)))
    return n.model(X, out(n.pair(n.op("MatMul", n.pair("x", 0.05), w), 0.2)))


@case()
def dynamic_quantization_of_a_convolution():
    n = Net()
    q, s, z = n.op("DynamicQuantizeLinear", "x", outputs=3)
    y = n.op("ConvInteger", q, n.const(n.weight(4, 3, 3, 3)), z, n.const(np.int8(0)), pads=[1, 1, 1, 1])
    y = n.op("Mul", n.op("Cast", y, to=T.FLOAT), n.op("Mul", s, n.const(F(0.004))))
    return n.model(X, out(n.op("Relu", n.op("Add", y, n.op("Reshape", n.const(F([1, -2, 0.5, 0])), n.const(np.int64([1, 4, 1, 1])))))))


@case()
def microsoft_qlinear_softmax():
    n = Net(com_microsoft=1)
    s, z = n.const(F(0.05)), n.const(np.uint8(90))
    y = n.op("QLinearSoftmax", n.q("x", s, z), s, z, n.const(F(1 / 256)), n.const(np.uint8(0)), domain="com.microsoft", axis=3, opset=13)
    return n.model(X, out(n.dq(y, n.const(F(1 / 256)), n.const(np.uint8(0)))))


@case("output_ranges")
def relu_behind_a_residual_add_as_a_range():
    n = Net()
    x = n.pair("x", 0.05)
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F(0.004)), n.const(np.int8(0)))
    a = n.op("Add", n.op("Conv", x, w, pads=[1, 1, 1, 1]), x)
    return n.model(X, out(n.pair(a, 0.031, 0, np.uint8)))


@case()
def an_add_of_two_that_are_never_negative():
    n = Net()
    a = n.op("Add", n.pair(n.op("Relu", "x"), 0.03, 0, np.uint8), n.pair(n.op("Sigmoid", "x"), 1 / 255, 0, np.uint8))
    return n.model(X, out(n.pair(a, 0.031, 0, np.uint8)))


@case()
def scales_far_from_any_measure():
    """Products of scales beyond float's range: such a layer runs in float."""
    n = Net()
    big, z = n.const(F(1e25)), n.const(np.int8(0))
    x = n.op("Mul", "x", n.const(F(1e26)))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F([1e-3, 1e8, 1e5, 1e-30])), n.const(np.int8([0] * 4)), axis=0)
    c = n.op("Conv", n.dq(n.q(x, big, z), big, z), w)
    return n.model(X, out(n.op("Mul", n.dq(n.q(c, big, z), big, z), n.const(F(1e-26)))))


def residual(weights, own_pair, identity_in_codes):
    """x and its codes; a convolution of the codes, with codes of its own or not; its sum with x, or with x's codes."""
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(0))
    r = n.op("Clip", "x", n.const(F(0)), n.const(F(6)))
    d = n.dq(n.q(r, s, z), s, z)
    w = n.weight(3, 3, 3, 3)
    w = n.dq(n.const(w), n.const(F(0.004)), n.const(np.int8(0))) if weights == "int8" else n.const(F(w) * F(0.004))
    c = n.op("Conv", d, w, pads=[1, 1, 1, 1])
    if own_pair:
        c = n.pair(c, 0.06)
    return n.model(X, out(n.pair(n.op("Relu", n.op("Add", c, d if identity_in_codes else r)), 0.08)))


@case("residual_identity", own=lambda: residual("int8", True, True))
def residual_identity_beside_a_convolution_with_codes():
    return residual("int8", True, False)


@case("residual_identity", own=lambda: residual("float", True, True))
def residual_identity_beside_a_float_convolution_with_codes():
    return residual("float", True, False)


@case("residual_identity", own=lambda: residual("int8", False, True))
def residual_identity_beside_an_integer_convolution():
    return residual("int8", False, False)


def residual_of(scale, zero, identity):
    """x -> identity -> pair of this scale and zero point -> Conv; its sum with the identity, in codes."""
    n = Net()
    s, z = n.const(F(scale)), n.const(zero)
    r = identity(n)
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F(0.004)), n.const(np.int8(0)))
    c = n.op("Conv", n.dq(n.q(r, s, z), s, z), w, pads=[1, 1, 1, 1])
    return n.model(X, out(n.pair(n.op("Add", c, r), 0.05, 5)))


@case()
def residual_identity_below_0_beside_codes_from_0():
    return residual_of(0.05, np.uint8(0), lambda n: "x")


@case()
def residual_identity_above_the_range_of_its_codes():
    return residual_of(0.01, np.int8(0), lambda n: n.op("Relu", "x"))


@case()
def residual_identity_clipped_above_the_range_of_its_codes_on_a_graph_input():
    return residual_of(0.01, np.uint8(0), lambda n: n.op("Add", n.op("Clip", "x", n.const(F(0)), n.const(F(3))), n.const(F(0.1))))


@case("residual_identity", within=0.06)
def residual_identity_clipped_to_the_range_of_its_codes():
    return residual_of(3 / 255, np.uint8(0), lambda n: n.op("MaxPool", n.op("Clip", "x", n.const(F(0)), n.const(F(3))), kernel_shape=[1, 1]))


@case("residual_identity", within=0.06)
def residual_identity_clipped_beyond_the_codes_gets_its_own():
    return residual_of(0.005, np.uint8(0), lambda n: n.op("Clip", "x", n.const(F(0)), n.const(F(3))))


@case("scales")
def negative_scale_of_activations_with_a_zero_point():
    n = Net()
    s, z = n.const(F(-0.03)), n.const(np.int8(100))
    return n.model(X, out(conv_net(n, n.dq(n.q("x", s, z), s, z))))


@case("scales")
def negative_scale_of_uint8_activations():
    n = Net()
    s, z = n.const(F(-0.03)), n.const(np.uint8(100))
    return n.model(X, out(n.op("Relu", n.dq(n.q("x", s, z), s, z))))


@case("scales", "quantized_weights")
def dead_channel_of_float_weights_behind_a_pair():
    n = Net()
    w = n.rng.normal(0, 0.1, (4, 3, 3, 3)).astype(F)
    w[1] = 0
    s, z = n.const(F([0.002, 0, 0.001, 0.003])), n.const(np.int8([0] * 4))
    return n.model(X, out(conv_net(n, weight=n.dq(n.q(n.const(w), s, z, axis=0), s, z, axis=0))))


@case("scales", "unsigned_128")
def dead_channel_of_uint8_weights():
    n = Net()
    codes = n.weight(4, 3, 3, 3, dtype=np.uint8, low=1, high=255)
    codes[1] = 128
    w = n.dq(n.const(codes), n.const(F([0.01, 0, 0.02, 0.03])), n.const(np.uint8([128] * 4)), axis=0)
    return n.model(X, out(conv_net(n, weight=w)))


@case("scales")
def negative_and_dead_channels_of_uint8_weights_with_zero_points():
    n = Net()
    codes = n.weight(4, 3, 3, 3, dtype=np.uint8, low=0, high=255)
    w = n.dq(n.const(codes), n.const(F([0.01, 0, -0.02, 0.03])), n.const(np.uint8([100, 7, 200, 97])), axis=0)
    return n.model(X, out(conv_net(n, weight=w)))


def bias_net(**axis):
    n = Net()
    b = n.dq(n.const(B32), n.const(grid()), **axis)
    return n.model(X, out(conv_net(n, bias=b)))


@case("channel_axis", own=lambda: bias_net(axis=0))
def axis_left_out_of_an_int32_bias():
    return bias_net()


@case("channel_axis", own=lambda: bias_net(axis=0))
def axis_1_of_an_int32_bias():
    return bias_net(axis=1)


def shaped_scales(weight_shape, data_shape):
    n = Net()
    scale, zero = F(WS).reshape(weight_shape), np.zeros(weight_shape, np.int8)
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(scale), n.const(zero), axis=0)
    s, z = n.const(np.full(data_shape, 0.05, F)), n.const(np.zeros(data_shape, np.int8))
    y = n.op("Relu", n.op("Conv", n.dq(n.q("x", s, z), s, z), w))
    return n.model(X, out(n.pair(y, 0.04)))


@case("scale_shapes", own=lambda: shaped_scales((4,), ()))
def scales_of_rank_2_and_4():
    return shaped_scales((1, 4), (1, 1, 1, 1))


@case("scale_shapes", own=lambda: shaped_scales((4,), ()))
def scales_of_rank_4_along_the_channels():
    return shaped_scales((4, 1, 1, 1), (1, 1))


def zero_point_of_dequantize(both):
    n = Net()
    s, z = n.const(F(0.05)), n.const(np.int8(3))
    w = n.dq(n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.int8([0] * 4)), axis=0)
    return n.model(X, out(n.pair(n.op("Conv", n.dq(n.q("x", s, z if both else None), s, z), w), 0.04)))


@case(own=lambda: zero_point_of_dequantize(True))
def zero_point_of_int8_at_dequantize_only():
    return zero_point_of_dequantize(False)


@case("integer_products", within=1e-5)
def matmul_integer_with_a_scale_per_column():
    n = Net()
    y = n.op("MatMulInteger", n.q("x", n.const(F(0.05)), n.const(np.uint8(120))), n.const(n.weight(4, 5, dtype=np.uint8, low=0, high=255)),
             n.const(np.uint8(120)), n.const(np.uint8([100, 101, 102, 128, 0])))
    y = n.op("Mul", n.op("Cast", y, to=T.FLOAT), n.const(F(0.05)))
    y = n.op("Mul", n.const(F([[0.01, 0.02, 0.03, 0.01, 0.005]])), y)
    return n.model(X, out(n.op("Add", y, n.const(F([1, 2, 3, 4, 5])))))


@case("integer_products", within=1e-5)
def conv_integer_with_a_scale_per_channel():
    n = Net()
    y = n.op("ConvInteger", n.q("x", n.const(F(0.05)), n.const(np.int8(-3))), n.const(n.weight(4, 3, 3, 3)), n.const(np.int8(-3)), pads=[1, 1, 1, 1])
    y = n.op("Mul", n.op("Cast", y, to=T.FLOAT), n.const(grid().reshape(4, 1, 1)))
    return n.model(X, out(n.pair(n.op("Relu", y), 0.04)))


@case("integer_products", within=1e-5)
def matmul_integer_of_the_networks_input():
    n = Net()
    y = n.op("MatMulInteger", "x", n.const(n.weight(4, 5)), n.const(np.uint8(7)))
    return n.model({"x": ("UINT8", [2, 3, 4, 4])}, out(n.op("Mul", n.op("Cast", y, to=T.FLOAT), n.const(F(0.0005)))))


@case()
def matmul_integer_without_a_scale():
    n = Net()
    y = n.op("MatMulInteger", n.q("x", n.const(F(0.05)), n.const(np.uint8(120))), n.const(n.weight(4, 5)), n.const(np.uint8(120)))
    return n.model(X, out(n.op("Sub", n.op("Cast", y, to=T.FLOAT), n.const(F(0.5)))))


@case("rounding_chains")
def div_round_clip_mul_with_a_scale_per_channel_of_the_data():
    n = Net()
    s = n.const(F([0.05, 0.04, 0.02]).reshape(1, 3, 1, 1))
    y = n.op("Clip", n.op("Round", n.op("Div", "x", s)), n.const(F(-128)), n.const(F(127)))
    return n.model(X, out(n.op("Relu", n.op("Mul", y, s))))


@case()
def a_scale_per_channel_of_the_data_and_seven_bits_stay():
    n = Net()
    s = n.const(F([0.05, 0.04, 0.02]).reshape(1, 3, 1, 1))
    y = n.op("Clip", n.op("Round", n.op("Div", "x", s)), n.const(F(-64)), n.const(F(63)))
    return n.model(X, out(n.op("Relu", n.op("Mul", y, s))))


def identity_branch(n, x, identity):
    w = n.dq(n.const(n.weight(3, 3, 3, 3)), n.const(F(0.004)), n.const(np.int8(0)))
    a = n.op("Add", n.op("Conv", x, w, pads=[1, 1, 1, 1]), identity)
    return n.model(X, out(n.pair(n.op("Relu", a), 0.1)))


@case("residual_identity")
def residual_whose_identity_is_codes_that_were_pooled():
    n = Net()
    x = n.pair("x", 0.05)
    return identity_branch(n, x, n.op("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))


@case("residual_identity", within=0.1)
def residual_whose_identity_is_a_clip():
    n = Net()
    return identity_branch(n, n.pair("x", 0.05), n.op("Clip", "x", n.const(F(-1)), n.const(F(3))))


@case("residual_identity", within=0.1)
def residual_whose_identity_is_a_sigmoid():
    n = Net()
    return identity_branch(n, n.pair("x", 0.05), n.op("Sigmoid", "x"))


@case()
def microsoft_convolution_with_channels_last():
    n = Net(com_microsoft=1)
    s, z, u = n.const(F(0.05)), n.const(np.uint8(120)), n.const(np.uint8(110))
    q = n.q(n.op("Transpose", "x", perm=[0, 2, 3, 1]), s, z)
    w, ws, wz = n.const(n.weight(4, 3, 3, 3)), n.const(F(WS)), n.const(np.zeros(4, np.int8))
    y = n.op("QLinearConv", q, s, z, w, ws, wz, n.const(F(0.2)), u, n.const(B32), domain="com.microsoft", kernel_shape=[3, 3], strides=[2, 1],
             pads=[1, 1, 1, 0], channels_last=1)
    return n.model(X, out(n.dq(y, n.const(F(0.2)), u)))


@case()
def microsoft_qlinear_where():
    n = Net(com_microsoft=1)
    s, z, t, u = n.const(F(0.05)), n.const(np.uint8(120)), n.const(F(0.06)), n.const(np.uint8(110))
    y = n.op("QLinearWhere", n.op("Greater", "x", n.const(F(0.5))), n.q("x", s, z), s, z, n.const(np.uint8([[[1]], [[200]], [[90]]])), n.const(F(0.03)),
             n.const(np.uint8(80)), t, u, domain="com.microsoft")
    return n.model(X, out(n.dq(y, t, u)))


@case()
def microsoft_pools_with_channels_last():
    n = Net(com_microsoft=1)
    s, z, t, u = n.const(F(0.05)), n.const(np.uint8(120)), n.const(F(0.06)), n.const(np.uint8(110))
    q = n.q(n.op("Transpose", "x", perm=[0, 2, 3, 1]), s, z)
    p = n.op("QLinearAveragePool", q, s, z, t, u, domain="com.microsoft", kernel_shape=[2, 3], strides=[1, 2], pads=[1, 1, 0, 1], channels_last=1)
    g = n.op("QLinearGlobalAveragePool", p, t, u, s, z, domain="com.microsoft", channels_last=1)
    return n.model(X, out(n.dq(g, s, z)))


@case()
def microsoft_pool_with_ceil_mode_that_counts_the_padding():
    n = Net(com_microsoft=1)
    s, z = n.const(F(0.05)), n.const(np.uint8(120))
    p = n.op("QLinearAveragePool", n.q("x", s, z), s, z, s, z, domain="com.microsoft", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
             ceil_mode=1, count_include_pad=1)
    return n.model(X, out(n.dq(p, s, z)))


@case()
def microsoft_pool_with_ceil_mode_that_has_no_padding_to_count():
    n = Net(com_microsoft=1)
    s, z = n.const(F(0.05)), n.const(np.uint8(120))
    p = n.op("QLinearAveragePool", n.q("x", s, z), s, z, s, z, domain="com.microsoft", kernel_shape=[2, 3], strides=[3, 2], auto_pad="VALID",
             ceil_mode=1, count_include_pad=1)
    return n.model(X, out(n.dq(p, s, z)))


def run_ort(model, inputs):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def raw(array):
    return base64.b64encode(np.asarray(array, F).tobytes()).decode()


def main():
    path = pathlib.Path(__file__).parent / "foreign_cases.inc"
    i = np.arange(96)
    inputs = {T.FLOAT: ((i * 37 + 11) % 101 - 50).astype(F) / F(13), T.UINT8: ((i * 37 + 11) % 256).astype(np.uint8)}
    with open(path, "w") as file:
        file.write(f"// Made by make_foreign_cases.py with ONNX Runtime {ort.__version__}, onnx {onnx.__version__}.\n"
                   "// {name, model, repairs with a row, answers, how far they may lie from them}; bytes in base64.\n")
        for name, make, repairs, within, own in CASES:
            model = make()
            entry = model.graph.input[0].type.tensor_type
            x = inputs[entry.elem_type].reshape([d.dim_value for d in entry.shape.dim])
            want = run_ort(own() if own else model, {"x": x})[0].astype(F)
            within = within * 1.001 or float(np.abs(want).max() * 2e-6)
            model_text = base64.b64encode(model.SerializeToString()).decode()
            file.write(f'{{"{name}",\n "{model_text}",\n "{" ".join(sorted(repairs))}",\n "{raw(want)}",\n {within:.6g}}},\n')
        file.write("")


if __name__ == "__main__":
    main()

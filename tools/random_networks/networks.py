"""Small random ONNX networks, each from a seed: float ones and ones between QuantizeLinear and DequantizeLinear.

A network is a row of layers; each takes the newest value, some an older one too. Half of the quantized networks have
scales that are powers of two: then every float that ONNX Runtime computes is a whole number of known units, below
2^24 of them, nothing is rounded but by QuantizeLinear, and other engines must give the same codes. `Grid` follows that
from value to value, so whether a network is exact is worked out, not assumed.
"""
import dataclasses
import math

import numpy as np
import onnx
from onnx import TensorProto, helper

from operator_form import operator_form
from rare_layers import MICROSOFT, RareLayers
from writing import Grid, Value

MOST_ELEMENTS = 40_000  # of a value

@dataclasses.dataclass
class Network:
    seed: int
    model: onnx.ModelProto
    inputs: dict  # name -> array
    exact: bool  # every engine must give the same outputs
    quantized: bool
    free_batch: bool
    free_image: bool
    steps: dict  # output -> what its numbers count in; None where that is not known, 0 in a network of floats


def tensor_info(name, dtype, extents):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), extents)


def output_info(name, dtype, shape):
    return tensor_info(name, dtype, [f"{name}_{i}" for i in range(len(shape))])


class Maker(RareLayers):
    def __init__(self, seed, most_layers=None):
        super().__init__(seed)
        self.seed, self.inputs, self.infos = seed, {}, []
        self.opset = self.pick([13, 15, 17, 18, 19, 20, 21, 21, 23])
        self.quantized = self.chance(0.8)
        self.powers = self.quantized and self.chance(0.6)
        self.signed = self.pick(["u8", "s8", "both"])
        self.regular = self.chance(0.3)
        self.batch = self.pick([1, 1, 2, 3, 4, 5])
        self.free_batch = self.chance(0.5)
        self.free_image = self.free_batch and self.chance(0.2)
        layers = int(self.random.integers(1, 11))
        self.rare = self.pick([0, 0.3, 0.3, 1, 3])  # how often rare layers are drawn, beside the others
        self.layers = layers if most_layers is None else min(layers, most_layers)

    def again(self, value):
        """The same numbers, perhaps by a DequantizeLinear of their own."""
        if not value.codes or not self.chance(0.2):
            return value
        return dataclasses.replace(value, name=self.node("DequantizeLinear", [value.codes] + value.parameters))

    def draw_layer(self):
        methods, weights = zip(*self.LAYERS, *((layer, weight * self.rare) for layer, weight in self.RARE))
        weights = np.array(weights, float)
        for _ in range(30):
            method = methods[int(self.random.choice(len(methods), p=weights / weights.sum()))]
            x = self.values[-1] if self.chance(0.8) else self.pick(self.values)
            if method in self.OF_ROWS and len(x.shape) == 4 and self.chance(0.6):
                continue
            before = len(self.nodes), len(self.constants), len(self.values)
            value = method(self, self.again(x))
            rounds = self.powers and value is not None and value.grid is None and x.grid is not None
            if value is not None and math.prod(value.shape) <= MOST_ELEMENTS and not (rounds and self.chance(0.95)):
                self.add(value)
                return
            del self.nodes[before[0]:], self.constants[before[1]:], self.values[before[2]:]

    def add_input(self, name, shape):
        kind = self.random.random() if self.quantized else 0
        extents = list(shape)
        if self.free_batch:
            extents[0] = "N"
        if self.free_image:
            extents[2:] = ["H", "W"]
        if kind > 0.9 and len(shape) == 4 and not self.free_image:
            value = self.pixels(name, shape, extents)
        elif kind < 0.6:
            data = self.random.normal(0, 1, shape).astype(np.float32)
            if self.chance(0.1):
                data.flat[::7] = 0.5
            self.infos.append(tensor_info(name, np.float32, extents))
            self.inputs[name] = data
            value = Value(name, list(shape), Grid(1, 1), 1.0)  # QuantizeLinear makes the grid
            if self.quantized and self.chance(0.95):
                value = self.quantize(value)
            else:
                value.grid = None
        else:
            dtype = self.pick([np.uint8, np.int8])
            low = 0 if dtype == np.uint8 else -128
            self.inputs[name] = self.random.integers(low, low + 256, shape).astype(dtype)
            self.infos.append(tensor_info(name, dtype, extents))
            zero = self.pick([0, low + 128, int(self.random.integers(low, low + 256))])
            value = self.dequantize(name, Value(name, list(shape), Grid(1, 1), 1.0), dtype, self.scale(0.01), zero)
        self.values.append(value)

    def make(self):
        channels = [16, 32, 48] if self.regular else [1, 2, 3, 3, 3, 4, 5, 7, 8, 12, 16, 16, 17, 24, 32, 48]
        shape = [self.batch, self.pick(channels), 0, 0]
        for axis in (2, 3):
            shape[axis] = self.pick([1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 12, 13, 14, 16, 16, 17, 20, 28, 32])
        if self.chance(0.1) and not self.free_image:
            shape = self.pick([shape[:2], shape[:3]])
        self.add_input("x", shape)
        if self.chance(0.15):
            other = list(shape)
            if self.chance(0.3) and len(shape) == 4:
                other[1] = self.pick([1, 4, 16])
            self.add_input("z", other)
        for _ in range(self.layers):
            self.draw_layer()
        if self.chance(0.2):
            self.classify()
        return self.finish()

    def classify(self):
        """The end of a classifier: one pixel of each channel, or all of them, and a product or two."""
        x = self.values[-1]
        if len(x.shape) == 4 and self.chance(0.7):
            x = self.add(self.made(self.node("GlobalAveragePool", [x.name]), x.shape[:2] + [1, 1], x,
                                   grid=self.mean_grid(x, {math.prod(x.shape[2:])})))
        flat = self.flatten(x)
        if flat is None:
            return
        self.values.append(flat if not self.quantized or self.chance(0.5) else self.quantize(flat))
        for _ in range(self.pick([1, 1, 2, 3])):
            y = self.rows_product(self.values[-1])
            if y:
                self.add(self.activation(y) if self.chance(0.3) else y)

    def pixels(self, name, shape, extents):
        """An image of bytes, perhaps with channels last, and the arithmetic that makes floats of them."""
        last = self.chance(0.4)
        order = [0, 2, 3, 1] if last else [0, 1, 2, 3]
        self.inputs[name] = self.random.integers(0, 256, [shape[i] for i in order]).astype(np.uint8)
        self.infos.append(tensor_info(name, np.uint8, [extents[i] for i in order]))
        y = self.node("Cast", [name], to=TensorProto.FLOAT)
        turn_first = last and self.chance(0.5)
        if turn_first:
            y = self.node("Transpose", [y], perm=[0, 3, 1, 2])
        axes = [1, 1, shape[1]] if last and not turn_first else [shape[1], 1, 1]
        numbers = lambda low, high: self.constant(self.random.uniform(low, high, axes).astype(np.float32))
        y = self.node("Sub", [y, numbers(100, 130)])
        y = self.node("Div", [y, numbers(50, 70)]) if self.chance(0.5) else self.node("Mul", [y, numbers(0.01, 0.02)])
        if last and not turn_first:
            y = self.node("Transpose", [y], perm=[0, 3, 1, 2])
        return self.quantize(Value(y, list(shape), None))

    def finish(self):
        inner = [v for v in self.values[:-1] if v.name not in self.inputs]
        outputs = [self.values[-1]] + ([self.pick(inner)] if inner and self.chance(0.3) else [])
        read = {name for node in self.nodes for name in node.input}
        outputs += [v for v in inner if v.name not in read and self.chance(0.7)]
        infos, steps, exact = [], {}, True
        for v in {v.name: v for v in outputs}.values():
            as_codes = v.codes and self.chance(0.5)
            name = v.codes if as_codes else v.name
            if name in steps or name in self.inputs:
                continue
            infos.append(output_info(name, v.coding[0] if as_codes else np.float32, v.shape))
            steps[name] = 1.0 if as_codes else v.step or (None if self.quantized else 0)
            exact = exact and v.grid is not None
        if not infos:  # no layer fitted
            infos = [output_info(self.node("Relu", [outputs[0].name]), np.float32, outputs[0].shape)]
            steps, exact = {infos[0].name: outputs[0].step}, outputs[0].grid is not None
        if self.quantized and self.chance(0.1):
            self.nodes = operator_form(self.nodes, self.constants, steps)
        graph = helper.make_graph(self.nodes, f"seed_{self.seed}", self.infos, infos, self.constants)
        model = helper.make_model(graph, opset_imports=[
            helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)], ir_version=10)
        return Network(self.seed, model, self.inputs, exact, self.quantized, self.free_batch, self.free_image, steps)


def make_network(seed, most_layers=None):
    return Maker(seed, most_layers).make()

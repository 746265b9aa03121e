"""What random networks are written with: values, constants, nodes and codes."""
import dataclasses
import math

import numpy as np
from onnx import helper, numpy_helper


@dataclasses.dataclass
class Grid:
    """A value whose elements are whole multiples of unit, a power of two, and at most `most` of these."""
    unit: float
    most: float


@dataclasses.dataclass
class Value:
    name: str
    shape: list
    grid: Grid | None  # None: what is rounded differs from engine to engine
    spread: float = 1.0  # about its standard deviation
    step: float = 0.0  # of the codes it was made from; 0 = a float
    codes: str = ""  # the codes' name
    least: float = -math.inf  # 0 behind a Relu
    coding: tuple | None = None  # dtype, scale and zero point of the codes, or of those whose numbers it has moved
    parameters: list = dataclasses.field(default_factory=list)  # names of the codes' scale and zero point


def is_power_of_two(x):
    return math.frexp(x)[0] == 0.5


class Writer:
    """Draws numbers and appends to a graph. A subclass sets opset, quantized, powers (scales are powers of two),
    signed ("u8", "s8" or "both": dtypes of codes) and regular (multiples of 16 channels, many values of one coding)."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.values, self.names = [], [], [], 0

    def pick(self, choices):
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, p):
        return self.random.random() < p

    def fresh(self, base):
        self.names += 1
        return f"{base}{self.names}"

    def constant(self, array, base="c"):
        name = self.fresh(base)
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def indices(self, *numbers):
        return self.constant(np.array(numbers, np.int64), "i")

    def node(self, op, inputs, outputs=1, **attributes):
        names = [self.fresh(op.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0] + "_node", **attributes))
        return names[0] if outputs == 1 else names

    # -- codes --
    def scale(self, wanted):
        if self.powers:
            return float(2.0 ** round(math.log2(max(wanted, 1e-6)) + self.random.uniform(-0.5, 0.5)))
        return float(np.float32(wanted * self.random.uniform(0.5, 1.5)))

    def draw_coding(self, value):
        """dtype, scale and zero point that about fit the value, or that another has."""
        if value.coding and self.chance(0.6):
            return value.coding
        others = [v.coding for v in self.values if v.coding and (value.least >= 0) == (v.least >= 0)]
        if others and self.chance(0.5 if self.regular else 0.1):
            return self.pick(others)
        dtype = np.uint8 if self.signed == "u8" or (self.signed == "both" and self.chance(0.5)) else np.int8
        low = 0 if dtype == np.uint8 else -128
        never_negative = value.least >= 0
        scale = self.scale(3 * value.spread / (127 if not never_negative or dtype == np.int8 else 255))
        if never_negative:
            zero = 0
        elif dtype == np.uint8:
            zero = self.pick([128, 128, int(self.random.integers(90, 166)), int(self.random.integers(0, 256))])
        else:
            zero = self.pick([0, 0, 0, int(self.random.integers(-40, 41)), int(self.random.integers(-128, 128))])
        if self.chance(0.03):
            zero = self.pick([low, low + 255])
        return dtype, scale, zero

    def quantize(self, value, coding=None):
        """QuantizeLinear and DequantizeLinear behind a float value."""
        dtype, scale, zero = coding or self.draw_coding(value)
        shape = [1] if self.chance(0.3) else []
        parameters = [self.constant(np.full(shape, scale, np.float32), "scale"),
                      self.constant(np.full(shape, zero, dtype), "zero")]
        if zero == 0 and dtype == np.uint8 and self.chance(0.1):
            parameters = parameters[:1]
        coded = self.node("QuantizeLinear", [value.name] + parameters)
        return self.dequantize(coded, value, dtype, scale, zero, parameters)

    def dequantize(self, coded, value, dtype, scale, zero, parameters=None):
        parameters = parameters or [self.constant(np.float32(scale), "scale"), self.constant(dtype(zero), "zero")]
        low = 0 if dtype == np.uint8 else -128
        grid = Grid(scale, max(low + 255 - zero, zero - low)) if value.grid and is_power_of_two(scale) else None
        name = self.node("DequantizeLinear", [coded] + parameters)
        least = max(value.least, (low - zero) * scale)
        return Value(name, value.shape, grid, value.spread, scale, coded, least, (dtype, scale, zero), parameters)

    def add(self, value):
        """The layer's result, behind codes where the network has them."""
        if self.quantized and self.chance(0.9):
            value = self.quantize(value)
            if self.chance(0.05):
                value = self.quantize(value)
        if value.grid and value.grid.most >= 2**24:
            value.grid = None
        self.values.append(value)
        return value

    # -- values of another kind --
    def made(self, name, shape, source, spread=None, least=-math.inf, grid="same"):
        return Value(name, list(shape), source.grid if grid == "same" else grid,
                     source.spread if spread is None else spread, 0.0, "", least)

    def moved(self, name, shape, source):
        """The same numbers in other places."""
        return Value(name, list(shape), source.grid, source.spread, source.step, "", source.least, source.coding)

"""Random single nodes of ai.onnx: every op with random dtypes, shapes and attributes."""
import dataclasses
import math

import numpy as np

FLOATS = [np.float32] * 4 + [np.float64, np.float16]
SIGNED = [np.int8, np.int16, np.int32, np.int64]
UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]
INTEGERS = SIGNED + UNSIGNED
NUMBERS = FLOATS + INTEGERS
ALL = NUMBERS + [np.bool_]


@dataclasses.dataclass
class Case:
    op: str
    inputs: list  # arrays; None = absent
    attributes: dict = dataclasses.field(default_factory=dict)
    outputs: int = 1
    since: int = 7  # the opset that has this form
    before: int = 99  # the opset that has it no longer
    constant: tuple = ()  # inputs that must be constants (shapes, axes)
    exact: bool = False
    loose: float = 1.0  # times the usual tolerance


class Cases:
    """One method for each family of ops: it draws a Case or returns None."""

    def __init__(self, random):
        self.random = random
        self.empty = self.pick([0.02, 0.02, 0.3])  # how often a shape has an extent of 0

    def pick(self, choices):
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, p):
        return self.random.random() < p

    def extent(self):
        return self.pick([1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 17])

    def shape(self, least=0, most=5, empty=True):
        while True:
            shape = [self.extent() for _ in range(int(self.random.integers(least, most + 1)))]
            if empty and shape and self.chance(self.empty):
                shape[int(self.random.integers(len(shape)))] = 0
            if math.prod(shape) <= 3000:
                return shape

    def array(self, shape, dtype, special=0.15):
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return self.random.integers(0, 2, shape).astype(bool)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            if self.chance(0.5):
                return self.random.integers(max(limits.min, -9), 10, shape).astype(dtype)
            x = self.random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
            return self.sprinkled(x, [limits.min, limits.max, 0, 1])
        x = (self.random.normal(0, self.pick([1, 1, 3, 20]), shape)).astype(dtype)
        if self.chance(0.2):
            x = np.rint(x * 2) / np.asarray(2, dtype)
        if self.chance(special):
            x = self.sprinkled(x, [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 1e4, -1e4])
        return np.asarray(x, dtype)

    def sprinkled(self, x, numbers):
        x = np.array(x)
        for i in range(x.size):
            if self.random.random() < 0.1:
                x.flat[i] = np.array(self.pick(numbers)).astype(x.dtype)
        return x

    def narrowed(self, shape):
        """A shape that broadcasts to this one."""
        shape = [1 if self.chance(0.3) else n for n in shape]
        return shape[int(self.random.integers(len(shape) + 1)):] if self.chance(0.4) else shape

    def operands(self, n, dtype, **more):
        full = self.shape()
        shapes = [self.narrowed(full) for _ in range(n)]
        if self.chance(0.6):
            shapes[int(self.random.integers(n))] = full
        return [self.array(s, dtype, **more) for s in shapes]

    def axis(self, rank):
        axis = int(self.random.integers(rank))
        return axis - rank if self.chance(0.4) else axis

    def some_axes(self, rank, least=0):
        axes = [a for a in range(rank) if self.chance(0.5)]
        while len(axes) < min(least, rank):
            axes = [a for a in range(rank) if self.chance(0.5)]
        self.random.shuffle(axes)
        return [a - rank if self.chance(0.3) else a for a in axes]

    ints = staticmethod(lambda *numbers: np.array(numbers, np.int64))

    # -- elements --
    def unary(self):
        op, low, high, since = self.pick([
            ("Sqrt", 0, 50, 7), ("Exp", -8, 8, 7), ("Log", 1e-3, 90, 7), ("Erf", -4, 4, 9), ("Reciprocal", 0.1, 9, 7),
            ("Sin", -9, 9, 7), ("Cos", -9, 9, 7), ("Tan", -1.2, 1.2, 7), ("Asin", -1, 1, 7), ("Acos", -1, 1, 7),
            ("Atan", -9, 9, 7), ("Sinh", -6, 6, 9), ("Cosh", -6, 6, 9), ("Asinh", -9, 9, 9), ("Acosh", 1, 9, 9),
            ("Atanh", -0.95, 0.95, 9), ("Sigmoid", -20, 20, 7), ("Tanh", -9, 9, 7), ("Softplus", -20, 20, 7),
            ("Softsign", -9, 9, 7), ("HardSwish", -6, 6, 14), ("Mish", -9, 9, 18), ("Gelu", -5, 5, 20)])
        x = self.random.uniform(low, high, self.shape()).astype(self.pick(FLOATS))
        if self.chance(0.2) and x.dtype == np.float32:
            x = self.sprinkled(x, [np.nan, np.inf, -np.inf, 0.0, -0.0, 88, -88, 120.0])
        more = {"approximate": self.pick(["none", "tanh"])} if op == "Gelu" else {}
        return Case(op, [x], more, since=since)

    def rounded(self):
        return Case(self.pick(["Floor", "Ceil", "Round"]), [self.array(self.shape(), self.pick(FLOATS))], since=11,
                    exact=True)

    def signs(self):
        op = self.pick(["Abs", "Neg", "Sign"])
        return Case(op, [self.array(self.shape(), self.pick(FLOATS + (SIGNED if op == "Neg" else INTEGERS)))], since=13,
                    exact=True)

    def activation(self):
        x = self.array(self.shape(), self.pick(FLOATS))
        a, b = (float(np.float32(v)) for v in self.random.uniform(0.1, 1.5, 2))
        op, more = self.pick([("Relu", {}), ("LeakyRelu", {"alpha": a - 0.6}), ("Elu", {"alpha": a}), ("Selu", {}),
                              ("Selu", {"alpha": a, "gamma": b}), ("Celu", {"alpha": a}), ("HardSigmoid", {}),
                              ("HardSigmoid", {"alpha": a, "beta": b}), ("ThresholdedRelu", {"alpha": a - 0.3}),
                              ("Shrink", {"lambd": a, "bias": b - 0.5}), ("Shrink", {})])
        if op == "Shrink" and self.chance(0.4):
            x, more = self.random.integers(-9, 10, x.shape).astype(self.pick(SIGNED)), {"lambd": 2.0, "bias": 1.0}
        if op == "Celu":
            x = x.astype(np.float32)
        return Case(op, [x], more, since=14)

    def clip(self):
        dtype = self.pick(NUMBERS)
        x = self.array(self.shape(), dtype)
        low, high = (np.array(v, dtype) for v in ((1, 5) if np.dtype(dtype).kind == "u" else (-2, 3)))
        return Case("Clip", [x, low if self.chance(0.7) else None, high if self.chance(0.7) else None], since=13,
                    exact=True)

    def prelu(self):
        x = self.array(self.shape(1), self.pick(FLOATS))
        return Case("PRelu", [x, self.array(self.narrowed(x.shape), x.dtype, special=0)], since=16)

    def arithmetic(self):
        op = self.pick(["Add", "Sub", "Mul", "Div", "Min", "Max", "Mod", "Pow"])
        dtype = self.pick(NUMBERS)
        kind = np.dtype(dtype).kind
        a, b = self.operands(2, dtype)
        more = {}
        if op in ("Div", "Mod") and kind in "iu":
            b = np.where(b == 0, np.asarray(3, dtype), b)
            b = np.where(b == np.asarray(-1).astype(dtype), np.asarray(2, dtype), b)
            more = {"fmod": self.pick([0, 1])} if op == "Mod" else {}
        elif op == "Mod":
            more = {"fmod": 1}
        elif op == "Pow":
            a = np.abs(np.clip(a, -4, 4)).astype(dtype) if kind == "f" else np.clip(a, 0, 3).astype(dtype)
            b = np.clip(b, 0, 3).astype(self.pick([dtype, dtype, np.float32, np.int64, np.int32]))
        return Case(op, [a, b], more, since=14 if op not in ("Pow",) else 15)

    def variadic(self):
        op = self.pick(["Min", "Max", "Sum", "Mean"])
        dtype = self.pick(NUMBERS if op in ("Min", "Max") else FLOATS)
        return Case(op, self.operands(self.pick([1, 2, 3, 4, 5]), dtype), since=13)

    def comparison(self):
        op, dtypes, since = self.pick([("Equal", ALL, 13), ("Greater", NUMBERS, 13), ("Less", NUMBERS, 13),
                                       ("GreaterOrEqual", NUMBERS, 16), ("LessOrEqual", NUMBERS, 16)])
        a, b = self.operands(2, self.pick(dtypes))
        if self.chance(0.4) and a.dtype.kind != "b":
            a, b = np.clip(a, 0, 2), np.clip(b, 0, 2)
        return Case(op, [a, b], since=since, exact=True)

    def logic(self):
        op = self.pick(["And", "Or", "Xor", "Not"])
        return Case(op, self.operands(1 if op == "Not" else 2, np.bool_), exact=True)

    def bits(self):
        op = self.pick(["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"])
        return Case(op, self.operands(1 if op == "BitwiseNot" else 2, self.pick(INTEGERS)), since=18, exact=True)

    def bit_shift(self):
        dtype = self.pick(UNSIGNED)
        a, b = self.operands(2, dtype)
        b = b % np.asarray(np.dtype(dtype).itemsize * 8, dtype)
        return Case("BitShift", [a, b], {"direction": self.pick(["LEFT", "RIGHT"])}, since=11, exact=True)

    def tests(self):
        x = self.array(self.shape(), self.pick(FLOATS), special=0.9)
        if self.chance(0.4):
            return Case("IsNaN", [x], since=13, exact=True)
        more = {"detect_negative": self.pick([0, 1]), "detect_positive": self.pick([0, 1])} if self.chance(0.6) else {}
        return Case("IsInf", [x], more, since=20 if x.dtype == np.float16 else 10, exact=True)

    def where(self):
        full = self.shape()
        condition = self.array(self.narrowed(full), np.bool_)
        dtype = self.pick(ALL)
        a, b = (self.array(self.narrowed(full), dtype) for _ in range(2))
        return Case("Where", [condition, a, b], since=16, exact=True)

    def cast(self):
        x = self.array(self.shape(), self.pick(ALL), special=0)
        to = np.dtype(self.pick(ALL))
        if x.dtype.kind == "f" and to.kind in "iu":  # beyond the range the standard leaves it open
            limits = np.iinfo(to)
            x = np.clip(x, max(limits.min, -2000), min(limits.max, 2000)).astype(x.dtype)
            x = np.clip(x, 0, None) if to.kind == "u" else x
        if to == np.float16 and x.dtype != np.bool_:
            x = np.clip(x.astype(np.float64), np.maximum(-1000, np.float64(np.iinfo(x.dtype).min) if x.dtype.kind in
                                                         "iu" else -1000), 100).astype(x.dtype)
        from onnx import helper
        return Case("Cast", [x], {"to": helper.np_dtype_to_tensor_dtype(to)}, since=13, exact=True)

    # -- reductions --
    def reduction(self):
        op = self.pick(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                        "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"])
        dtype = self.pick(NUMBERS)
        special = 0.3 if op in ("ReduceMax", "ReduceMin", "ReduceSum", "ReduceLogSumExp") else 0
        x = self.array(self.shape(), dtype, special=special)
        if op == "ReduceLogSumExp":
            x = np.where(x == np.inf, 50, x).astype(dtype)  # octet: infinity, as numpy.logaddexp; the others: NaN
        if op in ("ReduceMax", "ReduceMin") and self.chance(0.1):
            x = self.array(x.shape, np.bool_)
        if op == "ReduceMean" and x.dtype.kind in "iu":  # ONNX Runtime's sum wraps, octet's does not
            x = np.clip(x, 0 if x.dtype.kind == "u" else -9, 9).astype(np.int32 if x.dtype.kind == "i" else np.uint32)
        if op == "ReduceLogSumExp" and x.dtype.kind in "iu":  # ONNX Runtime truncates between its steps
            op = "ReduceMin"
        if op == "ReduceProd":
            x = np.clip(x, 0, 2) if np.dtype(dtype).kind == "u" else np.clip(x, -2, 2)
        if op == "ReduceLogSum":
            x = np.abs(np.clip(x, -9 if np.dtype(dtype).kind != "u" else 0, 9)) + np.asarray(1, x.dtype)
        if op in ("ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceL1") or x.dtype == np.float16:
            x = np.clip(x, 0, 9) if np.dtype(dtype).kind == "u" else x if special and x.dtype.kind == "f" and \
                x.dtype != np.float16 else np.clip(x, -9, 9)
        if op == "ReduceSumSquare" and x.dtype in INTEGERS and x.dtype not in (np.int32, np.int64):
            op = "ReduceSum"  # the ONNX project's reference widens the others
        axes = self.some_axes(x.ndim)
        more = {"keepdims": self.pick([0, 1])} if self.chance(0.7) else {}
        inputs = [x.astype(x.dtype)]
        if axes or self.chance(0.3):
            inputs.append(self.ints(*axes))
        if self.chance(0.3):
            more["noop_with_empty_axes"] = self.pick([0, 1])
        bools = x.dtype == np.bool_
        return Case(op, inputs, more, since=20 if bools else 18, constant=(1,), loose=4,
                    exact=op in ("ReduceMax", "ReduceMin"))

    def arg(self):
        x = self.array(self.shape(1, empty=False), self.pick(NUMBERS), special=0)
        return Case(self.pick(["ArgMax", "ArgMin"]), [x],
                    {"axis": self.axis(x.ndim), "keepdims": self.pick([0, 1]), "select_last_index": self.pick([0, 1])},
                    since=13, exact=True)

    def cum_sum(self):
        x = self.array(self.shape(1), self.pick(NUMBERS), special=0)
        return Case("CumSum", [x, np.array(self.axis(x.ndim), self.pick([np.int32, np.int64]))],
                    {"exclusive": self.pick([0, 1]), "reverse": self.pick([0, 1])}, since=14, constant=(1,), loose=4)

    def top_k(self):
        x = self.array(self.shape(1, empty=False), self.pick(NUMBERS), special=0)
        axis = self.axis(x.ndim)
        k = int(self.random.integers(0, x.shape[axis] + 1))
        return Case("TopK", [x, self.ints(k)], {"axis": axis, "largest": self.pick([0, 1]), "sorted": 1}, 2, 11,
                    constant=(1,), exact=True)

    # -- movement --
    def transpose(self):
        x = self.array(self.shape(0, 6), self.pick(ALL))
        more = {"perm": [int(i) for i in self.random.permutation(x.ndim)]} if self.chance(0.85) and x.ndim else {}
        return Case("Transpose", [x], more, exact=True)

    def expand(self):
        full = self.shape()
        x = self.array(self.narrowed(full), self.pick(ALL))
        return Case("Expand", [x, self.ints(*self.narrowed(full))], since=13, constant=(1,), exact=True)

    def tile(self):
        x = self.array(self.shape(1, 4), self.pick(ALL))
        return Case("Tile", [x, self.ints(*(self.pick([1, 1, 2, 3]) for _ in x.shape))], since=13, constant=(1,),
                    exact=True)

    def concat(self):
        shape, dtype = self.shape(1), self.pick(ALL)
        axis = self.axis(len(shape))
        parts = []
        for _ in range(self.pick([1, 2, 2, 3, 5])):
            part = list(shape)
            part[axis] = self.pick([0, 1, 2, 3, 5])
            parts.append(self.array(part, dtype))
        return Case("Concat", parts, {"axis": axis}, since=13, exact=True)

    def split(self):
        x = self.array(self.shape(1), self.pick(ALL))
        axis = self.axis(x.ndim)
        n = x.shape[axis]
        if self.chance(0.4) and n:
            count = int(self.random.integers(1, min(n, 4) + 1))
            if count * -(-n // count) - n >= -(-n // count):
                return None
            return Case("Split", [x], {"axis": axis, "num_outputs": count}, count, 18, exact=True)
        cuts = sorted(int(i) for i in self.random.integers(0, n + 1, self.pick([0, 1, 2, 3])))
        parts = np.diff([0, *cuts, n])
        return Case("Split", [x, self.ints(*parts)], {"axis": axis}, len(parts), 13, constant=(1,), exact=True)

    def slice(self):
        x = self.array(self.shape(1), self.pick(ALL))
        axes = self.some_axes(x.ndim, 1)
        starts, ends, steps = [], [], []
        for _ in axes:
            steps.append(self.pick([1, 1, 1, 2, 3, -1, -2, 7]))
            starts.append(int(self.pick([0, 1, -1, -3, 2, 2**31 - 1, -2**31])))
            ends.append(int(self.pick([0, 1, -1, -3, 4, 9, 2**31 - 1, -2**31, 2**63 - 1])))
        kind = self.pick([np.int64, np.int64, np.int32]) if max(ends + [0]) < 2**31 else np.int64
        inputs = [x, *(np.array(v, kind) for v in (starts, ends, axes, steps))]
        return Case("Slice", inputs, since=13, constant=(1, 2, 3, 4), exact=True)

    def gather(self):
        x = self.array(self.shape(1, empty=False), self.pick(ALL))
        axis = self.axis(x.ndim)
        n = x.shape[axis]
        indices = self.random.integers(-n, n, self.shape(0, 2)).astype(self.pick([np.int32, np.int64]))
        return Case("Gather", [x, indices], {"axis": axis}, since=13, exact=True)

    def gather_elements(self):
        x = self.array(self.shape(1, empty=False), self.pick(ALL))
        axis = self.axis(x.ndim)
        shape = [int(self.random.integers(1, n + 1)) for n in x.shape]
        shape[axis] = self.extent()
        n = x.shape[axis]
        indices = self.random.integers(-n, n, shape).astype(self.pick([np.int32, np.int64]))
        return Case("GatherElements", [x, indices], {"axis": axis}, since=13, exact=True)

    def gather_nd(self):
        x = self.array(self.shape(1, empty=False), self.pick(ALL))
        batch = int(self.random.integers(0, x.ndim))
        last = int(self.random.integers(1, x.ndim - batch + 1))
        shape = list(x.shape[:batch]) + self.shape(0 if batch else 1, 2, empty=False)
        limits = x.shape[batch:batch + last]
        indices = np.stack([self.random.integers(-n, n, shape) for n in limits], -1).astype(np.int64)
        return Case("GatherND", [x, indices], {"batch_dims": batch}, since=13, exact=True)

    def scatter_elements(self):
        dtype = self.pick(ALL)
        x = self.array(self.shape(1, empty=False), dtype, special=0)
        axis = self.axis(x.ndim)
        shape = [int(self.random.integers(1, n + 1)) for n in x.shape]
        n = x.shape[axis]
        how = self.pick(["none", "add", "mul", "max", "min"]) if np.dtype(dtype).kind != "b" else "none"
        order = np.argsort(self.random.random(shape[:axis % x.ndim] + [n] + shape[axis % x.ndim + 1:]), axis)
        indices = np.take(order, range(shape[axis]), axis)  # no place twice
        if how != "none" and self.chance(0.5):
            indices = self.random.integers(0, n, shape)
        indices = np.where(self.random.random(shape) < 0.3, indices - n, indices).astype(np.int64)
        more = {"axis": axis, **({"reduction": how} if how != "none" else {})}
        return Case("ScatterElements", [x, indices, self.array(shape, dtype, special=0)], more,
                    since=18 if how in ("max", "min") else 16)

    def scatter_nd(self):
        dtype = self.pick(ALL)
        x = self.array(self.shape(1, empty=False), dtype, special=0)
        last = int(self.random.integers(1, x.ndim + 1))
        places = math.prod(x.shape[:last])
        count = int(self.random.integers(1, min(places, 9) + 1))
        how = self.pick(["none", "add", "mul", "max", "min"]) if np.dtype(dtype).kind != "b" else "none"
        flat = self.random.permutation(places)[:count]
        if how != "none" and self.chance(0.5):
            flat = self.random.integers(0, places, count)
        indices = np.stack(np.unravel_index(flat, x.shape[:last]), -1).astype(np.int64)
        more = {"reduction": how} if how != "none" else {}
        return Case("ScatterND", [x, indices, self.array([count, *x.shape[last:]], dtype, special=0)], more,
                    since=18 if how in ("max", "min") else 16)

    def pad(self):
        mode = self.pick(["constant", "constant", "reflect", "edge", "wrap"])
        x = self.array(self.shape(1, 4, empty=mode == "constant"), self.pick(ALL), special=0)
        axes = list(range(x.ndim))
        inputs_axes = None
        if self.chance(0.3):
            axes = sorted(self.some_axes(x.ndim, 1), key=lambda a: a % x.ndim)
            inputs_axes = np.array(axes, np.int64)
        pads = []
        for a in axes * 2:
            most = min(x.shape[a] - 1, 3) if mode == "reflect" else min(x.shape[a], 3) if mode == "wrap" else 3
            least = -1 if x.shape[a] > 3 and mode in ("constant", "edge") else 0
            pads.append(int(self.random.integers(least, most + 1)))
        value = self.array([], x.dtype, special=0) if mode == "constant" and self.chance(0.6) else None
        inputs = [x, self.ints(*pads), value, inputs_axes]
        while inputs[-1] is None:
            inputs.pop()
        since = 19 if mode == "wrap" else 18 if inputs_axes is not None else 13
        return Case("Pad", inputs, {"mode": mode}, since=since, constant=(1, 3), exact=True)

    def shapes(self):
        x = self.array(self.shape(), self.pick(ALL))
        kind = self.pick(["Flatten", "Squeeze", "Unsqueeze", "Reshape", "Shape", "Size", "Identity"])
        if kind == "Flatten":
            return Case(kind, [x], {"axis": int(self.random.integers(-x.ndim, x.ndim + 1))}, since=13, exact=True)
        if kind == "Squeeze":
            axes = [a for a, n in enumerate(x.shape) if n == 1 and self.chance(0.7)]
            return Case(kind, [x, self.ints(*axes)] if axes else [x], since=13, constant=(1,), exact=True)
        if kind == "Unsqueeze":
            n = self.pick([1, 1, 2])
            axes = [int(a) for a in self.random.permutation(x.ndim + n)[:n]]
            return Case(kind, [x, self.ints(*(a - x.ndim - n if self.chance(0.3) else a for a in axes))], since=13,
                        constant=(1,), exact=True)
        if kind == "Reshape":
            shape = list(x.shape)
            self.random.shuffle(shape)
            if shape and 0 not in shape and self.chance(0.5):
                shape[int(self.random.integers(len(shape)))] = -1
            return Case(kind, [x, self.ints(*shape)], {"allowzero": 1} if 0 in shape else {}, since=14, constant=(1,),
                        exact=True)
        if kind == "Shape" and self.chance(0.5):
            return Case(kind, [x], {"start": self.pick([0, 1, -1, -9]), "end": self.pick([1, 2, -1, 9])}, since=15,
                        exact=True)
        return Case(kind, [x], since=14, exact=True)

    def space(self):
        b = self.pick([1, 2, 2, 3])
        n, c, h, w = self.pick([1, 2]), self.pick([1, 2, 3, 5]), self.pick([1, 2, 3]), self.pick([1, 2, 4])
        dtype = self.pick(ALL)
        if self.chance(0.5):
            x = self.array([n, c, h * b, w * b], dtype)
            return Case("SpaceToDepth", [x], {"blocksize": b}, since=13, exact=True)
        more = {"mode": self.pick(["DCR", "CRD"])} if self.chance(0.7) else {}
        return Case("DepthToSpace", [self.array([n, c * b * b, h, w], dtype)], {"blocksize": b, **more}, since=13,
                    exact=True)

    def trilu(self):
        x = self.array(self.shape(2), self.pick(ALL))
        inputs = [x, np.array(int(self.random.integers(-4, 5)), np.int64)] if self.chance(0.7) else [x]
        return Case("Trilu", inputs, {"upper": self.pick([0, 1])} if self.chance(0.7) else {}, since=14, exact=True)

    def eye_like(self):
        x = self.array(self.shape(2, 2), self.pick(NUMBERS))
        return Case("EyeLike", [x], {"k": int(self.random.integers(-4, 5))}, since=9, exact=True)

    def one_hot(self):
        depth = self.pick([1, 3, 5])
        indices = self.random.integers(-depth - 1, depth + 2, self.shape(0, 3)).astype(
            self.pick([np.int64, np.int32, np.float32]))
        values = self.array([2], self.pick([np.float32, np.int64, np.int32]), special=0)
        axis = int(self.random.integers(-indices.ndim - 1, indices.ndim + 1))
        return Case("OneHot", [indices, np.array(depth, np.int64), values], {"axis": axis}, since=11, constant=(1,))

    # -- normalizations --
    def softmax(self):
        x = self.array(self.shape(1, empty=False), self.pick(FLOATS), special=0)
        return Case(self.pick(["Softmax", "LogSoftmax", "Hardmax"]), [x],
                    {"axis": self.axis(x.ndim)} if self.chance(0.8) else {}, since=13, loose=3)

    def layer_norm(self):
        op, since = self.pick([("LayerNormalization", 17), ("LayerNormalization", 17), ("RMSNormalization", 23)])
        x = self.array(self.shape(1, empty=False), self.pick(FLOATS), special=0)
        axis = self.axis(x.ndim)
        rest = x.shape[axis % x.ndim:]
        inputs = [x, self.array(rest if self.chance(0.8) else self.narrowed(rest), x.dtype, special=0)]
        if op == "LayerNormalization" and self.chance(0.6):
            inputs.append(self.array(rest, x.dtype, special=0))
        more = {"axis": axis, **({"epsilon": 0.01} if self.chance(0.5) else {})}
        outputs = self.pick([1, 1, 3]) if op == "LayerNormalization" and x.dtype == np.float32 else 1
        return Case(op, inputs, more, outputs, since, loose=20)

    def image_norm(self):
        x = self.array(self.shape(3, 5, empty=False), self.pick(FLOATS), special=0)
        c = x.shape[1]
        kind = self.pick(["InstanceNormalization", "GroupNormalization", "LpNormalization", "MeanVarianceNormalization",
                          "LRN", "BatchNormalization"])
        some = lambda n: self.array([n], x.dtype, special=0)
        if kind == "InstanceNormalization":
            return Case(kind, [x, some(c), some(c)], {"epsilon": 0.01} if self.chance(0.5) else {}, loose=20)
        if kind == "GroupNormalization":
            g = self.pick([g for g in range(1, c + 1) if c % g == 0])
            new = self.chance(0.7)
            n = c if new else g
            return Case(kind, [x, some(n), some(n)], {"num_groups": g}, since=21 if new else 18,
                        before=99 if new else 21, constant=() if new else (1, 2), loose=20)
        if kind == "LRN" and x.ndim != 4:
            return None
        if kind == "LpNormalization":
            return Case(kind, [x], {"axis": self.axis(x.ndim), "p": self.pick([1, 2])}, loose=4)
        if kind == "MeanVarianceNormalization":
            x = x.astype(np.float32) if x.dtype == np.float16 else x  # ONNX Runtime's 1e-9 is 0 in f16
            return Case(kind, [x], {"axes": sorted(self.some_axes(x.ndim, 1))}, since=13, loose=20)
        if kind == "LRN":
            more = {"size": self.pick([1, 3, 5]), "alpha": 0.125, "beta": 0.75, "bias": 1.5}
            return Case(kind, [x.astype(np.float32)], more, loose=20)
        inputs = [x, some(c), some(c), some(c), np.abs(some(c)) + np.asarray(0.5, x.dtype)]
        return Case(kind, inputs, since=15, loose=4)

    # -- windows --
    def window(self, rank):
        image = [self.pick([1, 2, 3, 4, 5, 7, 9]) for _ in range(rank)]
        kernel = [self.pick([1, 1, 2, 3, 3, 4]) for _ in range(rank)]
        more = {"strides": [self.pick([1, 1, 2, 3]) for _ in range(rank)]} if self.chance(0.7) else {}
        if self.chance(0.3):
            more["dilations"] = [self.pick([1, 1, 2]) for _ in range(rank)]
        reach = [d * (k - 1) for k, d in zip(kernel, more.get("dilations", [1] * rank))]
        pads = [0] * 2 * rank
        if self.chance(0.6):
            more["pads"] = pads = [int(self.random.integers(0, min(k, 3))) for k in kernel * 2]
        if min(n + pads[i] + pads[i + rank] - reach[i] for i, n in enumerate(image)) < 1:
            return None
        return image, kernel, more

    def conv(self):
        rank = self.pick([1, 2, 2, 3])
        window = self.window(rank)
        if not window:
            return None
        image, kernel, more = window
        g, each, out = self.pick([1, 1, 2, 3]), self.pick([1, 2, 3]), self.pick([1, 2, 4])
        x = self.array([self.pick([1, 2]), g * each, *image], self.pick(FLOATS), special=0)
        inputs = [x, self.array([g * out, each, *kernel], x.dtype, special=0)]
        if self.chance(0.5):
            inputs.append(self.array([g * out], x.dtype, special=0))
        return Case("Conv", inputs, {"group": g, **more}, since=11, loose=10)

    def conv_transpose(self):
        rank = self.pick([1, 2, 2, 3])
        window = self.window(rank)
        if not window:
            return None
        image, kernel, more = window
        more.pop("pads", None)
        strides = more.get("strides", [1] * rank)
        if self.chance(0.4):
            more["output_padding"] = [int(self.random.integers(0, s)) for s in strides]
        extents = [(n - 1) * s + d * (k - 1) + 1 + p for n, k, s, d, p in zip(
            image, kernel, strides, more.get("dilations", [1] * rank), more.get("output_padding", [0] * rank))]
        kind = self.random.random()
        if kind < 0.4:
            more["pads"] = [int(self.random.integers(0, min(k, 3))) for k in kernel * 2]
            if min(e - more["pads"][i] - more["pads"][i + rank] for i, e in enumerate(extents)) < 1:
                return None
        elif kind < 0.6:
            more["output_shape"] = [e - self.pick([0, 0, 1]) if e > 2 else e for e in extents]
            if self.chance(0.4):
                more["auto_pad"] = self.pick(["SAME_UPPER", "SAME_LOWER"])
        g, each, out = self.pick([1, 1, 2, 3]), self.pick([1, 2, 3]), self.pick([1, 2, 4])
        x = self.array([self.pick([1, 2]), g * each, *image], np.float32, special=0)
        inputs = [x, self.array([g * each, out, *kernel], x.dtype, special=0)]
        if self.chance(0.5):
            inputs.append(self.array([g * out], x.dtype, special=0))
        return Case("ConvTranspose", inputs, {"group": g, **more}, since=11, loose=10)

    def pool(self):
        rank = self.pick([1, 2, 2, 3])
        op = self.pick(["MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
        dtype = self.pick(FLOATS + ([np.int8, np.uint8] if op == "MaxPool" else []))
        window = self.window(rank)
        if not window:
            return None
        image, kernel, more = window
        x = self.array([self.pick([1, 2]), self.pick([1, 3]), *image], dtype, special=0)
        if op.startswith("Global"):
            x = x.astype(np.float32)
            return Case(op, [x], {"p": self.pick([1, 2])} if op == "GlobalLpPool" else {}, loose=4)
        outputs = 1
        if op == "MaxPool":
            outputs = self.pick([1, 1, 2])
            if outputs == 2 and self.chance(0.3):
                more["storage_order"] = 1
        if op == "AveragePool":
            more["count_include_pad"] = self.pick([0, 1])
        if op == "LpPool":
            more["p"] = self.pick([1, 2])
        return Case(op, [x], {"kernel_shape": kernel, **more}, outputs,
                    since=19 if op == "AveragePool" else 18 if op == "LpPool" else 12, loose=4)

    def resize(self):
        rank = self.pick([1, 2, 2, 2, 3])
        x = self.array([self.pick([1, 2]), self.pick([1, 3]), *(self.pick([1, 2, 3, 5, 8]) for _ in range(rank))],
                       self.pick([np.float32] * 5 + [np.uint8, np.int8]), special=0)
        mode = self.pick(["nearest", "linear", "cubic"] if rank == 2 else ["nearest", "linear"])
        if x.dtype != np.float32:
            mode = "nearest"
        rule = self.pick(["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"])
        more = {"mode": mode, "coordinate_transformation_mode": rule}
        if mode == "nearest":
            more["nearest_mode"] = self.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        if mode == "cubic":
            more["cubic_coeff_a"] = self.pick([-0.75, -0.5])
            more["exclude_outside"] = self.pick([0, 1])
        new = self.chance(0.5)
        if mode == "linear" and new and self.chance(0.3):
            more["antialias"] = 1
        if self.chance(0.5):
            scales = [1, 1, *(self.pick([1, 2, 3, 0.5, 1.5, 0.75]) for _ in range(rank))]
            if min(math.floor(n * s) for n, s in zip(x.shape, scales)) < 1:
                return None
            inputs = [x, None, np.array(scales, np.float32)]
        else:
            inputs = [x, None, None, self.ints(*x.shape[:2], *(self.extent() for _ in range(rank)))]
        return Case("Resize", inputs, more, since=19 if rule == "half_pixel_symmetric" else 18 if new else 13,
                    constant=(1, 2, 3), loose=10)

    def grid_sample(self):
        x = self.array([self.pick([1, 2]), self.pick([1, 3]), self.extent(), self.extent()], np.float32, special=0)
        grid = self.random.uniform(-1.4, 1.4, [x.shape[0], self.extent(), self.extent(), 2]).astype(np.float32)
        return Case("GridSample", [x, grid], {"align_corners": self.pick([0, 1]),
                                              "padding_mode": self.pick(["zeros", "border", "reflection"]),
                                              "mode": self.pick(["linear", "nearest", "cubic"])}, since=20, loose=50)

    # -- products --
    def matmul(self):
        dtype = self.pick(FLOATS + [np.int32, np.int64, np.uint32, np.uint64])
        m, k, n = self.extent(), self.extent(), self.extent()
        outer = self.shape(0, 2, empty=False)
        a = [*self.narrowed(outer), m, k] if self.chance(0.85) else [k]
        b = [*self.narrowed(outer), k, n] if self.chance(0.85) else [k]
        return Case("MatMul", [self.array(a, dtype, special=0), self.array(b, dtype, special=0)], since=13, loose=20)

    def gemm(self):
        dtype = self.pick(FLOATS)
        m, k, n = self.extent(), self.extent(), self.extent()
        ta, tb = self.pick([0, 1]), self.pick([0, 1])
        inputs = [self.array([k, m] if ta else [m, k], dtype, special=0),
                  self.array([n, k] if tb else [k, n], dtype, special=0)]
        if self.chance(0.7):
            inputs.append(self.array(self.pick([[], [1], [n], [1, n], [m, 1], [m, n], [1, 1]]), dtype, special=0))
        more = {"transA": ta, "transB": tb}
        if self.chance(0.5):
            more.update(alpha=self.pick([0.5, 2.0, 0.0]), beta=self.pick([0.25, 3.0, 0.0]))
        return Case("Gemm", inputs, more, since=13, loose=20)

    def einsum(self):
        equation, shapes = self.pick([
            ("ij,jk->ik", "ij jk"), ("bij,bjk->bik", "bij bjk"), ("ij->ji", "ij"), ("ii->i", "ii"), ("ij->", "ij"),
            ("i,j->ij", "i j"), ("i,i", "i i"), ("bhid,bhjd->bhij", "bhid bhjd"), ("bij->bi", "bij"),
            ("ij,ij->ij", "ij ij"), ("bi,bj,bk->bijk", "bi bj bk"), ("ijk,k->ij", "ijk k"), ("ii", "ii"),
            ("...ij,...jk->...ik", "bij bjk"), ("...i->...", "bi"), ("bijk,bjkl->bl", "bijk bjkl"), ("ba,cb", "ba cb")])
        sizes = {c: self.pick([1, 2, 3, 5]) for c in "abcdhijkl"}
        dtype = self.pick([np.float32] * 3 + [np.float64, np.int32, np.int64])
        arrays = [np.clip(self.array([sizes[c] for c in word], dtype, special=0), -9, 9) for word in shapes.split()]
        return Case("Einsum", arrays, {"equation": equation}, since=12, loose=10)

    def recurrent(self):
        op, gates = self.pick([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
        direction = self.pick(["forward", "reverse", "bidirectional"])
        d = 2 if direction == "bidirectional" else 1
        t, b, i, h = self.pick([1, 2, 5]), self.pick([1, 2, 3]), self.pick([1, 3, 4]), self.pick([1, 2, 5])
        some = lambda *shape: self.random.normal(0, 0.7, shape).astype(np.float32)
        inputs = [some(t, b, i), some(d, gates * h, i), some(d, gates * h, h)]
        inputs.append(some(d, 2 * gates * h) if self.chance(0.6) else None)
        inputs.append(self.random.integers(1, t + 1, b).astype(np.int32) if self.chance(0.3) else None)
        inputs.append(some(d, b, h) if self.chance(0.5) else None)
        if op == "LSTM":
            inputs += [some(d, b, h) if self.chance(0.5) else None, some(d, 3 * h) if self.chance(0.3) else None]
        while inputs[-1] is None:
            inputs.pop()
        more = {"hidden_size": h, "direction": direction}
        if op == "GRU":
            more["linear_before_reset"] = self.pick([0, 1])
        if self.chance(0.2):
            more["clip"] = 0.5
        if op == "LSTM" and self.chance(0.2):
            more["input_forget"] = 1
        if self.chance(0.25):
            each = {"LSTM": ["Sigmoid", "Tanh", "Relu"], "GRU": ["HardSigmoid", "Softsign"], "RNN": ["Relu"]}[op]
            more["activations"] = each * d
        return Case(op, inputs, more, 3 if op == "LSTM" else 2, 14, loose=10)

    # -- codes --
    def quantize(self):
        x = self.random.normal(0, 3, self.shape(1)).astype(np.float32)
        dtype, since = self.pick([(np.uint8, 13), (np.int8, 13), (np.uint16, 21), (np.int16, 21)])
        limits = np.iinfo(dtype)
        axis = self.axis(x.ndim)
        count = [] if self.chance(0.5) else [x.shape[axis]]
        scale = self.random.uniform(0.005, 0.05, count)
        scale = np.asarray(scale if self.chance(0.7) else 2.0 ** -self.random.integers(3, 7, count), np.float32)
        zero = np.asarray(self.random.integers(limits.min, limits.max, count, endpoint=True), dtype)
        if self.chance(0.3):
            zero = np.asarray(np.full(count, self.pick([limits.min, limits.max])), dtype)
        if self.chance(0.2):
            x = (np.rint(x / 0.0625) * 0.0625 + self.pick([0, 0.03125])).astype(np.float32)
        more = {"axis": axis} if count else {}
        if self.chance(0.5):
            inputs = [x, scale] + ([zero] if self.chance(0.8) or dtype != np.uint8 else [])
            return Case("QuantizeLinear", inputs, more, since=since, exact=True)
        codes = self.random.integers(limits.min, limits.max, x.shape, endpoint=True).astype(dtype)
        if self.chance(0.2):
            codes = self.random.integers(-2**20, 2**20, x.shape).astype(np.int32)
            return Case("DequantizeLinear", [codes, scale], more, since=13)
        return Case("DequantizeLinear", [codes, scale] + ([zero] if self.chance(0.8) else []), more, since=since)

    def dynamic_quantize(self):
        x = self.array(self.shape(empty=False), np.float32, special=0)
        return Case("DynamicQuantizeLinear", [x], {}, 3, 11, exact=True)

    def integer_product(self):
        a, b = self.pick([np.uint8, np.int8]), self.pick([np.uint8, np.int8])
        ends = lambda dtype: (np.iinfo(dtype).min, np.iinfo(dtype).max)
        every = lambda dtype, shape: self.random.integers(*ends(dtype), shape, dtype, endpoint=True)
        zero = lambda dtype: every(dtype, []) if self.chance(0.7) else np.asarray(self.pick(ends(dtype)), dtype)
        if self.chance(0.5):
            m, k, n = self.extent(), self.extent(), self.extent()
            outer = self.shape(0, 2, empty=False)
            x, w = every(a, [*outer, m, k]), every(b, [k, n] if self.chance(0.6) else [*outer, k, n])
            inputs = [x, w]
            if self.chance(0.7):
                inputs.append(zero(a))
                if self.chance(0.7):
                    inputs.append(zero(b) if self.chance(0.6) or w.ndim > 2 else every(b, [n]))
            return Case("MatMulInteger", inputs, since=10, exact=True)
        window = self.window(2)
        if not window:
            return None
        image, kernel, more = window
        g, each, out = self.pick([1, 1, 2, 3]), self.pick([1, 2, 5]), self.pick([1, 2, 4, 9])
        inputs = [every(a, [self.pick([1, 2]), g * each, *image]), every(b, [g * out, each, *kernel])]
        if self.chance(0.8):
            inputs.append(zero(a))
            if self.chance(0.7):
                inputs.append(zero(b) if self.chance(0.6) else every(b, [g * out]))
        return Case("ConvInteger", inputs, {"group": g, **more}, since=10, exact=True)

    def blocks(self):
        """Codes with a scale for each block along an axis."""
        block, n = self.pick([2, 3, 4]), self.pick([1, 2, 3])
        shape = self.shape(1, 3, empty=False)
        axis = int(self.random.integers(len(shape)))
        shape[axis] = block * n
        scales = [n if a == axis else m for a, m in enumerate(shape)]
        scale = self.random.uniform(0.01, 0.1, scales).astype(np.float32)
        dtype = self.pick([np.int8, np.uint8])
        limits = np.iinfo(dtype)
        zero = self.random.integers(limits.min, limits.max, scales, endpoint=True).astype(dtype)
        more = {"axis": axis - (len(shape) if self.chance(0.4) else 0), "block_size": block}
        if self.chance(0.5):
            x = self.random.normal(0, 3, shape).astype(np.float32)
            return Case("QuantizeLinear", [x, scale, zero], more, since=21, exact=True)
        codes = self.random.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
        return Case("DequantizeLinear", [codes, scale] + ([zero] if self.chance(0.7) else []), more, since=21)

    # -- forms of older opsets --
    def older(self):
        kind = self.pick(["Softmax", "LogSoftmax", "Hardmax", "Reduce", "Squeeze", "Unsqueeze", "Clip", "Pad", "Slice",
                          "Split", "TopK", "Upsample", "Resize", "Scatter", "BatchNormalization", "Dropout",
                          "Upsample 7", "ReduceSum", "Gemm", "Sum"])
        x = self.array(self.shape(1, 4, empty=False), np.float32, special=0)
        axis = int(self.random.integers(x.ndim))
        if kind in ("Softmax", "LogSoftmax", "Hardmax"):
            more = {"axis": axis} if self.chance(0.7) or x.ndim < 2 else {}
            return Case(kind, [x], more, since=7, before=13, loose=3)
        if kind in ("Reduce", "ReduceSum"):
            op = self.pick(["ReduceMean", "ReduceMax", "ReduceL2", "ReduceProd"]) if kind == "Reduce" else kind
            axes = sorted(a % x.ndim for a in self.some_axes(x.ndim))
            more = {"keepdims": self.pick([0, 1]), **({"axes": axes} if axes else {})}
            return Case(op, [np.clip(x, -2, 2)], more, since=7, before=18 if kind == "Reduce" else 13, loose=4)
        if kind == "Squeeze":
            axes = [a for a, n in enumerate(x.shape) if n == 1 and self.chance(0.7)]
            return Case(kind, [x], {"axes": axes} if axes else {}, since=7, before=13, exact=True)
        if kind == "Unsqueeze":
            return Case(kind, [x], {"axes": sorted({axis, x.ndim})}, since=7, before=13, exact=True)
        if kind == "Clip":
            more = {key: value for key, value in (("min", -0.5), ("max", 1.5)) if self.chance(0.7)}
            return Case(kind, [x], more, since=7, before=11, exact=True)
        if kind == "Pad":
            pads = [int(self.random.integers(0, 3)) for _ in x.shape * 2]
            mode = self.pick(["constant", "edge"])
            return Case(kind, [x], {"pads": pads, "mode": mode, **({"value": 0.5} if mode == "constant" else {})},
                        since=7, before=11, exact=True)
        if kind == "Slice":
            axes = sorted(a % x.ndim for a in self.some_axes(x.ndim, 1))
            starts, ends = ([int(self.pick(of)) for _ in axes] for of in ([0, 1, -2, -9], [1, 3, -1, 99, 2**31 - 1]))
            return Case(kind, [x], {"axes": axes, "starts": starts, "ends": ends}, since=7, before=10, exact=True)
        if kind == "Split":
            n = x.shape[axis]
            at = int(self.random.integers(0, n + 1))
            return Case(kind, [x], {"axis": axis, "split": [at, n - at]}, 2, since=7, before=13, exact=True)
        if kind == "TopK":
            return Case(kind, [x], {"axis": axis, "k": int(self.random.integers(1, x.shape[axis] + 1))}, 2, 7, 10,
                        exact=True)
        if kind in ("Upsample", "Upsample 7", "Resize"):
            x = self.array([1, self.pick([1, 3]), self.pick([1, 2, 3]), self.pick([1, 4])], np.float32, special=0)
            scales = np.array([1, 1, self.pick([1, 2, 3]), self.pick([1, 2, 1.5])], np.float32)
            mode = {"mode": self.pick(["nearest", "linear"])}
            if kind == "Upsample 7":
                return Case("Upsample", [x], {"scales": scales.tolist(), **mode}, since=7, before=9, loose=10)
            since, before = (9, 10) if kind == "Upsample" else (10, 11)
            return Case(kind, [x, scales], mode, since=since, before=before, constant=(1,), loose=10)
        if kind == "Scatter":
            shape = [int(self.random.integers(1, n + 1)) for n in x.shape]
            order = np.argsort(self.random.random([*shape[:axis], x.shape[axis], *shape[axis + 1:]]), axis)
            indices = np.take(order, range(shape[axis]), axis).astype(np.int64)
            inputs = [x, indices, self.array(shape, np.float32, special=0)]
            return Case(kind, inputs, {"axis": axis}, since=9, before=11, exact=True)
        if kind == "BatchNormalization":
            x = self.array(self.shape(2, 4, empty=False), np.float32, special=0)
            some = lambda: self.array([x.shape[1]], np.float32, special=0)
            return Case(kind, [x, some(), some(), some(), np.abs(some()) + np.float32(0.5)], {"epsilon": 0.01}, since=9,
                        before=14, loose=4)
        if kind == "Dropout":
            return Case(kind, [x], {"ratio": 0.3}, since=7, before=12, exact=True)
        if kind == "Gemm":
            m, k, n = self.extent(), self.extent(), self.extent()
            shapes = [m, k], [k, n], self.pick([[n], [m, n], [1]])
            arrays = [self.array(shape, np.float32, special=0) for shape in shapes]
            return Case(kind, arrays, {"alpha": 0.5}, since=9, before=13, loose=20)
        return Case(kind, self.operands(self.pick([1, 2, 3]), np.float32), since=8, before=13)

    FAMILIES = [(unary, 3), (rounded, 1), (signs, 2), (activation, 2), (clip, 1), (prelu, 1), (arithmetic, 8),
                (variadic, 4), (comparison, 4), (logic, 2), (bits, 2), (bit_shift, 1), (tests, 1), (where, 2),
                (cast, 3),
                (reduction, 8), (arg, 2), (cum_sum, 2), (top_k, 2), (transpose, 2), (expand, 2), (tile, 1), (concat, 2),
                (split, 2), (slice, 3), (gather, 2), (gather_elements, 1), (gather_nd, 1), (scatter_elements, 2),
                (scatter_nd, 2), (pad, 3), (shapes, 2), (space, 1), (trilu, 1), (eye_like, 1), (one_hot, 1),
                (softmax, 2), (layer_norm, 2), (image_norm, 3), (conv, 2), (conv_transpose, 2), (pool, 3), (resize, 3),
                (grid_sample, 2), (matmul, 2), (gemm, 2), (einsum, 1), (recurrent, 2), (quantize, 2),
                (dynamic_quantize, 1), (integer_product, 2), (blocks, 1), (older, 4)]

    def draw(self, only=()):
        families = [(f, w) for f, w in self.FAMILIES if not only or f.__name__ in only]
        weights = np.array([w for _, w in families], float)
        while True:
            with np.errstate(all="ignore"):
                case = families[int(self.random.choice(len(families), p=weights / weights.sum()))][0](self)
            if case:
                return case

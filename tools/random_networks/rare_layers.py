"""Layers of the rarer ops, and common ones in their rarer forms."""
import math

import numpy as np
from onnx import TensorProto

from layers import MOST_PRODUCTS, Layers
from writing import Grid, Value

MICROSOFT = "com.microsoft"


class RareLayers(Layers):
    def is_same_everywhere(self, x):
        """No engine has other numbers: a step function of them is one, too."""
        return x.grid is not None or x.name in self.inputs

    def uniform(self, low, high, shape=(), dtype=np.float32):
        return self.constant(self.random.uniform(low, high, shape).astype(dtype))

    def normalize_image(self, x):
        if len(x.shape) < 3:
            return None
        c, rank = x.shape[1], len(x.shape)
        kind = self.pick(["InstanceNormalization", "GroupNormalization", "LpNormalization", "MeanVarianceNormalization",
                          "LRN", "RMSNormalization", "LayerNormalization"])
        result = lambda name: self.made(name, x.shape, x, 1.0, grid=None)
        if kind == "InstanceNormalization":
            inputs = [x.name, self.uniform(0.5, 1.5, c), self.uniform(-0.5, 0.5, c)]
            return result(self.node(kind, inputs, epsilon=self.pick([1e-5, 0.01])))
        if kind == "GroupNormalization":
            if self.opset < 18:
                return None
            g = self.pick([g for g in range(1, c + 1) if c % g == 0])
            n = c if self.opset >= 21 else g
            inputs = [x.name, self.uniform(0.5, 1.5, n), self.uniform(-0.5, 0.5, n)]
            return result(self.node(kind, inputs, num_groups=g, epsilon=0.01))
        if kind == "LpNormalization":
            axis = self.pick([1, -1])
            if x.shape[axis] < 2:
                return None
            shifted = self.node("Add", [x.name, self.constant(np.float32(0.37))])  # not 0 / 0
            return result(self.node(kind, [shifted], axis=axis, p=self.pick([1, 2])))
        if kind == "MeanVarianceNormalization":
            axes = [a for a in range(1, rank) if self.chance(0.6)] or [rank - 1]
            if math.prod(x.shape[a] for a in axes) < 3:
                return None
            wave = self.node("Add", [x.name, self.uniform(-1, 1, x.shape[1:])]) if not self.free_image else x.name
            return result(self.node(kind, [wave], axes=axes)) if not self.free_image else None
        if kind == "LRN":
            if rank != 4:
                return None
            return self.made(self.node(kind, [x.name], size=self.pick([1, 3, 5]), alpha=0.25, beta=0.75, bias=1.5),
                             x.shape, x, grid=None)
        axis = int(self.random.integers(1, rank))
        if self.free_image or math.prod(x.shape[axis:]) < 3 or self.opset < (23 if kind[0] == "R" else 17):
            return None
        inputs = [x.name, self.uniform(0.5, 1.5, x.shape[axis:])]
        if kind == "LayerNormalization" and self.chance(0.6):
            inputs.append(self.uniform(-0.5, 0.5, x.shape[axis:]))
        return result(self.node(kind, inputs, axis=axis - (rank if self.chance(0.4) else 0), epsilon=0.01))

    def steps(self, x):
        """Functions that are not continuous, of numbers that every engine has."""
        if not self.is_same_everywhere(x):
            return None
        kind = self.pick(["Floor", "Ceil", "Round", "Sign", "Shrink", "ThresholdedRelu", "Hardmax", "ArgMax", "Where",
                          "Compare", "OneHot", "IsNaN", "IsInf", "Mod"])
        unit = x.grid.unit if x.grid else 1.0
        exact = lambda name, most, shape=None: self.made(name, x.shape if shape is None else shape, x, 1.0,
                                                         grid=Grid(min(unit, 1), most / min(unit, 1)))
        cast = lambda name: self.node("Cast", [name], to=TensorProto.FLOAT)
        size = x.grid.most * x.grid.unit + 1 if x.grid else 2**10
        if kind in ("Floor", "Ceil", "Round", "Sign"):
            return exact(self.node(kind, [x.name]), size)
        if kind == "Shrink":
            return exact(self.node(kind, [x.name], lambd=0.5, bias=self.pick([0.0, 0.5])), 2 * size + 1)
        if kind == "ThresholdedRelu":
            return exact(self.node(kind, [x.name], alpha=self.pick([0.25, 1.0])), size)
        if kind == "Mod":
            return exact(self.node(kind, [x.name, self.constant(np.float32(0.75))], fmod=1), size * 4)
        axis = int(self.random.integers(1, len(x.shape)))
        if kind == "Hardmax":
            return exact(self.node(kind, [x.name], axis=axis), 1)
        if kind in ("ArgMax", "OneHot"):
            more = {"axis": axis, "keepdims": int(len(x.shape) < 3 or self.chance(0.5)),
                    "select_last_index": self.pick([0, 1])}
            name = self.node(self.pick(["ArgMax", "ArgMin"]), [x.name], **more)
            shape = [n if a != axis else 1 for a, n in enumerate(x.shape) if a != axis or more["keepdims"]]
            if kind == "ArgMax" or len(shape) > 3:
                return exact(cast(name), x.shape[axis], shape)
            values = self.constant(np.array([-0.5, 1.0], np.float32))
            name = self.node("OneHot", [name, self.constant(np.int64(3)), values], axis=1)
            return self.made(name, [shape[0], 3] + shape[1:], x, 1.0, grid=Grid(0.5, 2))
        if kind in ("IsNaN", "IsInf"):
            name = self.node(kind, [x.name])
            return exact(self.node("Where", [name, self.constant(np.float32(1)), x.name]), size)
        threshold = self.constant(np.float32(self.pick([0, 0.25, -0.5])))
        older = [v for v in self.values if v.shape == x.shape and self.is_same_everywhere(v)]
        other = self.pick(older).name if older and self.chance(0.6) else threshold
        name = self.node(self.pick(["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"]) if self.opset >= 16
                         else self.pick(["Greater", "Less", "Equal"]), [x.name, other])
        if self.chance(0.4):
            second = self.node("Less", [threshold, x.name])
            name = self.node(self.pick(["And", "Or", "Xor"]), [name, second])
        if self.chance(0.3):
            name = self.node("Not", [name])
        if kind == "Compare":
            return exact(cast(name), 1)
        return exact(self.node("Where", [name, x.name, self.constant(np.float32(self.pick([0, 0.5, -1])))]), size)

    def smooth(self, x):
        kind = self.pick(["Sin", "Cos", "Atan", "Asinh", "Exp", "Log", "Reciprocal", "Pow", "Celu", "Soft shrink",
                          "Sinh", "Sum", "Mean", "Max", "Double", "Half", "PRelu", "Tan", "Cosh", "Clip"])
        one = lambda v: self.constant(np.float32(v))
        absolute = lambda: self.node("Add", [self.node("Abs", [x.name]), one(1)])
        near = lambda low, high: self.node("Clip", [x.name, one(low), one(high)])
        result = lambda name, **more: self.made(name, x.shape, x, grid=None, **more)
        if kind in ("Sin", "Cos", "Atan", "Asinh"):
            return result(self.node(kind, [x.name]))
        if kind in ("Exp", "Sinh", "Cosh"):
            return result(self.node(kind, [near(-3, 2)]))
        if kind == "Tan":
            return result(self.node(kind, [near(-1.2, 1.2)]))
        if kind in ("Log", "Reciprocal"):
            return result(self.node(kind, [absolute()]))
        if kind == "Pow":
            return result(self.node("Pow", [absolute(), one(self.pick([0.5, 2, 3, -1, 1, 0]))]), spread=x.spread**2 + 1)
        if kind == "Celu":
            return result(self.node("Celu", [x.name], alpha=self.pick([0.5, 1.0, 2.0])))
        if kind == "Soft shrink":
            return result(self.node("Shrink", [x.name], lambd=0.3, bias=0.3))
        if kind in ("Sum", "Mean", "Max"):
            older = [v.name for v in self.values if v.shape == x.shape]
            return result(self.node(kind, [x.name] + [self.pick(older) for _ in range(self.pick([1, 2, 3]))] if older
                                    else [x.name, x.name]))
        if kind in ("Double", "Half"):
            dtype, to = (np.float64, TensorProto.DOUBLE) if kind == "Double" else (np.float16, TensorProto.FLOAT16)
            name = self.node("Cast", [x.name if kind == "Double" else near(-100, 100)], to=to)
            name = self.node(self.pick(["Add", "Mul", "Max"]), [name, self.uniform(-1, 1, [x.shape[1]] + [1] * (
                len(x.shape) - 2), dtype)])
            name = self.node("Relu", [name]) if self.chance(0.4) else name
            return result(self.node("Cast", [name], to=TensorProto.FLOAT))
        if kind == "PRelu":
            c, rest = x.shape[1], [1] * (len(x.shape) - 2)
            shape = self.pick([[c, *rest], [1, c, *rest], [1], x.shape[-1:], x.shape[1:]])
            if self.free_image and shape[-1] != 1:
                return None
            return result(self.node("PRelu", [x.name, self.uniform(-0.5, 1.5, shape)]))
        bounds = [x.name, one(-1), one(1)]
        bounds[self.pick([1, 2])] = self.constant(np.float32(self.pick([-2, 0, 2])))
        return result(self.node("Clip", bounds))

    def any_reduction(self, x):
        if len(x.shape) < 3:
            return None
        op = self.pick(["ReduceProd", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceSum", "ReduceMax",
                        "ReduceL1", "ReduceL2"])
        rank = len(x.shape)
        axes = [a for a in range(1, rank) if self.chance(0.5)] or [self.pick(range(1, rank))]
        keep = int(self.chance(0.5) or len(axes) == rank - 1)
        shape = [1 if a in axes else n for a, n in enumerate(x.shape) if keep or a not in axes]
        self.random.shuffle(axes)
        axes = [int(a) - (rank if self.chance(0.4) else 0) for a in axes]
        y = x.name
        one = lambda v: self.constant(np.float32(v))
        if op in ("ReduceProd", "ReduceLogSum"):
            y = self.node("Add", [self.node("Abs", [self.node("Clip", [y, one(-1), one(1)])]), one(0.25)])
            if op == "ReduceProd" and math.prod(x.shape[a] for a in axes) > 30:
                return None
        if op == "ReduceSum" or self.opset >= 18:
            name = self.node(op, [y, self.indices(*axes)], keepdims=keep)
        else:
            name = self.node(op, [y], axes=axes, keepdims=keep)
        return self.made(name, shape, x, x.spread + 1, grid=None)

    def lp_pool(self, x):
        if len(x.shape) < 3 or len(x.shape) > 5:
            return None
        image = x.shape[2:]
        kind = self.pick(["LpPool", "GlobalLpPool", "GlobalMaxPool", "GlobalAveragePool", "MaxPool", "AveragePool"])
        ones = [1] * len(image)
        if kind.startswith("Global"):
            if kind == "GlobalLpPool" and (len(image) != 2 or self.opset >= 22):  # ONNX Runtime has no such kernel
                return None
            grid = x.grid if kind == "GlobalMaxPool" else None
            return self.made(self.node(kind, [x.name]), x.shape[:2] + ones, x, grid=grid)
        kernel = [self.pick([1, 2, 3]) for _ in image]
        strides = [self.pick([1, 2, 3]) for _ in image]
        pads = [int(self.random.integers(0, k)) if self.chance(0.3) else 0 for k in kernel * 2]
        sizes = [n + pads[i] + pads[i + len(image)] - k for i, (n, k) in enumerate(zip(image, kernel))]
        if min(sizes) < 0 or (kind == "LpPool" and (len(image) != 2 or self.opset >= 22)):
            return None
        more = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        shape = x.shape[:2] + [n // s + 1 for n, s in zip(sizes, strides)]
        name = self.node(kind, [x.name], **more)
        return self.moved(name, shape, x) if kind == "MaxPool" else self.made(name, shape, x, grid=None)

    def cube(self, x):
        """Five axes: channels in two, and convolutions or pools of three spatial axes, perhaps back to four."""
        if self.free_image or len(x.shape) != 4:
            return None
        n, c, h, w = x.shape
        d = self.pick([d for d in range(1, c + 1) if c % d == 0])
        y = self.moved(self.node("Reshape", [x.name, self.indices(0, c // d, d, h, w)]), [n, c // d, d, h, w], x)
        if self.quantized and self.chance(0.6):
            y = self.quantize(y)
        if self.chance(0.6):
            y = self.volume_conv(y)
            if y is None:
                return None
            if self.chance(0.5):
                y = self.made(self.node("Relu", [y.name]), y.shape, y, least=0, grid=y.grid)
            if self.chance(0.4):
                y = self.quantize(y) if self.quantized and self.chance(0.7) else y
                y = self.volume_conv(y) or y
        else:
            pooled = self.lp_pool(y)
            y = pooled or y
        if self.chance(0.5):
            y = self.quantize(y) if self.quantized and self.chance(0.7) else y
            y = self.moved(self.node("Reshape", [y.name, self.indices(0, y.shape[1] * y.shape[2], *y.shape[3:])]),
                           [n, y.shape[1] * y.shape[2], *y.shape[3:]], y)
        return y

    def volume_conv(self, x):
        kernel = [self.pick([1, 1, 2, 3]) for _ in range(3)]
        outputs = self.pick([1, 2, 3, 8, 16])
        strides = [self.pick([1, 1, 2]) for _ in range(3)]
        dilations = [self.pick([1, 1, 1, 2]) for _ in range(3)]
        pads = [k // 2 for k in kernel] + [self.pick([k // 2, k - 1]) for k in kernel]
        extents = [(m + pads[i] + pads[i + 3] - d * (k - 1) - 1) // s + 1
                   for i, (m, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations))]
        group = self.pick([g for g in (1, 1, 2, x.shape[1]) if x.shape[1] % g == 0 and outputs % g == 0])
        fan_in = x.shape[1] // group * math.prod(kernel)
        if min(extents) < 1 or math.prod(extents) * outputs * fan_in * x.shape[0] > MOST_PRODUCTS:
            return None
        weight, grid, scales = self.weights([outputs, x.shape[1] // group, *kernel], 0, fan_in)
        bias, is_exact = self.bias(x, scales, outputs)
        name = self.node("Conv", [x.name, weight] + bias, strides=strides, pads=pads, dilations=dilations, group=group)
        return self.made(name, x.shape[:1] + [outputs] + extents, x, grid=self.product_grid(x, grid, is_exact))

    def cut_and_join(self, x):
        """Split into parts that are joined in another order, some of them changed on the way."""
        axis = int(self.random.integers(1, len(x.shape)))
        n = x.shape[axis]
        if n < 2 or (axis > 1 and self.free_image):
            return None
        count = int(self.random.integers(2, min(n, 5) + 1))
        cuts = sorted(int(i) for i in self.random.choice(np.arange(1, n), count - 1, replace=False))
        sizes = [int(i) for i in np.diff([0, *cuts, n])]
        written = axis - (len(x.shape) if self.chance(0.3) else 0)
        if self.opset >= 18 and self.chance(0.3) and (count - 1) * -(-n // count) < n:
            each = -(-n // count)
            sizes = [each] * (count - 1) + [n - each * (count - 1)]
            names = self.node("Split", [x.name], outputs=count, axis=written, num_outputs=count)
        else:
            names = self.node("Split", [x.name, self.indices(*sizes)], outputs=count, axis=written)
        parts = [self.moved(name, x.shape[:axis] + [m] + x.shape[axis + 1:], x) for name, m in zip(names, sizes)]
        for i, part in enumerate(parts):
            if self.chance(0.3):
                part = self.made(self.node("Relu", [part.name]), part.shape, part, least=0)
            if self.quantized and self.chance(0.4):
                part = self.quantize(part)
            parts[i] = part
        order = [int(i) for i in self.random.permutation(count)]
        parts = [parts[i] for i in order if self.chance(0.8)] or [parts[0]]
        if self.chance(0.3):
            parts.append(parts[0])
        other = self.pick([axis, axis, axis] + [a for a in range(1, len(x.shape))])
        if other != axis and (len({p.shape[axis] for p in parts}) > 1 or self.free_image):
            other = axis
        shape = list(parts[0].shape)
        shape[other] = sum(p.shape[other] for p in parts)
        grid = parts[0].grid
        for p in parts[1:]:
            grid = self.sum_grid(self.made("", [], x, grid=grid), p)
        return self.made(self.node("Concat", [p.name for p in parts], axis=other), shape, x,
                         max(p.spread for p in parts), min(p.least for p in parts), grid)

    def repeated(self, x):
        """Tile, Expand, Slice backwards, Trilu, CumSum, Unsqueeze and Squeeze."""
        kind = self.pick(["Tile", "Expand", "Slice", "Trilu", "CumSum", "Squeeze", "Pad"])
        rank = len(x.shape)
        if self.free_image:
            return None
        if kind == "Tile":
            repeats = [1] + [self.pick([1, 1, 2, 3]) for _ in x.shape[1:]]
            if math.prod(repeats) * math.prod(x.shape) > 10_000:
                return None
            return self.moved(self.node("Tile", [x.name, self.indices(*repeats)]),
                              [n * r for n, r in zip(x.shape, repeats)], x)
        if kind == "Expand":
            shape = [n if n > 1 or not i else self.pick([1, 2, 4]) for i, n in enumerate(x.shape)]
            if math.prod(shape) > 10_000:
                return None
            written = [1] + [self.pick([1, n]) if n == m else n for n, m in zip(shape[1:], x.shape[1:])]
            return self.moved(self.node("Expand", [x.name, self.indices(*written)]), shape, x)
        if kind == "Slice":
            axes = [a for a in range(1, rank) if self.chance(0.5)] or [1]
            shape, starts, ends, steps = list(x.shape), [], [], []
            for a in axes:
                n, step = x.shape[a], self.pick([1, 1, 2, -1, -2])
                start, end = (0, n) if step > 0 else (n - 1, -n - 1)
                if self.chance(0.5) and n > 2:
                    start, end = (1, n) if step > 0 else (n - 2, -n - 1)
                shape[a] = len(range(n)[start:end if end >= 0 else None:step])
                starts.append(start), ends.append(end), steps.append(step)
            if 0 in shape:
                return None
            axes = [a - (rank if self.chance(0.3) else 0) for a in axes]
            return self.moved(self.node("Slice", [x.name] + [self.indices(*v) for v in (starts, ends, axes, steps)]),
                              shape, x)
        if kind == "Trilu" and rank > 2 and self.opset >= 14:
            inputs = [x.name, self.constant(np.int64(self.pick([-1, 0, 1, 2])))]
            return self.moved(self.node("Trilu", inputs, upper=self.pick([0, 1])), x.shape, x)
        if kind == "CumSum" and self.opset >= 14:
            axis = int(self.random.integers(1, rank))
            grid = Grid(x.grid.unit, x.grid.most * x.shape[axis]) if x.grid else None
            name = self.node("CumSum", [x.name, self.constant(np.int64(axis - (rank if self.chance(0.3) else 0)))],
                             exclusive=self.pick([0, 1]), reverse=self.pick([0, 1]))
            return self.made(name, x.shape, x, x.spread * math.sqrt(x.shape[axis]),
                             grid=grid if grid and grid.most < 2**24 else None)
        if kind == "Squeeze":
            if 1 in x.shape[1:] and rank > 2:
                axis = self.pick([a for a, n in enumerate(x.shape) if a and n == 1])
                return self.moved(self.node("Squeeze", [x.name, self.indices(axis)]),
                                  x.shape[:axis] + x.shape[axis + 1:], x)
            axis = self.pick(range(1, rank + 1))
            return None if rank > 4 else self.moved(self.node("Unsqueeze", [x.name, self.indices(axis)]),
                                                    x.shape[:axis] + [1] + x.shape[axis:], x)
        if kind == "Pad" and self.opset >= 19:
            axes = [a for a in range(1, rank) if self.chance(0.6)] or [1]
            mode = self.pick(["wrap", "edge", "constant", "reflect"])
            most = lambda a: min(x.shape[a] - (mode == "reflect"), 3)
            pads = [int(self.random.integers(0, most(a) + 1)) for a in axes * 2]
            shape = list(x.shape)
            for i, a in enumerate(axes):
                shape[a] += pads[i] + pads[i + len(axes)]
            inputs = [x.name, self.indices(*pads), "", self.indices(*axes)]
            return self.moved(self.node("Pad", inputs, mode=mode), shape, x)
        return None

    def best(self, x):
        """TopK, and what Gather- and ScatterElements make of its indices."""
        axis = int(self.random.integers(1, len(x.shape)))
        k = int(self.random.integers(1, x.shape[axis] + 1))
        if axis > 1 and self.free_image:
            return None
        values, indices = self.node("TopK", [x.name, self.indices(k)], outputs=2, axis=axis, largest=self.pick([0, 1]))
        shape = x.shape[:axis] + [k] + x.shape[axis + 1:]
        kind = self.random.random()
        if kind < 0.5 or not self.is_same_everywhere(x):
            return self.moved(values, shape, x)
        if kind < 0.75:
            return self.moved(self.node("GatherElements", [x.name, indices], axis=axis), shape, x)
        doubled = self.node("Add", [values, values])
        grid = Grid(x.grid.unit, x.grid.most * 2) if x.grid else None
        more = {"reduction": "add"} if self.opset >= 18 and self.chance(0.5) else {}
        grid = Grid(x.grid.unit, x.grid.most * 4) if x.grid else None
        return self.made(self.node("ScatterElements", [x.name, indices, doubled], axis=axis, **more), x.shape, x,
                         2 * x.spread, grid=grid)

    def sampled(self, x):
        """GridSample where a small product of the image itself says."""
        if len(x.shape) != 4 or self.opset < 16 or math.prod(x.shape) > 4000 or self.free_image:
            return None
        y = self.node("Conv", [x.name, self.uniform(-0.3, 0.3, [2, x.shape[1], 1, 1])])
        y = self.node("Transpose", [self.node("Tanh", [y])], perm=[0, 2, 3, 1])
        y = self.node("Mul", [y, self.constant(np.float32(1.2))])
        mode = self.pick(["linear", "cubic"]) if self.opset >= 20 else self.pick(["bilinear", "bicubic"])
        name = self.node("GridSample", [x.name, y], mode=mode, align_corners=self.pick([0, 1]),
                         padding_mode=self.pick(["zeros", "border", "reflection"]))
        return self.made(name, x.shape, x, grid=None)

    def any_resize(self, x):
        if len(x.shape) not in (3, 4) or math.prod(x.shape) > 3000 or self.free_image:
            return None
        mode = self.pick(["nearest", "linear", "cubic"] if len(x.shape) == 4 else ["nearest", "linear"])
        rule = self.pick(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] +
                         ["half_pixel_symmetric"] * (self.opset >= 19))
        more = {"mode": mode, "coordinate_transformation_mode": rule}
        if mode == "nearest":
            more["nearest_mode"] = self.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        if mode == "cubic":
            more.update(cubic_coeff_a=self.pick([-0.75, -0.5]), exclude_outside=self.pick([0, 1]))
        image = [self.pick([1, 2, 3, n, n, 2 * n, 2 * n, 3 * n, -(-n // 2), n + 1]) for n in x.shape[2:]]
        if self.opset >= 18 and self.chance(0.5):
            more["axes"] = [2, 3][:len(image)]
            inputs = [x.name, "", "", self.indices(*image)]
        elif self.batch == 1 and not self.free_batch:
            inputs = [x.name, "", "", self.indices(1, x.shape[1], *image)]
        else:
            factors = [self.pick([1, 2, 2, 4, 0.5]) for _ in image]
            image = [math.floor(n * f) for n, f in zip(x.shape[2:], factors)]
            inputs = [x.name, "", self.constant(np.array([1, 1, *factors], np.float32))]
        if min(image) < 1 or (mode == "nearest" and inputs[2] == "" and not self.is_whole(x.shape[2:], image)):
            return None  # a coordinate in the middle of two pixels is rounded one way or the other
        shape = x.shape[:2] + image
        name = self.node("Resize", inputs, **more)
        return self.moved(name, shape, x) if mode == "nearest" else self.made(name, shape, x, x.spread, grid=None)

    @staticmethod
    def is_whole(before, behind):
        return all(m % n == 0 or n % m == 0 for n, m in zip(before, behind))

    def blocks(self, x):
        if len(x.shape) != 4 or self.free_image:
            return None
        n, c, h, w = x.shape
        fits = [b for b in (2, 3, 4) if c % (b * b) == 0]
        if fits and self.chance(0.5):
            b = self.pick(fits)
            name = self.node("DepthToSpace", [x.name], blocksize=b, mode=self.pick(["DCR", "CRD"]))
            return self.moved(name, [n, c // b // b, h * b, w * b], x)
        fits = [b for b in (2, 3, 4) if h % b == 0 and w % b == 0]
        if not fits or c > 40:
            return None
        b = self.pick(fits)
        return self.moved(self.node("SpaceToDepth", [x.name], blocksize=b), [n, c * b * b, h // b, w // b], x)

    def einsum(self, x):
        if self.free_image or math.prod(x.shape) > 3000:
            return None
        letters = "nabcdef"[:len(x.shape)]
        last = x.shape[-1]
        kind = self.random.random()
        if kind < 0.4:
            m = self.pick([1, 3, 8])
            name = self.node("Einsum", [x.name, self.uniform(-0.5, 0.5, [last, m])],
                             equation=f"{letters},{letters[-1]}z->{letters[:-1]}z")
            return self.made(name, x.shape[:-1] + [m], x, grid=None)
        if kind < 0.6:
            order = [0] + [int(i) + 1 for i in self.random.permutation(len(x.shape) - 1)]
            name = self.node("Einsum", [x.name], equation=f"{letters}->{''.join(letters[i] for i in order)}")
            return self.moved(name, [x.shape[i] for i in order], x)
        if len(x.shape) < 3 or math.prod(x.shape) * x.shape[-2] > 100_000:
            return None
        other = letters[:-2] + "z" + letters[-1]
        name = self.node("Einsum", [x.name, x.name], equation=f"{letters},{other}->{letters[:-1]}z")
        return self.made(name, x.shape[:-1] + [x.shape[-2]], x, x.spread**2 * math.sqrt(last), grid=None)

    def recurrent(self, x):
        if len(x.shape) != 3 or self.free_image or x.shape[1] > 20 or x.shape[2] > 64:
            return None
        op, gates = self.pick([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
        direction = self.pick(["forward", "reverse", "bidirectional"])
        d, h = 2 if direction == "bidirectional" else 1, self.pick([1, 3, 8])
        t, i = x.shape[1:]
        rows = self.node("Transpose", [x.name], perm=[1, 0, 2])
        inputs = [rows, self.uniform(-0.5, 0.5, [d, gates * h, i]), self.uniform(-0.5, 0.5, [d, gates * h, h])]
        if self.chance(0.6):
            inputs.append(self.uniform(-0.5, 0.5, [d, 2 * gates * h]))
        more = {"linear_before_reset": self.pick([0, 1])} if op == "GRU" else {}
        every, last = self.node(op, inputs, outputs=2, hidden_size=h, direction=direction, **more)
        if self.chance(0.3):
            y = self.node("Transpose", [last], perm=[1, 0, 2])
            return self.made(y, [x.shape[0], d, h], x, 0.4, grid=None)
        y = self.node("Transpose", [every], perm=[2, 0, 1, 3])
        y = self.node("Reshape", [y, self.indices(0, t, d * h)])
        return self.made(y, [x.shape[0], t, d * h], x, 0.4, grid=None)

    # -- codes --
    def channel_codes(self, x):
        """QuantizeLinear and DequantizeLinear of one scale per channel, or with other parameters behind."""
        if not self.quantized or (self.free_image and len(x.shape) < 3):
            return None
        dtype = self.pick([np.uint8, np.int8])
        low = 0 if dtype == np.uint8 else -128
        axis = 1 if self.free_image else int(self.random.integers(1, len(x.shape)))
        n = x.shape[axis]
        if self.chance(0.6):
            scales = np.array([self.scale(3 * x.spread / 127) for _ in range(n)], np.float32)
            zeros = self.random.integers(low + 90, low + 166, n).astype(dtype)
            if self.chance(0.2):
                zeros = np.full(n, self.pick([low, low + 255, low + 128]), dtype)
            more = {"axis": axis - (len(x.shape) if self.chance(0.3) else 0)}
            parameters = [self.constant(scales), self.constant(zeros)]
            coded = self.node("QuantizeLinear", [x.name] + parameters, **more)
            name = self.node("DequantizeLinear", [coded] + parameters, **more)
            grid = Grid(float(scales.min()), 256 * float(scales.max() / scales.min()))
            return self.made(name, x.shape, x, grid=grid if self.powers and x.grid else None)
        if not x.codes or not x.coding:
            return None
        scale, zero = self.scale(x.coding[1]), int(self.random.integers(-20, 21)) + x.coding[2]
        low = 0 if x.coding[0] == np.uint8 else -128
        zero = min(max(zero, low), low + 255)
        same = np.float32(x.coding[1] if self.chance(0.5) else scale)
        name = self.node("DequantizeLinear", [x.codes, self.constant(same), self.constant(x.coding[0](zero))])
        exact = self.powers and x.grid is not None
        return self.made(name, x.shape, x, grid=Grid(float(same), 256) if exact else None)

    def wide_codes(self, x):
        """Codes of 16 bits."""
        if not self.quantized or self.opset < 21:
            return None
        dtype = self.pick([np.uint16, np.int16])
        zero = 2**15 + int(self.random.integers(-99, 99)) if dtype == np.uint16 else int(self.random.integers(-99, 99))
        scale = self.scale(4 * x.spread / 2**15)
        parameters = [self.constant(np.float32(scale)), self.constant(dtype(zero))]
        coded = self.node("QuantizeLinear", [x.name] + parameters)
        name = self.node("DequantizeLinear", [coded] + parameters)
        return self.made(name, x.shape, x, grid=Grid(scale, 2**16) if self.powers and x.grid else None)

    def bits(self, x):
        """Ops of integers on codes."""
        if not x.codes or not x.coding or not self.is_same_everywhere(x):
            return None
        dtype, scale, zero = x.coding
        kind = self.pick(["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift", "Max", "Min", "Widened",
                          "Mod"])
        number = self.constant(np.asarray(self.random.integers(1, 100), dtype))
        if kind.startswith("Bitwise"):
            if self.opset < 18:
                return None
            name = self.node(kind, [x.codes] if kind == "BitwiseNot" else [x.codes, number])
        elif kind == "BitShift":
            if dtype != np.uint8:
                return None
            name = self.node(kind, [x.codes, self.constant(np.uint8(self.pick([1, 2, 7])))],
                             direction=self.pick(["LEFT", "RIGHT"]))
        elif kind == "Widened":
            name = self.node("Cast", [x.codes], to=TensorProto.INT32)
            name = self.node(self.pick(["Add", "Sub", "Mul"]), [name, self.constant(np.int32(3))])
            name = self.node("Cast", [name], to=TensorProto.FLOAT)
            return self.made(name, x.shape, x, 100, grid=Grid(1, 1000))
        else:
            if kind != "Mod" and self.opset < 13:
                return None
            name = self.node(kind, [x.codes, number])
        return self.dequantize(name, Value(name, x.shape, Grid(1, 1), x.spread), dtype, scale, zero)

    def operator_of_codes(self, x):
        """ONNX Runtime's operators of codes."""
        if not x.codes or not x.coding or not x.parameters or len(x.parameters) < 2:
            return None
        dtype, scale, zero = x.coding
        out = (dtype, self.scale(x.spread * 3 / 127), zero)
        scalars = lambda coding: [self.constant(np.float32(coding[1])), self.constant(coding[0](coding[2]))]
        with_scalars = lambda v: [v.codes] + scalars(v.coding)
        own, result = with_scalars(x), scalars(out)
        kind = self.pick(["QLinearAdd", "QLinearMul", "QLinearLeakyRelu", "QLinearSigmoid", "QLinearConcat",
                          "QLinearGlobalAveragePool"])
        older = [v for v in self.values if v.codes and v.coding and v.coding[0] == dtype and len(v.parameters) == 2]
        same = [v for v in older if v.shape == x.shape]
        grid, shape = None, x.shape
        if kind in ("QLinearAdd", "QLinearMul"):
            other = self.pick(same) if same else x
            name = self.node(kind, own + with_scalars(other) + result, domain=MICROSOFT)
            grid = None  # ONNX Runtime adds the zero point before it rounds
        elif kind == "QLinearLeakyRelu":
            name = self.node(kind, own + result, domain=MICROSOFT, alpha=0.25)
        elif kind == "QLinearSigmoid":
            name = self.node(kind, own + result, domain=MICROSOFT)
        elif kind == "QLinearConcat":
            fits = [v for v in older if v.shape[:1] + [0] + v.shape[2:] == shape[:1] + [0] + shape[2:]]
            parts = [x] + [self.pick(fits) for _ in range(self.pick([1, 2])) if fits]
            if sum(p.shape[1] for p in parts) > 200:
                return None
            name = self.node(kind, result + [n for p in parts for n in with_scalars(p)], domain=MICROSOFT, axis=1)
            shape = shape[:1] + [sum(p.shape[1] for p in parts)] + shape[2:]
            grid = all(p.grid for p in parts)
        else:
            if len(shape) != 4:
                return None
            name = self.node(kind, own + result, domain=MICROSOFT, channels_last=0)
            shape = shape[:2] + [1, 1]
        grid = Grid(1, 1) if grid and self.powers else None
        return self.dequantize(name, Value(name, shape, grid, x.spread), dtype, out[1], out[2], result)

    def integer_product(self, x):
        """ConvInteger or MatMulInteger, of codes or behind DynamicQuantizeLinear, and floats made of the sums."""
        parameters = None
        if x.codes and x.coding and self.chance(0.7):
            codes, (dtype, scale, zero) = x.codes, x.coding
            zero = self.constant(dtype(zero))
            grid = x.grid
        elif not self.free_batch:
            codes, parameters, zero = self.node("DynamicQuantizeLinear", [x.name], outputs=3)
            scale, dtype, grid = None, np.uint8, None
        else:
            return None
        of = self.pick([np.int8, np.int8, np.uint8])
        low = -128 if of == np.int8 else 0
        draw = lambda shape: self.random.integers(low, low + 256, shape).astype(of)
        if len(x.shape) == 4 and self.chance(0.6):
            c, outputs, k = x.shape[1], self.pick([1, 3, 8, 16, 17]), self.pick([1, 3])
            if math.prod(x.shape) * outputs * k * k > MOST_PRODUCTS:
                return None
            inputs = [codes, self.constant(draw([outputs, c, k, k])), zero]
            if self.chance(0.6):
                inputs.append(self.constant(np.asarray(draw([]), of)))
            name = self.node("ConvInteger", inputs, pads=[k // 2] * 4)
            shape, count = [x.shape[0], outputs] + x.shape[2:], c * k * k
        else:
            k, n = x.shape[-1], self.pick([1, 3, 8, 17, 32])
            if math.prod(x.shape) * n > MOST_PRODUCTS or self.free_image:
                return None
            inputs = [codes, self.constant(draw([k, n])), zero]
            if self.chance(0.6):
                inputs.append(self.constant(draw([n]) if self.chance(0.5) else np.asarray(draw([]), of)))
            name = self.node("MatMulInteger", inputs)
            shape, count = x.shape[:-1] + [n], k
        name = self.node("Cast", [name], to=TensorProto.FLOAT)
        factor = 2.0**-13 if self.powers else 1e-4
        if parameters:
            name = self.node("Mul", [name, self.node("Mul", [parameters, self.constant(np.float32(0.01))])])
        else:
            name = self.node("Mul", [name, self.constant(np.float32(factor))])
        most = 255 * 255 * count
        grid = Grid(factor, most) if grid and self.powers and most < 2**24 else None
        return self.made(name, shape, x, 127 * 127 * math.sqrt(count) * factor / 3, grid=grid)

    def narrow_transposed(self, x):
        """Transposed convolutions of one and two axes with output_padding, groups and output_shape."""
        if len(x.shape) not in (3, 4) or math.prod(x.shape) > 2000 or self.free_image:
            return None
        axes, c = len(x.shape) - 2, x.shape[1]
        group = self.pick([g for g in range(1, c + 1) if c % g == 0])
        each = self.pick([1, 2, 5])
        kernel, strides = [self.pick([1, 2, 3, 4]) for _ in range(axes)], [self.pick([1, 2, 3]) for _ in range(axes)]
        extents = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], strides, kernel)]
        more = {"kernel_shape": kernel}
        if self.chance(0.4):
            more["output_shape"] = extents = [e - self.pick([0, 1]) if e > 1 else e for e in extents]
        else:
            more["output_padding"] = [int(self.random.integers(0, s)) for s in strides]
            extents = [e + p for e, p in zip(extents, more["output_padding"])]
        if math.prod(extents) * each * c * math.prod(kernel) * x.shape[0] > MOST_PRODUCTS:
            return None
        weight, grid, scales = self.weights([c, each] + kernel, 1, c // group * math.prod(kernel))
        bias, is_exact = self.bias(x, scales if group == 1 else None, each * group)
        name = self.node("ConvTranspose", [x.name, weight] + bias, strides=strides, group=group, **more)
        y = self.made(name, [x.shape[0], each * group] + extents, x, grid=self.product_grid(x, grid, is_exact))
        return self.activation(y) if self.chance(0.4) else y

    RARE = [(normalize_image, 2), (steps, 3), (smooth, 3), (any_reduction, 2), (lp_pool, 1.5), (cube, 1.5),
            (cut_and_join, 2), (repeated, 3), (best, 1.5), (sampled, 1), (any_resize, 2), (blocks, 1), (einsum, 1),
            (recurrent, 2), (channel_codes, 2), (wide_codes, 0.7), (bits, 1.5), (operator_of_codes, 3),
            (integer_product, 2), (narrow_transposed, 1)]

"""The layers of random networks: each takes a value and gives one, or None where it does not fit."""
import math

import numpy as np

from writing import Grid, Value, Writer

MOST_PRODUCTS = 1_500_000  # of a layer


class Layers(Writer):
    def weights(self, shape, outputs_axis=0, fan_in=1):
        """A float weight, or codes behind DequantizeLinear: its name, the Grid of an output's sum, its scales."""
        deviation = 1.2 / math.sqrt(fan_in)
        if not self.quantized or self.chance(0.04):
            return self.constant(self.random.normal(0, deviation, shape).astype(np.float32), "w"), None, None
        most = self.pick([127, 127, 127, 63, 7])
        kind = self.random.random()
        if kind < 0.15:
            codes = self.random.choice(np.array([-most, most, 0]), shape)
        elif kind < 0.4:
            codes = self.random.integers(-most, most + 1, shape)
        else:
            codes = np.clip(np.rint(self.random.normal(0, most / 3, shape)), -most, most)
        codes = codes.astype(np.int8)
        if self.chance(0.03):
            codes.flat[0] = -128
        rms = max(float(np.sqrt(np.mean(codes.astype(np.float64) ** 2))), 1)
        outputs = shape[outputs_axis]
        if self.chance(0.6):
            scales = np.array([self.scale(deviation / rms) for _ in range(outputs)], np.float32)
            zeros, more = np.zeros(outputs, np.int8), {"axis": outputs_axis}
        else:
            scales, zeros, more = np.float32(self.scale(deviation / rms)), np.int8(0), {}
        inputs = [self.constant(codes, "w"), self.constant(scales, "scale"), self.constant(zeros, "zero")]
        if self.chance(0.2):
            inputs = inputs[:2]
        name = self.node("DequantizeLinear", inputs, **more)
        if not self.powers:
            return name, None, scales
        unit = float(np.min(scales))
        magnitude = np.abs(codes.astype(np.float64)).sum(axis=tuple(a for a in range(len(shape)) if a != outputs_axis))
        return name, Grid(unit, float(np.max(magnitude * scales / unit))), scales

    def bias(self, x, scales, outputs):
        """Inputs to append: none, s32 codes, floats on the grid or off it. And whether they are exact."""
        kind = self.random.random()
        if kind < 0.3:
            return [], True
        if scales is None or not x.step or kind > 0.9:
            return [self.constant(self.random.normal(0, 0.3, outputs).astype(np.float32), "b")], False
        step = (np.float32(x.step) * scales).astype(np.float32)
        codes = np.rint(self.random.normal(0, 0.3, outputs) / step).clip(-2**20, 2**20).astype(np.int32)
        if kind < 0.7:
            more = {"axis": 0} if step.ndim else {}
            zero = [self.constant(np.zeros(step.shape, np.int32), "zero")] if self.chance(0.5) else []
            return [self.node("DequantizeLinear", [self.constant(codes, "b"), self.constant(step, "scale")] + zero,
                              **more)], True
        return [self.constant((codes * step).astype(np.float32), "b")], True

    def product_grid(self, x, weight_grid, bias_is_exact):
        if not (x.grid and weight_grid and bias_is_exact):
            return None
        grid = Grid(x.grid.unit * weight_grid.unit, x.grid.most * weight_grid.most + 2**20)
        return grid if grid.most < 2**24 else None

    def conv(self, x, outputs=None, kernel=None, keep=False, group=None):
        """keep: the image's extents stay, and outputs are as many as were asked for."""
        if len(x.shape) not in (3, 4):
            return None
        c, image = x.shape[1], x.shape[2:]
        if len(image) == 1:
            kernel = [self.pick([1, 3, 5])]
        kernel = kernel or self.pick([[1, 1]] * 4 + [[3, 3]] * 6 + [[1, 3], [3, 1], [5, 5], [2, 2], [1, 7], [7, 1],
                                                                       [4, 4], [7, 7], [2, 3]])
        kind = self.random.random() if group is None else 1
        outputs = outputs or self.pick([16, 16, 32, 32, 48, 64] if self.regular else [
            1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 17, 20, 24, 31, 32, 33, 40, 48, 64, 65, 96])
        group = group or 1
        if kind < 0.25 and c > 1:
            group, outputs = c, c if keep or self.regular else c * self.pick([1, 1, 1, 1, 2, 3])
        elif kind < 0.45:
            divisors = [g for g in range(1, c + 1) if c % g == 0]
            group = self.pick(divisors)
            outputs = outputs if keep or self.regular else group * self.pick([1, 2, 3, 4, 8, 16, 17])
            if outputs % group:
                group = 1
        strides = [1] * len(image) if keep or self.chance(0.6) else [self.pick([1, 2, 2, 3]) for _ in image]
        dilations = [1] * len(image) if self.chance(0.85) else [self.pick([1, 2, 3]) for _ in image]
        reach = [d * (k - 1) for k, d in zip(kernel, dilations)]
        if keep or self.chance(0.6):
            begin, end = [r // 2 for r in reach], [r - r // 2 for r in reach]
        else:
            begin, end = ([int(self.random.integers(0, r + 1)) for r in reach] for _ in range(2))
        more = {"pads": begin + end}
        if not keep and dilations == [1] * len(image) and self.chance(0.05):
            more = {"auto_pad": self.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])}
            extents = [-(-n // s) if more["auto_pad"] != "VALID" else (n - k) // s + 1
                       for n, k, s in zip(image, kernel, strides)]
        else:
            extents = [(n + b + e - r - 1) // s + 1 for n, b, e, r, s in zip(image, begin, end, reach, strides)]
        fan_in = c // group * math.prod(kernel)
        if min(extents) < 1 or math.prod(extents) * outputs * fan_in * x.shape[0] > MOST_PRODUCTS:
            return None
        weight, weight_grid, scales = self.weights([outputs, c // group] + kernel, 0, fan_in)
        bias, is_exact = self.bias(x, scales, outputs)
        if self.chance(0.8):
            more["kernel_shape"] = kernel
        name = self.node("Conv", [x.name, weight] + bias, strides=strides, dilations=dilations, group=group, **more)
        return self.made(name, [x.shape[0], outputs] + extents, x, spread=x.spread * 1.2,
                         grid=self.product_grid(x, weight_grid, is_exact))

    def conv_block(self, x):
        """A convolution and what is fused with it: normalization, residual, activation."""
        y = self.conv(x)
        if y is None:
            return None
        if self.chance(0.15):
            y = self.batch_norm(y)
        older = [v for v in self.values if v.shape == y.shape]
        if older and self.chance(0.5):
            y = self.sum_of(y, self.pick(older))
        if self.chance(0.6):
            y = self.activation(y)
        return y

    def residual(self, x):
        y = self.conv(x, outputs=x.shape[1], kernel=self.pick([[1, 1], [3, 3], [3, 3], [1, 3]]), keep=True)
        if y is None or y.shape != x.shape:
            return None
        if self.chance(0.3):
            y = self.quantize(y) if self.quantized else y
        y = self.sum_of(y, x) if self.chance(0.5) else self.sum_of(x, y)
        return self.activation(y) if self.chance(0.5) else y

    def inverted_residual(self, x):
        """1x1 to more channels, a depthwise window, 1x1 back."""
        if len(x.shape) != 4 or x.shape[1] > 32:
            return None
        y = x
        for kernel, outputs in (([1, 1], x.shape[1] * self.pick([2, 3, 6])), ([3, 3], 0), ([1, 1], x.shape[1])):
            c = y.shape[1]
            y = self.conv(y, outputs=outputs or c, kernel=kernel, keep=True, group=1 if outputs else c)
            if y is None:
                return None
            if outputs != x.shape[1]:
                y = self.activation(y)
                y = self.quantize(y) if self.quantized else y
        return self.sum_of(y, x) if self.chance(0.5) else y

    def sum_grid(self, a, b):
        if not (a.grid and b.grid):
            return None
        unit = min(a.grid.unit, b.grid.unit)
        most = (a.grid.unit * a.grid.most + b.grid.unit * b.grid.most) / unit
        return Grid(unit, most) if most < 2**24 else None

    def sum_of(self, a, b):
        return self.made(self.node("Add", [a.name, b.name]), np.broadcast_shapes(a.shape, b.shape), a,
                         math.hypot(a.spread, b.spread), min(a.least + b.least, 0), self.sum_grid(a, b))

    def pair(self, x):
        """An element-wise op of two values, the second perhaps broadcast or a constant."""
        op = self.pick(["Add", "Mul", "Mul", "Sub", "Max", "Min", "Div"])
        fitting = [v for v in self.values if len(v.shape) == len(x.shape) and
                   all(m in (n, 1) for n, m in zip(x.shape, v.shape))]
        if fitting and self.chance(0.8) and op != "Div":
            b = self.pick(fitting)
        else:
            shape = self.pick([[], [x.shape[1]] + [1] * (len(x.shape) - 2), [1, x.shape[1]] + [1] * (len(x.shape) - 2)])
            numbers = self.random.normal(0, 1, shape).astype(np.float32)
            b = Value("", shape, None)
            if op == "Div":
                numbers = np.sign(numbers + 0.01) * np.float32(self.pick([0.5, 2, 6])) * np.ones(shape, np.float32)
                b.name = self.constant(numbers.astype(np.float32))
            elif self.quantized and self.chance(0.5):
                scale = self.scale(0.03)
                codes = np.clip(np.rint(numbers / scale), -127, 127).astype(np.int8)
                b = self.dequantize(self.constant(codes), Value("", shape, Grid(1, 1)), np.int8, scale, 0)
            else:
                b.name = self.constant(numbers.astype(np.float32))
        swapped = op in ("Add", "Mul", "Sub") and self.chance(0.3)
        grid = None
        if op in ("Add", "Sub"):
            grid = self.sum_grid(x, b)
        elif op == "Mul" and x.grid and b.grid and x.grid.most * b.grid.most < 2**24:
            grid = Grid(x.grid.unit * b.grid.unit, x.grid.most * b.grid.most)
        elif op in ("Max", "Min") and self.sum_grid(x, b):
            grid = self.sum_grid(x, b)
        name = self.node(op, [b.name, x.name] if swapped else [x.name, b.name])
        return self.made(name, x.shape, x, math.hypot(x.spread, b.spread), -math.inf, grid)

    def activation(self, x):
        kind = self.pick(["Relu"] * 8 + ["Clip"] * 4 + [
            "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Silu", "Silu", "Gelu", "Elu", "PRelu",
            "Softplus", "Abs", "Neg", "Hard swish in parts", "Selu", "Mish", "Softsign", "Erf", "Sqrt"])
        one = lambda v: self.constant(np.float32(v))
        if kind == "Relu":
            return self.made(self.node("Relu", [x.name]), x.shape, x, least=0)
        if kind == "Clip":
            low, high = self.pick([(0, 6), (0, 1), (-1, 1), (-0.5, 2), (0, 0.75), (1, 2)])
            inputs = [x.name, one(low), one(high)]
            if self.chance(0.1):
                inputs, high = inputs[:2], math.inf
            grid = None
            if x.grid:
                unit = min(x.grid.unit, 0.25)
                grid = Grid(unit, max(x.grid.most * x.grid.unit, 6) / unit)
            return self.made(self.node("Clip", inputs), x.shape, x, min(x.spread, 2), low, grid)
        if kind == "LeakyRelu":
            grid = Grid(x.grid.unit / 4, x.grid.most * 4) if x.grid and x.grid.most < 2**22 else None
            return self.made(self.node("LeakyRelu", [x.name], alpha=0.25), x.shape, x, grid=grid)
        if kind in ("Abs", "Neg"):
            return self.made(self.node(kind, [x.name]), x.shape, x, least=0 if kind == "Abs" else -math.inf)
        if kind == "Silu":
            gate = self.node("Sigmoid", [x.name])
            return self.made(self.node("Mul", [x.name, gate]), x.shape, x, grid=None)
        if kind == "Hard swish in parts":
            shifted = self.node("Clip", [self.node("Add", [x.name, one(3)]), one(0), one(6)])
            return self.made(self.node("Div", [self.node("Mul", [x.name, shifted]), one(6)]), x.shape, x, grid=None)
        if kind == "HardSigmoid":
            grid = Grid(min(x.grid.unit / 4, 0.5), 2**23) if x.grid and x.grid.unit > 2**-20 else None
            return self.made(self.node("HardSigmoid", [x.name], alpha=0.25, beta=0.5), x.shape, x, 0.5, 0, grid)
        if kind == "PRelu":
            slope = self.random.uniform(0, 0.5, [x.shape[1]] + [1] * (len(x.shape) - 2)).astype(np.float32)
            return self.made(self.node("PRelu", [x.name, self.constant(slope)]), x.shape, x, grid=None)
        if kind == "Sqrt":
            return self.made(self.node("Sqrt", [self.node("Abs", [x.name])]), x.shape, x, least=0, grid=None)
        needs = {"HardSwish": 14, "Gelu": 20, "Mish": 18}
        if kind in needs and self.opset < needs[kind]:
            kind = "Tanh"
        spread = 0.5 if kind in ("Sigmoid", "Tanh", "Erf", "Softsign") else x.spread
        least = 0 if kind in ("Sigmoid", "Softplus") else -math.inf
        return self.made(self.node(kind, [x.name]), x.shape, x, spread, least, None)

    def batch_norm(self, x):
        if len(x.shape) < 3:
            return None
        c = x.shape[1]
        draw = lambda low, high: self.constant(self.random.uniform(low, high, c).astype(np.float32), "n")
        inputs = [x.name, draw(-0.2, 1.5), draw(-0.5, 0.5), draw(-0.5, 0.5), draw(0.5, 2)]
        return self.made(self.node("BatchNormalization", inputs), x.shape, x, grid=None)

    def pool(self, x):
        if len(x.shape) != 4:
            return None
        image = x.shape[2:]
        if self.chance(0.2):
            op = self.pick(["GlobalAveragePool", "GlobalMaxPool", "ReduceMean"])
            more, inputs = {}, [x.name]
            if op == "ReduceMean":
                more = {"keepdims": 1}
                if self.opset < 18:
                    more["axes"] = [2, 3]
                else:
                    inputs.append(self.indices(2, 3))
            grid = x.grid if op == "GlobalMaxPool" else self.mean_grid(x, {math.prod(image)})
            return self.made(self.node(op, inputs, **more), x.shape[:2] + [1, 1], x, x.spread, x.least, grid)
        kernel = self.pick([[2, 2], [3, 3], [2, 2], [1, 2], [4, 4], [3, 2], [5, 5]])
        strides = self.pick([[1, 1], [2, 2], [2, 2], kernel, [2, 1], [3, 3]])
        begin, end = ([int(self.random.integers(0, k)) if self.chance(0.4) else 0 for k in kernel] for _ in range(2))
        dilations, ceil = [1, 1], int(self.chance(0.15))
        op = self.pick(["MaxPool", "AveragePool"])
        if op == "MaxPool" and self.chance(0.1):
            dilations = [2, 1]
        reach = [d * (k - 1) for k, d in zip(kernel, dilations)]
        sizes = [n + b + e - r - 1 for n, b, e, r in zip(image, begin, end, reach)]
        if min(sizes) < 0:
            return None
        extents = [(-(-n // s) if ceil else n // s) + 1 for n, s in zip(sizes, strides)]
        # ONNX drops a last window that would begin in the padding behind the image; engines differ beside it.
        if any((o - 1) * s >= n + b for o, s, n, b in zip(extents, strides, image, begin)):
            return None
        more = {"kernel_shape": kernel, "strides": strides, "pads": begin + end, "ceil_mode": ceil}
        if op == "MaxPool":
            more["dilations"] = dilations
        else:
            more["count_include_pad"] = int(self.chance(0.4))
            padded = any(begin + end) or ceil
            grid = self.mean_grid(x, {math.prod(kernel)} if not padded else {3})
        name, shape = self.node(op, [x.name], **more), x.shape[:2] + extents
        return self.moved(name, shape, x) if op == "MaxPool" else self.made(name, shape, x, x.spread, x.least, grid)

    def mean_grid(self, x, counts):
        if not x.grid or any(n & (n - 1) for n in counts):
            return None
        n = max(counts)
        return Grid(x.grid.unit / n, x.grid.most * n) if x.grid.most * n < 2**24 else None

    def reduction(self, x):
        if len(x.shape) < 3:
            return None
        op = self.pick(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"])
        axes = [a for a in range(1, len(x.shape)) if self.chance(0.5)] or [len(x.shape) - 1]
        keep = int(self.chance(0.7) or len(axes) == len(x.shape) - 1)
        if op == "ReduceSum" or self.opset >= 18:
            name = self.node(op, [x.name, self.indices(*axes)], keepdims=keep)
        else:
            name = self.node(op, [x.name], axes=axes, keepdims=keep)
        shape = [1 if a in axes else n for a, n in enumerate(x.shape) if keep or a not in axes]
        count = math.prod(x.shape[a] for a in axes)
        spread = {"ReduceMean": 0.3, "ReduceSum": count**0.5, "ReduceMax": 2, "ReduceMin": 2}.get(op, count)
        if op in ("ReduceMax", "ReduceMin"):
            return self.moved(name, shape, x)
        return self.made(name, shape, x, x.spread * spread, grid=None)

    def transition(self, x):
        """DenseNet's: normalization, 1x1 convolution and average, some of them left out."""
        if len(x.shape) != 4:
            return None
        code = lambda v: self.quantize(v) if self.quantized and self.chance(0.6) else v
        if self.chance(0.7):
            x = self.batch_norm(x)
            x = code(self.made(self.node("Relu", [x.name]), x.shape, x, least=0) if self.chance(0.7) else x)
        if self.chance(0.7):
            y = self.conv(x, outputs=self.pick([8, 16, 24, 32, 48]), kernel=[1, 1], keep=True, group=1)
            if y is None:
                return None
            x = code(y)
        kernel = self.pick([[2, 2], [2, 2], [3, 3], [1, 2], [2, 3]])
        strides = kernel if self.chance(0.7) else [1 + int(self.random.integers(3)) for _ in kernel]
        pads = [int(self.random.integers(k)) for k in kernel * 2] if self.chance(0.2) else [0] * 4
        padded = [x.shape[2] + pads[0] + pads[2], x.shape[3] + pads[1] + pads[3]]
        extents = [(n - k) // s + 1 for n, k, s in zip(padded, kernel, strides)]
        if min(extents) < 1:
            return None
        name = self.node("AveragePool", [x.name], kernel_shape=kernel, strides=strides, pads=pads,
                         count_include_pad=int(self.chance(0.3)))
        return self.made(name, x.shape[:2] + extents, x, grid=None)

    def squeeze_excite(self, x):
        if len(x.shape) != 4:
            return None
        pooled = self.made(self.node("GlobalAveragePool", [x.name]), x.shape[:2] + [1, 1], x,
                           grid=self.mean_grid(x, {math.prod(x.shape[2:])}))
        pooled = self.quantize(pooled) if self.quantized else pooled
        y = self.conv(pooled, outputs=x.shape[1], kernel=[1, 1], keep=True)
        if y is None:
            return None
        op = self.pick(["Sigmoid", "HardSigmoid"])
        gate = self.made(self.node(op, [y.name]), y.shape, y, 0.3, 0, None)
        gate = self.quantize(gate) if self.quantized else gate
        return self.made(self.node("Mul", [x.name, gate.name]), x.shape, x, x.spread * 0.5, -math.inf, None)

    def concat(self, x):
        axis = 1 if len(x.shape) < 4 or self.chance(0.85) else self.pick([2, 3])
        fits = lambda v: len(v.shape) == len(x.shape) and all(
            m == n for i, (n, m) in enumerate(zip(x.shape, v.shape)) if i != axis)
        parts = [x] + [self.pick([v for v in self.values if fits(v)]) for _ in range(self.pick([1, 1, 2, 3]))]
        self.random.shuffle(parts)
        if sum(p.shape[axis] for p in parts) > 200:
            return None
        if self.quantized and self.chance(0.6):
            coding = self.draw_coding(x)
            parts = [p if p.coding == coding else self.quantize(p, coding) for p in parts]
        shape = list(x.shape)
        shape[axis] = sum(p.shape[axis] for p in parts)
        grid = parts[0].grid
        for p in parts[1:]:
            grid = self.sum_grid(self.made("", [], x, grid=grid), p)
        y = self.made(self.node("Concat", [p.name for p in parts], axis=axis), shape, x,
                      max(p.spread for p in parts), min(p.least for p in parts), grid)
        if all(p.coding == x.coding for p in parts):
            y.coding = x.coding
        return y

    def split(self, x):
        axis = 1 if self.chance(0.8) else len(x.shape) - 1
        n = x.shape[axis]
        if n < 2 or (axis > 1 and self.free_image):
            return None
        at = int(self.random.integers(1, n))
        if self.chance(0.5):
            a, b = self.node("Split", [x.name, self.indices(at, n - at)], outputs=2, axis=axis)
        else:
            a, b = (self.node("Slice", [x.name, self.indices(low), self.indices(high), self.indices(axis)])
                    for low, high in ((0, at), (at, n)))
        shapes = [x.shape[:axis] + [m] + x.shape[axis + 1:] for m in (at, n - at)]
        first, second = self.moved(a, shapes[0], x), self.moved(b, shapes[1], x)
        if self.chance(0.3):  # swapped
            return self.moved(self.node("Concat", [b, a], axis=axis), x.shape, x)
        self.values.append(self.quantize(first) if self.quantized and self.chance(0.8) else first)
        return second

    def strided_slice(self, x):
        if len(x.shape) != 4 or self.free_image:
            return None
        axis, step = self.pick([2, 3]), self.pick([2, -1, 3])
        start, end = (0, 2**31 - 1) if step > 0 else (-1, -2**31)
        n = -(-x.shape[axis] // abs(step))
        name = self.node("Slice", [x.name] + [self.indices(i) for i in (start, end, axis, step)])
        return self.moved(name, x.shape[:axis] + [n] + x.shape[axis + 1:], x)

    def shuffle(self, x):
        if len(x.shape) != 4 or self.free_image:
            return None
        c, image = x.shape[1], x.shape[2:]
        groups = [g for g in range(2, c) if c % g == 0]
        if not groups or self.chance(0.3):
            order = self.random.permutation(c)[:int(self.random.integers(1, c + 1))]
            name = self.node("Gather", [x.name, self.indices(*order)], axis=1)
            return self.moved(name, [x.shape[0], len(order)] + image, x)
        g = self.pick(groups)
        y = self.node("Reshape", [x.name, self.indices(0, g, c // g, *image)])
        y = self.node("Transpose", [y], perm=[0, 2, 1, 3, 4])
        return self.moved(self.node("Reshape", [y, self.indices(0, c, *image)]), x.shape, x)

    def transpose(self, x):
        if len(x.shape) < 3:
            return None
        order = [0] + [int(i) + 1 for i in self.random.permutation(len(x.shape) - 1)]
        return self.moved(self.node("Transpose", [x.name], perm=order), [x.shape[i] for i in order], x)

    def reshape(self, x):
        """Images to rows and rows to images."""
        if self.free_image or len(x.shape) > 4:
            return None
        if len(x.shape) == 4:
            shape = self.pick([[x.shape[1], x.shape[2] * x.shape[3]], [x.shape[1] * x.shape[2], x.shape[3], 1]])
        elif len(x.shape) == 3:
            factors = [f for f in range(1, x.shape[2] + 1) if x.shape[2] % f == 0]
            f = self.pick(factors)
            shape = [x.shape[1], f, x.shape[2] // f]
        else:
            shape = [x.shape[1], 1, 1]
        return self.moved(self.node("Reshape", [x.name, self.indices(0, *shape)]), [x.shape[0]] + shape, x)

    def resize(self, x):
        if len(x.shape) != 4 or math.prod(x.shape) > 4000:
            return None
        mode = self.pick(["nearest", "nearest", "linear"])
        rule = self.pick(["asymmetric", "half_pixel", "align_corners"])
        more = {"mode": mode, "coordinate_transformation_mode": rule}
        if mode == "nearest":
            more["nearest_mode"] = self.pick(["floor", "round_prefer_floor", "ceil"])
        factors = self.pick([(2.0, 2.0), (2.0, 2.0), (1.0, 2.0), (3.0, 1.0), (0.5, 0.5)])
        extents = [math.floor(n * f) for n, f in zip(x.shape[2:], factors)]
        if min(extents) < 1:
            return None
        scales = self.constant(np.array([1, 1, *factors], np.float32))
        name = self.node("Resize", [x.name, "", scales], **more)
        if mode == "nearest":
            return self.moved(name, x.shape[:2] + extents, x)
        return self.made(name, x.shape[:2] + extents, x, least=x.least, grid=None)

    def pad(self, x):
        if len(x.shape) != 4:
            return None
        mode = self.pick(["constant", "constant", "constant", "reflect", "edge"])
        pads = [int(self.random.integers(0, 3)) for _ in range(4)]
        if mode == "reflect" and min(x.shape[2:]) < 3:
            mode = "constant"
        if mode == "constant" and self.chance(0.2):
            pads = [-1 if n > 3 and self.chance(0.5) else p for p, n in zip(pads, x.shape[2:] * 2)]
        channels = self.pick([0, 0, 0, 1, 4]) if mode == "constant" else 0
        value = self.pick([0.0, 0.0, 0.0, 1.0, -0.5])
        inputs = [x.name, self.indices(0, 0, *pads[:2], 0, channels, *pads[2:])]
        if mode == "constant" and (value or self.chance(0.5)):
            inputs.append(self.constant(np.float32(value)))
        else:
            value = 0.0
        shape = [x.shape[0], x.shape[1] + channels] + [n + b + e for n, b, e in zip(x.shape[2:], pads[:2], pads[2:])]
        name, grid = self.node("Pad", inputs, mode=mode), x.grid
        if not value:
            return self.moved(name, shape, x)
        if grid:
            grid = Grid(min(grid.unit, 0.5), max(grid.most, 1 / min(grid.unit, 0.5)) * max(1, grid.unit / 0.5))
        return self.made(name, shape, x, least=min(x.least, value), grid=grid)

    def depth_space(self, x):
        if len(x.shape) != 4:
            return None
        c, h, w = x.shape[1:]
        if c % 4 == 0 and self.chance(0.6):
            name = self.node("DepthToSpace", [x.name], blocksize=2, mode=self.pick(["DCR", "CRD"]))
            return self.moved(name, [x.shape[0], c // 4, h * 2, w * 2], x)
        if h % 2 or w % 2 or c > 40:
            return None
        name = self.node("SpaceToDepth", [x.name], blocksize=2)
        return self.moved(name, [x.shape[0], c * 4, h // 2, w // 2], x)

    def transposed_conv(self, x):
        if len(x.shape) != 4 or math.prod(x.shape) > 3000:
            return None
        c = x.shape[1]
        group = self.pick([1, 1, 1, c, self.pick([g for g in range(1, c + 1) if c % g == 0])])
        each = self.pick([1, 2, 3, 4, 8, 16])
        kernel, strides = ([self.pick(choices) for _ in range(2)] for choices in ([1, 2, 2, 3, 3, 4, 5], [1, 2, 2, 3]))
        dilations = [1, 1] if self.chance(0.85) else [self.pick([1, 2]) for _ in range(2)]
        reach = [d * (k - 1) for k, d in zip(kernel, dilations)]
        pads = [int(self.random.integers(0, r + 1)) if self.chance(0.5) else 0 for r in reach * 2]
        more = [int(self.random.integers(0, st)) if self.chance(0.3) else 0 for st in strides]
        extents = [(n - 1) * st + r + 1 + m - pads[i] - pads[i + 2]
                   for i, (n, st, r, m) in enumerate(zip(x.shape[2:], strides, reach, more))]
        if min(extents) < 1 or math.prod(extents) * each * c * math.prod(kernel) * x.shape[0] > MOST_PRODUCTS:
            return None
        weight, grid, scales = self.weights([c, each] + kernel, 1, c // group * math.prod(kernel))
        bias, is_exact = self.bias(x, scales if group == 1 else None, each * group)
        name = self.node("ConvTranspose", [x.name, weight] + bias, strides=strides, pads=pads, output_padding=more,
                         dilations=dilations, group=group)
        y = self.made(name, [x.shape[0], each * group] + extents, x, grid=self.product_grid(x, grid, is_exact))
        if self.chance(0.2):
            y = self.batch_norm(y)
        return self.activation(y) if self.chance(0.4) else y

    def rows_product(self, x):
        """MatMul with a constant weight on the last axis, or Gemm of rows."""
        k, n = x.shape[-1], self.pick([1, 2, 3, 5, 8, 10, 16, 17, 33, 64])
        if k > 600 or math.prod(x.shape) * n > MOST_PRODUCTS or (self.free_image and len(x.shape) > 2):
            return None
        if len(x.shape) == 2 and self.chance(0.7):
            transposed = int(self.chance(0.7))
            weight, grid, scales = self.weights([n, k] if transposed else [k, n], 0 if transposed else 1, k)
            bias, is_exact = self.bias(x, scales, n)
            name = self.node("Gemm", [x.name, weight] + bias, transB=transposed)
        else:
            weight, grid, scales = self.weights([k, n], 1, k)
            bias, is_exact = self.bias(x, scales, n)
            name = self.node("MatMul", [x.name, weight])
            if bias:
                name = self.node("Add", [name] + bias if self.chance(0.7) else bias + [name])
        return self.made(name, x.shape[:-1] + [n], x, grid=self.product_grid(x, grid, is_exact))

    def attention(self, x):
        """A product of two values: x with its own transpose, perhaps a Softmax, and x again."""
        if len(x.shape) < 3 or x.shape[-1] > 200 or math.prod(x.shape) * x.shape[-2] > MOST_PRODUCTS or self.free_image:
            return None
        order = list(range(len(x.shape)))
        order[-1], order[-2] = order[-2], order[-1]
        turned = self.node("Transpose", [x.name], perm=order)
        grid = Grid(x.grid.unit**2, x.grid.most**2 * x.shape[-1]) if x.grid else None
        y = self.made(self.node("MatMul", [x.name, turned]), x.shape[:-1] + [x.shape[-2]], x,
                      x.spread**2 * math.sqrt(x.shape[-1]), -math.inf, grid if grid and grid.most < 2**24 else None)
        if self.quantized and self.chance(0.8):
            y = self.quantize(y)
        if self.chance(0.5):
            return y
        if self.chance(0.5):
            name = self.node("Mul", [y.name, self.constant(np.float32(0.25))])
            y = self.made(name, y.shape, y, y.spread / 4, grid=None)
        y = self.made(self.node("Softmax", [y.name], axis=-1), y.shape, y, 0.3, 0, None)
        y = self.quantize(y, (np.uint8, 1 / 256 if self.powers else 1 / 255, 0)) if self.quantized else y
        return self.made(self.node("MatMul", [y.name, x.name]), x.shape, x, grid=None)

    def heads(self, x):
        """Attention of several heads on rows [batch, rows, channels]; queries, keys and values are x itself."""
        if len(x.shape) != 3 or self.free_image or x.shape[1] > 64 or x.shape[2] > 96:
            return None
        rows, c = x.shape[1:]
        h = self.pick([h for h in (1, 2, 3, 4, 8) if c % h == 0])
        cut = self.node("Reshape", [x.name, self.indices(0, rows, h, c // h)])
        turn = lambda perm, shape: self.moved(self.node("Transpose", [cut], perm=perm), shape, x)
        queries = turn([0, 2, 1, 3], [x.shape[0], h, rows, c // h])
        keys = turn([0, 2, 3, 1], [x.shape[0], h, c // h, rows])
        values = queries if self.chance(0.5) else turn([0, 2, 1, 3], queries.shape)
        code = lambda v, coding=None: self.quantize(v, coding) if self.quantized else v
        if x.coding and self.chance(0.7):
            queries, keys, values = (code(v, x.coding) for v in (queries, keys, values))
        y = self.made(self.node("MatMul", [queries.name, keys.name]), queries.shape[:3] + [rows], x,
                      x.spread**2 * math.sqrt(c // h), grid=None)
        y = code(y) if self.chance(0.7) else y
        y = self.made(self.node("Mul", [y.name, self.constant(np.float32(0.5))]), y.shape, y, y.spread / 2, grid=None)
        y = self.made(self.node("Softmax", [y.name], axis=-1), y.shape, y, 0.3, 0, None)
        y = code(y, (np.uint8, 1 / 256, 0))
        y = code(self.made(self.node("MatMul", [y.name, values.name]), queries.shape, x, grid=None))
        y = self.node("Transpose", [y.name], perm=[0, 2, 1, 3])
        return self.made(self.node("Reshape", [y, self.indices(0, rows, c)]), x.shape, x, grid=None)

    def normalize_rows(self, x):
        if self.free_image:
            return None
        if self.chance(0.4):
            name = self.node("Softmax", [x.name], axis=self.pick([-1, 1]))
            return self.made(name, x.shape, x, 0.2, 0, None)
        if self.opset < 17 or x.shape[-1] < 2:
            return None
        draw = lambda low, high: self.constant(self.random.uniform(low, high, x.shape[-1]).astype(np.float32), "n")
        name = self.node("LayerNormalization", [x.name, draw(0.5, 1.5), draw(-0.5, 0.5)], axis=-1)
        return self.made(name, x.shape, x, 1.0, grid=None)

    def flatten(self, x):
        if len(x.shape) < 3 or self.free_image or math.prod(x.shape[1:]) > 600:
            return None
        return self.moved(self.node("Flatten", [x.name], axis=1), [x.shape[0], math.prod(x.shape[1:])], x)

    # With how often each is drawn.
    LAYERS = [(conv_block, 12), (residual, 4), (inverted_residual, 1), (activation, 3), (batch_norm, 1), (pool, 3),
              (reduction, 0.7), (transition, 1), (squeeze_excite, 1), (pair, 3), (concat, 3), (split, 2),
              (strided_slice, 0.5), (shuffle, 1.5), (transpose, 1), (reshape, 1), (resize, 1), (pad, 1),
              (depth_space, 1), (transposed_conv, 1), (rows_product, 2), (attention, 1), (heads, 1),
              (normalize_rows, 0.7), (flatten, 0.5)]
    OF_ROWS = (rows_product, attention, normalize_rows)

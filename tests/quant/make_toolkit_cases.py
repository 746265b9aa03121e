"""Writes toolkit_cases.inc: random inputs with the toolkit's answers as NumPy computes them from their definition
(docs/toolkit_behaviour.md), so that nothing recorded can be looked up. Run: python tests/quant/make_toolkit_cases.py, with NumPy 1.26
(numpy.histogram itself is the definition of the numpy mode, and NumPy 2 rounds its edges otherwise)."""
import math
import pathlib
from fractions import Fraction

import numpy as np

f32 = np.float32
rng = np.random.default_rng(20260611)


# ---- writing

def bits(x):
    return "{" + ",".join(f"0x{v:x}" for v in np.asarray(x, f32).ravel().view(np.uint32)) + "}"


def numbers(x):
    return "{" + ",".join(repr(float(v)) for v in x) + "}"


def dims(x):
    return "{" + ",".join(str(d) for d in np.shape(x)) + "}"


# ---- functions

def round_bf16(x):
    u = np.asarray(x, f32).view(np.uint32).astype(np.uint64)
    return (((u + 0x7fff + ((u >> 16) & 1)) >> 16) << 16).astype(np.uint32).view(f32)


def tensor_quant(x, amax, b, unsigned, narrow):
    bound = f32(2.0 ** (b - 1 + unsigned) - 1)
    low = f32(0) if unsigned else (-bound if narrow else -bound - f32(1))
    with np.errstate(all="ignore"):
        s = (bound / amax).astype(f32)
    zero = amax <= f32(2.0 ** -24)
    s = np.where(zero, f32(0), s).astype(f32)
    q = np.minimum(np.maximum(np.rint((x * s).astype(f32)), low), bound).astype(f32)
    return q, np.where(zero, f32(1), s).astype(f32)


def amax_of(x, axis):
    if axis is None:
        return np.abs(x).max().astype(f32)
    return np.abs(x).max(axis=tuple(i for i in range(x.ndim) if i != axis), keepdims=True).astype(f32)


def draw(shape):
    kind = rng.integers(4)
    if kind == 0:
        x = rng.normal(0, 10.0 ** rng.uniform(-4, 4), shape)
    elif kind == 1:
        x = rng.uniform(-3, 3, shape)
    elif kind == 2:
        x = rng.standard_t(2, shape)
    else:
        x = np.maximum(rng.normal(0, 2, shape), 0)
    return x.astype(f32)


def function_cases(out):
    shapes = [(5, 7), (3, 4, 5), (61,), (2, 3, 2, 3), (16, 3)]
    for n in range(60):
        shape = shapes[n % len(shapes)]
        x = draw(shape)
        dtype = ["f32", "f32", "f32", "f16", "bf16"][n % 5]
        if dtype == "f16":
            x = np.clip(x, -6e4, 6e4).astype(np.float16).astype(f32)
        elif dtype == "bf16":
            x = round_bf16(x)
        axis = None if n % 3 == 0 else int(rng.integers(len(shape)))
        amax = (amax_of(x, axis) * f32(rng.choice([1.0, 0.7, 0.31]))).astype(f32)
        unsigned = int(n % 4 == 1)
        if unsigned:
            x = np.abs(x)
        narrow = bool(n % 2)
        b = int(rng.integers(1 if unsigned else 2, 17))
        if n < 20:
            b = 8
        ties = rng.random(x.shape) < 0.3  # half steps, where rounding is decided
        q, s = tensor_quant(x, amax, b, unsigned, narrow)
        with np.errstate(all="ignore"):
            on_tie = ((np.abs(q) + f32(0.5)) * np.sign(x) / s).astype(f32)
        if dtype == "f32":
            x = np.where(ties & np.isfinite(on_tie), on_tie, x).astype(f32)
            if unsigned:
                x = np.abs(x)
        q, s = tensor_quant(x, amax, b, unsigned, narrow)
        fake = (q / s).astype(f32)
        if dtype == "f16":
            with np.errstate(over="ignore"):
                fake = fake.astype(np.float16).astype(f32)
        elif dtype == "bf16":
            fake = round_bf16(fake)
        dy = rng.normal(0, 1, x.shape).astype(f32)
        if dtype != "f32":
            dy = (dy.astype(np.float16).astype(f32) if dtype == "f16" else round_bf16(dy))
        dx = np.where(np.abs(x) <= amax, dy, f32(0)).astype(f32)
        out.append(f"{{{b},{str(bool(unsigned)).lower()},{str(narrow).lower()},DType::{dtype},{dims(x)},{dims(amax)},"
                   f"{bits(x)},{bits(amax)},{bits(q)},{bits(s)},{bits(fake)},{bits(dy)},{bits(dx)}}},")


def affine_cases(out):
    for _ in range(12):
        x = draw((40,))
        b = int(rng.integers(2, 13))
        lo, hi = f32(x.min() * f32(rng.uniform(0.3, 1.2))), f32(x.max() * f32(rng.uniform(0.3, 1.2)))
        if not lo < hi:
            lo, hi = f32(-1), f32(2)
        step = f32(f32(hi - lo) / f32(2.0 ** b - 1))
        low, high = f32(-2.0 ** (b - 1)), f32(2.0 ** (b - 1) - 1)
        z = f32(np.rint(f32(lo / step)) - low)
        q = np.clip((np.rint((x / step).astype(f32)) - z).astype(f32), low, high)
        y = ((q + z).astype(f32) * step).astype(f32)
        out.append(f"{{{b},{bits(lo)[1:-1]},{bits(hi)[1:-1]},{bits(x)},{bits(y)}}},")


E4M3 = np.array(sorted({0.0} | {m * 2.0 ** -9 for m in range(8)} |
                       {(1 + m / 8) * 2.0 ** e for e in range(-6, 9) for m in range(8) if not (e == 8 and m == 7)}))


def e4m3(v):
    """Nearest of the list of values, by distance; a tie goes to the even significand, that is the even place in the list."""
    a = np.minimum(np.abs(v.astype(np.float64)), 448.0)
    at = np.searchsorted(E4M3, a)
    below = np.maximum(at - 1, 0)
    up, down = E4M3[np.minimum(at, len(E4M3) - 1)] - a, a - E4M3[below]
    choose_up = (up < down) | ((up == down) & (at % 2 == 0))
    return np.copysign(np.where(choose_up, E4M3[np.minimum(at, len(E4M3) - 1)], E4M3[below]), v).astype(f32)


def e4m3_cases(out):
    for n in range(10):
        x = draw((50,))
        if n % 2:  # halfway between two values
            i = rng.integers(0, len(E4M3) - 1, 50)
            x = ((E4M3[i] + E4M3[i + 1]) / 2 * rng.choice([-1, 1], 50)).astype(f32)
        amax = None if n % 3 == 0 else f32(np.abs(x).max() * f32(rng.uniform(0.3, 1.5)))
        if amax is None:
            y = e4m3(x)
        else:
            s = f32(f32(448) / amax)
            y = (e4m3((x * s).astype(f32)) / s).astype(f32)
        y = np.where(np.abs(x) < f32(2.0 ** -24), f32(0), y).astype(f32)
        out.append(f"{{{str(amax is not None).lower()},{bits(amax if amax is not None else 0)[1:-1]},{bits(x)},{bits(y)}}},")


# ---- histograms

def to_f32(fraction):
    """The nearest float32 of an exact number, ties to even."""
    if fraction == 0:
        return f32(0)
    e = math.floor(math.log2(abs(fraction)))
    while abs(fraction) >= Fraction(2) ** (e + 1):
        e += 1
    while abs(fraction) < Fraction(2) ** e:
        e -= 1
    unit = Fraction(2) ** (e - 23)
    return f32(float(round(fraction / unit) * unit))  # Python's round is to even


def linspace(m, n):
    step = f32(m / f32(n - 1))
    return np.array([f32(step * f32(i)) if i < n // 2 else to_f32(Fraction(float(m)) - Fraction(float(step)) * (n - 1 - i))
                     for i in range(n)], f32)


def arange(n, w):
    w = float(w)
    edges = []
    for i in range(n):
        if i < n - n % 16:
            g = i // 8 * 8
            edges.append(f32(float(f32(w * g)) + w * (i - g)))
        else:
            edges.append(f32(w * i))
    return np.array(edges, f32)


def histc(x, n, lo, hi):
    x = x[(x >= lo) & (x <= hi)]
    k = ((((x - lo).astype(f32) * f32(n)).astype(f32)) / f32(hi - lo)).astype(f32).astype(np.int64)
    return np.bincount(np.minimum(k, n - 1), minlength=n).astype(f32)


def torch_mode(batches, n):
    hist = edges = None
    for x in batches:
        x = np.abs(x) if x.min() < 0 else x
        m = f32(x.max())
        if hist is None:
            hist, edges = histc(x, n, f32(0), m), linspace(m, n + 1)
            continue
        if m > edges[-1]:
            w = f32(edges[1] - edges[0])
            n = int(np.ceil(f32(m / w)))
            edges = arange(int(math.ceil(float(f32(m + w)) / float(w))), w)
        new = histc(x, n, f32(0), edges[-1])
        new[:len(hist)] += hist
        hist = new
    return hist.astype(np.float64), edges.astype(np.float64)


def numpy_mode(batches, n):
    hist = edges = None
    for x in batches:
        x = np.abs(x) if x.min() < 0 else x
        if hist is None:
            hist, edges = np.histogram(x, bins=n)
            continue
        m = np.max(x)
        if m > edges[-1]:
            w = edges[1] - edges[0]
            edges = np.hstack((edges, np.arange(edges[-1] + w, m + w, w)))
        new, edges = np.histogram(x, bins=edges)
        new[:len(hist)] += hist
        hist = new
    return hist.astype(np.float64), edges.astype(np.float64)


def entropy(hist, edges, b, unsigned, stride, start):
    h = hist.astype(np.int64).copy()
    h[0] = h[1]
    levels = 2 ** (b - 1 + unsigned)
    best = None
    for i in range(start, len(h) + 1, stride):
        level = np.digitize(np.arange(i), np.linspace(0, i, levels + 1)) - 1
        level[h[:i] == 0] = -1
        q = np.zeros(i)
        for l in range(levels):
            inside = level == l
            if inside.any():
                q[inside] = h[:i][inside].sum() / inside.sum()
        p = h[:i].astype(np.float64)
        p[-1] += h[i:].sum()
        p, q = p / p.sum(), q / q.sum()
        with np.errstate(all="ignore"):
            d = np.where(p == 0, 0.0, np.where(q == 0, np.inf, p * np.log(p / q))).sum()
        if best is None or d <= best[0]:
            best = (d, i)
    return f32(edges[best[1]])


def mse(hist, edges, b, unsigned, stride, start):
    e, c = edges.astype(f32), hist.astype(f32)
    x = ((e[1:] + e[:-1]).astype(f32) / f32(2)).astype(f32)
    best = None
    for i in range(start, len(x), stride):
        q, s = tensor_quant(x, x[i], b, unsigned, True)
        y = (q / s).astype(f32)
        price = ((((y - x).astype(f32) ** 2).astype(f32)) * c).astype(f32).astype(np.float64).sum()
        if best is None or price < best[0] * (1 - 1e-9):
            best = (price, i)
    return f32(x[best[1]])


def percentile(hist, edges, p):
    cdf = np.cumsum(hist / hist.sum())
    return f32(edges[np.searchsorted(cdf, p / 100)])


def histogram_cases(out):
    made = 0
    while made < 16:
        torch = made % 2 == 0
        n = int(rng.choice([64, 100, 200, 256]))
        batches = [draw((int(rng.integers(50, 300)),)) * f32(rng.uniform(0.5, 2)) for _ in range(int(rng.integers(1, 4)))]
        if min(x.max() for x in batches) <= 0 or (not torch and min(x.min() for x in batches) < 0 and made % 4 == 1):
            continue
        hist, edges = (torch_mode if torch else numpy_mode)(batches, n)
        if len(edges) != len(hist) + 1 or len(hist) > 2000 or edges[0] < 0:
            continue
        choices = [f"{{\"percentile\",{p},0,false,0,0,{bits(percentile(hist, edges, p))[1:-1]}}}" for p in (0, 37.5, 90, 99, 99.9, 100)]
        for b, unsigned, stride, start in ((8, 0, 1, 32), (4, 0, 1, 8), (4, 1, 3, 16), (3, 0, 2, 20)):
            choices.append(f"{{\"mse\",0,{b},{str(bool(unsigned)).lower()},{stride},{start},"
                           f"{bits(mse(hist, edges, b, unsigned, stride, start))[1:-1]}}}")
            # On the toolkit's own mistake (D27) entropy changes bin 0 of a numpy histogram: it goes last.
        for b, unsigned, stride, start in ((8, 0, 1, 32), (4, 0, 1, 8), (4, 1, 3, 16), (3, 0, 2, 20)):
            choices.append(f"{{\"entropy\",0,{b},{str(bool(unsigned)).lower()},{stride},{start},"
                           f"{bits(entropy(hist, edges, b, unsigned, stride, start))[1:-1]}}}")
        out.append(f"{{{str(torch).lower()},{n},{{{','.join(bits(x) for x in batches)}}},{numbers(hist)},{numbers(edges)},"
                   f"{{{','.join(choices)}}}}},")
        made += 1


def main():
    assert np.__version__.startswith("1.26"), np.__version__
    lines = ["// Written by make_toolkit_cases.py with NumPy " + np.__version__ + "; floats as their bits."]
    for name, kind, fill in (("k_function_cases", "FunctionCase", function_cases), ("k_affine_cases", "AffineCase", affine_cases),
                             ("k_e4m3_cases", "E4m3Case", e4m3_cases), ("k_histogram_cases", "HistogramCase", histogram_cases)):
        cases = []
        fill(cases)
        lines += [f"const std::vector<{kind}> {name} = {{"] + cases + ["};"]
    pathlib.Path(__file__).with_name("toolkit_cases.inc").write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

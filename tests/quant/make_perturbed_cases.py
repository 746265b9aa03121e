"""Writes perturbed_cases.inc: the inputs of the toolkit's recorded runs ($OCTET_DATA/golden: calib.npz, quantizer.npz, half and bfloat16 of
quant.npz, gradients of affine.npz and e4m3.npz), each element moved at random, with the answers that NumPy computes from the definition
(docs/toolkit_behaviour.md). So no recorded answer can be looked up. Run: OCTET_DATA=... python tests/quant/make_perturbed_cases.py, with NumPy
1.26 (numpy.histogram itself is the definition for weights, and NumPy 2 rounds its edges otherwise)."""
import json
import os
import pathlib

import numpy as np

from make_toolkit_cases import bits, dims, e4m3, f32, mse, percentile, round_bf16, tensor_quant

GOLDEN = pathlib.Path(os.environ["OCTET_DATA"]) / "golden"
INDEX = json.loads((GOLDEN / "index.json").read_text(encoding="utf-8"))["records"]
rng = np.random.default_rng(20261125)
arrays = {}


def stored(record, key):
    file = record["file"]
    if file not in arrays:
        arrays[file] = np.load(GOLDEN / file)
    return arrays[file][key]


def moved(x):
    """Each element by up to 2 %, and another order; zeros, signs and what is not finite stay."""
    x = np.asarray(x, f32)
    y = (x * (f32(1) + rng.uniform(-0.02, 0.02, x.shape).astype(f32))).astype(f32)
    return rng.permutation(y.ravel()).reshape(x.shape)


def kept_amax(x, axis):
    """max|x| over every axis that is not named, kept as 1; no dimensions when one number is left. NaN wins."""
    axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
    a = np.abs(x).max(axis=tuple(i for i in range(x.ndim) if i not in axes), keepdims=True) if x.ndim else np.abs(x)
    return a.reshape(()).astype(f32) if a.size == 1 else a.astype(f32)


def record_text(*fields):
    return "{" + ", ".join(fields) + "},"


def text(value):
    return f'"{value}"'


def flag(value):
    return "true" if value else "false"


# ---- the max calibrator

def max_cases(out):
    for record in (r for r in INDEX if r["kind"] == "max_calibrator"):
        axis = record["params"]["axis"]
        batches = [moved(stored(record, record["inputs"][f"batch{n}"])) for n in range(len(record["inputs"]))]
        amax, steps, rank = None, [], None
        for x in batches:
            axes = None if axis is None else [a % x.ndim for a in ([axis] if isinstance(axis, int) else axis)]
            local = kept_amax(x, axes)
            amax = local if amax is None else np.maximum(amax, local)
            steps.append((local, amax))
        listed = [] if axis is None else [axis] if isinstance(axis, int) else axis
        out.append(record_text(text(record["id"]), "{" + ", ".join(str(a) for a in listed) + "}", flag(axis is not None),
                               "{" + ", ".join(record_text(dims(x), bits(x), dims(l), bits(l), bits(a))[:-1] for x, (l, a) in zip(batches, steps)) + "}"))


# ---- weights

def amax_of_row(row, method, p, num_bins):
    row = np.abs(row)
    if method == "max":
        return f32(row.max())
    counts, edges = np.histogram(row, bins=num_bins, range=(0, row.max()))
    if method == "mse":
        return mse(counts.astype(np.float64), edges.astype(np.float64), 8, 0, 1, 128)
    return percentile(counts.astype(np.float64), edges.astype(np.float64), p)


def weight_cases(out):
    weights = {}
    for record in (r for r in INDEX if r["kind"] == "calibrate_weights" and "error" not in r["params"]):
        p = record["params"]
        key = record["inputs"]["weight"]
        if key not in weights:
            weights[key] = moved(stored(record, key))
        w = weights[key]
        if (np.abs(w).reshape(len(w), -1).max(1) == 0).any():
            continue  # dead channels have a test of their own
        axis = 1 if p["module"].startswith("convt") else 0
        if p["perchannel"]:
            rows = [amax_of_row(np.take(w, i, axis), p["method"], p.get("percentile", 99.99), p["num_bins"]) for i in range(w.shape[axis])]
            shape = [1] * w.ndim
            shape[axis] = w.shape[axis]
            amax = np.array(rows, f32).reshape(shape)
        else:
            amax = np.asarray(amax_of_row(w, p["method"], p.get("percentile", 99.99), 2048), f32)
        out.append(record_text(text(record["id"]), text(p["method"]), flag(p["perchannel"]), repr(p.get("percentile", 99.99)), str(p["num_bins"]), str(axis),
                               dims(w), bits(w), dims(amax), bits(amax)))


# ---- 3: quantizers

def fake(x, a, b, unsigned, narrow):
    q, s = tensor_quant(x, a, b, unsigned, narrow)
    return (q / s).astype(f32)


def quantizer_cases(out):
    for record in (r for r in INDEX if r["kind"] == "quantizer"):
        p, name = record["params"], record["id"]
        x = stored(record, record["inputs"]["x"])
        x = moved(x[:, :3, :2, :2] if name == "seed_quantizer" else x)
        pre = f32(2) if name.startswith("tq_pre_scale") else None
        disabled, quantizes, learns = name.endswith("_disabled"), p.get("if_quant", True), p.get("learn_amax", False)
        dy = rng.normal(0, 1, x.shape).astype(f32)
        z = x if pre is None else (x * pre).astype(f32)
        passes = np.ones(x.shape, bool)
        dmin = dmax = 0.0
        clipped = z
        if learns:
            low, high = f32(-p["amax"]), f32(p["amax"])
            clipped = np.maximum(np.minimum(z, high), low)
            passes = (z > low) & (z < high)
            dmin, dmax = float(dy[~(z > low)].astype(np.float64).sum()), float(dy[~(z < high)].astype(np.float64).sum())
        scale = np.zeros((), f32)
        if disabled:
            y = z
        elif not quantizes:
            y = clipped
        else:
            axis = p.get("axis")
            # The toolkit compares the axis as it is: -1 matches none and the result is per tensor (D9).
            a = np.asarray(f32(p["amax"])) if "amax" in p else kept_amax(z, None if axis is None or axis < 0 else axis)
            if "scale_amax" in p:
                a = (a * f32(p["scale_amax"])).astype(f32)
            b, unsigned = p.get("num_bits", 8), int(p.get("unsigned", False))
            if not learns:
                passes = np.abs(z) <= a
            if isinstance(b, list):
                s = (f32(448) / a).astype(f32)
                y = np.where(np.abs(z) < f32(2.0 ** -24), f32(0), (e4m3((z * s).astype(f32)) / s).astype(f32)).astype(f32)
            elif p.get("fake_quant", True):
                y = fake(clipped, a, b, unsigned, p.get("narrow_range", False))
            else:
                y, scale = tensor_quant(clipped, a, b, unsigned, True)  # always narrow (D11)
        dx = np.where(passes, dy, f32(0)).astype(f32)
        if pre is not None:
            dx = (dx * pre).astype(f32)
        out.append(record_text(text(name), dims(x), bits(x), bits(y), bits(scale), bits(dy), bits(dx), repr(dmin), repr(dmax)))


# ---- fake_tensor_quant in half and bfloat16, the toolkit's way (D8)

def half_cases(out):
    for record in (r for r in INDEX if r["kind"] == "tensor_quant_half"):
        p = record["params"]
        x = moved(stored(record, record["inputs"]["x"])).ravel()[:96].astype(np.float16)
        a = np.float16(np.abs(x.astype(f32)).max() * f32(rng.choice([1.0, 0.6])))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            q, s = tensor_quant(x.astype(f32), np.asarray(f32(a)), p["num_bits"], int(p["unsigned"]), p["narrow_range"])
            q, s = q.astype(np.float16), s.astype(np.float16)
            y = (q.astype(f32) / s.astype(f32)).astype(f32).astype(np.float16)
        if not np.isfinite(s.astype(f32)).all():
            continue  # the toolkit throws for the integers
        out.append(record_text("DType::f16", str(p["num_bits"]), flag(p["unsigned"]), flag(p["narrow_range"]), bits(x.astype(f32)), bits(f32(a))[1:-1],
                               bits(q.astype(f32)), bits(y.astype(f32))))


def bf16_cases(out):
    for record in (r for r in INDEX if r["kind"] == "tensor_quant_bf16"):
        for b in (8, 4, 5):
            x = round_bf16(moved(stored(record, record["inputs"]["x"])).ravel()[:96])
            a = f32(np.abs(x).max() * f32(rng.choice([1.0, 0.6])))
            bound = f32(2.0 ** (b - 1) - 1)
            s = f32(bound / a)
            q = np.clip(np.rint(round_bf16((x * s).astype(f32))), -bound, bound).astype(f32)  # the product is rounded to 8 bits first
            y = round_bf16((q / round_bf16(np.array([s], f32))[0]).astype(f32))  # the scale goes back in x's type
            out.append(record_text("DType::bf16", str(b), "false", "true", bits(x), bits(a)[1:-1], bits(q), bits(y)))


# ---- gradients of affine and E4M3

def gradient_cases(out):
    for record in (r for r in INDEX if r["kind"] in ("affine", "e4m3")):
        x = moved(np.nan_to_num(stored(record, record["inputs"]["x"]), nan=1, posinf=2, neginf=-2)).ravel()[:96]
        dy = rng.normal(0, 1, x.shape).astype(f32)
        if record["kind"] == "affine":
            low, high = (f32(np.ravel(stored(record, record["inputs"][k]))[0] * 0.7) for k in ("min", "max"))
            x[:2] = low, high  # both ends belong to the range
        else:
            given = "amax" in record["inputs"]
            high = f32(np.ravel(stored(record, record["inputs"]["amax"]))[0] * 0.7) if given else f32(448)
            low = -high
            x[:2] = low, high
        dx = np.where((low <= x) & (x <= high), dy, f32(0)).astype(f32)
        has_amax = record["kind"] == "e4m3" and "amax" in record["inputs"]
        out.append(record_text(text(record["id"]), flag(record["kind"] == "affine"), flag(has_amax), bits(low)[1:-1], bits(high)[1:-1], bits(x), bits(dy), bits(dx)))


def main():
    assert np.__version__.startswith("1.26"), np.__version__
    lines = ["// Written by make_perturbed_cases.py with NumPy " + np.__version__ + "; floats as their bits."]
    for name, kind, fill in (("k_max_cases", "MaxCase", max_cases), ("k_weight_cases", "WeightCase", weight_cases),
                             ("k_quantizer_cases", "QuantizerCase", quantizer_cases), ("k_half_cases", "HalfCase", half_cases),
                             ("k_bf16_cases", "HalfCase", bf16_cases), ("k_gradient_cases", "GradientCase", gradient_cases)):
        cases = []
        fill(cases)
        print(name, len(cases))
        lines += [f"const std::vector<{kind}> {name} = {{"] + cases + ["};"]
    pathlib.Path(__file__).with_name("perturbed_cases.inc").write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

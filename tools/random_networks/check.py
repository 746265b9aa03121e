#!/usr/bin/env python3
"""Runs small random ONNX networks in every way octet has and holds the answers against each other and ONNX Runtime's.

usage: check.py FIRST COUNT [--build FOLDER] [--keep FOLDER] [--layers N]

Seeds FIRST to FIRST + COUNT - 1, each a network of networks.py; float ones once more in the form that `octet
quantize` writes. For each:
  octet run        against ONNX Runtime without optimizations. Where nothing is rounded on the way the outputs are
                   equal; else they lie as near as FLOAT, STEPS and JITTER say.
  octet_every_way  every ISA, tactic, number of threads and cut of the batch, against each other to the byte and against
                   the reference (tests/api/every_way.cpp).
  octet build      the plan's outputs are those of the run, to the byte, and those of a plan for several batches; so are
                   those of a batch's images one by one.
  --skip-pass      without some of the passes, against ONNX Runtime.
  octet repair     the written file against ONNX Runtime and in it; a batch fixed at 1 made free where that is possible:
                   three samples are three times one.
  --no-repair      against ONNX Runtime once more.
What differs is kept in FOLDER/SEED and shown with the command that repeats it; --layers N takes a network's first N
layers only, to find the one that brings a difference. Exit 0: no difference.
Needs numpy, onnx and onnxruntime (build/peers-venv has them), octet and octet_every_way in the build folder.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

import networks

# Of networks that are rounded on the way: floats by so much of the largest, codes by so many.
FLOAT = 2e-3
STEPS = 2
# Where a code lies beside its neighbour the layers behind it may make more of that. How much is tried on ONNX Runtime
# itself, with scales of QuantizeLinear that are a little larger or smaller.
JITTER, JITTERED_RUNS = 5e-4, 8


class Difference(Exception):
    pass


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Difference(f"{' '.join(map(str, command))}\n{(done.stdout + done.stderr).strip()}")
    return done.stdout


class Octet:
    def __init__(self, build, folder):
        self.build, self.folder, self.runs = build, folder, 0

    def outputs(self, model, inputs, *options):
        self.runs += 1
        here = self.folder / f"run{self.runs}"
        here.mkdir()
        words = []
        for name, data in inputs.items():
            np.save(here / f"in_{name}.npy", data)
            words += ["--loadInputs", f"{name}:{here / f'in_{name}.npy'}"]
        out = here / "out"
        out.mkdir()
        run([self.build / "octet", "run", model, *words, "-o", f"{out}/", "--quiet", *options])
        return {path.stem: np.load(path) for path in out.glob("*.npy")}


def onnx_runtime(model, inputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))


def jittered(model, random):
    """The network with other scales in front of its codes; what reads them keeps its own."""
    model = onnx.load(model)
    numbers = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    for i, node in enumerate(model.graph.node):
        if node.op_type == "QuantizeLinear" and node.input[1] in numbers:
            scale = numbers[node.input[1]] * np.float32(1 + random.choice([-JITTER, JITTER]))
            node.input[1] = f"jittered_{i}"
            model.graph.initializer.append(onnx.numpy_helper.from_array(scale, node.input[1]))
    return model.SerializeToString()


class Expected:
    """ONNX Runtime's outputs, and how far others may lie from them."""

    def __init__(self, path, inputs, steps, exact):
        self.path, self.inputs, self.steps, self.exact = path, inputs, steps, exact
        self.outputs = onnx_runtime(str(path), inputs)
        self.moved = None

    def allowed(self, name):
        """By how much an output may differ, without what layers make of a neighbouring code."""
        if self.exact:
            return 0
        largest = np.abs(self.outputs[name].astype(np.float64)).max(initial=0)
        step = largest / 128 if self.steps[name] is None else self.steps[name]
        return STEPS * step if step else FLOAT * max(largest, 1e-3)

    def moves(self, name):
        """By how much ONNX Runtime's own output moves with the scales."""
        if self.moved is None:
            random = np.random.default_rng(1)
            runs = [onnx_runtime(jittered(self.path, random), self.inputs) for _ in range(JITTERED_RUNS)]
            self.moved = {n: max(largest_difference(run[n], o) for run in runs) for n, o in self.outputs.items()}
        return self.moved[name]

    def hold(self, way, got):
        for name, want in self.outputs.items():
            allowed = self.allowed(name)
            if allowed and got[name].shape == want.shape:
                far = largest_difference(got[name], want)
                if far <= allowed or far <= 2 * self.moves(name) + allowed:
                    continue
            hold(way, {name: got[name]}, {name: want})


def largest_difference(a, b):
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    difference[np.isnan(a) & np.isnan(b) | (a == b)] = 0
    return np.nan_to_num(difference, nan=np.inf).max(initial=0)


def hold(way, got, expected):
    """Raises where an output has other numbers. ONNX says nothing of the sign of a zero."""
    for name, want in expected.items():
        have = got.get(name)
        if have is None or have.shape != want.shape or have.dtype != want.dtype:
            raise Difference(f"{way}: output {name} is {None if have is None else (have.dtype, have.shape)}, "
                             f"expected {want.dtype}, {want.shape}")
        if np.array_equal(have, want, equal_nan=have.dtype.kind == "f"):
            continue
        difference = np.nan_to_num(np.abs(have.astype(np.float64) - want.astype(np.float64)), nan=np.inf)
        at = np.unravel_index(difference.argmax(), difference.shape)
        raise Difference(f"{way}: output {name} {want.shape}: {(difference > 0).sum()} of {want.size} differ, most at "
                         f"{[int(i) for i in at]}: {have[at]} instead of {want[at]}")


def build_plan(octet, path, inputs, batches=()):
    """batches: the smallest, the best and the largest; nothing = the inputs' own."""
    plan = octet.folder / "network.plan"
    words = []
    for name, data in inputs.items():
        shapes = [(n, *data.shape[1:]) for n in batches or data.shape[:1]]
        words += ["--shapes", ":".join([name, *("x".join(map(str, shape)) for shape in shapes)])]
    run([octet.build / "octet", "build", path, "-o", plan, "--quiet", *words])
    return plan


def check_file(octet, path, network, inputs, steps, exact):
    """steps: by output, what its floats or codes count in; 0 in a network of floats, None where that is not known."""
    expected = Expected(path, inputs, steps, exact)
    got = octet.outputs(path, inputs)
    expected.hold("octet and ONNX Runtime", got)
    arrays = octet.folder / "inputs.npz"
    np.savez(arrays, **inputs)
    run([octet.build / "tests/api/octet_every_way", path, arrays])
    hold("the plan and the file", octet.outputs(build_plan(octet, path, inputs), inputs), got)
    expected.hold("without repairs, octet and ONNX Runtime", octet.outputs(path, inputs, "--no-repair"))
    random = np.random.default_rng(network.seed)
    passes = run([octet.build / "octet", "inspect", "--passes"]).split()
    skipped = [name for name in passes if random.random() < random.choice([0.05, 0.3])] or passes[:1]
    expected.hold("octet --skip-pass " + " ".join(skipped) + " and ONNX Runtime",
                  octet.outputs(path, inputs, "--skip-pass", *skipped))
    check_written(octet, path, inputs, expected)
    batch = next(iter(inputs.values())).shape[0]
    if network.free_batch and batch > 1:
        images = [octet.outputs(path, {name: data[i:i + 1] for name, data in inputs.items()}) for i in range(batch)]
        joined = {name: np.concatenate([image[name] for image in images]) for name in got}
        hold("images one by one and the batch", joined, got)
        best = batch // 2 + 1
        profile = build_plan(octet, path, inputs, batches=(1, best, 5))
        hold(f"a plan for 1 to 5 images, {best} at best, and the file",
             octet.outputs(profile, inputs, "--batch", str(batch)), got)


def check_written(octet, path, inputs, expected):
    """What octet writes is the network that it has read."""
    written = octet.folder / "written.onnx"
    run([octet.build / "octet", "repair", path, "-o", written, "--quiet"])
    expected.hold("the written file in octet, and the file in ONNX Runtime", octet.outputs(written, inputs))
    expected.hold("the written file and the file in ONNX Runtime", onnx_runtime(str(written), inputs))


def check_freed(octet, path, inputs):
    """A batch that the file fixes at 1 made free: three samples at once are the three one by one."""
    freed = octet.folder / "freed.onnx"
    done = subprocess.run([octet.build / "octet", "repair", path, "--free-batch", "-o", freed, "--quiet"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        if "the batch cannot be made free" in done.stderr + done.stdout:
            return
        raise Difference(f"octet repair {path} --free-batch\n{(done.stdout + done.stderr).strip()}")
    samples = [{name: np.roll(data, i) for name, data in inputs.items()} for i in range(3)]
    got = octet.outputs(freed, {name: np.concatenate([s[name] for s in samples]) for name in inputs})
    alone = [octet.outputs(path, s) for s in samples]
    hold("with a free batch, samples one by one and a batch",
         got, {name: np.concatenate([a[name].reshape([1, *got[name].shape[1:]]) for a in alone]) for name in got})


def quantized_form(octet, path, inputs):
    """What `octet quantize` makes of a float network."""
    data = octet.folder / "calibration.npz"
    np.savez(data, **inputs)
    out = octet.folder / "quantized.onnx"
    run([octet.build / "octet", "quantize", path, "--calib-data", data, "-o", out, "--quiet"])
    return out


def check(seed, build, folder, most_layers):
    network = networks.make_network(seed, most_layers)
    path = folder / "model.onnx"
    onnx.save(network.model, path)
    octet = Octet(build, folder)
    try:
        check_file(octet, path, network, network.inputs, network.steps, network.exact)
        if not network.free_batch and all(data.shape[0] == 1 for data in network.inputs.values()):
            check_freed(octet, path, network.inputs)
        is_dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in network.model.graph.node)
        # Calibration wants to know an image's extents.
        if not network.quantized and not network.free_image and not is_dynamic:
            check_file(octet, quantized_form(octet, path, network.inputs), network, network.inputs,
                       dict.fromkeys(network.steps), exact=False)
    except Difference:
        raise
    except Exception as error:  # ONNX Runtime refuses what it cannot run
        raise Difference(f"{type(error).__name__}: {error}") from error
    return network.exact


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "build")
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("differences"))
    parser.add_argument("--layers", type=int)
    options = parser.parse_args()
    exact = differ = 0
    for seed in range(options.first, options.first + options.count):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            try:
                exact += check(seed, options.build, folder, options.layers)
            except Difference as difference:
                differ += 1
                kept = options.keep / str(seed)
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(folder, kept)
                print(f"seed {seed}: {difference}".replace(name, str(kept)), flush=True)
        if (seed + 1 - options.first) % 100 == 0:
            print(f"{seed + 1 - options.first} of {options.count}, {differ} with a difference", file=sys.stderr)
    print(f"{options.count} networks, {exact} of them equal to ONNX Runtime, {differ} with a difference")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())

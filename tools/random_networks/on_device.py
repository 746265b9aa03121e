#!/usr/bin/env python3
"""Holds what octet answers on a GPU to random networks and nodes against what it answers on this machine's CPU.

usage: on_device.py write FIRST COUNT FOLDER [--build FOLDER]     where onnx and onnxruntime are: models and answers
       on_device.py check FOLDER OCTET [--device cuda] [--jobs N] [--share S] [--with OPTION...]
                                                                  where the GPU is: wants numpy and octet alone

Of each seed the network of networks.py, if it is one of floats the form that `octet quantize` writes, and a sheet of
nodes of single_ops.py. Codes and what is not rounded on the way are equal to the byte; floats lie as near as check.py
and check_ops.py say. --with precision=fp16 gives octet run options; then --share lets outputs differ by that part of
the largest, and what differs is a lead, for half floats end at 65504. check exits with 0 where nothing differs.
"""
import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

NODES = 25


def save_case(folder, model, inputs, answers, allowed):
    """model: a path, or a model; allowed: by output, by how much it may differ."""
    import onnx
    folder.mkdir(parents=True)
    if isinstance(model, pathlib.Path):
        (folder / "model.onnx").write_bytes(model.read_bytes())
    else:
        onnx.save(model, folder / "model.onnx")
    np.savez(folder / "inputs.npz", **inputs)
    np.savez(folder / "answers.npz", **answers)
    (folder / "allowed.json").write_text(json.dumps(allowed))


def write_network(seed, build, folder, scratch):
    import onnx

    import check
    import networks
    network = networks.make_network(seed, None)
    path = scratch / "model.onnx"
    onnx.save(network.model, path)
    octet = check.Octet(build, scratch)
    forms = [("network", path, network.steps, network.exact)]
    is_dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in network.model.graph.node)
    if not network.quantized and not network.free_image and not is_dynamic:
        forms.append(("quantized", check.quantized_form(octet, path, network.inputs),
                      dict.fromkeys(network.steps), False))
    for name, file, steps, exact in forms:
        expected = check.Expected(file, network.inputs, steps, exact)
        allowed = {o: float(expected.allowed(o)) for o in expected.outputs}
        allowed = {o: a and a + 2 * float(expected.moves(o)) for o, a in allowed.items()}
        save_case(folder / f"{seed}_{name}", file, network.inputs, octet.outputs(file, network.inputs), allowed)


def write_sheet(seed, build, folder, scratch):
    import check_ops
    sheet = check_ops.Sheet(seed, NODES, None)
    model, feeds = sheet.model(range(len(sheet.cases)))
    answers = check_ops.octet(build, scratch / "sheet", model, feeds)
    if isinstance(answers, str):
        raise ValueError(answers)
    allowed = {}
    for n, case in enumerate(sheet.cases):
        for k in range(case.outputs):
            want = answers.get(f"n{n}_y{k}")
            if want is None:
                continue
            floats = want.dtype.kind == "f" and not case.exact
            finite = np.abs(want[np.isfinite(want)].astype(np.float64)).max(initial=0) if floats else 0
            part = check_ops.RELATIVE["f"][want.dtype.itemsize] * case.loose if floats else 0
            allowed[f"n{n}_y{k}"] = float(part * max(finite, 1e-3))
    save_case(folder / f"{seed}_nodes", model, feeds, answers, allowed)


def write(options):
    for seed in range(options.first, options.first + options.count):
        for part in (write_network, write_sheet):
            with tempfile.TemporaryDirectory() as name:
                try:
                    part(seed, options.build, options.folder, pathlib.Path(name))
                except Exception as error:  # what check.py and check_ops.py tell of
                    print(f"seed {seed}: {error}", file=sys.stderr)
    return 0


def differences(want, have, allowed, share):
    for name, a in want.items():
        b = have.get(name)
        if b is None or a.shape != b.shape or a.dtype != b.dtype:
            yield f"{name} is {None if b is None else (b.dtype, b.shape)} instead of {a.dtype}, {a.shape}"
            continue
        if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            continue
        far = np.asarray(np.abs(a.astype(np.float64) - b.astype(np.float64)))
        if a.dtype.kind != "f":  # integers of 64 bits may differ by less than a double tells
            np.maximum(far, a != b, out=far)
        far[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
        far = np.nan_to_num(far, nan=np.inf)
        finite = np.abs(a[np.isfinite(a)].astype(np.float64)).max(initial=0)
        if far.max() > max(allowed.get(name, 0), share * finite):
            at = np.unravel_index(far.argmax(), far.shape)
            yield (f"{name} {a.shape}: {(far > 0).sum()} of {a.size} differ, most at {[int(i) for i in at]}: "
                   f"{b[at]} instead of {a[at]}, allowed {allowed.get(name, 0):.3g}")


def check_case(case, options):
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        (scratch / "out").mkdir()
        words = []
        for key, data in np.load(case / "inputs.npz").items():
            np.save(scratch / f"{key}.npy", data)
            words += ["--loadInputs", f"{key}:{scratch / key}.npy"]
        try:
            done = subprocess.run([str(options.octet.resolve()), "run", str(case / "model.onnx"), *words, "-o",
                                   f"{scratch}/out/", "--quiet", "--device", options.device,
                                   *(f"--{word}" for word in options.extra)],
                                  capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            return ["no answer within 120 s"]
        if done.returncode != 0:
            return [(done.stdout + done.stderr).strip() or f"status {done.returncode}"]
        have = {path.stem: np.load(path) for path in (scratch / "out").glob("*.npy")}
        return list(differences(dict(np.load(case / "answers.npz")), have,
                                json.loads((case / "allowed.json").read_text()), options.share))


def check(options):
    cases = sorted(path.parent for path in options.folder.glob("*/model.onnx"))
    differ = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for case, found in zip(cases, pool.map(lambda c: check_case(c, options), cases)):
            differ += bool(found)
            for line in found:
                print(f"{case.name}: {line}", flush=True)
    print(f"{len(cases)} models, {differ} with a difference")
    return 1 if differ or not cases else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    writer = parts.add_parser("write")
    writer.add_argument("first", type=int)
    writer.add_argument("count", type=int)
    writer.add_argument("folder", type=pathlib.Path)
    writer.add_argument("--build", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "build")
    writer.set_defaults(part=write)
    checker = parts.add_parser("check")
    checker.add_argument("folder", type=pathlib.Path)
    checker.add_argument("octet", type=pathlib.Path)
    checker.add_argument("--device", default="cuda")
    checker.add_argument("--jobs", type=int, default=8)
    checker.add_argument("--share", type=float, default=0)
    checker.add_argument("--with", dest="extra", nargs="*", default=[])
    checker.set_defaults(part=check)
    options = parser.parse_args()
    return options.part(options)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs random single nodes in octet and holds their outputs against ONNX Runtime's and the ONNX project's reference.

usage: check_ops.py FIRST COUNT [--build FOLDER] [--keep FOLDER] [--nodes N] [--only FAMILY...]

Seeds FIRST to FIRST + COUNT - 1, each a graph of N nodes of single_ops.py that do not read each other; what a node
reads is an input, a constant, or an input behind a Transpose. octet runs the graph at once on its CPU back end, with
--ways in octet_every_way's ways, too; ONNX Runtime judges a node, and where that has no kernel or other numbers
onnx.reference. A node that octet alone sees otherwise is a difference and kept as a model. Where integers do not fit,
and in some forms of LRN and ConvTranspose, the two differ or have no kernel; those are not drawn.
Needs what check.py needs.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from single_ops import Cases

RELATIVE = {"f": {2: 4e-3, 4: 2e-5, 8: 2e-5}}


class Sheet:
    """Nodes side by side in one graph."""

    def __init__(self, seed, count, only):
        self.random = np.random.default_rng(seed)
        self.opset = int(self.random.choice([8, 9, 10, 11, 12, 13, 15, 17, 18, 19, 20, 21, 23]))
        draw = Cases(self.random)
        self.cases = []
        for _ in range(1000 * count):  # an older opset has few of some families
            if len(self.cases) == count:
                break
            case = draw.draw(only)
            if case.since <= self.opset < case.before:
                self.cases.append(case)
        self.forms = [[self.form(case, i) for i in range(len(case.inputs))] for case in self.cases]

    def form(self, case, i):
        """How an input arrives: an input, a constant, or a transposed input with its order."""
        x = case.inputs[i]
        if x is None:
            return ""
        if i in case.constant or self.random.random() < 0.15:
            return "constant"
        if x.ndim > 1 and self.random.random() < 0.25:
            return [int(a) for a in self.random.permutation(x.ndim)]
        return "input"

    def model(self, which):
        nodes, constants, infos, feeds, outputs = [], [], [], {}, []
        for n in which:
            case, names = self.cases[n], []
            for i, x in enumerate(case.inputs):
                form, name = self.forms[n][i], f"n{n}_{i}"
                if x is None:
                    names.append("")
                    continue
                if form == "constant":
                    constants.append(numpy_helper.from_array(np.array(x, order="C"), name))
                else:
                    data = x
                    if form != "input":
                        data = np.transpose(x, form)
                        nodes.append(helper.make_node("Transpose", [name], [name + "t"],
                                                      perm=[int(a) for a in np.argsort(form)]))
                    infos.append(helper.make_tensor_value_info(
                        name, helper.np_dtype_to_tensor_dtype(x.dtype), list(data.shape)))
                    feeds[name] = np.array(data, order="C")
                    name += "t" if form != "input" else ""
                names.append(name)
            made = [f"n{n}_y{k}" for k in range(case.outputs)]
            nodes.append(helper.make_node(case.op, names, made, name=f"n{n}_{case.op}", **case.attributes))
            outputs += made
        graph = helper.make_graph(nodes, "sheet", infos, [onnx.ValueInfoProto(name=o) for o in outputs], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        try:
            inferred = {v.name: v for v in onnx.shape_inference.infer_shapes(model).graph.output}
        except Exception:
            inferred = {}
        for o in model.graph.output:  # a type must be told, a shape need not be
            dtype = inferred[o.name].type.tensor_type.elem_type if o.name in inferred else 0
            if dtype:
                o.type.tensor_type.elem_type = dtype
        return model, feeds


def onnx_runtime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))


def reference(model, feeds):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = ReferenceEvaluator(model)
        return dict(zip([o.name for o in model.graph.output], evaluator.run(None, feeds)))


def octet(build, folder, model, feeds, *options):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    words = []
    for name, data in feeds.items():
        np.save(folder / f"{name}.npy", data)
        words += ["--loadInputs", f"{name}:{folder / name}.npy"]
    done = subprocess.run([build / "octet", "run", folder / "model.onnx", *words, "-o", f"{folder}/out/", "--quiet",
                           *options], capture_output=True, text=True)
    if done.returncode != 0:
        return (done.stdout + done.stderr).strip() or f"status {done.returncode}"
    return {path.stem: np.load(path) for path in (folder / "out").glob("*.npy")}


def difference(case, have, want):
    if have is None:
        return "no such output"
    want = np.asarray(want)
    if have.shape != want.shape or have.dtype != want.dtype:
        return f"{have.dtype} {have.shape} instead of {want.dtype} {want.shape}"
    if have.size == 0 or np.array_equal(have, want, equal_nan=want.dtype.kind == "f"):
        return ""
    if want.dtype.kind == "f" and not case.exact:
        part = RELATIVE["f"][want.dtype.itemsize] * case.loose
        a, b = have.astype(np.float64), want.astype(np.float64)
        finite = np.isfinite(b)
        largest = np.abs(b[finite]).max(initial=0)
        with np.errstate(all="ignore"):
            near = np.abs(a - b) <= part * np.abs(b) + part / 5 * largest + 1e-6 * case.loose
        if (np.where(finite, near, (a == b) | (np.isnan(a) & np.isnan(b)))).all():
            return ""
    wrong = (have != want) & ~((have != have) & (want != want))
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {want.size} differ, first at {at}: {have[at]} instead of {want[at]}"


def judge(case, got, model, feeds, counts):
    """What octet has otherwise than both oracles; nothing where one agrees or none can say."""
    said = []
    for name, oracle in (("ONNX Runtime", onnx_runtime), ("onnx.reference", reference)):
        try:
            want = oracle(model, feeds)
        except Exception:
            continue
        wrong = [f"{o}: {w}" for o in want if (w := difference(case, got.get(o), want[o]))]
        if not wrong:
            counts[name] = counts.get(name, 0) + 1
            return ""
        said.append(f"{name}: {'; '.join(wrong)}")
    if not said:
        counts["nobody"] = counts.get("nobody", 0) + 1
    return "\n    ".join(said)


def describe(sheet, n):
    case = sheet.cases[n]
    inputs = ", ".join("-" if x is None else f"{x.dtype}{list(x.shape)}" + (f" {f}" if f != "input" else "")
                       for x, f in zip(case.inputs, sheet.forms[n]))
    return f"opset {sheet.opset} {case.op}({inputs}) {case.attributes}"


def check(seed, options, folder, counts):
    sheet = Sheet(seed, options.nodes, options.only)
    everything = list(range(len(sheet.cases)))
    if not everything:  # the opset has none of these families
        return 0
    counts["nodes"] += len(everything)
    model, feeds = sheet.model(everything)
    got = octet(options.build, folder, model, feeds)
    differ = 0

    def report(n, what):
        nonlocal differ
        differ += 1
        kept = options.keep / f"{seed}_{n}"
        one, fed = sheet.model([n])
        octet(options.build, kept, one, fed)
        print(f"seed {seed} node {n}: {describe(sheet, n)}\n    {what}", flush=True)

    refused = set()
    if isinstance(got, str):
        together, got = got, {}
        for n in everything:
            one, fed = sheet.model([n])
            answer = octet(options.build, folder, one, fed)
            if isinstance(answer, str):
                refused.add(n)
                counts["refused"] = counts.get("refused", 0) + 1
                able = []
                for name, oracle in (("ONNX Runtime", onnx_runtime), ("onnx.reference", reference)):
                    try:
                        oracle(one, fed)
                        able.append(name)
                    except Exception:
                        pass
                if able:
                    report(n, f"refused though {', '.join(able)} can: {answer.splitlines()[0][-300:]}")
            else:
                got.update(answer)
        if not refused:
            print(f"seed {seed}: refused as a whole only: {together}")
            differ += 1
        model = None
    for n in everything:
        if n in refused:
            continue
        if f"n{n}_y0" not in got:
            report(n, "its first output was not written")
            continue
        one, fed = sheet.model([n])
        if what := judge(sheet.cases[n], got, one, fed, counts):
            report(n, what)
    if model is not None and options.ways and feeds:
        octet(options.build, folder, model, feeds)
        np.savez(folder / "inputs.npz", **feeds)
        program = options.build / "tests/api/octet_every_way"
        done = subprocess.run([program, folder / "model.onnx", folder / "inputs.npz"], capture_output=True, text=True)
        if done.returncode != 0:
            differ += 1
            shutil.copytree(folder, options.keep / f"{seed}_ways", dirs_exist_ok=True)
            print(f"seed {seed}: {(done.stdout + done.stderr).strip()}", flush=True)
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "build")
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("differences"))
    parser.add_argument("--nodes", type=int, default=40)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--ways", action="store_true")
    options = parser.parse_args()
    differ, counts = 0, {"nodes": 0}
    for seed in range(options.first, options.first + options.count):
        with tempfile.TemporaryDirectory() as name:
            differ += check(seed, options, pathlib.Path(name) / "sheet", counts)
    nodes = counts.pop("nodes")
    judged = ", ".join(f"{who} {n}" for who, n in sorted(counts.items()))
    print(f"{nodes} nodes (judged by: {judged}), {differ} with a difference")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Reads ONNX files with octet, writes them again and judges the result by others' tools.

usage: check_onnx_roundtrip.py REWRITE FILE.onnx... [--opset N] [--tolerance T]

REWRITE is the program octet_onnx_rewrite (tests/onnx/rewrite.cpp). For each file: onnx.checker with full shape
inference accepts the rewritten file; input and output names, ranks and dtypes are unchanged; ONNX Runtime without
optimizations gives identical outputs on seeded inputs (within the tolerance where --opset made octet expand an op).
Exit 0: all files pass.
Needs numpy, onnx and onnxruntime.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
          "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}


def session(path):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(model, image_extent):
    """Seeded inputs: symbolic batch 2, other symbolic extents image_extent."""
    random = np.random.default_rng(7)
    out = {}
    for value in model.get_inputs():
        shape = [d if isinstance(d, int) else (2 if i == 0 else image_extent) for i, d in enumerate(value.shape)]
        dtype = DTYPES[value.type]
        data = random.standard_normal(shape) if np.issubdtype(dtype, np.floating) else random.integers(0, 100, shape)
        out[value.name] = data.astype(dtype)
    return out


def signature(values):
    return [(v.name, v.type, len(v.shape)) for v in values]


def check(rewrite, path, opset, tolerance, folder):
    """"ok ..." or what is wrong."""
    new = str(pathlib.Path(folder) / "rewritten.onnx")
    command = [rewrite, path, new] + ([str(opset)] if opset else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return "refused: " + done.stderr.strip()
    onnx.checker.check_model(new, full_check=True)
    again = str(pathlib.Path(folder) / "again.onnx")
    subprocess.run([rewrite, new, again], check=True, capture_output=True)
    if not opset and pathlib.Path(new).read_bytes() != pathlib.Path(again).read_bytes():
        return "reading and writing the rewritten file gives other bytes"
    first, second = session(path), session(new)
    if signature(first.get_inputs()) != signature(second.get_inputs()):
        return "the inputs differ"
    if signature(first.get_outputs()) != signature(second.get_outputs()):
        return "the outputs differ"
    inputs = feeds(first, 224)
    worst = 0.0
    for a, b in zip(first.run(None, inputs), second.run(None, inputs)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"an output is {b.dtype}{list(b.shape)}, expected {a.dtype}{list(a.shape)}"
        if a.size:
            difference = np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
            worst = max(worst, float(difference / max(1e-30, np.abs(a).max())))
    if worst > tolerance:
        return f"the outputs differ by {worst:g} of the largest, tolerance {tolerance:g}"
    version = next(o.version for o in onnx.load(new, load_external_data=False).opset_import if o.domain == "")
    return f"ok, opset {version}, difference {worst:g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rewrite")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--opset", type=int, default=0)
    parser.add_argument("--tolerance", type=float, default=0.0)
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.files:
            try:
                verdict = check(arguments.rewrite, path, arguments.opset, arguments.tolerance, folder)
            except Exception as error:  # the checker's and ONNX Runtime's own exceptions
                verdict = f"{type(error).__name__}: {error}"
            failed += not verdict.startswith("ok")
            print(f"{path}: {verdict}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Drives `octet trtexec` with Polygraphy's trtexec back end (polygraphy and polygraphy-trtexec of PyPI) and compares with ONNX Runtime.

usage: read_with_polygraphy.py TRTEXEC MODEL.onnx     (pip install polygraphy polygraphy-trtexec onnx onnxruntime; TRTEXEC: a link to octet by that name)

Polygraphy writes the inputs as raw files, builds trtexec's command line, reads the performance summary out of the log and the outputs out of
--exportOutput. Exit 1 with a sentence when it cannot, or when an output is farther than 1e-4 of the largest value from ONNX Runtime's.
"""
import sys

import numpy as np
import onnxruntime
from polygraphy.logger import G_LOGGER
from polygraphy_trtexec.backend import TrtexecRunner

if not hasattr(G_LOGGER, "severity"):  # polygraphy since 0.48; the back end was written for 0.47
    G_LOGGER.severity = G_LOGGER.INFO


def fail(text):
    print(f"read_with_polygraphy: {text}")
    sys.exit(1)


def main():
    program, model = sys.argv[1], sys.argv[2]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    feed = {i.name: random.standard_normal([d if isinstance(d, int) else 1 for d in i.shape]).astype(np.float32) for i in session.get_inputs()}
    expected = dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))
    shapes = ",".join(f"{name}:{'x'.join(map(str, x.shape))}" for name, x in feed.items())
    runner = TrtexecRunner(model, "onnx", trtexec_path=program, trtexec_iterations=5, duration=0, trtexec_warmup=0)
    runner.activate_impl()
    if any(not isinstance(d, int) for i in session.get_inputs() for d in i.shape):
        runner.add_cmd_args("shapes", shapes)
    outputs = runner.infer_impl(feed)
    stats = runner.last_inference_time_stats()
    runner.deactivate_impl()
    if set(outputs) != set(expected):
        fail(f"it reads the outputs {sorted(outputs)}, the network has {sorted(expected)}")
    for name, value in expected.items():
        error = float(np.abs(outputs[name] - value).max() / np.abs(value).max())
        if not error < 1e-4:
            fail(f"output {name} is off by {error} of its largest value")
        print(f"read_with_polygraphy: {name} {outputs[name].shape}, largest difference from ONNX Runtime {error:.2g} of the largest value")
    if not stats or not stats.get("median", 0) > 0:
        fail(f"it finds no median latency in the log: {stats}")
    print(f"read_with_polygraphy: latency in ms as Polygraphy reads it: {stats}")


if __name__ == "__main__":
    main()

"""Lanes of the comparison: each runs one file on one engine and times a slice of runs."""
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from models import OCTET, WORK, octet  # noqa: F401


class Octet:
    def __init__(self, label, path, x, threads, precision, extra=()):
        self.label, self.path, self.x, self.threads, self.precision, self.extra = label, path, x, threads, precision, extra
        self.isa = self.runs_in = ""

    def slice_ms(self, seconds):
        out = json.loads(octet("bench", self.path, "--batch", str(len(self.x)), "--threads", str(self.threads), "--duration",
                               str(seconds), "--warm-up", str(int(1000 * min(0.2, seconds))), "--iterations", "3", "--precision", self.precision, "--json", "--quiet", *self.extra))
        self.isa, self.runs_in = out["isa"], out.get("precision", "")
        return out["latency_ms"]["median"]

    def outputs(self):
        np.save(f"{WORK}/x.npy", self.x)
        octet("run", self.path, "--data", f"{WORK}/x.npy", "--preprocess", "none", "--batch", str(len(self.x)), "--precision",
              self.precision, "-o", f"{WORK}/y.npy", "--quiet")
        return np.load(f"{WORK}/y.npy")


class Peer:
    """Any callable network in this process."""

    def __init__(self, label, run):
        self.label, self.run = label, run

    def slice_ms(self, seconds):
        end = time.perf_counter() + min(0.2, seconds)
        while time.perf_counter() < end:
            self.run()
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter()
            self.run()
            times.append((time.perf_counter() - start) * 1000)
        return statistics.median(times)

    def outputs(self):
        return np.asarray(self.run())


def ort_lane(label, path, x, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Peer(label, lambda: session.run(None, {name: x})[0])


def openvino_lane(label, path, x, threads, hint=None):
    import openvino as ov
    core = ov.Core()
    network = core.read_model(path)
    network.reshape(list(x.shape))
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if hint:
        config["INFERENCE_PRECISION_HINT"] = hint
    request = core.compile_model(network, "CPU", config).create_infer_request()
    return Peer(label, lambda: request.infer({0: x})[0])


def openvino_survives(lanes, shape, threads):
    """Labels of those (label, path, hint) that a process of its own can run without a crash."""
    lanes, alive = list(lanes), set()
    while lanes:
        todo = json.dumps([lanes, list(shape), threads])
        done = subprocess.run([sys.executable, os.path.abspath(__file__), todo], capture_output=True, text=True, check=False)
        ran = [line.removeprefix("ran ") for line in done.stdout.splitlines() if line.startswith("ran ")]
        alive.update(ran)
        lanes = lanes[len(ran) + 1:]  # the one behind the last that ran brought the process down
    return alive


def main():
    lanes, shape, threads = json.loads(sys.argv[1])
    for label, path, hint in lanes:
        openvino_lane(label, path, np.zeros(shape, np.float32), threads, hint).run()
        print("ran " + label, flush=True)


if __name__ == "__main__":
    main()

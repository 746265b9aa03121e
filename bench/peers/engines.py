"""Lanes of the comparison: each runs one file on one engine and times a slice of runs.

A peer served in a process of its own (Served) can be refused AMX and bound to a CPU, and its crash costs nobody else.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import no_amx  # noqa: E402
from machine import OCTET, WORK  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
LEAST_RUNS = 3  # of a slice, however long they take


def warm_up(seconds):
    """Seconds of warm-up of a slice."""
    return min(0.2, seconds / 3)


class LaneDied(Exception):
    pass


class Octet:
    def __init__(self, label, path, x, threads, precision, refused=False, cpus=""):
        self.label, self.path, self.x, self.threads, self.precision, self.refused = label, path, x, threads, precision, refused
        self.cpus, self.isa, self.runs_in = cpus, "", ""

    def ready(self):
        pass

    def bind(self, cpus):
        self.cpus = cpus

    def call(self, *args):
        before = [*(["taskset", "-c", self.cpus] if self.cpus else []), *([sys.executable, f"{HERE}/no_amx.py"] if self.refused else [])]
        done = subprocess.run([*before, OCTET, *args], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LaneDied(f"octet {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def slice_ms(self, seconds, least=LEAST_RUNS):
        out = json.loads(self.call("bench", self.path, "--batch", str(len(self.x)), "--threads", str(self.threads), "--duration",
                                   str(seconds), "--warm-up", str(int(1000 * warm_up(seconds))), "--iterations", str(least), "--precision",
                                   self.precision, "--json", "--quiet"))
        self.isa, self.runs_in = out["isa"], out.get("precision", "")
        return out["latency_ms"]["median"]

    def outputs(self):
        name = f"{self.label}_{self.refused}".replace(" ", "_")
        np.save(f"{WORK}/x_{name}.npy", self.x)
        self.call("run", self.path, "--data", f"{WORK}/x_{name}.npy", "--preprocess", "none", "--batch", str(len(self.x)), "--precision",
                  self.precision, "--threads", str(self.threads), "-o", f"{WORK}/y_{name}.npy", "--quiet")
        answer = np.load(f"{WORK}/y_{name}.npy")
        os.remove(f"{WORK}/x_{name}.npy")
        os.remove(f"{WORK}/y_{name}.npy")
        return answer

    def close(self):
        pass


class Peer:
    """Any callable network in this process."""

    def __init__(self, label, run):
        self.label, self.run = label, run

    def slice_ms(self, seconds, least=LEAST_RUNS):
        end = time.perf_counter() + warm_up(seconds)
        while time.perf_counter() < end:
            self.run()
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < least:
            start = time.perf_counter()
            self.run()
            times.append((time.perf_counter() - start) * 1000)
        return statistics.median(times)

    def outputs(self):
        return np.asarray(self.run())


class Served:
    """A peer in a process of its own, which loads as soon as this is made; ready() waits for it."""

    def __init__(self, label, engine, path, x, threads, hint=None, refused=False, cpus=""):
        self.label, self.path, self.refused, self.isa = label, path, refused, ""
        self.store = f"{WORK}/lane_{label}_{refused}.npy".replace(" ", "_")
        np.save(self.store, x)
        order = json.dumps([engine, path, self.store, threads, hint, refused, cpus])
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.child = subprocess.Popen([sys.executable, os.path.abspath(__file__), order], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.errors, text=True)

    def answer(self):
        line = self.child.stdout.readline().strip()
        if not line:
            status = self.child.wait()
            self.errors.seek(0)
            error = self.errors.read().strip().splitlines()
            raise LaneDied(f"{self.label} ends with status {status} on {self.path}{': ' + error[-1] if error else ''}")
        return line

    def ask(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return self.answer()

    def ready(self):
        self.answer()

    def bind(self, cpus):
        bind_threads(self.child.pid, cpus)

    def slice_ms(self, seconds, least=LEAST_RUNS):
        return float(self.ask(f"slice {seconds} {least}"))

    def outputs(self):
        self.ask("outputs")
        return np.load(self.store)

    def close(self):
        self.child.kill()
        self.child.communicate()
        if os.path.exists(self.store):
            os.remove(self.store)


def ort_lane(label, path, x, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Peer(label, lambda: session.run(None, {name: x})[0])


def openvino_lane(label, path, x, threads, hint=None, bound=False):
    import openvino as ov
    core = ov.Core()
    network = core.read_model(path)
    network.reshape(list(x.shape))
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if hint:
        config["INFERENCE_PRECISION_HINT"] = hint
    if bound:  # the caller chooses the CPU
        config["ENABLE_CPU_PINNING"] = False
    request = core.compile_model(network, "CPU", config).create_infer_request()
    return Peer(label, lambda: request.infer({0: x})[0])


def cpu_list(text):
    """{1, 4, 5} from "1,4-5"."""
    spans = [part.split("-") for part in text.split(",")]
    return {cpu for span in spans for cpu in range(int(span[0]), int(span[-1]) + 1)}


def bind_threads(process, cpus):
    for thread in os.listdir(f"/proc/{process}/task"):
        try:
            os.sched_setaffinity(int(thread), cpu_list(cpus))
        except ProcessLookupError:  # it has ended
            pass


def serve(order):
    """The process behind Served: one line in, one line out."""
    engine, path, store, threads, hint, refused, cpus = order
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    if refused:
        no_amx.refuse_amx()
        if not no_amx.amx_refused():
            sys.exit("AMX could not be refused")
    x = np.load(store)
    lane = ort_lane(engine, path, x, threads) if engine == "ort" else openvino_lane(engine, path, x, threads, hint, bool(cpus))
    lane.run()
    if cpus:
        bind_threads(os.getpid(), cpus)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        what, *rest = line.split()
        if what == "slice":
            print(lane.slice_ms(float(rest[0]), int(rest[1])), file=answers, flush=True)
        else:
            np.save(store, lane.outputs())
            print("saved", file=answers, flush=True)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))

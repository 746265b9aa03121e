#!/usr/bin/env python3
"""octet against ONNX Runtime and OpenVINO, paired: short slices in turns in one run, one thread, same files.

usage: peers.py [--quick] [--models resnet50,...] [--no-write]

Every engine gets the same number of rounds; a round lets each engine run for a slice and notes the slice's median. The table
holds the median of these medians and their spread. Models: octet_make_model's He-random networks (speed depends on shapes only)
and, with OCTET_DATA, real ones. INT8: octet runs the Q/DQ file that it wrote, ONNX Runtime the u8 Q/DQ file of its own
quantize_static (its fastest form) and also octet's file, OpenVINO octet's file.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # noqa: E402

OCTET = "build/octet"
WORK = "build/bench"
SIZES = {"resnet50": 224, "mobilenet_v2": 224, "resnet18_32": 32}


def octet(*args):
    done = subprocess.run([OCTET, *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"octet {' '.join(args)}\n{done.stderr}")
    return done.stdout


class Random(CalibrationDataReader):
    """The same kind of noise that octet's synthetic: data is."""

    def __init__(self, name, size, count=16):
        rng = np.random.default_rng(1)
        self.batches = iter([{name: rng.standard_normal((1, 3, size, size)).astype(np.float32)} for _ in range(count)])

    def get_next(self):
        return next(self.batches, None)


def prepare(model):
    """fp32, octet's Q/DQ and ONNX Runtime's u8 Q/DQ files of a model."""
    os.makedirs(WORK, exist_ok=True)
    fp32 = f"{WORK}/{model}.onnx"
    subprocess.run(["build/octet_make_model", model, fp32], check=True)
    ours = f"{WORK}/{model}_octet_int8.onnx"
    octet("quantize", fp32, "--calib-data", "synthetic:16", "--preprocess", "none", "--method", "max", "-o", ours, "--quiet")
    theirs = f"{WORK}/{model}_ort_u8.onnx"
    quantize_static(fp32, theirs, Random("input", SIZES[model]), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return fp32, ours, theirs


def codes_in_use(path, size):
    """The smallest number of distinct codes in any activation of a Q/DQ file on one random image."""
    model = onnx.load(path)
    initializers = {i.name for i in model.graph.initializer}
    names = [n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in initializers]
    types = {n.output[0]: n for n in model.graph.node}
    for name in names:
        zero_point = next(i for i in model.graph.initializer if i.name == types[name].input[2])
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, zero_point.data_type, None))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(2).standard_normal((1, 3, size, size)).astype(np.float32)
    fewest = min(len(np.unique(codes)) for codes in session.run(names, {"input": x}))
    if fewest < 64:
        sys.exit(f"{path}: an activation uses only {fewest} codes; the figures would flatter nobody")
    return fewest


class Octet:
    def __init__(self, label, path, batch):
        self.label, self.path, self.batch = label, path, batch
        self.precision = "int8" if "int8" in path else "fp32"

    def slice_ms(self, seconds):
        out = json.loads(octet("bench", self.path, "--batch", str(self.batch), "--threads", "1", "--duration", str(seconds),
                               "--warm-up", "300", "--precision", self.precision, "--json", "--quiet"))
        self.isa = out["isa"]
        return out["latency_ms"]["median"]


class Peer:
    """Any callable network in this process."""

    def __init__(self, label, run):
        self.label, self.run = label, run

    def slice_ms(self, seconds):
        end = time.perf_counter() + 0.3
        while time.perf_counter() < end:
            self.run()
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 5:
            start = time.perf_counter()
            self.run()
            times.append((time.perf_counter() - start) * 1000)
        return statistics.median(times)


def ort_peer(label, path, x):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Peer(label, lambda: session.run(None, {"input": x}))


def openvino_peer(label, path, x, hint):
    core = ov.Core()
    network = core.read_model(path)
    network.reshape(list(x.shape))
    config = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if hint:
        config["INFERENCE_PRECISION_HINT"] = hint
    request = core.compile_model(network, "CPU", config).create_infer_request()
    return Peer(label, lambda: request.infer({0: x}))


def measure(model, batch, rounds, seconds):
    fp32, ours, theirs = prepare(model)
    x = np.random.default_rng(0).standard_normal((batch, 3, SIZES[model], SIZES[model])).astype(np.float32)
    lanes = [Octet("octet fp32", fp32, batch), ort_peer("ONNX Runtime fp32", fp32, x),
             openvino_peer("OpenVINO fp32 (f32 hint)", fp32, x, "f32"), Octet("octet int8", ours, batch),
             ort_peer("ONNX Runtime u8 Q/DQ (its own)", theirs, x), ort_peer("ONNX Runtime, octet's file", ours, x),
             openvino_peer("OpenVINO, octet's file", ours, x, None)]
    samples = {lane.label: [] for lane in lanes}
    for _ in range(rounds):
        for lane in lanes:
            samples[lane.label].append(lane.slice_ms(seconds))
    return {"model": model, "batch": batch, "codes_in_use": codes_in_use(ours, SIZES[model]), "isa": lanes[0].isa,
            "ms": {label: [statistics.median(ms), min(ms), max(ms)] for label, ms in samples.items()}}


def peak_mib(command):
    """Peak resident memory of a command, MiB."""
    pid = os.fork()
    if pid == 0:
        with open(os.devnull, "w", encoding="utf-8") as sink:
            os.dup2(sink.fileno(), 1)
        os.execvp(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{command}: status {status}")
    return usage.ru_maxrss / 1024


def start_up():
    """Load, build and peak memory of ResNet-50, and the time of --help."""
    fp32, ours = f"{WORK}/resnet50.onnx", f"{WORK}/resnet50_octet_int8.onnx"
    once = ["--iterations", "1", "--duration", "0", "--warm-up", "0", "--quiet", "--json"]

    def wall(command, repeats=7):
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def ort_code(path):
        code = ("import numpy as np, onnxruntime as o; s=o.SessionOptions(); s.intra_op_num_threads=1\n"
                f"r=o.InferenceSession({path!r}, s, providers=['CPUExecutionProvider'])\n"
                "r.run(None, {'input': np.zeros((1,3,224,224),np.float32)})")
        return [sys.executable, "-c", code if path else "import numpy, onnxruntime"]

    base = peak_mib(ort_code(""))
    return {"help_ms": wall([OCTET, "--help"], 21) * 1000,
            "load_build_run_fp32_s": wall([OCTET, "bench", fp32, *once]),
            "load_build_run_int8_s": wall([OCTET, "bench", ours, "--precision", "int8", *once]),
            "peak_fp32_mib": peak_mib([OCTET, "bench", fp32, *once]),
            "peak_int8_mib": peak_mib([OCTET, "bench", ours, "--precision", "int8", *once]),
            "ort_peak_fp32_mib": peak_mib(ort_code(fp32)), "ort_peak_int8_mib": peak_mib(ort_code(ours)), "ort_import_mib": base}


def text(results, start, args):
    lines = ["# Benchmarks", "",
             f"Generated by `make bench` ({'quick' if args.quick else 'full'} run) on {machine.today()}; not edited by hand.", "",
             f"CPU: {machine.cpu_model()}. Peers: {machine.versions()}. One thread each, engines in turns, median of the slices' medians",
             "(smallest to largest slice in brackets). " +
             ("This CPU has no AMX." if "amx_int8" not in machine.cpu_model()
              else "This CPU has AMX: the peers may use it, octet does not."), ""]
    for r in results:
        ms = r["ms"]
        lines += [f"## {r['model']}, batch {r['batch']}", "",
                  f"octet runs {r['isa']}; the INT8 file keeps at least {r['codes_in_use']} of 256 codes in use in every activation.", "",
                  "| engine | ms | against octet |", "| --- | --- | --- |"]
        for label, (median, low, high) in ms.items():
            ours = ms["octet fp32" if "fp32" in label else "octet int8"][0]
            lines.append(f"| {label} | {median:.3f} ({low:.3f} .. {high:.3f}) | {median / ours:.2f} |")
        lines += ["", f"octet INT8 over octet FP32: {ms['octet fp32'][0] / ms['octet int8'][0]:.2f}x.", ""]
    if start:
        lines += ["## Start-up and memory, ResNet-50", "", "| what | value |", "| --- | --- |",
                  f"| `octet --help` | {start['help_ms']:.1f} ms |",
                  f"| process start, load, build, one run, FP32 | {start['load_build_run_fp32_s']:.2f} s |",
                  f"| the same, INT8 (Q/DQ file) | {start['load_build_run_int8_s']:.2f} s |",
                  f"| peak resident memory FP32: octet; ONNX Runtime (of which Python and imports {start['ort_import_mib']:.0f}) | "
                  f"{start['peak_fp32_mib']:.0f} MiB; {start['ort_peak_fp32_mib']:.0f} MiB |",
                  f"| peak resident memory INT8: octet; ONNX Runtime, same file | {start['peak_int8_mib']:.0f} MiB; "
                  f"{start['ort_peak_int8_mib']:.0f} MiB |", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s instead of 7 of 2 s")
    parser.add_argument("--models", default="resnet50,mobilenet_v2,resnet18_32")
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--no-write", action="store_true", help="print instead of writing docs/benchmarks.md")
    args = parser.parse_args()
    rounds, seconds = (3, 1.0) if args.quick else (7, 2.0)
    results = []
    for model in args.models.split(","):
        for batch in (int(b) for b in args.batches.split(",")):
            results.append(measure(model, batch, rounds, seconds))
            print(json.dumps(results[-1]), flush=True)
    start = start_up() if "resnet50" in args.models else None
    page = text(results, start, args)
    with open(f"{WORK}/results.json", "w", encoding="utf-8") as file:
        json.dump({"results": results, "start": start}, file, indent=1)
    if args.no_write:
        print(page)
    else:
        with open("docs/benchmarks.md", "w", encoding="utf-8") as file:
            file.write(page)


if __name__ == "__main__":
    main()

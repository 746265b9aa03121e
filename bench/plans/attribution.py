#!/usr/bin/env python3
"""How much of a run no layer accounts for, by network: the share that `octet bench --profile` calls unattributed.

usage: bench/plans/attribution.py [--build build] [--threads 1,2]     ($OCTET_DATA is the data folder)

The share of each profiled run is read out of its trace (--export-trace); the median of 50 runs counts, which the runs in which the machine takes the
processor away between two layers do not move. Writes the section "What no layer accounts for" of docs/benchmarks.md.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
import machine  # noqa: E402

# Those of tests/trtexec/attribution_test.cpp.
MODELS = ["resnet18_cifar10", "resnet18_cifar10_eager_int8", "resnet20_cifar10", "resnet20_cifar10_ort_qdq_s8", "mobilenet_v2_imagenet",
          "mobilenet_v2_imagenet_ort_qdq", "efficientnet_b0_c10", "vit_tiny_c10"]
BEGIN = "## What no layer accounts for\n"
PAGE = "docs/benchmarks.md"


def shares(trace):
    """Of each run, from its slices: they nest by their times (tools/read_trace.py checks that)."""
    with open(trace, encoding="utf-8") as file:
        events = [e for e in json.load(file)["traceEvents"] if e["ph"] == "X"]
    runs = [[e["ts"], e["dur"], 0.0] for e in events if e["cat"] == "run"]
    for event in (e for e in events if e["cat"] == "layer"):
        run = max((r for r in runs if r[0] <= event["ts"] + 5e-4), key=lambda r: r[0])
        run[2] += event["dur"]
    return [1 - layers / length for _, length, layers in runs]


def measure(build, model, threads):
    path, trace = f"{os.environ['OCTET_DATA']}/models/{model}.onnx", f"{build}/bench/attribution_trace.json"
    words = [f"{build}/octet", "bench", path, "--threads", str(threads), "--duration", "0", "--iterations", "200", "--warm-up", "300", "--export-trace", trace,
             "--json", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    out, found = json.loads(done.stdout), shares(trace)
    return {"model": model, "threads": threads, "cpu": machine.cpu_model(), "octet": machine.octet_version(f"{build}/octet"), "precision": out["precision"], "device": out["device"], "layers": len(out["layers"]),
            "ms": out["latency_ms"]["median"], "percent": 100 * statistics.median(found)}


def section(rows):
    lines = [BEGIN, f"Written by `bench/plans/attribution.py`, {datetime.date.today().isoformat()}: {machine.measured_by(rows)}; {rows[0]['device'].split(',')[0]}. Median of 50 profiled runs; "
             "a test asks for at most 3 % (`tests/trtexec/attribution_test.cpp`).", "",
             "| model | precision | threads | layers | ms, for orientation only | unattributed % |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {r['model']} | {r['precision']} | {r['threads']} | {r['layers']} | {r['ms']:.3f} | {r['percent']:.2f} |" for r in rows]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--threads", default="1,2")
    args = parser.parse_args()
    os.makedirs(f"{args.build}/bench", exist_ok=True)
    rows = [measure(args.build, model, int(threads)) for model in MODELS for threads in args.threads.split(",")]
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    at = text.find(BEGIN)
    end = text.find("\n## ", at + 1) if at >= 0 else -1
    head, tail = (text, "") if at < 0 else (text[:at], "" if end < 0 else text[end:])
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(head.rstrip("\n") + "\n\n" + section(rows) + tail)
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()

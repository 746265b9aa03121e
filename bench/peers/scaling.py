#!/usr/bin/env python3
"""Threads, contexts and a busy neighbour: how octet scales beside what register loops scale to in the same run.

usage: scaling.py [--model build/bench/resnet50_octet_int8.onnx] [--batch 1] [--rounds 5] [--seconds 0.4] [--precision int8] [--no-busy] [--keep]

In turns, `rounds` times: one thread; two threads; two processes of one thread each at the same time; two threads beside a process
that does nothing but spin. The rate of vpdpbusd (or its like) on registers is measured in the first round, alone and in both
processes. Printed are medians, and
  two threads:    (time of one / time of two) / (rate of both loops / rate of one alone)               wanted >= 0.93
  two processes:  (images of both / images of one alone) / (rate of both loops / rate of one alone)    wanted >= 0.93
  busy neighbour: time of two threads beside it / time of one thread alone, on two CPUs               wanted <= 1.3
Beside the medians of turns, two threads by the least times of all runs, and what it takes them to wait for each other once: 0.1 us
where the two CPUs share L3, 0.5 us where they do not; a virtual machine's may be moved from the one to the other at any time. Needs two CPUs to itself (taskset -c 4,6 binds all; no_amx.py
before it refuses AMX). --no-busy leaves the neighbour out. --keep: the figures go to build/bench/scaling.json, from which the pages of
docs take them.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys

OCTET = "build/octet"
Run = collections.namedtuple("Run", "ms least gmacs isa wait_us")


def start(args, threads, with_loops=False):
    command = [OCTET, "bench", args.model, "--precision", args.precision, "--batch", str(args.batch), "--threads", str(threads),
               "--duration", str(args.seconds), "--warm-up", "100", "--json", "--quiet", *(["--profile"] if with_loops else [])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process):
    out, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"scaling: {OCTET} failed with status {process.returncode}")
    result = json.loads(out)
    peak = result["roofline"]["peak"] if "roofline" in result else {"u8s8_gmacs": None, "fork_us": None}
    return Run(result["latency_ms"]["median"], result["latency_ms"]["min"], peak["u8s8_gmacs"], result["isa"], peak["fork_us"])


def spin():
    """A child that keeps one CPU busy."""
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


def measure(args):
    one, two, both, busy = [], [], [], []
    for turn in range(args.rounds):
        one.append(finish(start(args, 1, turn == 0)))
        two.append(finish(start(args, 2, turn in (0, args.rounds - 1))))  # what waiting takes
        pair = [start(args, 1, turn == 0), start(args, 1, turn == 0)]
        both += [tuple(finish(p) for p in pair)]
        if args.no_busy:
            continue
        neighbour = spin()
        try:
            busy.append(finish(start(args, 2)))
        finally:
            neighbour.kill()
            neighbour.wait()
    return one, two, both, busy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="build/bench/resnet50_octet_int8.onnx")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--no-busy", action="store_true")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("scaling: needs two CPUs")
    one, two, both, busy = measure(args)
    median = statistics.median
    ms1, peak1 = median(r.ms for r in one), one[0].gmacs
    ms2 = median(r.ms for r in two)
    images = median(1 / a.ms + 1 / b.ms for a, b in both) * ms1
    loops = sum(r.gmacs for r in both[0]) / peak1
    threads = ms1 / ms2 / loops
    least1, least2 = min(r.least for r in one), min(r.least for r in two)
    print(f"{os.path.basename(args.model)}, batch {args.batch}, {one[0].isa}: 1 thread {ms1:.3f} ms, loops {peak1:.0f} GMAC/s")
    print(f"2 threads {ms2:.3f} ms: {ms1 / ms2:.2f} times as fast, two loops {loops:.2f}: {threads:.2f} (>= 0.93)")
    waits = [r.wait_us for r in two if r.wait_us is not None]
    print(f"by the least times {least1:.3f} and {least2:.3f} ms: {least1 / least2 / loops:.2f}; waiting for each other once takes "
          f"{min(waits):.2f} to {max(waits):.2f} us")
    print(f"2 processes of 1 thread: {images:.2f} times the images, loops {loops:.2f}: {images / loops:.2f} (>= 0.93)")
    row = {"model": os.path.basename(args.model).removesuffix(".onnx").removesuffix("_octet_int8"), "batch": args.batch, "isa": one[0].isa,
           "one_ms": ms1, "two_ms": ms2, "threads": threads, "one_least": least1, "two_least": least2, "least": least1 / least2 / loops,
           "wait_us": [min(waits), max(waits)], "processes": images / loops}
    if busy:
        beside = median(r.ms for r in busy)
        print(f"2 threads beside a busy process: {beside:.3f} ms, {beside / ms1:.2f} of 1 thread alone (<= 1.3)")
        row |= {"busy_ms": beside, "busy": beside / ms1}
    if args.keep:
        keep(row)


def keep(row):
    path = "build/bench/scaling.json"
    rows = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
    rows = [r for r in rows if [r.get(k) for k in ("model", "batch", "isa")] != [row[k] for k in ("model", "batch", "isa")]] + [row]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()

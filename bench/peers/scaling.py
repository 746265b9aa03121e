#!/usr/bin/env python3
"""Threads, contexts and a busy neighbour: how octet scales beside what register loops scale to in the same turn.

usage: scaling.py [--model build/bench/resnet50_octet_int8.onnx] [--batch 1] [--rounds 5] [--seconds 0.4] [--precision int8] [--no-busy] [--keep]

A turn: a pair of CPUs that are cores of their own (cores.py), then one thread; two threads; two processes of one thread each at the same
time; two threads beside a process that does nothing but spin. A layer and products on registers run on the pair before and behind each
of them, alone and side by side. Where they say that the pair was one core, or changed its pace, the turn is left out and
counted; `rounds` turns that count are wanted, of four times as many at most. Printed are medians of turns, and
  two threads:    (time of one / time of two) / (rate of both loops / rate of one alone)               wanted >= 0.93
  two processes:  (images of both / images of one alone) / (rate of both loops / rate of one alone)    wanted >= 0.93
  busy neighbour: time of two threads beside it / time of one thread alone, on two CPUs               wanted <= 1.3
Beside the medians of turns, two threads by the least times of all runs, and what it takes them to wait for each other once: 0.1 us
where the two CPUs share L3, 0.5 us where they do not. Needs two CPUs to itself (taskset -c 4,6 leaves it no others; no_amx.py before it
refuses AMX). --no-busy leaves the neighbour out. --keep: the figures go to build/bench/scaling.json, from which the pages of docs take
them.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys

import cores

OCTET = "build/octet"
MOST_TURNS = 4  # times the rounds
Run = collections.namedtuple("Run", "ms least isa wait_us")
Turn = collections.namedtuple("Turn", "one two both busy probes")


def start(args, threads, cpus, with_wait=False):
    command = [OCTET, "bench", args.model, "--precision", args.precision, "--batch", str(args.batch), "--threads", str(threads),
               "--duration", str(args.seconds), "--warm-up", "100", "--json", "--quiet", *(["--profile"] if with_wait else [])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus))


def finish(process):
    out, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"scaling: {OCTET} failed with status {process.returncode}")
    result = json.loads(out)
    wait = result["roofline"]["peak"]["fork_us"] if "roofline" in result else None
    return Run(result["latency_ms"]["median"], result["latency_ms"]["min"], result["isa"], wait)


def spin(cpus):
    """A child that keeps one CPU busy."""
    return subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.sched_setaffinity(0, cpus))


def measure_turn(args, pairs, with_wait):
    pair, probe = pairs.pick()
    probes, busy = [probe], None
    one = finish(start(args, 1, pair[:1]))
    probes.append(cores.loops(*pair))
    two = finish(start(args, 2, pair, with_wait))
    probes.append(cores.loops(*pair))
    both = [start(args, 1, [cpu]) for cpu in pair]
    both = tuple(finish(process) for process in both)
    if not args.no_busy:
        neighbour = spin(pair)
        try:
            busy = finish(start(args, 2, pair))
        finally:
            neighbour.kill()
            neighbour.wait()
    probes.append(cores.loops(*pair))
    return Turn(one, two, both, busy, probes)


def measure(args):
    """The turns that count, and how many do not, by fault."""
    pairs, turns, left_out = cores.Pairs(), [], collections.Counter()
    while len(turns) < args.rounds and len(turns) + left_out.total() < MOST_TURNS * args.rounds:
        turn = measure_turn(args, pairs, len(turns) in (0, args.rounds - 1))
        fault = cores.fault(turn.probes)
        if fault:
            left_out[fault] += 1
        else:
            turns.append(turn)
    return turns, left_out


def row_of(turns, left_out):
    """The figures of turns that count."""
    median = statistics.median
    gains = [cores.gain(t.probes) for t in turns]
    least1, least2 = min(t.one.least for t in turns), min(t.two.least for t in turns)
    waits = [t.two.wait_us for t in turns if t.two.wait_us is not None]
    row = {"isa": turns[0].one.isa, "one_ms": median(t.one.ms for t in turns), "two_ms": median(t.two.ms for t in turns), "loops": median(gains),
           "threads": median(t.one.ms / t.two.ms / gain for t, gain in zip(turns, gains)),
           "one_least": least1, "two_least": least2, "least": least1 / least2 / median(gains),
           "wait_us": [min(waits), max(waits)] if waits else None,
           "processes": median(sum(t.one.ms / run.ms for run in t.both) / gain for t, gain in zip(turns, gains)),
           "turns": len(turns), "shared": left_out["shared"], "clock": left_out["clock"]}
    if turns[0].busy:
        row["busy_ms"] = median(t.busy.ms for t in turns)
        row["busy"] = median(t.busy.ms / t.one.ms for t in turns)
    return row


def show(name, batch, row):
    print(f"{name}, batch {batch}, {row['isa']}: 1 thread {row['one_ms']:.3f} ms; {row['turns']} turns, left out: pair on one core {row['shared']}, "
          f"another clock {row['clock']}")
    print(f"2 threads {row['two_ms']:.3f} ms, two loops {row['loops']:.2f} of one: {row['threads']:.2f} (>= 0.93)")
    wait = f"; waiting for each other once takes {row['wait_us'][0]:.2f} to {row['wait_us'][1]:.2f} us" if row["wait_us"] else ""
    print(f"by the least times {row['one_least']:.3f} and {row['two_least']:.3f} ms: {row['least']:.2f}{wait}")
    print(f"2 processes of 1 thread: {row['processes']:.2f} (>= 0.93)")
    if "busy" in row:
        print(f"2 threads beside a busy process: {row['busy_ms']:.3f} ms, {row['busy']:.2f} of 1 thread alone (<= 1.3)")


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
    if len(cores.candidates()) < 2:
        sys.exit("scaling: needs two CPUs")
    if not os.path.exists(cores.LOOPS):
        sys.exit(f"scaling: {cores.LOOPS} is missing: ninja -C build octet_loops_bench")
    turns, left_out = measure(args)
    name = os.path.basename(args.model)
    if not turns:
        print(f"{name}, batch {args.batch}: no turn counts; left out: pair on one core {left_out['shared']}, another clock {left_out['clock']}")
        return
    row = row_of(turns, left_out)
    show(name, args.batch, row)
    if args.keep:
        keep({"model": name.removesuffix(".onnx").removesuffix("_octet_int8"), "batch": args.batch, **row})


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

#!/usr/bin/env python3
"""What plans and tuning bring: build times, load times, a plan beside the engine in memory, tuned beside untuned tactics.

usage: bench/plans/run.py [--build build] [--models resnet50,...] [--threads 1,2] [--prepare]

Networks are those of octet_make_model with random weights (speed does not depend on them) and the trained ones under $OCTET_DATA/models, as Q/DQ files
(--prepare only makes these). Results gather in BUILD/bench/plans.json, a
model's new ones replace its old ones; the section "Plans and tuning" of docs/benchmarks.md is written from all of them. bench/peers keeps that section.
"""
import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
import machine  # noqa: E402

MADE = ["resnet50", "mobilenet_v2", "resnet18_32", "resnet20_32", "densenet121", "shufflenet_v2", "regnet_x_400mf"]
REAL = ["mobilenet_v2_imagenet", "resnet18_c10", "mobilenet_v3_small_c10", "efficientnet_b0_c10"]
MODELS = [*MADE, *REAL]
BEGIN = "## Plans and tuning\n"
PAGE = "docs/benchmarks.md"


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{done.stderr}{done.stdout[-2000:]}")
    return done.stdout


def octet_json(octet, *words):
    return json.loads(run(octet, *words, "--json", "--quiet"))


def loads(octet, plan):
    """Median milliseconds of the first load of seven processes, and of further loads within one."""
    first = [octet_json(octet, "bench", plan, "--iterations", "1", "--duration", "0", "--warm-up", "0")["load_ms"] for _ in range(7)]
    # Which fails, as trtexec does, where the first load took more than twice the average; the average is there all the same.
    log = subprocess.run([octet, "trtexec", f"--loadEngine={plan}", "--timeDeserialize"], capture_output=True, text=True, check=False).stdout
    again = float(re.search(r"average time = ([0-9.e-]+)", log).group(1))
    return statistics.median(first), again


def pair(octet, first, second, threads, seconds="2.5"):
    """Medians of both, the speed-up of the second and its 95 % interval."""
    out = octet_json(octet, "bench", first, second, "--precision", "int8", "--threads", str(threads), "--duration", seconds)
    return {"first_ms": out["first"]["latency_ms"]["median"], "second_ms": out["second"]["latency_ms"]["median"],
            "speedup": out["speedup"], "ci": out["speedup_ci95"], "device": out["first"]["device"]}


def prepare(build, model):
    """The network's Q/DQ file, made when it is missing."""
    work, octet = f"{build}/bench/plans", f"{build}/octet"
    os.makedirs(work, exist_ok=True)
    fp32, int8 = f"{work}/{model}.onnx", f"{work}/{model}_int8.onnx"
    if not os.path.exists(int8):
        if model in REAL:
            fp32 = f"{os.environ['OCTET_DATA']}/models/{model}.onnx"
        else:
            run(f"{build}/octet_make_model", model, fp32)
        run(octet, "quantize", fp32, "--calib-data", "synthetic:16", "--quiet", "-o", int8)
    return int8


def measure(build, model, threads):
    work, octet, int8 = f"{build}/bench/plans", f"{build}/octet", prepare(build, model)
    usual, tuned, lean, table = (f"{work}/{model}_{threads}{end}" for end in (".plan", "_tuned.plan", "_no_packed.plan", "_times.txt"))
    words = ["--precision", "int8", "--threads", str(threads)]
    row = {"model": model, "threads": threads, "date": datetime.date.today().isoformat(), "cpu": machine.cpu_model(),
           "octet": machine.octet_version(octet),
           "build_s": octet_json(octet, "build", int8, *words, "-o", usual)["build_s"]}
    octet_json(octet, "build", int8, *words, "--no-packed", "-o", lean)
    row["bytes"], row["lean_bytes"] = os.path.getsize(usual), os.path.getsize(lean)
    if os.path.exists(table):
        os.remove(table)
    for name in ("cold_build_s", "warm_build_s"):
        row[name] = octet_json(octet, "build", int8, *words, "--tune", "--timing-cache", table, "-o", tuned)["build_s"]
    row["load_ms"], row["load_again_ms"] = loads(octet, usual)
    row["lean_load_ms"], row["lean_load_again_ms"] = loads(octet, lean)
    row["memory_and_plan"] = pair(octet, int8, usual, threads)
    row["lean_and_usual"] = pair(octet, lean, usual, threads)
    row["plain_and_tuned"] = pair(octet, usual, tuned, threads)
    return row


def interval(result):
    low, high = result["ci"] if result["ci"] else (0, float("inf"))
    return f"{result['speedup']:.3f} ({low:.3f} .. {high:.3f})"


def section(rows):
    days = sorted({r["date"] for r in rows})
    lines = [BEGIN, f"Written by `bench/plans/run.py`, {' and '.join(days)}: {machine.measured_by(rows)}; {rows[0]['memory_and_plan']['device'].split(',')[0]}. Builds are from Q/DQ files, "
             "whole (`build_s` of `octet build --json`); tuned: `--tune --timing-cache FILE`. Ratios of two that take turns query by query",
             "(`octet bench A B`, 2.5 s each), with their 95 % interval; loads: the median of the first loads of seven processes, and the mean of further loads in one.", "",
             "| model | threads | build s | tuned, no times known s | tuned, times known s | load ms: first in a process, again | with `--no-packed` |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for r in rows:
        lines.append(f"| {r['model']} | {r['threads']} | {r['build_s']:.2f} | {r['cold_build_s']:.2f} | {r['warm_build_s']:.2f} | "
                     f"{r['load_ms']:.1f}, {r['load_again_ms']:.1f} ({r['bytes'] / 1048576:.1f} MiB) | "
                     f"{r['lean_load_ms']:.1f}, {r['lean_load_again_ms']:.1f} ({r['lean_bytes'] / 1048576:.1f} MiB) |")
    lines += ["", "| model | threads | in memory ms | from the plan ms | plan over memory | packed over `--no-packed` | untuned ms | tuned ms | "
              "what tuning buys |",
              "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for r in rows:
        m, p, t = r["memory_and_plan"], r["lean_and_usual"], r["plain_and_tuned"]
        lines.append(f"| {r['model']} | {r['threads']} | {m['first_ms']:.3f} | {m['second_ms']:.3f} | {interval(m)} | {interval(p)} | "
                     f"{t['first_ms']:.3f} | {t['second_ms']:.3f} | {interval(t)} |")
    lines += ["", "An interval is of nine pairs of fresh engines in one process (cli.md, Measuring). Read the ratios: both sides of one share what else the machine does,",
              "the milliseconds of two rows do not."]
    return "\n".join(lines) + "\n"


def write(rows):
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    at = text.find(BEGIN)
    end = text.find("\n## ", at + 1) if at >= 0 else -1
    head = text if at < 0 else text[:at]
    tail = "" if end < 0 else text[end:]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(head.rstrip("\n") + "\n\n" + section(rows) + tail)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--prepare", action="store_true")
    args = parser.parse_args()
    if args.prepare:
        for model in args.models.split(","):
            prepare(args.build, model)
        return
    results = f"{args.build}/bench/plans.json"
    rows = []
    if os.path.exists(results):
        with open(results, encoding="utf-8") as file:
            rows = json.load(file)
    for model in args.models.split(","):
        for threads in (int(t) for t in args.threads.split(",")):
            new = measure(args.build, model, threads)
            print(json.dumps(new), flush=True)
            rows = [r for r in rows if (r["model"], r["threads"]) != (model, threads)] + [new]
            os.makedirs(os.path.dirname(results), exist_ok=True)
            with open(results, "w", encoding="utf-8") as file:
                json.dump(rows, file, indent=1)
    rows.sort(key=lambda r: (MODELS.index(r["model"]), r["threads"]))
    write(rows)


if __name__ == "__main__":
    main()

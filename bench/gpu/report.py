#!/usr/bin/env python3
"""Prints docs/benchmarks_gpu.md from the files of bench/gpu/run.sh.

usage: report.py OUT_DIR     notes.md there, if any, is taken in below the networks that were compared
"""
import datetime
import glob
import json
import os
import sys
import textwrap

# (network, precision, batch): what is wanted, in ms or images/s
WANTED = {("resnet50", "int8", 1): ("ms", 0.25), ("resnet50", "int8", 8): ("ms", 0.40), ("resnet50", "int8", 128): ("img/s", 45000),
          ("resnet50", "int8", 256): ("img/s", 50000), ("resnet50", "fp16", 1): ("ms", 0.55), ("resnet50", "fp16", 256): ("img/s", 20000),
          ("resnet18_32", "int8", 1): ("ms", 0.05), ("mobilenet_v2", "int8", 1): ("ms", 0.20)}
# What products on random data sustain on an H200: 10^12 operations a second of s8 and of f16 with f32 sums.
SUSTAINED = {"int8": 1870, "fp16": 825}
ORDER = ["resnet50", "resnet18_32", "mobilenet_v2"]


def load(folder):
    rows = []
    for path in sorted(glob.glob(os.path.join(folder, "octet_*.json"))):
        try:
            with open(path, encoding="utf-8") as file:
                row = json.load(file)
        except ValueError:
            continue
        row["net"] = os.path.basename(row["model"]).replace("_int8.onnx", "").replace(".onnx", "")
        rows.append(row)
    return sorted(rows, key=lambda r: (ORDER.index(r["net"]), r["precision"] != "int8", r["precision"], r["batch"]))


def text(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def wanted(row):
    kind, value = WANTED.get((row["net"], row["precision"], row["batch"]), ("", 0))
    if not kind:
        return ""
    met = row["compute_ms"] <= value if kind == "ms" else row["img_per_s"] >= value
    claim = f"<= {value:g} ms" if kind == "ms" else f">= {value:,} img/s"
    return claim if met else f"**{claim}**"


HOW_TO_READ = """| column | means |
| --- | --- |
| compute | one run inside a row of runs of one CUDA graph, inputs in device memory; median of 30 samples |
| wanted | set for an H200; bold is not met on this GPU |
| single | one run between two events |
| H2D, D2H | the copies alone; H2D counts from the first piece that is staged, so it holds the host's copy out of pageable memory |
| with host copies | host buffers in and out, one query at a time, by the host's clock (f32 input; the copy into pinned memory counts) |
"""


def findings(rows, peers):
    """The page's first lines: what the tables show."""
    resnet = [r for r in rows if (r["net"], r["precision"]) == ("resnet50", "int8")]
    rates = ", ".join(f"{r['img_per_s']:,} at batch {r['batch']}" for r in resnet)
    int8 = [(r, peers.get((r["net"], r["batch"], "FP16 channels-last, CUDA graph"))) for r in rows if r["precision"] == "int8"]
    graph = [ms / r["compute_ms"] for r, ms in int8 if ms]
    tuned = [peers[key] / r["compute_ms"] for r, _ in int8 for key in peers if key[:2] == (r["net"], r["batch"]) and "torch.compile" in key[2]]
    largest = max(resnet, key=lambda r: r["batch"], default=None)
    missed = [f"{r['net']} {r['precision']} batch {r['batch']}" for r in rows if wanted(r).startswith("**")]
    return [*([f"* ResNet-50 in INT8, images a second: {rates}."] if resnet else []),
            *([f"* INT8 is {min(graph):.2f} to {max(graph):.2f} times as fast as PyTorch's FP16 in a CUDA graph"
               + (f", and {min(tuned):.2f} to {max(tuned):.2f} times as fast as `torch.compile`'s tuned FP16." if tuned else ".")] if graph else []),
            f"* Wanted and missed: {', '.join(missed)}." if missed else "* Every target is met.",
            *([f"* Large batches are bound by the copies from host memory where the data is not on the GPU: at batch {largest['batch']} {largest['h2d_ms']:.1f} of "
               f"{largest['wall_ms']:.1f} ms."] if largest else []),
            "* What the time goes into: [gpu.md](gpu.md#large-batches)."]


def main():
    folder = sys.argv[1]
    rows = load(folder)
    torch = {"torch": "not installed", "rows": []}
    for name in ("torch.json", "torch_compile.json"):
        try:
            found = json.loads(text(folder, name))
        except ValueError:
            continue
        torch = {"torch": found["torch"], "rows": torch["rows"] + found["rows"], "note": found.get("note", "")}
    peers = {(r["model"], r["batch"], r["how"]): r["ms"] for r in torch["rows"] if r["ms"]}
    print("# GPU benchmarks\n")
    print("\n".join(findings(rows, peers)) + "\n")
    print("## How it was measured\n")
    day = datetime.date.fromtimestamp(os.path.getmtime(os.path.join(folder, "nvidia-smi.txt")))
    print(f"Written by `bench/gpu/report.py` from one run of {day}, not edited by hand: `tools/gpu_bundle`, then `./run.sh OUT` in the folder that\n"
          "it makes. A row is what `octet_gpu_bench MODEL PRECISION BATCH --layers` measures. Random weights and images.\n")
    print(f"GPU: {rows[0]['device'] if rows else 'none'}. PyTorch {torch['torch']}. Clocks and power limit, before and after:\n")
    print("```\n" + text(folder, "clocks_before.csv") + "\n" + text(folder, "clocks_after.csv").split("\n")[-1] + "\n```\n")
    print(HOW_TO_READ)
    print("## Networks\n")
    print("| network | precision | batch | compute ms | img/s | wanted | single ms | H2D ms | D2H ms | with host copies ms | PyTorch FP32 eager ms | PyTorch FP16 + graph ms | FP16 graph / octet |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for r in rows:
        eager = peers.get((r["net"], r["batch"], "FP32 eager"))
        graph = peers.get((r["net"], r["batch"], "FP16 channels-last, CUDA graph"))
        shown = [f"{v:.3f}" if v else "unmeasured" for v in (eager, graph)]
        ratio = f"{graph / r['compute_ms']:.2f}" if graph else ""
        print(f"| {r['net']} | {r['precision']} | {r['batch']} | {r['compute_ms']:.4f} | {r['img_per_s']:,} | {wanted(r)} | {r['single_ms']:.4f} | "
              f"{r['h2d_ms']:.4f} | {r['d2h_ms']:.4f} | {r['wall_ms']:.4f} | {shown[0]} | {shown[1]} | {ratio} |")
    print("\nPyTorch, FP16, channels-last, `torch.compile` with CUDA graphs, tuned and timed with the GPU for itself; max-autotune without coordinate descent. " +
          torch.get("note", "") + "\n")
    print("| network | batch | torch.compile | ms | octet INT8 ms | ratio |\n| --- | --- | --- | --- | --- | --- |")
    for name, batch in (("resnet50", 1), ("resnet50", 128)):
        for how in ("reduce-overhead", "max-autotune"):
            ms = peers.get((name, batch, "FP16 torch.compile " + how))
            own = next((r["compute_ms"] for r in rows if (r["net"], r["precision"], r["batch"]) == (name, "int8", batch)), None)
            ratio = f"{ms / own:.2f}" if ms and own else ""
            shown = f"{ms:.3f} | {own:.4f} | {ratio}" if ms and own else "unmeasured (not through in the time given) | |"
            print(f"| {name} | {batch} | {how} | {shown} |")
    best = []
    for path in sorted(glob.glob(os.path.join(folder, "best_*.json"))):
        try:
            with open(path, encoding="utf-8") as file:
                best.append((os.path.basename(path)[5:-5], json.load(file)))
        except ValueError:
            best.append((os.path.basename(path)[5:-5], None))
    if best:
        print("\n## Precision best\n\n`octet bench MODEL.onnx --precision fp16 --precision2 best --device cuda`: the two in turns, query by query, the device's own times"
              "\nof compute, medians. What was chosen is named.\n\n| network, batch | FP16 ms | best ms | chosen | FP16 / best |\n| --- | --- | --- | --- | --- |")
        for name, r in best:
            if not r:
                print(f"| {name.rpartition('_')[0]}, {name.rpartition('_')[2]} | unmeasured | unmeasured | | |")
                continue
            fp16, chosen = r["first"]["compute_ms"]["median"], r["second"]["compute_ms"]["median"]
            print(f"| {name.rpartition('_')[0]}, {name.rpartition('_')[2]} | {fp16:.4f} | {chosen:.4f} | {r['second']['precision']} | {fp16 / chosen:.2f} |")
    print("\n## What a start costs\n")
    print("open: the process's first use of the GPU, including the driver's part. tuned: a build that measures all tiles. load: a build whose tiles are named,\n"
          "as in a plan. context: memory, pinned buffers and the CUDA graph.\n")
    print("| network | precision | batch | open ms | tuned s | load ms | context ms |\n| --- | --- | --- | --- | --- | --- | --- |")
    for r in rows:
        if "load_ms" in r:
            print(f"| {r['net']} | {r['precision']} | {r['batch']} | {r['open_ms']:.0f} | {r['build_s']:.1f} | {r['load_ms']:.0f} | {r['context_ms']:.0f} |")
    print("\n## Same bytes as the CPU engine\n")
    equal = [line.split(" ", 1) for line in text(folder, "equal.txt").split("\n") if line]
    same = [f"{name} ({how.removeprefix('batch ').removesuffix(' equal')})" for name, how in equal if how.endswith("equal")]
    print(textwrap.fill("INT8 networks, `octet run --device cuda` against `--device cpu`, outputs compared byte for byte (batch): equal for " + ", ".join(same) + ".",
                        150, break_long_words=False, break_on_hyphens=False))
    for name, how in equal:
        if not how.endswith("equal"):
            print(f"\n{name}, {how}.")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.txt"), encoding="utf-8") as file:
        known = [line.split()[0] for line in file if line.strip() and not line.startswith("#")]
    missing = [name for name in known if name not in [n for n, _ in equal]]
    if missing:
        print("\n" + textwrap.fill("Not compared in this run: " + ", ".join(missing) + ".", 150, break_long_words=False, break_on_hyphens=False))
    notes = text(folder, "notes.md")  # of whoever ran it: what is of another run, what disturbed this one
    if notes:
        print("\n" + notes)
    counts = [line.split() for line in text(folder, "top1.txt").split("\n") if len(line.split()) == 3]
    if counts:
        print("\nRight answers of all pictures of `test_batch.bin`, `octet eval --batch 50`:\n\n| network | CPU | GPU |\n| --- | --- | --- |")
        for name in dict.fromkeys(c[0] for c in counts):
            by = {c[1]: c[2] for c in counts if c[0] == name}
            print(f"| {name} | {by.get('cpu', 'unmeasured')} | {by.get('cuda', 'unmeasured')} |")
    steps = text(folder, "three_steps.md")
    if steps:
        print("\n## One network in three steps\n\n" + steps)
    for r in rows:
        if r["net"] != "resnet50" or (r["precision"], r["batch"]) not in (("int8", 1), ("int8", 8), ("int8", 128)):
            continue
        layers = r.get("layers", [])
        total = sum(x["us"] for x in layers)
        other = sum(x["us"] for x in layers if x["tops"] == 0)
        print(f"\n## ResNet-50 {r['precision'].upper()}, batch {r['batch']}, layer by layer\n")
        products = sum(x["us"] * x["tops"] for x in layers) / SUSTAINED[r["precision"]]
        print(f"What each layer adds to the time of a run; together {total:.0f} us. The products alone would take {products:.0f} us at the "
              f"{SUSTAINED[r['precision']]:,} TOPS that\nthe tensor cores sustain: {100 * (1 - products / total):.0f} % of the time is not matrix work. "
              f"Kernels without any product take {100 * other / total:.1f} %.")
        print("Where one kernel runs several steps, its time stands at the last of them: TOPS count the products of all of them, GB/s what they read from\n"
              "memory and write there, each value once.\n")
        print("| op | output | tactic | us | TOPS | GB/s |\n| --- | --- | --- | --- | --- | --- |")
        for x in layers:
            print(f"| {x['op']} | {x['y']} | {x['tactic'].strip()} | {x['us']:.2f} | {x['tops']:.1f} | {x['gb_s']:.0f} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""octet against ONNX Runtime and OpenVINO on the same files: short slices in turns in one run.

usage: peers.py [--quick] [--minutes M] [--models resnet50,...] [--batches 1,8] [--threads 1] [--no-amx] [--peers-only] [--page-only]

Every engine gets the same number of rounds; a round lets each engine run for a slice and notes the slice's median. The tables
hold the median of these medians and their spread. Float tensors in and out, conversions inside the timing. Outputs are checked
in the same run. Results are gathered in build/bench/results.json by model, batch, threads; a later run replaces what it measures
again, and docs/benchmarks.md is written from all of them. With --peers-only nothing of octet is needed or run.

--minutes bounds the whole: slices become as short as the rows still to come ask for, and rows for which no time is left are named
and not measured. One thread and small batches come first.

BF16 of octet and OpenVINO where the CPU has products of it, by option, from the FP32 file.

INT8 files: octet's own; ONNX Runtime's quantize_static with u8 and with symmetric s8 activations; OpenVINO's NNCF.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # noqa: E402
import models  # noqa: E402
import no_amx  # noqa: E402
import page  # noqa: E402
import start_up  # noqa: E402
from engines import Octet, openvino_lane, openvino_survives, ort_lane  # noqa: E402

RESULTS = f"{models.WORK}/results.json"


def lanes_for(files, x, threads, peers_only):
    lanes = [ort_lane(f"ort {form}", files[form], x, threads) for form in ("fp32", "u8", "s8")]
    wanted = [(f"openvino {form}", files[form], "f32" if form == "fp32" else None)
              for form in ("fp32", "u8", "s8", "nncf", "octet") if files.get(form)]
    if machine.has_bf16():
        wanted.append(("openvino bf16", files["fp32"], "bf16"))
    alive = openvino_survives(wanted, x.shape, threads)
    for label, path, hint in wanted:
        if label in alive:
            lanes.append(openvino_lane(label, path, x, threads, hint))
        else:
            print(f"note: {label} crashes on {path}: left out", file=sys.stderr)
    if peers_only:
        return lanes
    short = [Octet("octet bf16", files["fp32"], x, threads, "bf16")] if machine.has_bf16() else []
    return [Octet("octet fp32", files["fp32"], x, threads, "fp32"), *short, Octet("octet int8", files["octet"], x, threads, "int8"),
            Octet("octet u8", files["u8"], x, threads, "int8"), Octet("octet s8", files["s8"], x, threads, "int8"), *lanes]


def cosine(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def check(lanes):
    """Cosine of every lane's output with ONNX Runtime's FP32: float lanes must give the same numbers, INT8 ones similar ones."""
    want = next(lane for lane in lanes if lane.label == "ort fp32").outputs()
    found = {}
    for lane in lanes:
        found[lane.label] = cosine(lane.outputs(), want)
        least = 0.99999 if lane.label.endswith("fp32") else 0.9
        if not found[lane.label] >= least:
            print(f"note: {lane.label}: cosine {found[lane.label]:.4f} with ONNX Runtime's FP32", file=sys.stderr)
    return found


def measure(model, batch, threads, rounds, seconds, peers_only, row_s=None):
    """row_s: what the row may take from here on, setting up and checking included."""
    start = time.monotonic()
    files = models.prepare(model, not peers_only)
    x = models.noise(model, batch, 0)
    lanes = lanes_for(files, x, threads, peers_only)
    cosines = check(lanes)
    if row_s is not None:
        left = row_s - (time.monotonic() - start)
        seconds = min(seconds, max(0.05, left / rounds / len(lanes) - 0.25))
    samples = {lane.label: [] for lane in lanes}
    for _ in range(rounds):
        for lane in lanes:
            samples[lane.label].append(lane.slice_ms(seconds))
    for lane in lanes:
        if lane.label == "octet bf16" and lane.runs_in != "bf16":
            print(f"note: octet runs {lane.runs_in} in place of bf16 here: left out", file=sys.stderr)
            samples.pop(lane.label)
    result = {"model": model, "batch": batch, "threads": threads, "rounds": rounds, "slice_s": round(seconds, 2), "date": machine.today(),
              "octet": machine.octet_version() if os.path.exists("build/octet") else "",
              "cosine": cosines, "ms": {label: [statistics.median(ms), min(ms), max(ms)] for label, ms in samples.items()}}
    if not peers_only:
        result["isa"] = next(lane.isa for lane in lanes if lane.label == "octet int8")
        result["codes_in_use"] = models.codes_in_use(files["octet"], x[:1])
    return result


def gather(results, new):
    key = [new[k] for k in ("model", "batch", "threads", "amx")]
    return [r for r in results if [r[k] for k in ("model", "batch", "threads", "amx")] != key] + [new]


def load():
    if not os.path.exists(RESULTS):
        return []
    with open(RESULTS, encoding="utf-8") as file:
        return json.load(file)


def share_of_peak(model, batch, results):
    """A network's rate beside the peak of the same run, and what that leaves between ONNX Runtime and the instruction's limit."""
    out = json.loads(models.octet("bench", f"{models.WORK}/{model}_octet_int8.onnx", "--precision", "int8", "--batch", str(batch), "--duration",
                                  "0.5", "--profile", "--json", "--quiet"))
    peak, whole = out["roofline"]["peak"], out["roofline"]["whole_us"]
    mmac = sum(layer["mmac"] for layer in out["roofline"]["layers"])
    rate = mmac * 1e3 / whole
    line = (f"{model} INT8, batch {batch}, one thread, {out['isa']}: {rate:.0f} GMAC/s of {peak['u8s8_gmacs']:.0f} that "
            f"{peak['u8s8_instruction']} reaches on registers in the same run, {100 * rate / peak['u8s8_gmacs']:.0f} %.")
    peer = [r["ms"]["ort u8"][0] for r in results if (r["model"], r["batch"], r["threads"]) == (model, batch, 1) and "ort u8" in r["ms"]]
    if peer:
        least = mmac / peak["u8s8_gmacs"]
        line += f" At the peak its products alone take {least:.3f} ms: ONNX Runtime's time is {peer[0] / least:.2f} of that, and nothing that computes them all is farther ahead of it."
    return [line, ""]


def on_avx2(files):
    """INT8 over FP32 of octet where AVX2 is all there is, for both."""
    medians = {}
    for _ in range(3):
        for precision, path in (("int8", files["octet"]), ("fp32", files["fp32"])):
            out = subprocess.run([models.OCTET, "bench", path, "--precision", precision, "--batch", "8", "--iterations", "3", "--duration", "1", "--json",
                                  "--quiet"], env={**os.environ, "OCTET_ISA": "avx2"}, capture_output=True, text=True, check=True).stdout
            medians.setdefault(precision, []).append(json.loads(out)["latency_ms"]["median"])
    int8, fp32 = statistics.median(medians["int8"]), statistics.median(medians["fp32"])
    return [f"resnet50, batch 8, one thread, OCTET_ISA=avx2 (FP32 too): INT8 {int8:.0f} ms, FP32 {fp32:.0f} ms, {page.verdict(fp32 / int8, 1.3)}.", ""]


def extra_sections(results):
    """Start-up, memory and the machine's peak beside the rates of two networks; from the last run where this one left ResNet-50 out."""
    path = f"{models.WORK}/extra.json"
    files = {"fp32": f"{models.WORK}/resnet50.onnx", "octet": f"{models.WORK}/resnet50_octet_int8.onnx"}
    if all(os.path.exists(f) for f in files.values()):
        lines = start_up.section(files["fp32"], files["octet"])
        for model in ("resnet50", "resnet18_32"):
            if os.path.exists(f"{models.WORK}/{model}_octet_int8.onnx"):
                lines += [*share_of_peak(model, 1, results), *share_of_peak(model, 8, results)]
        lines += on_avx2(files)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(lines, file)
        return lines
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batch 1 and 8, one thread, 5 rounds of 0.25 s")
    parser.add_argument("--minutes", type=float, default=0, help="bound for the whole run")
    parser.add_argument("--models", default="")
    parser.add_argument("--batches", default="")
    parser.add_argument("--threads", default="")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--no-amx", action="store_true", help="refuse AMX to all engines")
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write docs/benchmarks.md")
    args = parser.parse_args()
    if args.no_amx:
        no_amx.refuse_amx()
    rounds, seconds = (args.rounds or 5, 0.25) if args.quick else (args.rounds or 7, 1.0)
    batches = args.batches or ("1,8" if args.quick else "1,8,32")
    threads = args.threads or ("1" if args.quick else "1,2")
    results = load()
    wanted = args.models.split(",") if args.models else models.available()
    rows = [(model, int(batch), int(count)) for count in threads.split(",") for batch in batches.split(",") for model in wanted]
    end = time.monotonic() + 60 * args.minutes
    for i, (model, batch, count) in enumerate(() if args.page_only else rows):
        left = end - time.monotonic()
        if args.minutes and left < 10:
            print(f"note: no time left for {', '.join(f'{m} batch {b} threads {t}' for m, b, t in rows[i:])}", file=sys.stderr)
            break
        row_s = left / (len(rows) - i) if args.minutes else None
        new = measure(model, batch, count, rounds, seconds, args.peers_only, row_s)
        new["amx"] = machine.has_amx() and not args.no_amx
        print(json.dumps({k: new[k] for k in ("model", "batch", "threads")} |
                         {label: round(ms[0], 3) for label, ms in new["ms"].items()}), flush=True)
        if not args.peers_only:
            results = gather(results, new)
            with open(RESULTS, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=1)
    if not args.peers_only:
        page.write(results, models.available(), extra_sections(results))


if __name__ == "__main__":
    main()

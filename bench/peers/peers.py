#!/usr/bin/env python3
"""octet against ONNX Runtime and OpenVINO on the same files: short slices in turns in one run.

usage: peers.py [--quick] [--minutes M] [--models resnet50,...] [--batches 1,8] [--threads 1] [--lanes int8,s8,fp32,bf16] [--no-amx | --amx-only]
                [--cpus 3] [--peers-only] [--page-only] [--results FILE] [--page FILE]

Every engine gets the same number of rounds; a round lets each engine run for a slice and notes the slice's median. The tables
hold the median of these medians and their spread. Float tensors in and out, conversions inside the timing. Outputs are checked
in the same run. A peer runs in a process of its own. Results are gathered in build/bench/results.json by model, batch, threads and
AMX; a later run replaces the lanes that it measures again. docs/benchmarks.md is written from them and from what it was written from
before, on the same CPU (record.py; --page-only --results FILE --page PAGE brings in what was measured elsewhere). With --peers-only
octet is not run; the networks of random weights are made by octet_make_model (make build) where build/bench has none.

Where the CPU has AMX, each INT8 lane runs twice in a round: allowed to use it and refused (a seccomp filter on its process); with
--no-amx only refused, with --amx-only only allowed.

--minutes bounds the whole: slices become as short as the rows still to come ask for (not where --seconds gives their length), and
rows for which no time is left are named and not measured. One thread and small batches come first. --cpus binds every lane there;
--cpus quiet: each slice to CPUs that nobody else uses when it begins (cores.py).

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
import cores  # noqa: E402
import machine  # noqa: E402
import models  # noqa: E402
import page  # noqa: E402
import record  # noqa: E402
import start_up  # noqa: E402
from engines import LEAST_RUNS, LaneDied, Octet, Served  # noqa: E402

# Lanes of a group: label, engine, file, octet's precision or OpenVINO's hint.
GROUPS = {"int8": [("octet int8", "octet", "octet", "int8"), ("octet u8", "octet", "u8", "int8"), ("ort u8", "ort", "u8", None),
                   ("openvino u8", "openvino", "u8", None), ("openvino s8", "openvino", "s8", None),
                   ("openvino nncf", "openvino", "nncf", None), ("openvino octet", "openvino", "octet", None)],
          "s8": [("octet u8 beside s8", "octet", "u8", "int8"), ("octet s8", "octet", "s8", "int8"), ("ort s8", "ort", "s8", None)],
          "fp32": [("octet fp32", "octet", "fp32", "fp32"), ("ort fp32", "ort", "fp32", None), ("openvino fp32", "openvino", "fp32", "f32")],
          "bf16": [("octet bf16", "octet", "fp32", "bf16"), ("openvino bf16", "openvino", "fp32", "bf16")]}
SLOW_FORM = 1.3  # times OpenVINO's fastest form in two rounds: not run any further
REFERENCE = ("reference", "ort", "fp32", None)


def wanted_lanes(args, files, refused):
    """Lines of GROUPS that can run here. Float lanes do not use AMX, BF16 is nothing without it where there is AMX."""
    lines = []
    for group in args.lanes.split(","):
        if (group == "bf16" and not machine.has_bf16()) or (refused and group in ("fp32", "bf16") and not args.no_amx):
            continue
        lines += [line for line in GROUPS[group] if files.get(line[2]) and not (args.peers_only and line[1] == "octet")]
    return lines


def start(line, files, x, threads, refused, cpus):
    label, engine, form, how = line
    if engine == "octet":
        return Octet(label, files[form], x, threads, how, refused, cpus)
    return Served(label, engine, files[form], x, threads, how, refused, cpus)


def those_alive(lanes, act):
    """Lanes of which act(lane) ends; a crash is told and costs that lane alone."""
    alive = []
    for lane in lanes:
        try:
            act(lane)
            alive.append(lane)
        except LaneDied as error:
            print(f"note: {error}: left out", file=sys.stderr)
            lane.close()
    return alive


def cosine(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def check(lanes, reference):
    """Outputs by (label, refused), and their cosine with ONNX Runtime's FP32: float lanes must give the same numbers, INT8 ones similar ones."""
    want, answers = reference.outputs(), {}

    def ask(lane):
        answers[lane.label, lane.refused] = lane.outputs()

    lanes = those_alive(lanes, ask)
    cosines = {key: cosine(answer, want) for key, answer in answers.items()}
    for (label, _), found in cosines.items():
        if not found >= (0.99999 if label.endswith("fp32") else 0.9):
            print(f"note: {label}: cosine {found:.4f} with ONNX Runtime's FP32", file=sys.stderr)
    return lanes, answers, cosines


def same_without_amx(answers):
    """Whether octet's INT8 lanes give the same bytes with and without AMX; None where it was not asked."""
    both = [label for label, refused in answers if label.startswith("octet") and refused and (label, False) in answers]
    return all(answers[label, True].tobytes() == answers[label, False].tobytes() for label in both) if both else None


def without_slow_forms(lanes, samples):
    """Without the forms of OpenVINO that are slower by far than its fastest: only that one counts."""
    def is_form(lane):
        return lane.label.startswith("openvino") and not lane.label.endswith(("fp32", "bf16"))

    def least(lane):
        return min(samples[lane.label, lane.refused])

    slow = [lane for lane in lanes if is_form(lane) and
            least(lane) > SLOW_FORM * min(least(other) for other in lanes if is_form(other) and other.refused == lane.refused)]
    for lane in slow:
        lane.close()
    return [lane for lane in lanes if lane not in slow]


def measure(args, model, batch, threads, row_s=None):
    """Results of a row, one for each of AMX allowed and refused. row_s: what it may take from here on, setting up and checking included."""
    begin = time.monotonic()
    files = models.prepare(model, not args.peers_only)
    x = models.noise(model, batch, 0)
    modes = [True] if args.no_amx else [False, True] if machine.has_amx() and not args.amx_only else [False]
    quiet = cores.Quiet() if args.cpus == "quiet" else None
    cpus = quiet.pick(threads) if quiet else args.cpus

    def take_slice(lane):
        if quiet:
            lane.bind(quiet.pick(threads))
        samples[lane.label, lane.refused].append(lane.slice_ms(seconds, args.least_runs))

    reference = start(REFERENCE, files, x, threads, False, cpus)
    lanes = [start(line, files, x, threads, refused, cpus) for refused in modes for line in wanted_lanes(args, files, refused)]
    try:
        reference.ready()
        lanes = those_alive(lanes, lambda lane: lane.ready())
        lanes, answers, cosines = check(lanes, reference)
        reference.close()
        seconds = args.seconds or (0.25 if args.quick else 1.0)
        if row_s is not None and not args.seconds:
            seconds = min(seconds, max(0.05, (row_s - (time.monotonic() - begin)) / args.rounds / len(lanes) - 0.25))
        samples = {(lane.label, lane.refused): [] for lane in lanes}
        for turn in range(args.rounds):
            if turn == 2:
                lanes = without_slow_forms(lanes, samples)
            lanes = those_alive(lanes, take_slice)
    finally:
        for lane in [reference, *lanes]:
            lane.close()
    for lane in lanes:
        if lane.label == "octet bf16" and lane.runs_in != "bf16":
            print(f"note: octet runs {lane.runs_in} in place of bf16 here: left out", file=sys.stderr)
            samples.pop((lane.label, lane.refused))
    results = []
    for refused in modes:
        result = {"model": model, "batch": batch, "threads": threads, "amx": machine.has_amx() and not refused, "rounds": args.rounds,
                  "slice_s": round(seconds, 2), "date": machine.today(), "cpu": machine.cpu_model(), "versions": machine.versions(),
                  "octet": machine.octet_version() if os.path.exists(machine.OCTET) else "",
                  "cosine": {label: value for (label, r), value in cosines.items() if r == refused},
                  "ms": {label: [statistics.median(ms), min(ms), max(ms)] for (label, r), ms in samples.items() if r == refused and ms},
                  "turns": {label: ms for (label, r), ms in samples.items() if r == refused and ms}}
        isa = [lane.isa for lane in lanes if lane.isa and lane.refused == refused]
        if isa:
            result["isa"] = isa[0]
        if same_without_amx(answers) is not None:
            result["same_bytes"] = same_without_amx(answers)
        if "octet" in files and "int8" in args.lanes:
            result["codes_in_use"] = models.codes_in_use(model)
        if result["ms"]:
            results.append(result)
    return results


def row_key(row):
    return [row.get(k) for k in ("cpu", "model", "batch", "threads", "amx")]


def gather(results, new):
    """Puts a new row in: what it measured again replaces the old figures of the same row."""
    old = [r for r in results if row_key(r) == row_key(new)]
    merged = {**(old[0] if old else {}), **new}
    for part in ("cosine", "ms", "turns"):
        merged[part] = {**(old[0].get(part, {}) if old else {}), **new[part]}
    return [r for r in results if row_key(r) != row_key(new)] + [merged]


def share_of_peak(model, batch, results):
    """What a network reaches of the peak of the same run, by needed and by all products, and what that leaves between ONNX Runtime and the instruction's limit.

    The run is the one of five whose share by needed products is the median.
    """
    runs = [json.loads(models.octet("bench", f"{models.WORK}/{model}_octet_int8.onnx", "--precision", "int8", "--batch", str(batch),
                                    "--duration", "0.4", "--profile", "--json", "--quiet")) for _ in range(5)]
    runs.sort(key=lambda run: run["roofline"]["integer_share"]["needed_of_run"])
    out, wanted = runs[2], page.WANTED_SHARE.get((model, batch, runs[2]["isa"]))
    reached = [100 * run["roofline"]["integer_share"]["needed_of_run"] for run in runs]
    roofline = out["roofline"]
    peak, whole, share = roofline["peak"], roofline["whole_us"], roofline["integer_share"]
    integer = [layer for layer in roofline["layers"] if layer["op"].startswith("Quant") and layer["mmac"] > 0]
    mmac, needed = sum(layer["mmac"] for layer in integer), sum(layer["needed_mmac"] for layer in integer)
    line = (f"{model} INT8, batch {batch}, one thread, {out['isa']}: {reached[2]:.0f} % of the peak "
            f"({reached[0]:.0f} .. {reached[4]:.0f} in five runs{f'; wanted {wanted}' if wanted else ''}). The products that octet needs run at {needed * 1e3 / whole:.0f} of the "
            f"{peak['u8s8_gmacs']:.0f} GMAC/s that {peak['u8s8_instruction']} reaches on registers in the same run. They are {100 * share['needed_part']:.0f} % of the "
            "network's: none with padding, and a quarter by Winograd, counted twice for their 16 bits. By all products as the network defines them it would be "
            f"{mmac * 1e3 / whole:.0f} GMAC/s, {100 * share['nominal_of_run']:.0f} %.")
    peer = [r["ms"]["ort u8"][0] for r in results if (r["model"], r["batch"], r["threads"]) == (model, batch, 1) and "ort u8" in r["ms"]]
    if peer:
        least = mmac / peak["u8s8_gmacs"]
        line += (f" At the peak all of them would take {least:.3f} ms. ONNX Runtime's time is {peer[0] / least:.2f} of that: who computes each of them cannot be "
                 "further ahead of it.")
    return [line, ""]


def on_avx2(files):
    """INT8 over FP32 of octet where AVX2 is all there is, for both: the median of five turns. The second file's activations have 7 bits."""
    medians = {}
    seven_bits = models.seven_bits(files["u8"], f"{models.WORK}/resnet50_7bit.onnx")
    for _ in range(5):
        for lane, precision, path in (("int8", "int8", files["octet"]), ("7bit", "int8", seven_bits), ("fp32", "fp32", files["fp32"])):
            out = subprocess.run([models.OCTET, "bench", path, "--precision", precision, "--batch", "8", "--iterations", "3", "--duration", "1", "--json",
                                  "--quiet"], env={**os.environ, "OCTET_ISA": "avx2"}, capture_output=True, text=True, check=True).stdout
            medians.setdefault(lane, []).append(json.loads(out)["latency_ms"]["median"])
    int8, few, fp32 = (statistics.median(medians[lane]) for lane in ("int8", "7bit", "fp32"))
    return [f"resnet50, batch 8, one thread, OCTET_ISA=avx2 (FP32 too): FP32 {fp32:.0f} ms, INT8 {int8:.0f} ms, {page.verdict(fp32 / int8, 1.3)}; "
            f"INT8 with activations of 7 bits {few:.0f} ms, {page.verdict(fp32 / few, 1.8)}.", ""]


def extra_sections(results, kept):
    """Start-up, memory and the machine's peak beside the rates of two networks; `kept` where there are no files of ResNet-50."""
    files = {"fp32": f"{models.WORK}/resnet50.onnx", "octet": f"{models.WORK}/resnet50_octet_int8.onnx", "u8": f"{models.WORK}/resnet50_ort_u8.onnx"}
    if not all(os.path.exists(f) for f in files.values()):
        return kept
    lines = start_up.section(files["fp32"], files["octet"])
    for model in ("resnet50", "resnet18_32"):
        if os.path.exists(f"{models.WORK}/{model}_octet_int8.onnx"):
            lines += [*share_of_peak(model, 1, results), *share_of_peak(model, 8, results)]
    return lines + on_avx2(files)


def write_page(args, results):
    """The page and its record, from `results` and, where they are of the same CPU, from the page's record."""
    old = record.load(args.page, {r["cpu"] for r in results})
    rows = old["rows"]
    for row in results:
        if row["date"] >= max((r["date"] for r in rows if row_key(r) == row_key(row)), default=""):  # not what an old run left
            rows = gather(rows, row)
    scaling = record.load_json(os.path.join(os.path.dirname(args.results), "scaling.json"), [])
    new = {"rows": rows, "scaling": record.merge(old["scaling"], scaling, ("model", "batch", "isa")), "more": old["more"]}
    if args.page == "docs/benchmarks.md" and not args.page_only:
        new["more"] = extra_sections(rows, old["more"])
    page.write(rows, [*models.MADE, *models.REAL], new["more"], args.page, new["scaling"])
    record.save(args.page, new)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batch 1 and 8, one thread, 5 rounds of 0.25 s")
    parser.add_argument("--minutes", type=float, default=0, help="bound for the whole run")
    parser.add_argument("--models", default="")
    parser.add_argument("--batches", default="")
    parser.add_argument("--threads", default="")
    parser.add_argument("--lanes", default="int8,s8,fp32,bf16")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="length of a slice")
    parser.add_argument("--least-runs", type=int, default=LEAST_RUNS, help="runs of a slice however long they take")
    parser.add_argument("--cpus", default="", help="CPUs of every lane, as taskset -c takes them; quiet: those that nobody else uses")
    parser.add_argument("--no-amx", action="store_true", help="refuse AMX to all engines")
    parser.add_argument("--amx-only", action="store_true", help="allow AMX to all engines, and measure nothing without it")
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--no-page", action="store_true", help="gather results and write no page")
    parser.add_argument("--results", default=f"{models.WORK}/results.json")
    parser.add_argument("--page", default="docs/benchmarks.md")
    args = parser.parse_args()
    args.rounds = args.rounds or (5 if args.quick else 7)
    args.batches = args.batches or ("1,8" if args.quick else "1,8,32")
    args.threads = args.threads or ("1" if args.quick else "1,2")
    for word in filter(None, args.models.split(",")):
        if word not in models.SIZES:
            parser.error(f"--models: no network '{word}'; there are {', '.join(models.SIZES)}")
        if word not in models.available():
            parser.error(f"--models: {word} lies under $OCTET_DATA/models, and OCTET_DATA is '{os.environ.get('OCTET_DATA', '')}'")
    for word in args.lanes.split(","):
        if word not in GROUPS:
            parser.error(f"--lanes: no group '{word}'; there are {', '.join(GROUPS)}")
    return args


def main():
    args = parse()
    results = record.load_json(args.results, [])
    if args.page_only and not results:
        results = record.load_json(record.path_of(args.page), {}).get("rows", [])
    wanted = args.models.split(",") if args.models else models.available()
    rows = [(model, int(batch), int(count)) for count in args.threads.split(",") for batch in args.batches.split(",") for model in wanted]
    if not args.page_only:
        print(json.dumps({"cpu": machine.cpu_model(), "versions": machine.versions(), "settings": " ".join(page.SETTINGS),
                          "rounds": args.rounds, "amx": "refused" if args.no_amx else "allowed" if machine.has_amx() else "none"}), flush=True)
    end = time.monotonic() + 60 * args.minutes
    for i, (model, batch, count) in enumerate(() if args.page_only else rows):
        left = end - time.monotonic()
        if args.minutes and left < 10:
            print(f"note: no time left for {', '.join(f'{m} batch {b} threads {t}' for m, b, t in rows[i:])}", file=sys.stderr)
            break
        for new in measure(args, model, batch, count, left / (len(rows) - i) if args.minutes else None):
            print(json.dumps({k: new[k] for k in ("model", "batch", "threads", "amx")} |
                             {label: round(ms[0], 3) for label, ms in new["ms"].items()}), flush=True)
            if not args.peers_only:
                results = gather(results, new)
                with open(args.results, "w", encoding="utf-8") as file:
                    json.dump(results, file, indent=1)
    if not args.peers_only and not args.no_page:
        write_page(args, results)


if __name__ == "__main__":
    main()

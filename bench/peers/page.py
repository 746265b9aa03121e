"""docs/benchmarks.md from the gathered results."""
import os
import re
import statistics
import textwrap

import machine
import transformer_tables

# How many times faster than the peer octet's INT8 is to be: ONNX Runtime's u8 form, OpenVINO's best INT8 form.
WANTED = {"resnet50": (1.15, 1.0), "mobilenet_v2": (1.4, 1.1), "resnet18_32": (1.5, 1.0), "resnet20_32": (1.5, 1.0),
          "mobilenet_v2_imagenet": (1.3, 1.0), "resnet18_c10": (1.3, 1.0), "mobilenet_v3_small_c10": (1.3, 1.0),
          "efficientnet_b0_c10": (1.3, 1.0), "densenet121": (1.0, 1.0), "shufflenet_v2": (1.0, 1.0), "regnet_x_400mf": (1.0, 1.0)}


# The same where AMX may be used by all engines.
WANTED_AMX = {"resnet50": (2.5, 1.0), "mobilenet_v2": (1.6, 1.1), "resnet18_32": (2.5, 1.0), "resnet20_32": (2.0, 1.0),
              "mobilenet_v2_imagenet": (1.6, 1.0), "resnet18_c10": (1.6, 1.0), "mobilenet_v3_small_c10": (1.6, 1.0),
              "efficientnet_b0_c10": (1.6, 1.0), "densenet121": (1.2, 1.0), "shufflenet_v2": (1.2, 1.0), "regnet_x_400mf": (1.2, 1.0)}
# Networks whose FP32 time is wanted at batch 1 on one thread: at most so many times ONNX Runtime's and OpenVINO's.
# Share of the peak by needed products, in per cent; INT8 over octet's own FP32.
WANTED_SHARE = {("resnet50", 8, "avx512_vnni"): 68, ("resnet50", 8, "amx"): 25}
WANTED_OVER_FP32 = {("resnet50", 8, 1, False): 3.3, ("resnet50", 8, 1, True): 6}
WANTED_FP32, FP32_MODELS = (1.0, 1.05), ("resnet50", "mobilenet_v2", "resnet18_32")


def best(ms, prefix):
    """The fastest lane with this prefix: (label, ms)."""
    found = [(value[0], label) for label, value in ms.items() if label.startswith(prefix) and not label.endswith(("fp32", "bf16"))]
    value, label = min(found)
    return label, value


def ratio(row, over, under):
    """How many times longer one lane takes than the other: the median of the turns' ratios, so that a CPU that changes its pace between
    turns does not count; of the medians where turns were not kept or differ in number."""
    a, b = (row.get("turns", {}).get(label, []) for label in (over, under))
    if a and len(a) == len(b):
        return statistics.median(x / y for x, y in zip(a, b))
    return row["ms"][over][0] / row["ms"][under][0]


def cell(ms, label):
    if label not in ms:
        return "crashes"
    median, low, high = ms[label]
    return f"{median:.3f} ({low:.3f} .. {high:.3f})"


def verdict(times, wanted):
    if wanted is None:
        return f"{times:.2f}"
    return f"{times:.2f} (>= {wanted:g})" if times >= wanted else f"**{times:.2f}** (< {wanted:g})"


def within(times, most):
    return f"{times:.3f} (<= {most:g})" if times <= most else f"**{times:.3f}** (> {most:g})"


def int8_table(results):
    results = [r for r in results if "octet int8" in r["ms"]]
    lines = ["| model | batch | threads | octet INT8 ms (its form) | ONNX Runtime u8 ms | OpenVINO's best ms (its form) | against ONNX Runtime | "
             "against OpenVINO | octet INT8 over FP32 |", "| --- " * 9 + "|"]
    for r in results:
        ms = r["ms"]
        mine = min((ms[form][0], form) for form in ("octet int8", "octet u8"))[1]
        label = best(ms, "openvino")[0]
        ort_wanted, openvino_wanted = (WANTED_AMX if r["amx"] else WANTED).get(r["model"], (None, None))
        over_wanted = WANTED_OVER_FP32.get((r["model"], r["batch"], r["threads"], r["amx"]))
        floats = verdict(ms["octet fp32"][0] / ms[mine][0], over_wanted) if "octet fp32" in ms else ""
        lines.append(f"| {r['model']} | {r['batch']} | {r['threads']} | {cell(ms, mine)} ({'own' if mine == 'octet int8' else 'u8'}) | {cell(ms, 'ort u8')} | "
                     f"{cell(ms, label)} ({label.removeprefix('openvino ')}) | {verdict(ratio(r, 'ort u8', mine), ort_wanted)} | "
                     f"{verdict(ratio(r, label, mine), openvino_wanted)} | {floats} |")
    return lines


def fp32_table(results):
    lines = ["| model | batch | threads | octet ms | ONNX Runtime ms | OpenVINO ms | octet / ONNX Runtime | octet / OpenVINO |",
             "| --- " * 8 + "|"]
    for r in (r for r in results if "octet fp32" in r["ms"]):
        ms = r["ms"]
        is_wanted = r["model"] in FP32_MODELS and r["batch"] == r["threads"] == 1
        shown = within if is_wanted else (lambda times, most: f"{times:.2f}")
        lines.append(f"| {r['model']} | {r['batch']} | {r['threads']} | {cell(ms, 'octet fp32')} | {cell(ms, 'ort fp32')} | "
                     f"{cell(ms, 'openvino fp32')} | {shown(ratio(r, 'octet fp32', 'ort fp32'), WANTED_FP32[0])} | "
                     f"{shown(ratio(r, 'octet fp32', 'openvino fp32'), WANTED_FP32[1])} |")
    return lines


def bf16_section(results):
    rows = [r for r in results if "octet bf16" in r["ms"]]
    if not rows:
        return []
    lines = ["## BF16", "", "The FP32 file with `--precision bf16`, and OpenVINO with the hint bf16. ONNX Runtime has no BF16 kernels for these layers on a CPU.", "",
             "| model | batch | threads | octet BF16 ms | OpenVINO BF16 ms | OpenVINO over octet | octet FP32 over BF16 | cosine with FP32 |", "| --- " * 8 + "|"]
    for r in rows:
        ms = r["ms"]
        peer = f"{ratio(r, 'openvino bf16', 'octet bf16'):.2f}" if "openvino bf16" in ms else ""
        floats = f"{ms['octet fp32'][0] / ms['octet bf16'][0]:.2f}" if "octet fp32" in ms else ""
        lines.append(f"| {r['model']} | {r['batch']} | {r['threads']} | {cell(ms, 'octet bf16')} | {cell(ms, 'openvino bf16')} | {peer} | "
                     f"{floats} | {r['cosine']['octet bf16']:.5f} |")
    return [*lines, ""]


def forms_table(results):
    lines = ["| model | batch | threads | octet, its own file | octet, u8 file | octet, s8 file | ONNX Runtime, s8 file | OpenVINO, s8 file | "
             "ONNX Runtime's over octet's, s8 | s8 over u8, octet | fewest codes in use | cosine with FP32: octet u8, ONNX Runtime u8 |", "| --- " * 12 + "|"]
    for r in (r for r in results if "octet s8" in r["ms"] and "octet int8" in r["ms"]):
        ms, c = r["ms"], r["cosine"]
        beside = "octet u8 beside s8" if "octet u8 beside s8" in ms else "octet u8"
        lines.append(f"| {r['model']}{' AMX' if r['amx'] else ''} | {r['batch']} | {r['threads']} | {ms['octet int8'][0]:.3f} | {ms['octet u8'][0]:.3f} | "
                     f"{ms['octet s8'][0]:.3f} | {ms['ort s8'][0]:.3f} | {cell(ms, 'openvino s8')} | "
                     f"{verdict(ratio(r, 'ort s8', 'octet s8'), 3)} | {within(ratio(r, 'octet s8', beside), 1.03)} | {r.get('codes_in_use', '')} | {c['octet u8']:.5f}, {c['ort u8']:.5f} |")
    return lines


def openvino_forms(results):
    forms = ("u8", "s8", "nncf", "octet")
    lines = ["OpenVINO on each INT8 file, ms; the fastest is the one of the table above.", "",
             "| model | batch | threads | " + " | ".join(forms) + " |", "| --- " * 7 + "|"]
    for r in (r for r in results if "octet int8" in r["ms"]):
        times = (f"{r['ms'][f'openvino {form}'][0]:.3f}" if f"openvino {form}" in r["ms"] else "crashes" for form in forms)
        lines.append(f"| {r['model']} | {r['batch']} | {r['threads']} | {' | '.join(times)} |")
    return lines


def int8_sections(results):
    """One table, or where AMX could be used one with and one without it."""
    note = "Ratios: how many times as fast octet is. In brackets what is wanted; a ratio in bold misses it."
    if not any(r["amx"] for r in results):
        return ["## INT8", "", note, "", *int8_table(results), ""]
    with_amx, without = ([r for r in results if r["amx"] == is_on] for is_on in (True, False))
    asked = [r["same_bytes"] for r in results if "same_bytes" in r]
    same = f"octet gave the same bytes with and without AMX in {sum(asked) // 2} of {len(asked) // 2} rows that asked." if asked else ""
    lines = ["## INT8, AMX allowed to all", "", note, "", *int8_table(with_amx), "", *openvino_forms(with_amx), ""]
    if without:
        lines += ["## INT8, AMX refused to all", "",
                  f"A seccomp filter (`bench/peers/no_amx.py`) refuses the permission; octet then runs {', '.join(sorted({r['isa'] for r in without}))}. {same}".rstrip(), "",
                  *int8_table(without), "", *openvino_forms(without), ""]
    return lines


def scaling_section(rows):
    if not rows:
        return []
    lines = ["## Two threads, two processes, a busy neighbour", "",
             "`bench/peers/scaling.py`, medians of turns on two CPUs. Efficiency: the speed-up of two threads over one, divided by that of two register loops on",
             "the same CPUs in the same turn (>= 0.93 wanted). Two processes share nothing but L3 and memory: what the machine itself allows. Busy neighbour: two",
             "threads beside a process that spins on one of the two CPUs, over one thread alone (<= 1.3 wanted). What it means: [benchmarks_threads.md](benchmarks_threads.md).", ""]
    counted = [r for r in rows if "turns" in r]
    if counted:
        turns, shared, clock = (sum(r[key] for r in counted) for key in ("turns", "shared", "clock"))
        lines += [f"Before and after every run, `octet_loops_bench` times a layer and register loops on both CPUs, alone and side by side. {turns} turns count. Left out are "
                  f"{shared} in which the", f"pair was one core for a while, and {clock} in which a CPU or its clock was more than a fifth slower at one time than at another.", ""]
    lines += ["| model | batch | ISA | turns (left out) | 1 thread ms | 2 threads ms | efficiency | by least times: ms, efficiency | 2 processes of 1 thread, efficiency | busy neighbour ms, over 1 thread |",
              "| --- " * 10 + "|"]
    mark = lambda value, good: f"{value:.2f}" if good else f"**{value:.2f}**"  # noqa: E731
    for r in rows:
        least = f"{r['one_least']:.3f} / {r['two_least']:.3f}, {mark(r['least'], r['least'] >= 0.93)}" if "least" in r else ""
        busy = f"{r['busy_ms']:.3f}, {mark(r['busy'], r['busy'] <= 1.3)}" if "busy" in r else ""
        turns = f"{r['turns']} ({r['shared'] + r['clock']})" if "turns" in r else ""
        lines.append(f"| {r['model']} | {r['batch']} | {r.get('isa', '')} | {turns} | {r['one_ms']:.3f} | {r['two_ms']:.3f} | {mark(r['threads'], r['threads'] >= 0.93)} | "
                     f"{least} | {mark(r['processes'], r['processes'] >= 0.93)} | {busy} |")
    return [*lines, ""]


def kept_section(path):
    """What stands behind a page's own marker: a section that bench/plans/run.py writes, or what was written by hand."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    places = [text.find(mark) for mark in ("## Plans and tuning\n", "<!-- Written by hand from here on. -->\n")]
    return text[max(places):] if max(places) >= 0 else ""


def of_other_programs(results, newest):
    """Which rows an octet measured that is not the newest one."""
    by_version = {}
    for row in results:
        if row.get("octet"):
            by_version.setdefault(row["octet"], {}).setdefault(row["model"], []).append(f"{row['batch']}x{row['threads']}")
    rows_of = {version: ", ".join(f"{model} {' '.join(dict.fromkeys(rows))}" for model, rows in models.items()) for version, models in by_version.items()}
    return [f"Measured with {version} (batch x threads): {rows}." for version, rows in rows_of.items() if version != newest]


def peers_of(versions):
    """What else took part: every version line without octet's own part, each once."""
    return " and ".join(sorted({line.partition("), ")[2] for line in versions}))


def slices(rounds):
    """\"5 slices of 0.08, 0.1 s\", by their numbers; many lengths as a range."""
    by_count = {}
    for count, seconds in sorted(rounds):
        by_count.setdefault(count, []).append(f"{seconds:g}")
    lengths = {count: ", ".join(seconds) if len(seconds) <= 3 else f"{seconds[0]} to {seconds[-1]}" for count, seconds in by_count.items()}
    return " or ".join(f"{count} slices of {seconds} s" for count, seconds in lengths.items())


def about_amx(results):
    if any(r["amx"] for r in results):
        return "AMX is allowed to all engines in the first table of INT8 and refused to all in the second."
    return ("This machine has no AMX, so none of the engines uses it; [benchmarks_amx.md](benchmarks_amx.md) has one that does." if not machine.has_amx()
            else "AMX is refused to all engines.")


def spread(values):
    return f"{min(values):.2f} to {max(values):.2f} (median {statistics.median(values):.2f})"


THREADS = {1: "one thread", 2: "two threads"}


def int8_findings(results):
    """How many times as fast octet's INT8 is, over the rows of each table and number of threads."""
    groups = {}
    for r in (r for r in results if "octet int8" in r["ms"]):
        groups.setdefault((not r["amx"], r["threads"]), []).append(r)
    lines = []
    for (is_off, threads), rows in sorted(groups.items()):
        mine = [min((r["ms"][form][0], form) for form in ("octet int8", "octet u8"))[1] for r in rows]
        ort = [ratio(r, "ort u8", form) for r, form in zip(rows, mine)]
        openvino = [ratio(r, best(r["ms"], "openvino")[0], form) for r, form in zip(rows, mine)]
        about = "" if len(groups) == 1 or not any(r["amx"] for r in results) else ", AMX refused to all" if is_off else ", AMX allowed to all"
        lines.append(f"* INT8, {THREADS.get(threads, f'{threads} threads')}{about}: {spread(ort)} times as fast as ONNX Runtime, {spread(openvino)} times as fast "
                     f"as OpenVINO; {len(rows)} rows.")
    return lines


def amx_findings(results):
    """What AMX brings to octet, by each row's fastest slices with and without it."""
    time = {(r["amx"], r["model"], r["batch"], r["threads"]): min(r["ms"][form][1] for form in ("octet int8", "octet u8"))
            for r in results if "octet int8" in r["ms"]}
    gains = [time[False, *key[1:]] / ms for key, ms in time.items() if key[0] and (False, *key[1:]) in time]
    return [f"* With AMX octet's INT8 is {spread(gains)} times as fast as without on the same CPU, by the fastest slices."] if gains else []


def scaling_findings(rows):
    by_isa = {}
    for r in (r for r in rows if "least" in r):
        by_isa.setdefault(r.get("isa", ""), []).append(r)
    lines = []
    for isa, pairs in sorted(by_isa.items()):
        few = ", ".join(f"{r['model']} batch {r['batch']} ({r['least']:.2f})" for r in pairs if r["least"] < 0.93)
        lines += [f"* Two threads, {isa}: {spread([r['one_least'] / r['two_least'] for r in pairs])} times as fast as one thread, by the least times.",
                  *([f"  Efficiency below the wanted 0.93: {few}."] if few else [])]
    return lines


def missed(lines):
    """The cells in bold of the tables, with section, row and column."""
    section, head, found = "", [], []
    for line in lines:
        cells = line.strip("| ").split(" | ") if line.startswith("| ") else []
        section = line[3:] if line.startswith("## ") else section
        head = cells if cells[:1] == ["model"] else head
        found += [f"{section}, {cells[0]} {cells[1]}x{cells[2]}, {column}: {cell}" for column, cell in zip(head, cells) if cell.startswith("**")]
    return found


def findings(results, tables, scaling):
    """The page's first lines: what the tables show."""
    floats = [r for r in results if "octet fp32" in r["ms"]]
    ort, openvino = ([ratio(r, "octet fp32", peer) for r in floats] for peer in ("ort fp32", "openvino fp32"))
    bold = missed(tables)
    return ["octet beside ONNX Runtime and OpenVINO, on the same INT8 files, each engine on the form of the file that it runs fastest:", "",
            *int8_findings(results), *amx_findings(results), *scaling_findings(scaling),
            *([f"* FP32: octet takes {spread(ort)} of ONNX Runtime's time, {spread(openvino)} of OpenVINO's."] if floats else []),
            f"* Wanted and missed (batch x threads): {'; '.join(bold)}." if bold else "* Every target of INT8, FP32 and the s8 file is met.",
            "* The machine is shared: its pace changes within seconds. Trust ratios, which are taken within a turn, before milliseconds",
            "  ([why](benchmarks_threads.md#what-a-shared-virtual-machine-does-to-the-figures))."]


def contents(page):
    """Links to the page's sections."""
    titles = [line[3:] for line in page if line.startswith("## ")]
    links = " · ".join(f"[{title.partition(':')[0]}](#{re.sub(r'[^a-z0-9_ -]', '', title.lower()).replace(' ', '-')})" for title in titles)
    return textwrap.wrap(f"On this page: {links}", 150, break_long_words=False, break_on_hyphens=False)


OTHER_PAGES = (("benchmarks.md", "an AMD Zen 4 without AMX"), ("benchmarks_amx.md", "an Intel Xeon with AMX"), ("benchmarks_zen5.md", "an AMD whose 512-bit pipes are whole"),
               ("benchmarks_gpu.md", "an NVIDIA H200"), ("benchmarks_threads.md", "two threads"), ("benchmarks_kernels.md", "Winograd, DenseNet-121, AVX2"))

# How every lane is set up; peers.py prints it, too.
SETTINGS = ("Float tensors in and out. ONNX Runtime: intra_op_num_threads as given, all optimizations. OpenVINO: LATENCY hint, one stream,",
            "threads as given, f32 hint for FP32.")

HOW_TO_READ = (
    "| in the tables | means |", "| --- | --- |",
    "| `16.7 (16.4 .. 17.2)` | ms of one inference of the whole batch: median of the slices' medians, smallest and largest slice |",
    "| a ratio | median of the turns' ratios; engines take turns, so that a change of the machine's pace hardly counts |",
    "| `(>= 1.4)`; bold and `(< 1.4)` | what is wanted: reached; missed |",
    "| own, octet | the INT8 file that `octet quantize` writes |",
    "| u8 | the file of ONNX Runtime's `quantize_static` with u8 activations, its fastest form |",
    "| s8 | the same with symmetric s8 activations |",
    "| nncf | the file of OpenVINO's quantizer NNCF |",
    "| its form | which of these files the engine ran: of octet the faster of own and u8 counts, of OpenVINO the fastest of all four |", "",
    "Networks without a data set in their name (`_c10`, `_imagenet`) have random weights: only their shapes matter for speed.",
    "A row bears the octet that ran it last; lanes that were not run again (FP32, BF16) may be of one before.")


def setup(gathered, results, is_main):
    """Machine, versions, settings, and how to repeat it. gathered: all results, the newest last; results: those of the page."""
    cpu, versions = ({r[key] for r in gathered if key in r} for key in ("cpu", "versions"))
    newest = gathered[-1].get("octet", "") if gathered else ""
    dates = sorted({r["date"] for r in results})
    isas = sorted({r["isa"] for r in results if "isa" in r})
    rounds = {(r["rounds"], r["slice_s"]) for r in results}
    return ["## How to read the tables", "", *HOW_TO_READ, "", "## How it was measured", "",
            f"Written by `bench/peers/peers.py` from runs of {' and '.join(dates)}{'; not edited by hand' if is_main else ''}.",
            "`make bench ARGS=--quick` repeats it in a quarter of an hour; `bench/peers/run.sh --peers-only` runs the peers alone.", "",
            f"* CPU: {' and '.join(sorted(cpu)) or machine.cpu_model()}. octet runs {', '.join(isas)}.",
            f"* Versions: {newest + ', ' + peers_of(versions) if versions else machine.versions()}.",
            *(f"* {line}" for line in of_other_programs(results, newest)), f"* {about_amx(results)}",
            f"* {SETTINGS[0]}", *(f"  {line}" for line in SETTINGS[1:]), f"* {slices(rounds)}, in turns.", ""]


def write(results, order, peaks, path, scaling):
    """peaks: further lines, start-up and memory and the machine's peak. scaling: rows of scaling.py."""
    is_main = path == "docs/benchmarks.md"
    gathered = results
    results = sorted((r for r in gathered if r["model"] in order), key=lambda r: (order.index(r["model"]), r["threads"], r["batch"]))
    tables = [*int8_sections(results), "## FP32", "", *fp32_table(results), "",
              *bf16_section(results),
              "## Forms of the INT8 file", "",
              "ONNX Runtime has no fast kernel for s8 activations on x86, so its u8 file is what octet is compared with above. s8 over u8 is of lanes that took",
              "turns with each other. A ratio in bold misses what is wanted.", "", *forms_table(results), ""]
    body = [*setup(gathered, results, is_main), *tables, *peaks]
    if is_main:
        body += [*transformer_tables.table("Speed")[1:], ""]
    body += scaling_section(scaling)
    kept = kept_section(path)
    others = "; ".join(f"[{what}]({name})" for name, what in OTHER_PAGES if f"docs/{name}" != path)
    page = ["# Benchmarks" if is_main else "# Benchmarks on AMX" if any(r["amx"] for r in results) else "# Benchmarks on another CPU", "",
            *findings(results, tables, scaling), "", *contents([*body, *kept.splitlines()]), "", f"Other pages: {others}.", "", *body]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(page).rstrip("\n") + "\n" + ("\n" + kept if kept else ""))

#!/usr/bin/env python3
"""Runs every test program of a build and counts: N passed, N failed, N skipped on the last line.

usage: run_tests.py BUILD_DIR [name-filter] [--jobs N]

N programs at a time, two where the machine has two CPUs; each has a folder of its own for temporary files.
A skip whose message starts with "not applicable" (an ISA or device that is not here) is counted apart. While OCTET_DATA is
set any other skip is a failure: the data is there, so the test must run.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

# Those that take longest begin first, so that none of them runs on alone at the end.
LONGEST = ["train", "api", "cli", "kernels", "trtexec", "runtime"]


def run_program(path):
    """(passed, failed, skipped, not_applicable, lines to show) of one gtest program."""
    # What a process that a test has left behind still writes there must not cost the count.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        report = os.path.join(folder, "report.json")
        scratch = os.path.join(folder, "tmp")
        os.mkdir(scratch)
        done = subprocess.run([path, f"--gtest_output=json:{report}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", env=dict(os.environ, TMPDIR=scratch, TEST_TMPDIR=scratch))
        counts = [0, 0, 0, 0]
        lines = []
        if not os.path.exists(report):
            return 0, 1, 0, 0, [f"{os.path.basename(path)}: ended with status {done.returncode} without a report", done.stdout[-4000:]]
        with open(report, encoding="utf-8") as file:
            suites = json.load(file)["testsuites"]
    for suite in suites:
        for case in suite["testsuite"]:
            name = f'{suite["name"]}.{case["name"]}'
            if case.get("failures"):
                counts[1] += 1
                lines += [f"FAILED {name}"] + [f["failure"] for f in case["failures"]]
            elif case.get("result") == "SKIPPED":
                reason = skip_reason(done.stdout, name)
                if reason.startswith("not applicable"):
                    counts[3] += 1
                elif os.environ.get("OCTET_DATA"):
                    counts[1] += 1
                    lines.append(f"FAILED {name}: skipped while OCTET_DATA is set: {reason}")
                else:
                    counts[2] += 1
            elif case.get("result") == "COMPLETED":
                counts[0] += 1
    if done.returncode != 0 and counts[1] == 0:
        counts[1] += 1
        lines += [f"FAILED {os.path.basename(path)}: ended with status {done.returncode}", done.stdout[-4000:]]
    return *counts, lines


def skip_reason(output, name):
    """The text that GTEST_SKIP() printed for a case."""
    body = output.split(f"[ RUN      ] {name}\n", 1)[-1].split("[  SKIPPED ]", 1)[0].strip()
    return body.split("\n", 1)[-1].strip() if "Skipped" in body else body


def run_timed(path):
    start = time.monotonic()
    *counts, lines = run_program(path)
    return path, counts, lines, time.monotonic() - start


def rank(path):
    """Longest programs first, the others by name."""
    room = os.path.basename(path).removeprefix("octet_").removesuffix("_test")
    return LONGEST.index(room) if room in LONGEST else len(LONGEST), path


def main():
    arguments = argparse.ArgumentParser(description="Runs every test program of a build.")
    arguments.add_argument("build")
    arguments.add_argument("wanted", nargs="?", default="", metavar="name-filter")
    arguments.add_argument("--jobs", type=int, default=min(2, len(os.sched_getaffinity(0))))
    given = arguments.parse_args()
    programs = sorted((os.path.join(folder, f) for folder, _, files in os.walk(os.path.join(given.build, "tests")) for f in files
                       if f.startswith("octet_") and f.endswith("_test") and given.wanted in f), key=rank)
    if not programs:
        sys.exit(f"run_tests: no test programs under {given.build}/tests; build first")
    total = [0, 0, 0, 0]
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        for done in as_completed([pool.submit(run_timed, program) for program in programs]):
            program, counts, lines, seconds = done.result()
            total = [a + b for a, b in zip(total, counts)]
            print(f"{os.path.basename(program):28} {counts[0]:5} passed {counts[1]:3} failed {counts[2]:3} skipped "
                  f"{counts[3]:3} not applicable  {seconds:6.1f} s", flush=True)
            for line in lines:
                print("   " + line.replace("\n", "\n   "), flush=True)
    print(f"not applicable on this machine: {total[3]}")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    sys.exit(1 if total[1] else 0)


if __name__ == "__main__":
    main()

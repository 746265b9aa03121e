#!/usr/bin/env python3
"""A flag's test asserts its effect: tools/check_flag_effects.py [BUILD_DIR].

For each row of tests/trtexec/effects.def the test that it names runs again, with that flag taken out of every command
line of trtexec, as if the flag did nothing. A test that passes all the same asserts no effect: that is a finding. Rows
whose test is skipped here (no GPU, no $OCTET_DATA) are counted apart.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def rows():
    text = (ROOT / "tests/trtexec/effects.def").read_text()
    return re.findall(r"^OCTET_EFFECT\((\w+), (\w+), (\w+)\)", text, re.M)


def verdict(program, row):
    flag, suite, name = row
    environment = dict(os.environ, OCTET_TEST_LOSES_FLAG=flag)
    ran = subprocess.run([program, f"--gtest_filter={suite}.{name}", "--gtest_brief=1"], cwd=program.parent,
                         env=environment, capture_output=True, text=True, timeout=300)
    out = ran.stdout + ran.stderr
    if "[  SKIPPED ]" in out:
        return "skipped"
    return "asserted" if f"[  FAILED  ] {suite}.{name}" in out else "not asserted"


def main():
    build = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
    program = build / "tests/trtexec/octet_trtexec_test"
    wanted = rows()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        verdicts = list(pool.map(lambda row: verdict(program, row), wanted))
    for (flag, suite, name), said in zip(wanted, verdicts):
        if said == "not asserted":
            print(f"{suite}.{name} passes without --{flag}: it asserts no effect of it")
    print(f"check_flag_effects: {len(wanted)} rows, {verdicts.count('asserted')} asserted, "
          f"{verdicts.count('skipped')} skipped here, {verdicts.count('not asserted')} findings")
    return 1 if "not asserted" in verdicts else 0


sys.exit(main())

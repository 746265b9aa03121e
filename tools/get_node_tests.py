#!/usr/bin/env python3
"""Writes the ONNX project's own node tests with its pinned release from PyPI, once per build folder.

usage: get_node_tests.py BUILD_DIR

BUILD_DIR/onnx_node_tests/node/<test>/ gets model.onnx and test_data_set_0/{input,output}_N.pb; the release lies in a
virtual environment that is removed afterwards. Exit status: 0 the tests are there, 3 PyPI could not be
reached, 1 anything else.
"""
import os
import shutil
import subprocess
import sys

ONNX = "1.18.0"  # the release of opset 23 and IR version 11


def main():
    folder = os.path.join(os.path.abspath(sys.argv[1]), "onnx_node_tests")
    done = os.path.join(folder, f"done-{ONNX}")
    if os.path.exists(done):
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "node"))
    os.makedirs(os.path.join(folder, "simple"))
    venv = os.path.join(folder, "venv")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, stdout=sys.stderr)
    python = os.path.join(venv, "bin", "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    if subprocess.run(pip + [f"onnx=={ONNX}"], stdout=sys.stderr, check=False).returncode != 0:
        print(f"get_node_tests: pip cannot get onnx=={ONNX} from PyPI", file=sys.stderr)
        return 3
    made = subprocess.run([python, "-W", "ignore", "-m", "onnx.backend.test.cmd_tools", "generate-data", "-o", folder],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if made.returncode != 0:
        print(made.stderr[-2000:], file=sys.stderr)
        return 1
    shutil.rmtree(venv)
    with open(done, "w", encoding="utf-8"):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())

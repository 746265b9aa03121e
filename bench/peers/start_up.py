"""Start-up time and peak memory on ResNet-50, octet beside ONNX Runtime: a section of docs/benchmarks.md."""
import statistics
import subprocess
import sys
import time

from models import OCTET


# Runs a command and prints its peak resident memory in KiB. A process of its own, because a child begins with its parent's peak.
PEAK = """
import os, sys
pid = os.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(1 if status else 0)
"""


def peak_mib(command):
    """Peak resident memory of a command, MiB."""
    done = subprocess.run([sys.executable, "-S", "-c", PEAK, *command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: failed")
    return int(done.stdout) / 1024


def wall_s(command, repeats=7):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def ort(path):
    code = ("import numpy as np, onnxruntime as o; s=o.SessionOptions(); s.intra_op_num_threads=1\n"
            f"r=o.InferenceSession({path!r}, s, providers=['CPUExecutionProvider'])\n"
            "r.run(None, {'input': np.zeros((1,3,224,224),np.float32)})")
    return [sys.executable, "-c", code if path else "import numpy, onnxruntime"]


def section(fp32, int8):
    """Lines of Markdown. fp32, int8: files of ResNet-50."""
    once = ["--iterations", "1", "--duration", "0", "--warm-up", "0", "--quiet", "--json"]
    float_run, int8_run = [OCTET, "bench", fp32, *once], [OCTET, "bench", int8, "--precision", "int8", *once]
    return ["## Start-up and memory, ResNet-50", "", "| what | value |", "| --- | --- |",
            f"| `octet --help` | {wall_s([OCTET, '--help'], 21) * 1000:.1f} ms |",
            f"| process start, load, build, one run, FP32 | {wall_s(float_run):.2f} s |",
            f"| the same, INT8 (Q/DQ file) | {wall_s(int8_run):.2f} s |",
            f"| peak resident memory FP32: octet; ONNX Runtime (of which Python and imports {peak_mib(ort('')):.0f}) | "
            f"{peak_mib(float_run):.0f} MiB; {peak_mib(ort(fp32)):.0f} MiB |",
            f"| peak resident memory INT8: octet; ONNX Runtime, same file | {peak_mib(int8_run):.0f} MiB; {peak_mib(ort(int8)):.0f} MiB |", ""]

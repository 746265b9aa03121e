#!/usr/bin/env python3
"""The comparison as a small folder for a machine without a network: octet, OpenVINO and the models, each without what can be made there.

usage: bundle.py OUT [--openvino WHEEL] [--models resnet50,...] [--tests build/tests/.../octet_kernels_test,...]

Run where build/bench has all files (`make bench` makes them). WHEEL: openvino's, for the other machine's Python, as `pip download
--no-deps --python-version 3.12 --only-binary=:all: openvino` fetches it; onnxruntime, onnx and numpy are expected there. Without a
wheel OpenVINO is left out. There: `cd OUT && bash remote.sh` (see that script).
"""
import argparse
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bundle_files  # noqa: E402
import models  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
X86 = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
PLAIN = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
# Libraries of a usual system; others travel.
SYSTEM = ("linux-vdso", "ld-linux", "libc.", "libm.", "libstdc++", "libgcc_s", "libpthread", "libdl.", "librt.")
# Of OpenVINO only what reads ONNX and IR and runs on a CPU.
OPENVINO_LEFT_OUT = re.compile(r"(gguf|paddle|tensorflow|pytorch|jax|gpu|npu|hetero|auto)\w*(_plugin|_frontend)[^/]*\.so|cache\.json|\.pyi$|dist-info/(RECORD|licenses)|\.h(pp)?$|\.cmake$")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write_xz(path, data, filters):
    with open(path, "wb") as file:
        file.write(lzma.compress(data, filters=filters))
    print(f"{path}: {len(data)} -> {os.path.getsize(path)}", flush=True)


def tar_of(files):
    """Bytes of a tar archive of {name: bytes}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def stripped(path):
    shutil.copy(path, "build/bundle.tmp")
    subprocess.run(["strip", "build/bundle.tmp"], check=True)
    data = read("build/bundle.tmp")
    os.remove("build/bundle.tmp")
    return data


def libraries(program):
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [line.split("=>")[1].split()[0] for line in lines if "=>" in line]
    return [path for path in paths if not os.path.basename(path).startswith(SYSTEM)]


def programs(tests):
    found = {**{f"build/{name}": f"build/{name}" for name in ("octet", "octet_make_model", "octet_loops_bench")},
             **{f"build/{os.path.basename(test)}": test for test in tests}}
    files = {name: stripped(path) for name, path in found.items()}
    for path in {lib for program in found.values() for lib in libraries(program)}:
        files[f"lib/{os.path.basename(path)}"] = read(os.path.realpath(path))
    return files


def openvino(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/") and not OPENVINO_LEFT_OUT.search(n)]
        return {f"python/{name}": archive.read(name) for name in names}


def model_files(model):
    """Skeletons of a network's files by name, and the recipes."""
    names = {form: f"{models.WORK}/{model}_ort_{form}.onnx" for form in ("u8", "s8")} | {
        "octet": f"{models.WORK}/{model}_octet_int8.onnx", "nncf": f"{models.WORK}/{model}_nncf.xml"}
    trained = model in models.REAL
    fp32 = f"{os.environ['OCTET_DATA']}/models/{model}.onnx" if trained else f"{models.WORK}/{model}.onnx"
    sources = {"fp32": read(fp32), "u8": read(names["u8"])}
    cuts = [("u8", names["u8"], [] if trained else bundle_files.cut_rounded(names["u8"], sources["u8"], "fp32", (fp32, sources["fp32"])))]
    if trained:
        cuts.append(("fp32", fp32, bundle_files.cut_floats(fp32, sources["fp32"], "u8", (names["u8"], sources["u8"]))))
    for form in ("s8", "octet", "nncf"):
        data = read(names[form].replace(".xml", ".bin"))
        lines = bundle_files.cut_codes(names[form], data, "u8", (names["u8"], sources["u8"]))
        if form == "nncf" and not trained:
            lines += bundle_files.cut_same(names[form], data, "fp32", sources["fp32"])
        cuts.append((form, names[form], lines))
    files, recipes = {f"{names['nncf']}": read(names["nncf"])}, []
    for form, path, lines in cuts:
        path = path.replace(".xml", ".bin")
        data = read(path)
        there = f"data/models/{model}.onnx" if form == "fp32" else path
        files[there] = bundle_files.skeleton(data, lines, sources)
        recipes.append({"form": form, "file": there, "lines": lines, "digest": bundle_files.digest(data)})
    files[f"build/recipes/{model}.json"] = json.dumps({"model": model, "made": not trained, "recipes": recipes}).encode()
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--openvino", default="")
    parser.add_argument("--models", default="")
    parser.add_argument("--tests", default="")
    args = parser.parse_args()
    os.makedirs(f"{args.out}/z", exist_ok=True)
    os.makedirs(f"{args.out}/bench/peers", exist_ok=True)
    for name in os.listdir(HERE):
        if name.endswith(".py"):
            shutil.copy(f"{HERE}/{name}", f"{args.out}/bench/peers/{name}")
    shutil.copy(f"{HERE}/remote.sh", f"{args.out}/remote.sh")
    write_xz(f"{args.out}/z/programs.tar.xz", tar_of(programs([t for t in args.tests.split(",") if t])), X86)
    if args.openvino:
        write_xz(f"{args.out}/z/openvino.tar.xz", tar_of(openvino(args.openvino)), X86)
    for model in args.models.split(",") if args.models else (m for m in models.available() if m != "vit_tiny_c10"):
        write_xz(f"{args.out}/z/model_{model}.tar.xz", tar_of(model_files(model)), PLAIN)


if __name__ == "__main__":
    main()

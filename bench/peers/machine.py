"""What a figure must say of the machine: CPU model, ISA, clocks, versions."""
import datetime
import importlib.metadata
import os
import subprocess

OCTET = "build/octet"
WORK = "build/bench"


def cpu_model():
    name, flags, mhz = "unknown CPU", "", ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() == "flags":
                flags = value
            if key.strip() == "cpu MHz":
                mhz = value.strip()
            if not line.strip():
                break
    family = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    fields = dict(line.split(":", 1) for line in family.splitlines() if ":" in line)
    number = f'family {fields["CPU family"].strip()} model {fields["Model"].strip()}'
    isas = [word for word in ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16") if f" {word}" in flags]
    return f"{name} ({number}), {float(mhz or 0):.0f} MHz nominal, {' '.join(isas)}"  # whole MHz: the rest differs from boot to boot


def has_amx():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return " amx_int8" in file.read()


def has_bf16():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return " avx512_bf16" in file.read()


def octet_version(program=OCTET):
    """"0.1.0 (commit)" of the program that is measured."""
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return words[:words.find(")") + 1].strip()


def versions():
    names = ("onnxruntime", "openvino", "nncf", "onnx", "numpy")
    found = [octet_version()] if os.path.exists(OCTET) else []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    return ", ".join(found)


def measured_by(rows):
    """CPU and octet of rows that have "cpu", "octet" and "model": one sentence, or one for each that measured some of them."""
    by = {}
    for row in rows:
        by.setdefault((row.get("cpu", "a CPU that the row does not name"), row.get("octet", "an octet that the row does not name")), []).append(row["model"])
    sentences = [f"{octet} on {cpu}" + (f": {', '.join(dict.fromkeys(models))}" if len(by) > 1 else "") for (cpu, octet), models in by.items()]
    return "; ".join(sentences)


def today():
    return datetime.date.today().isoformat()

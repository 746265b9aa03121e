#!/usr/bin/env python3
"""Fails when an #include under src or include points to a layer that is not below (docs/layers.txt).

usage: check_layers.py [ROOT]

src/cli may include include/octet only; src/calibrate may not include a back end; ISA files of src/kernels and src/quant include C headers
and headers of kernels only.
"""
import os
import re
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ISA_FILE = re.compile(r"src/(kernels|quant)/\w+/\w*(avx|amx)\w*\.cpp$")
TWINS = [{"src/api", "include/octet"}, {"src/train", "include/octet/train"}]  # public headers and their sources: one room
CPP_HEADER = re.compile(r"^[a-z_]+$")


def read_layers():
    layers = {}
    with open(os.path.join(ROOT, "docs/layers.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                number, folder = line.split()
                layers[folder] = int(number)
    return layers


def folder_of(path, layers):
    """The longest folder of the table that holds path."""
    best = ""
    for folder in layers:
        if (path + "/").startswith(folder + "/") and len(folder) > len(best):
            best = folder
    return best


def resolve(name):
    for base in ("src", "include"):
        if os.path.exists(os.path.join(ROOT, base, name)):
            return f"{base}/{name}"
    return None


def check_file(path, layers):
    findings = []
    own = folder_of(path, layers)
    if not own:
        return [f"{path}: its folder is not in docs/layers.txt"]
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, name = match.groups()
            if ISA_FILE.search(path) and kind == "<" and CPP_HEADER.match(name):
                findings.append(f"{path}:{number}: <{name}> is a C++ header; an ISA file includes C headers and intrinsics only")
            if kind == "<":
                continue
            target = resolve(name)
            if target is None:
                continue  # a generated header
            other = folder_of(target, layers)
            if own == "src/cli" and other not in ("src/cli", "include/octet"):
                findings.append(f"{path}:{number}: cli includes {name}; it may include octet/*.h only")
            if other != own and {own, other} not in TWINS and layers[other] >= layers[own]:
                findings.append(f"{path}:{number}: {own} (layer {layers[own]}) includes {name} of {other} (layer {layers[other]})")
            if own == "src/calibrate" and other.startswith("src/backends"):
                findings.append(f"{path}:{number}: calibrate may not know a back end")
    return findings


def main():
    layers = read_layers()
    findings = []
    files = 0
    for top in ("src", "include"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith((".h", ".cpp", ".def")):
                    files += 1
                    findings += check_file(os.path.relpath(os.path.join(folder, name), ROOT), layers)
    for finding in sorted(findings):
        print(finding)
    print(f"check_layers: {files} files, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()

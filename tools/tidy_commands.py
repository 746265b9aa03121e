#!/usr/bin/env python3
"""tidy_commands.py BUILD OUT: BUILD's compile commands as clang reads them, OUT/compile_commands.json.

gcc's precompiled headers are left out: clang reads its own only, and what a source needs, it includes. The sources that are built
on libtorch need two things more, which stand in a folder of OUT:
 - gcc's omp.h, which libtorch includes; clang's package has none, and the rest of gcc's folder is not for clang.
 - libstdc++'s vector without C++20's constexpr. libtorch's ivalue_inl.h has vectors of a class that is not whole yet; clang
   instantiates what is constexpr at once and misses the class, gcc waits.
"""
import json
import os
import re
import shlex
import subprocess
import sys

def for_clang(words, folder):
    """The words of one command without gcc's precompiled header, and with the folder of headers where libtorch is there."""
    kept = []
    rest = iter(words)
    for word in rest:
        if word == "-include":
            header = next(rest)
            if os.path.basename(header) != "cmake_pch.hxx":
                kept += [word, header]
        elif word != "-Winvalid-pch":
            kept.append(word)
    return kept + (["-isystem", folder] if any("torch/csrc" in word for word in words) else [])


def gcc_header(name, text):
    """Where gcc finds a header, or None."""
    found = subprocess.run(["g++", "-E", "-x", "c++", "-"], input=f"#include <{name}>\n", capture_output=True, text=True)
    paths = [line.split('"')[1] for line in found.stdout.splitlines() if line.startswith("# ") and line.split('"')[1].endswith(text)]
    return paths[0] if paths else None


def make_headers(folder):
    """The headers that the text on top names; those that gcc does not have are left out."""
    os.makedirs(os.path.join(folder, "bits"), exist_ok=True)
    for name in ("bits/stl_vector.h", "bits/vector.tcc"):
        if path := gcc_header("vector", name):
            with open(path) as file:
                own, bools, rest = file.read().partition("vector<bool")  # another class, in another header
            with open(os.path.join(folder, name), "w") as file:
                file.write(own.replace("_GLIBCXX20_CONSTEXPR", "") + bools + rest)
    if path := gcc_header("omp.h", "omp.h"):
        with open(path) as file:
            text = re.sub(r"__malloc__ \(omp_free\),\s*", "", file.read())  # an attribute of gcc 11 and later
        with open(os.path.join(folder, "omp.h"), "w") as file:
            file.write(text)


def main():
    build, out = sys.argv[1:]
    headers = os.path.join(os.path.abspath(out), "include")
    make_headers(headers)
    with open(os.path.join(build, "compile_commands.json")) as file:
        entries = json.load(file)
    for entry in entries:
        entry["command"] = shlex.join(for_clang(shlex.split(entry["command"]), headers))
    with open(os.path.join(out, "compile_commands.json"), "w") as file:
        json.dump(entries, file, indent=1)


if __name__ == "__main__":
    main()

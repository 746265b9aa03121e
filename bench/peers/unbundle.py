#!/usr/bin/env python3
"""Unpacks a bundle in the working directory (bundle.py) and makes its models whole. usage: unbundle.py [--jobs N]

Networks of random weights are made by octet_make_model; a file whose bytes differ from those of the machine that packed it (its
libm rounds otherwise) is told.
"""
import argparse
import glob
import json
import multiprocessing
import os
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bundle_files  # noqa: E402


def unpack(path):
    with tarfile.open(path) as tar:
        tar.extractall(".")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make_whole(path):
    """Restores the files of one network; returns those whose bytes are others."""
    with open(path, encoding="utf-8") as file:
        network = json.load(file)
    sources, differ = {}, []
    if network["made"]:
        made = f"build/bench/{network['model']}.onnx"
        subprocess.run(["build/octet_make_model", network["model"], made], check=True)
        sources["fp32"] = read(made)
    for recipe in network["recipes"]:
        data = bundle_files.restore(read(recipe["file"]), recipe["lines"], sources)
        sources[recipe["form"]] = data
        with open(recipe["file"], "wb") as file:
            file.write(data)
        if bundle_files.digest(data) != recipe["digest"]:
            differ.append(recipe["file"])
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    jobs = parser.parse_args().jobs
    for folder in ("build/bench", "data/models"):
        os.makedirs(folder, exist_ok=True)
    with multiprocessing.Pool(jobs) as pool:
        pool.map(unpack, sorted(glob.glob("z/*.tar.xz"), key=os.path.getsize, reverse=True), chunksize=1)
        differ = [name for names in pool.map(make_whole, sorted(glob.glob("build/recipes/*.json")), chunksize=1) for name in names]
    print(f"other bytes than where it was packed: {', '.join(differ) or 'none'}")


if __name__ == "__main__":
    main()

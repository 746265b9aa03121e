#!/usr/bin/env python3
"""Fails when a C++ snippet of docs/guide.md is no piece of a program in examples/, blanks and line breaks aside.

usage: check_guide.py [ROOT]
"""
import os
import re
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def main():
    programs = [squeezed(read("examples", name)) for name in sorted(os.listdir(os.path.join(ROOT, "examples"))) if name.endswith(".cpp")]
    snippets = re.findall(r"```cpp\n(.*?)```", read("docs", "guide.md"), re.S)
    strangers = [s for s in snippets if not any(squeezed(s) in program for program in programs)]
    for snippet in strangers:
        print("docs/guide.md: no example holds\n" + snippet)
    print(f"check_guide: {len(snippets)} snippets, {len(strangers)} not in a program")
    sys.exit(1 if strangers or not snippets else 0)


if __name__ == "__main__":
    main()

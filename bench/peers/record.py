"""What a page of benchmarks was written from, kept beside the programs: bench/peers/results/<page>.json.

A record is {"rows": of peers.py, "scaling": rows of scaling.py, "more": lines of peers.py's extra_sections()}, a row a line, so that a
page can be written again from it and a later run replaces only what it measures. It is of one CPU: a run on another begins anew.
"""
import json
import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
PARTS = ("rows", "scaling", "more")


def path_of(page):
    return os.path.join(FOLDER, os.path.splitext(os.path.basename(page))[0] + ".json")


def load_json(path, default):
    if not os.path.exists(path):
        return default
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def load(page, cpus):
    """The page's record; an empty one where it is of none of `cpus`."""
    record = {part: [] for part in PARTS} | load_json(path_of(page), {})
    return record if cpus & {row["cpu"] for row in record["rows"]} else {part: [] for part in PARTS}


def merge(old, new, keys):
    """`new` rows in place of those of `old` that agree with them in `keys`, behind the others."""
    def key(row):
        return [row.get(k) for k in keys]

    replaced = [key(row) for row in new]
    return [row for row in old if key(row) not in replaced] + new


def rounded(value):
    """Floats with six digits: more than a clock gives."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else value


def save(page, record):
    os.makedirs(FOLDER, exist_ok=True)
    parts = [f'"{part}": [\n' + ",\n".join(json.dumps(rounded(entry)) for entry in record[part]) + "\n]" for part in PARTS]
    with open(path_of(page), "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(parts) + "\n}\n")

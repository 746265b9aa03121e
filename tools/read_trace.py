#!/usr/bin/env python3
"""Reads a file of --export-trace the way trace viewers do, and says what Perfetto would not take.

usage: read_trace.py TRACE.json

A reader of its own, written from the Trace Event Format ("JSON Object Format", complete events "X" and metadata events "M") and from what Perfetto's
importer asks beyond it: names are strings, ts and dur are numbers of microseconds that are not negative, slices of one thread either follow one another
or lie one inside the other (those that overlap otherwise are dropped there). Prints runs, layers and the share that no layer accounts for; exits with 1
and a sentence when something is wrong.
"""
import json
import sys

DIGIT = 0.001  # microseconds: what the last printed digit may be off


def fail(text):
    print(f"read_trace: {text}")
    sys.exit(1)


def check_event(where, event):
    if not isinstance(event, dict) or not isinstance(event.get("name"), str) or not isinstance(event.get("pid"), int):
        fail(f"{where}: an object with a name and a pid is expected: {event}")
    if event.get("ph") == "M":
        if event["name"] not in ("process_name", "thread_name") or not isinstance(event.get("args", {}).get("name"), str):
            fail(f"{where}: metadata without args.name: {event}")
        return
    if event.get("ph") != "X":
        fail(f"{where}: phase {event.get('ph')!r}; complete events X and metadata M are expected")
    if not isinstance(event.get("tid"), int) or not isinstance(event.get("cat"), str):
        fail(f"{where}: '{event['name']}' has no tid or no cat")
    for key in ("ts", "dur"):
        if not isinstance(event.get(key), (int, float)) or isinstance(event[key], bool) or event[key] < 0:
            fail(f"{where}: '{event['name']}' has {key} {event.get(key)!r}")


def nest(events):
    """Pairs of outer (or None) and inner slices of one thread."""
    pairs, open_slices = [], []
    for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
        while open_slices and event["ts"] >= open_slices[-1]["ts"] + open_slices[-1]["dur"] - DIGIT / 2:
            open_slices.pop()
        if open_slices and event["ts"] + event["dur"] > open_slices[-1]["ts"] + open_slices[-1]["dur"] + DIGIT / 2:
            outer = open_slices[-1]
            fail(f"'{event['name']}' at {event['ts']} ends at {event['ts'] + event['dur']}, beyond '{outer['name']}' that holds it "
                 f"(at {outer['ts']} to {outer['ts'] + outer['dur']})")
        pairs.append((open_slices[-1] if open_slices else None, event))
        open_slices.append(event)
    return pairs


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        trace = json.load(file)
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list) or not trace["traceEvents"]:
        fail("an object with a list traceEvents is expected")
    if trace.get("displayTimeUnit", "ms") not in ("ms", "ns"):
        fail(f"displayTimeUnit {trace['displayTimeUnit']!r}; ms or ns is expected")
    threads = {}
    for i, event in enumerate(trace["traceEvents"]):
        check_event(f"event {i}", event)
        if event["ph"] == "X":
            threads.setdefault((event["pid"], event["tid"]), []).append(event)
    runs, layers, run_us, layer_us = 0, set(), 0.0, 0.0
    for events in threads.values():
        for outer, event in nest(events):
            if event["cat"] == "run" and outer is None:
                runs, run_us = runs + 1, run_us + event["dur"]
            elif event["cat"] == "layer" and outer is not None and outer["cat"] == "run":
                layers.add(event["name"])
                layer_us += event["dur"]
            else:
                fail(f"'{event['name']}' ({event['cat']}) lies in {outer and outer['name']}: runs stand alone and hold layers")
    if not runs or not layers:
        fail(f"{runs} runs, {len(layers)} layers")
    print(f"{runs} runs of {len(layers)} layers, {run_us / runs / 1000:.4f} ms each, unattributed {100 * (run_us - layer_us) / run_us:.2f} %")


if __name__ == "__main__":
    main()

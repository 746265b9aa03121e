#!/usr/bin/env python3
"""What the toolkit's searches cost in Python, on the histograms that octet_search_bench wrote.

usage: octet_search_bench histograms.json; toolkit.py histograms.json [TENSORS]      (all of them unless told)

The three rules as the pytorch-quantization toolkit computes them (numpy only, one thread, interpreted loop over candidates with a search
by np.digitize in each), on 2048 bins as it has them, 8 bits signed, start 128, stride 1. The network's forward and the collection of
counts are not in these figures. Prints ms a tensor.
"""
import json
import sys
import time

import numpy as np

BINS, LEVELS, START = 2048, 128, 128


def histograms(path):
    with open(path, encoding="utf-8") as file:
        for row in json.load(file):
            counts = np.asarray(row["counts"], np.int64)
            counts = np.concatenate([counts, np.zeros(-len(counts) % BINS, np.int64)])
            group = len(counts) // BINS
            yield counts.reshape(BINS, group).sum(1), np.arange(BINS + 1) * row["width"] * group


def entropy(counts, edges):
    bins = counts.copy()
    bins[0] = bins[1]
    total = bins.sum()
    best, best_divergence = len(bins), np.inf
    for kept in range(START, len(bins) + 1):
        space = np.linspace(0, kept, LEVELS + 1)
        level = np.digitize(np.arange(kept), space) - 1
        level[bins[:kept] == 0] = -1
        sums, used = np.zeros(LEVELS), np.zeros(LEVELS)
        for k in range(kept):
            if level[k] >= 0:
                sums[level[k]] += bins[k]
                used[level[k]] += 1
        q = np.zeros(kept)
        filled = level >= 0
        q[filled] = sums[level[filled]] / used[level[filled]]
        p = bins[:kept].astype(np.float64)
        p[-1] += total - bins[:kept].sum()
        p, q = p / p.sum(), q / max(q.sum(), 1e-300)
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = np.where(p > 0, p * np.log(p / q), 0.0).sum()
        if divergence <= best_divergence:
            best, best_divergence = kept, divergence
    return edges[best]


def mse(counts, edges):
    centres = (edges[1:] + edges[:-1]) / 2
    best, best_error = 0.0, np.inf
    for k in range(START, len(centres)):
        scale = 127.0 / centres[k]
        quantized = np.clip(np.rint(centres * scale), -128, 127) / scale
        error = ((quantized - centres) ** 2 * counts).mean()
        if error < best_error:
            best, best_error = centres[k], error
    return best


def percentile(counts, edges):
    return edges[np.searchsorted(np.cumsum(counts / counts.sum()), 0.9999)]


def main():
    rows = list(histograms(sys.argv[1]))
    if len(sys.argv) > 2:
        rows = rows[:int(sys.argv[2])]
    for name, rule in (("entropy", entropy), ("mse", mse), ("percentile", percentile)):
        start = time.perf_counter()
        for counts, edges in rows:
            rule(counts, edges)
        print(f"toolkit's {name:<10} {1e3 * (time.perf_counter() - start) / len(rows):10.3f} ms a tensor, {len(rows)} tensors, {BINS} bins")


if __name__ == "__main__":
    main()

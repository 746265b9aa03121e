#!/usr/bin/env python3
"""Loads octet's layer and profile files with NVIDIA's TensorRT Engine Explorer (trt-engine-explorer of PyPI) and holds what it sees to the files.

usage: read_with_trex.py LAYERS.json PROFILE.json     (in an environment with: pip install trt-engine-explorer pandas)

The package's notebook parts want Jupyter extensions that do not load everywhere; only they are replaced, by empty modules. Prints the explorer's own
summary; exits with 1 and a sentence when it warns, or when its table differs from the files.
"""
import json
import sys
import warnings
from unittest import mock

for absent in ("dtale", "dtale.app", "qgrid", "ipywidgets", "ipyfilechooser", "netron", "plotly", "plotly.express", "plotly.graph_objects",
               "plotly.subplots", "plotly.offline", "IPython", "IPython.core", "IPython.core.display", "IPython.display", "xlsxwriter"):
    sys.modules[absent] = mock.MagicMock()


def fail(text):
    print(f"read_with_trex: {text}")
    sys.exit(1)


def main():
    layers_file, profile_file = sys.argv[1], sys.argv[2]
    import trex
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plan = trex.EnginePlan(layers_file, profile_file)
    ours = [str(w.message) for w in caught if "layers in the engine" in str(w.message) or "not provided" in str(w.message)]
    if ours:
        fail(ours[0])
    with open(layers_file, encoding="utf-8") as file:
        layers = json.load(file)["Layers"]
    with open(profile_file, encoding="utf-8") as file:
        profile = json.load(file)[1:]
    kept = [layer for layer in layers if layer["LayerType"] not in ("Constant", "NoOp")]
    if list(plan.df["Name"]) != [layer["Name"] for layer in kept]:
        fail("the explorer's table has other layers than the file")
    total = sum(row["averageMs"] for row in profile)
    if abs(plan.total_runtime - total) > 1e-6 * total:
        fail(f"the explorer adds up {plan.total_runtime} ms, the file {total}")
    inputs, outputs = plan.get_bindings()
    if not inputs or not outputs:
        fail("the explorer finds no bindings")
    plan.summary()
    counts = plan.df["precision"].value_counts().to_dict()
    print(f"read_with_trex: {len(plan.df)} layers, precisions {counts}, {plan.total_weights_size} bytes of weights")


if __name__ == "__main__":
    main()

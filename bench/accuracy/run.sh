#!/usr/bin/env bash
# Accuracy of every shared model, all methods, and of the exported files in ONNX Runtime; rewrites docs/accuracy.md. `make accuracy`.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${OCTET_DATA:?set OCTET_DATA to the folder with models, images and references}"
venv=build/peers-venv
if [ ! -x $venv/bin/python ]; then
  python3 -m venv $venv 2>/dev/null || { echo "accuracy: python3-venv is missing: apt-get install python3-venv" >&2; exit 1; }
  $venv/bin/pip install --quiet -r bench/peers/requirements.txt
fi
exec $venv/bin/python bench/accuracy/accuracy.py "$@"

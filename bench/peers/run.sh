#!/usr/bin/env bash
# octet and its peers in turns on the same files; rewrites docs/benchmarks.md. `make bench`.
# Arguments go to peers.py, e.g. --quick or --models resnet50; with make: make bench ARGS=--quick. OCTET_DATA adds the trained networks.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=build/peers-venv
if [ ! -x $venv/bin/python ]; then
  python3 -m venv $venv 2>/dev/null || { echo "bench: python3-venv is missing: apt-get install python3-venv" >&2; exit 1; }
  $venv/bin/pip install --quiet -r bench/peers/requirements.txt
fi
exec $venv/bin/python bench/peers/peers.py "$@"

#!/usr/bin/env bash
# Loads, runs and drops plans on four threads for SECONDS and fails when memory grows or an answer changes:
# tools/soak.sh [SECONDS] [BUILD_DIR]. 10 minutes by default.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
seconds=${1:-600}
build=$(cd "${2:-$root/build}" && pwd)
cmake --build "$build" --target octet_soak octet -- --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=$root/examples/models/shapes_cnn.onnx
"$build/octet" build "$model" --precision fp32 --quiet -o "$work/fp32.plan" > /dev/null
"$build/octet" build "$model" --precision int8 --calib-data shapes-train:32 --quiet -o "$work/packed.plan" > /dev/null
"$build/tests/runtime_api/octet_soak" "$seconds" "$work/fp32.plan" "$work/packed.plan" "$root"/tests/compat/*.plan

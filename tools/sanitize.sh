#!/usr/bin/env bash
# The unit tests under address and undefined-behaviour sanitizers, without the large real-data cases.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
cmake --preset asan > build/configure-asan.log 2>&1 || { cat build/configure-asan.log; exit 1; }
cmake --build --preset asan -j "${JOBS:-$(nproc)}" -- --quiet
env -u OCTET_DATA tools/run_tests.py build/asan

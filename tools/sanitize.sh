#!/usr/bin/env bash
# The unit tests under address and undefined-behaviour sanitizers, without the large real-data cases.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset asan > build-asan.log 2>&1 || { cat build-asan.log; exit 1; }
rm -f build-asan.log
cmake --build --preset asan -j "${JOBS:-$(nproc)}" -- --quiet
env -u OCTET_DATA tools/run_tests.py build/asan

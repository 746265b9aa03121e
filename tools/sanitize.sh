#!/usr/bin/env bash
# The unit tests under sanitizers, without the large real-data cases: tools/sanitize.sh [address|thread].
# address (the default): address and undefined behaviour, all rooms. thread: data races in what runs on several threads:
# the thread pool, back ends, the runtime and its library, and 4 contexts on engines of 2 threads (tests/runtime_api/soak.cpp).
# Training and MPI are left out: libtorch is not built with sanitizers, and Open MPI leaks by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-address}
case $kind in
  address) preset=asan rooms=() ;;
  thread) preset=tsan rooms=(octet_base octet_plan octet_backends octet_runtime octet_runtime_api) ;;
  *) echo "usage: tools/sanitize.sh [address|thread]" >&2; exit 2 ;;
esac
mkdir -p build
cmake --preset $preset -DOCTET_TRAIN=OFF -DOCTET_MPI=OFF > build/configure-$preset.log 2>&1 || { cat build/configure-$preset.log; exit 1; }
targets=()
for room in "${rooms[@]}"; do targets+=(--target "${room}_test"); done
[ $kind = address ] || targets+=(--target octet_soak)
cmake --build --preset $preset -j "${JOBS:-$(nproc)}" "${targets[@]}" -- --quiet
[ $kind = thread ] || exec env -u OCTET_DATA tools/run_tests.py build/$preset
# ThreadSanitizer keeps its shadow at fixed addresses; where the kernel spreads mappings over more bits of an address than
# it expects (vm.mmap_rnd_bits above 28) it ends in itself ("unexpected memory mapping", "nested bug in the same thread").
fixed=()
if command -v setarch > /dev/null && setarch "$(uname -m)" -R true 2> /dev/null; then fixed=(setarch "$(uname -m)" -R); fi
for room in "${rooms[@]}"; do env -u OCTET_DATA "${fixed[@]}" tools/run_tests.py build/$preset "${room}_test"; done
"${fixed[@]}" build/$preset/tests/runtime_api/octet_soak 20 tests/compat/*.plan

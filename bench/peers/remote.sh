#!/usr/bin/env bash
# The comparison on a machine that a bundle was carried to (bundle.py), within a time. Results: $OUT (default: here).
# usage: remote.sh SECONDS [part...]   In four runs of ten minutes:
#   remote.sh 570 setup tests peak floats int8
#   remote.sh 570 setup int8_more
#   remote.sh 570 setup s8 floats8 batch32 bf16 s8_more again
#   remote.sh 570 setup scaling
# Every slice runs on a CPU that nobody else uses when it begins, two threads on two that are cores of their own (cores.py). The page is written where the results are brought back:
#   bench/peers/run.sh --page-only --results build/bench/amx/results.json --page docs/benchmarks_amx.md
set -uo pipefail
cd "$(dirname "$0")"
end=$((SECONDS + $1)); shift
parts=${*:-setup tests peak floats int8 int8_more s8 floats8 batch32 bf16 scaling s8_more}
OUT=${OUT:-.}
export LD_LIBRARY_PATH=$PWD/lib PYTHONPATH=$PWD/python OCTET_DATA=$PWD/data PYTHONUNBUFFERED=1
quiet() { python3 bench/peers/cores.py "$1"; }
left() { echo $((end - SECONDS)); }

setup() {
  python3 bench/peers/unbundle.py
  lscpu | grep -E 'Model name|Thread|L2|L3'; build/octet --version | head -1
  echo "AMX refused: $(python3 bench/peers/no_amx.py build/octet --version | head -1)"
}

tests() {  # on all CPUs, before anything is timed
  for program in build/octet_*_test; do
    [ -x "$program" ] || continue
    for shard in $(seq 0 $(($(nproc) - 1))); do
      GTEST_TOTAL_SHARDS=$(nproc) GTEST_SHARD_INDEX=$shard timeout 90 "$program" --gtest_brief=1 > "build/shard.$shard" 2>&1 || echo "FAILED: $program, shard $shard: $(grep -aE 'FAILED|Failure' "build/shard.$shard" | head -3)" &
    done
    wait
    echo "$program: $(cat build/shard.* | grep -aoE '^\[  PASSED  \] [0-9]+' | awk '{ n += $4 } END { print n }') tests passed, $(cat build/shard.* | grep -aoE '^\[  SKIPPED \] [0-9]+' | awk '{ n += $4 } END { print n + 0 }') skipped"
  done
}

peers() {  # peers MODELS BATCHES LANES [option...]
  [ "$(left)" -gt 12 ] || { echo "no time left for $*"; return; }
  timeout "$(left)" python3 bench/peers/peers.py --models "$1" --batches "$2" --lanes "$3" --threads 1 --rounds 5 --seconds 0.15 --least-runs 1 \
    --cpus quiet --minutes "$(python3 -c "print($(left) / 60)")" --no-page --results "$OUT/results.json" "${@:4}" 2>&1
}

# Rows that are judged come first, with more rounds where the verdict is near; others get three.
first=resnet50,resnet18_32,mobilenet_v2,resnet20_32
more=densenet121,mobilenet_v2_imagenet,resnet18_c10,mobilenet_v3_small_c10,efficientnet_b0_c10,shufflenet_v2,regnet_x_400mf
int8() { peers $first 1,8 int8; }
int8_more() { peers $more 1,8 int8; }
floats() { peers resnet50 1 fp32 --amx-only --rounds 15; peers mobilenet_v2,resnet18_32 1 fp32 --amx-only --rounds 9; peers resnet50 8 fp32 --amx-only; }
floats8() { peers mobilenet_v2,resnet18_32 8 fp32 --amx-only --rounds 3; peers resnet20_32,$more 1 fp32 --amx-only --rounds 3; }
s8() { peers $first 1,8 s8 --amx-only --rounds 7; }
s8_more() { peers $more 1 s8 --amx-only --rounds 3; }
bf16() { peers resnet50,mobilenet_v2,resnet18_32,resnet20_32 1,8 bf16 --amx-only --rounds 3; }
batch32() { peers resnet18_32,mobilenet_v2,resnet50 32 int8 --rounds 3 --seconds 0.1; }
again() { peers resnet50 8,1 int8; peers resnet18_32,mobilenet_v2 1 int8; }  # what the first call may have met in a slow spell

scaling() {
  for row in resnet18_32:1 mobilenet_v2:1 resnet50:1 resnet50:8 resnet18_32:8 mobilenet_v2:8 resnet20_32:1; do
    for refuse in "" "bench/peers/no_amx.py python3"; do
      [ "$(left)" -gt 20 ] || { echo "no time left for scaling of $row"; break 2; }
      timeout "$(left)" python3 $refuse bench/peers/scaling.py --model "build/bench/${row%:*}_octet_int8.onnx" --batch "${row#*:}" --rounds 6 --seconds 0.1 --no-busy --keep
    done
  done
  [ -e build/bench/scaling.json ] && cp build/bench/scaling.json "$OUT/"
}

peak() {  # ResNet-50, batch 8: share of what the products' instruction reaches, and INT8 over FP32
  [ "$(left)" -gt 30 ] || { echo "no time left for peak"; return; }
  for turn in 1 2 3; do
    for run in int8:octet_int8 fp32:; do
      [[ $turn -gt 1 && $run == fp32: ]] && continue
      model=build/bench/resnet50${run#*:}.onnx; [ "${run#*:}" ] && model=build/bench/resnet50_${run#*:}.onnx
      taskset -c "$(quiet 1)" build/octet bench "$model" --precision "${run%:*}" --threads 1 --batch 8 --iterations 3 --duration 0.4 --profile --json --quiet > "build/peak_${run%:*}_$turn.json"
    done
  done
  python3 - <<'P'
import json
fp32 = json.load(open("build/peak_fp32_1.json"))["latency_ms"]["median"]
for turn in (1, 2, 3):
    int8 = json.load(open(f"build/peak_int8_{turn}.json"))
    peak, ms = int8["roofline"]["peak"], int8["latency_ms"]
    mmac, needed = (sum(layer[key] for layer in int8["roofline"]["layers"]) for key in ("mmac", "needed_mmac"))
    print(f"ResNet-50 batch 8 {int8['isa']}: INT8 {ms['median']:.2f} ms (least {ms['min']:.2f}), FP32 {fp32:.1f}: {fp32 / ms['median']:.2f}; "
          f"{peak['u8s8_instruction']} {peak['u8s8_gmacs']:.0f} GMAC/s, share {100 * mmac / ms['median'] / peak['u8s8_gmacs']:.1f} % (by the least {100 * mmac / ms['min'] / peak['u8s8_gmacs']:.1f} %) of all products, "
          f"{100 * needed / ms['median'] / peak['u8s8_gmacs']:.1f} % of those needed (none with padding)")
P
  tar czf "$OUT/peak.tar.gz" build/peak_*.json
}

for part in $parts; do
  $part
  echo "$part: $SECONDS s"
done

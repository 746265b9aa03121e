#!/usr/bin/env bash
# Checks and times the CUDA back end; run it in the folder that tools/gpu_bundle made, on a machine with a GPU.
#
# usage: ./run.sh OUT_DIR [PART...]     writes logs, JSON and report.md there and prints the report
#        parts: speed best torch steps equal top1 tests sanitizers compile; without any: all but top1, in that order
#
# What is timed runs alone; what is checked runs side by side. PyTorch is measured in the same run where python3 has it,
# compute-sanitizer runs where it is installed, top1 needs OCTET_CIFAR_TEST=.../test_batch.bin. Nothing of the machine is
# changed.
set -uo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
parts=" ${*:-speed best torch steps equal tests sanitizers compile} "
cd "$(dirname "$0")"
export LD_LIBRARY_PATH=$PWD/lib
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wanted() { [[ $parts == *" $1 "* ]]; }
clocks() { nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit --format=csv; }
spent() { echo "== $1 (after $SECONDS s)"; }

unpack='import lzma, shutil, sys
for path in sys.argv[1:]: shutil.copyfileobj(lzma.open(path), open(path[:-3], "wb"))'
for packed in bin/*.xz models/*.xz; do
  [ -f "${packed%.xz}" ] || { xz -dk "$packed" 2>/dev/null || python3 -c "$unpack" "$packed"; } &
done
wait
chmod 755 bin/octet*
nvidia-smi >"$out/nvidia-smi.txt"
shapes="resnet50 resnet18_32 mobilenet_v2 shufflenet_v2"
for shape in $shapes; do
  { bin/octet_make_model $shape "$work/$shape.onnx" &&
    bin/octet quantize "$work/$shape.onnx" --calib-data synthetic:4 --method max --threads 4 --quiet -o "$work/${shape}_int8.onnx" >/dev/null; } &
done
wait

run() {  # model file, precision, batch
  timeout 60 bin/octet_gpu_bench "$work/$1.onnx" "$2" "$3" --layers >"$out/octet_$1_$2_$3.json" 2>"$out/octet_$1_$2_$3.err" ||
    cat "$out/octet_$1_$2_$3.err"
}
if wanted speed; then
  spent speed
  clocks >"$out/clocks_before.csv"
  run resnet18_32_int8 int8 1  # once more below: the first run warms the GPU
  for batch in 1 8 128 256; do run resnet50_int8 int8 $batch; done
  for batch in 1 256; do run resnet50 fp16 $batch; done
  run resnet50 fp32 1
  for batch in 1 128; do run mobilenet_v2_int8 int8 $batch; done
  run resnet18_32_int8 int8 1
  clocks >"$out/clocks_after.csv"
fi
# FP16 against --precision best of the same file, in one process, query by query; the device's own times.
best() {  # model file, batch
  timeout "${OCTET_BEST_SECONDS:-90}" bin/octet bench "$work/$1.onnx" --precision fp16 --precision2 best --calib-data synthetic:4 --method max --device cuda --batch "$2" \
    --duration 1 --threads 4 --json --quiet >"$out/best_$1_$2.json" 2>"$out/best_$1_$2.err" || cat "$out/best_$1_$2.err"
}
if wanted best; then
  spent "precision best"
  for batch in 1 128; do best resnet50 $batch; done
  best mobilenet_v2 1
  best resnet18_32 1
fi
has_torch() { [ -z "${OCTET_NO_TORCH:-}" ] && python3 -c 'import torch, torchvision' 2>/dev/null; }
if wanted torch && has_torch; then
  spent PyTorch
  timeout 200 python3 torch_peers.py "$out/torch.json" "${OCTET_TORCH_SECONDS:-100}" >"$out/torch.txt" 2>&1
fi
if wanted steps && python3 -c 'import torch, onnx' 2>/dev/null; then
  spent "three steps"
  timeout 60 python3 three_steps.py bin models/resnet18_c10_float.onnx models/resnet18_c10.onnx data/cifar10_64.bin "$out/three_steps.json" \
    >"$out/three_steps.md" 2>"$out/three_steps.err"
fi

checks=()
check() {  # log, seconds, command...
  local log=$out/$1 limit=$2
  shift 2
  { timeout "$limit" "$@" >"$log" 2>&1; echo "exit status $?" >>"$log"; } &
  checks+=($!)
}
same() {  # name, file of the CPU's outputs, file of the GPU's, share of the largest value by which they may differ
  if [ ! -s "$3" ]; then
    echo "$1 MISSING"
  elif cmp -s "$2" "$3"; then
    echo "$1 equal"
  elif [ -n "${4:-}" ] && python3 -c "import sys, numpy as np
a, b = np.load(sys.argv[1]), np.load(sys.argv[2])
print(sys.argv[3], 'near, as float layers are: by at most', abs(a - b).max(), 'of', abs(a).max())
sys.exit(not abs(a - b).max() <= float(sys.argv[4]) * abs(a).max())" "$2" "$3" "$1" "$4"; then
    :
  else
    echo "$1 DIFFERENT $(python3 -c "import sys, numpy as np
a, b = np.load(sys.argv[1]), np.load(sys.argv[2])
print('by at most', abs(a - b).max(), 'of', abs(a).max(), 'in', (a != b).sum(), 'of', a.size)" "$2" "$3" 2>&1 | tail -1)"
  fi
}
all_equal() {
  local model kind batches batch shape
  while read -r model kind _ batches _; do
    for batch in ${batches//,/ }; do
      ./run_model.sh bin/octet "$model" "$batch" cuda "$work/${model}_$batch.npy"
      same "$model batch $batch" "expected/${model}_$batch.npy" "$work/${model}_$batch.npy" "$([ "$kind" = mixed ] && echo 1e-5)"
    done
  done < <(grep -v '^#' models.txt)
  for shape in $shapes; do
    for batch in 1 8 128; do
      for device in cpu cuda; do
        bin/octet run "$work/${shape}_int8.onnx" --data synthetic:$batch --batch $batch --threads 0 --device $device --quiet -o "$work/$device.npy" >/dev/null
      done
      same "$shape batch $batch" "$work/cpu.npy" "$work/cuda.npy"
      rm -f "$work/cpu.npy" "$work/cuda.npy"
      [ $batch -lt 128 ] || continue
      bin/octet run "$work/$shape.onnx" --data synthetic:$batch --batch $batch --threads 0 --quiet -o "$work/cpu.npy" >/dev/null
      bin/octet run "$work/$shape.onnx" --data synthetic:$batch --batch $batch --precision fp16 --device cuda --quiet -o "$work/cuda.npy" >/dev/null
      same "$shape FP16 against the CPU's FP32, batch $batch" "$work/cpu.npy" "$work/cuda.npy" 2e-2
      rm -f "$work/cpu.npy" "$work/cuda.npy"
    done
  done
}
all_top1() {
  local model preprocess pictures device
  while read -r model _ preprocess _ pictures _; do
    [ "$pictures" = cifar ] || continue
    for device in cpu cuda; do
      bin/octet eval "models/$model.onnx" --data "$OCTET_CIFAR_TEST" --preprocess "$preprocess" --batch 50 --threads 4 --device $device --json --quiet \
        2>"$out/top1_$model.err" | python3 -c "import json, sys; print('$model', '$device', json.load(sys.stdin)['top1_right'])" || tail -1 "$out/top1_$model.err"
    done
  done < <(grep -v '^#' models.txt | grep -v ' 1 cifar')
}
test_program=bin/octet_backends_test
if wanted tests; then
  # The first take all of the GPU's memory, or count what is free.
  timeout 60 $test_program --gtest_filter='Cuda.says_how*:CudaMemory.*' >"$out/tests_memory.txt" 2>&1; echo "exit status $?" >>"$out/tests_memory.txt"
  check tests_tiles.txt 200 $test_program --gtest_filter='Cuda.every_tile*'
  check tests_cuda.txt 200 $test_program --gtest_filter='Cuda*:-Cuda.every_tile*:Cuda.says_how*:CudaMemory.*'
  check tests_layers.txt 200 $test_program --gtest_filter='-Cuda*'
fi
if wanted sanitizers && command -v compute-sanitizer >/dev/null; then
  race="compute-sanitizer --tool racecheck --racecheck-report all --print-limit 6 --error-exitcode 9"
  memory="compute-sanitizer --tool memcheck --print-limit 6 --error-exitcode 9"
  check race_small.txt 280 $race $test_program --gtest_filter='CudaSmall.*'
  check race_more.txt 280 $race $test_program --gtest_filter='Cuda.two*:QuantMatMul*:DynamicQuantize*:Normalization*:Softmax*:*Pool*'
  check memory_small.txt 280 $memory $test_program --gtest_filter='CudaSmall.*:CudaTuner.*:CudaLimits.*:CudaTiles.*:Cuda.two*:Cuda.plans_that*:Cuda.cublas*:Cuda.cudnn*:QuantMatMul*:DynamicQuantize*:Normalization*'
  check memory_layers.txt 280 $memory $test_program --gtest_filter='QuantConv*:Conv*:Elementwise*:Unary*:Movement*:Rearrange*:Resize*:Arg*:*Pool*:NoElements*'
fi
wanted equal && { all_equal >"$out/equal.txt" 2>"$out/equal.err" & checks+=($!); }
wanted top1 && { all_top1 >"$out/top1.txt" & checks+=($!); }
[ ${#checks[@]} -gt 0 ] && wait "${checks[@]}"
spent "checks done"
grep -HE '^\[  (FAILED|PASSED|SKIPPED)|SUMMARY:|^exit status' "$out"/{tests,race,memory}_*.txt 2>/dev/null | sed "s|$out/||" | sort -u
for list in equal top1; do [ -f "$out/$list.txt" ] && cat "$out/$list.txt"; done
# torch.compile tunes for minutes, alone on the GPU.
if wanted compile && has_torch; then
  spent "torch.compile"
  timeout "${OCTET_TORCH_COMPILE_SECONDS:-450}" python3 torch_peers.py "$out/torch_compile.json" 1000 compile >"$out/torch_compile.txt" 2>&1
fi
spent "end"
[ -f "$out/clocks_after.csv" ] && python3 report.py "$out" >"$out/report.md" && cat "$out/report.md"
# Failed where a check did: a test, a sanitizer, outputs that are not there or not the CPU's.
! grep -qE '^exit status [1-9]' "$out"/{tests,race,memory}_*.txt 2>/dev/null && ! grep -qE 'MISSING|DIFFERENT' "$out/equal.txt" 2>/dev/null

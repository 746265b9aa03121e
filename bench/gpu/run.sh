#!/usr/bin/env bash
# Checks and times the CUDA back end; run it in the folder that tools/gpu_bundle made, on a machine with a GPU.
#
# usage: ./run.sh OUT_DIR     writes logs, JSON and report.md there and prints the report
#
# PyTorch is measured in the same run where python3 has it. Nothing of the machine is changed.
set -uo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
export LD_LIBRARY_PATH=$PWD/lib
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nvidia-smi >"$out/nvidia-smi.txt"
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit --format=csv >"$out/clocks_before.csv"

echo "== layers against the reference and the CPU"
bin/octet_backends_test >"$out/tests.txt" 2>&1
grep -E '^\[  (FAILED|PASSED)' "$out/tests.txt" | tail -5
echo "== whole networks, byte for byte with the CPU engine"
: >"$out/equal.txt"
for model in models/*.onnx; do
  name=$(basename "$model" .onnx)
  bin/octet run "$model" --data data/cifar10_64.bin --preprocess cifar10 --batch 16 --device cuda --quiet -o "$work/$name.npy" >/dev/null 2>"$out/$name.log"
  cmp -s "$work/$name.npy" "expected/$name.npy" && echo "$name equal" || echo "$name DIFFERENT"
done | tee -a "$out/equal.txt"
for shape in resnet50 resnet18_32 mobilenet_v2; do
  bin/octet_make_model $shape "$work/$shape.onnx"
  bin/octet quantize "$work/$shape.onnx" --calib-data synthetic:8 --method max --threads 0 --quiet -o "$work/${shape}_int8.onnx" >/dev/null
  for device in cpu cuda; do
    bin/octet run "$work/${shape}_int8.onnx" --data synthetic:8 --batch 8 --threads 0 --device $device --quiet -o "$work/$device.npy" >/dev/null
  done
  cmp -s "$work/cpu.npy" "$work/cuda.npy" && echo "$shape equal" || echo "$shape DIFFERENT"
done | tee -a "$out/equal.txt"

echo "== speed"
run() {  # model file, precision, batch
  bin/octet_gpu_bench "$work/$1.onnx" "$2" "$3" --layers >"$out/octet_$1_$2_$3.json" 2>"$out/octet_$1_$2_$3.err" || cat "$out/octet_$1_$2_$3.err"
}
for batch in 1 8 128 256; do run resnet50_int8 int8 $batch; done
for batch in 1 256; do run resnet50 fp16 $batch; done
run resnet50 fp32 1
run resnet18_32_int8 int8 1
for batch in 1 128; do run mobilenet_v2_int8 int8 $batch; done
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit --format=csv >"$out/clocks_after.csv"
if [ -z "${OCTET_NO_TORCH:-}" ] && python3 -c 'import torch, torchvision' 2>/dev/null; then
  timeout 200 python3 torch_peers.py "$out/torch.json" "${OCTET_TORCH_SECONDS:-100}" >"$out/torch.txt" 2>&1
  # Tuning takes minutes: where it does not come through, the report says unmeasured.
  timeout "${OCTET_TORCH_COMPILE_SECONDS:-200}" python3 torch_peers.py "$out/torch_compile.json" 1000 compile >"$out/torch_compile.txt" 2>&1
fi
if python3 -c 'import torch, onnx' 2>/dev/null && [ -f resnet18_c10_float.onnx ]; then
  timeout 60 python3 three_steps.py bin resnet18_c10_float.onnx models/resnet18_c10.onnx data/cifar10_64.bin "$out/three_steps.json" >"$out/three_steps.md" 2>"$out/three_steps.err"
fi
python3 report.py "$out" | tee "$out/report.md"

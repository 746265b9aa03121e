#!/bin/sh
# Fuzzes the readers of what users bring: tools/fuzz.sh SECONDS [CORPUS_FOLDER] [libFuzzer options...]
# SECONDS each for the ONNX reader and the reader of plans; a twelfth each for calibration caches (TensorRT's, ONNX
# Runtime's, octet's ranges, a legacy calibrator's histograms), QuantDescriptors, checkpoints, the graph's text form,
# pictures and arrays. Folder and options are the ONNX reader's.
# Builds the targets with clang, AddressSanitizer and UndefinedBehaviorSanitizer in build/fuzz (or $OCTET_FUZZ_BUILD),
# starts from generated seeds and whatever the corpus folder holds, and ends with the share of inputs that reached the
# verifier.
# Two targets run at a time; what each prints goes to a file in the build folder's logs/. When both lanes have ended all
# of it is shown, the targets with a finding named last; a lane ends with its first finding, so later targets of it did not run.
# Exit 0: no finding; 1: a finding, which stays as crash-*, oom-* or timeout-* in the build folder. SIGINT and SIGTERM end
# the fuzzers, too, then the script with 130 or 143.
set -eu
if [ $# -lt 1 ]; then
  echo "usage: tools/fuzz.sh SECONDS [CORPUS_FOLDER] [libFuzzer options...]" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
build=${OCTET_FUZZ_BUILD:-$root/build/fuzz}
seconds=$1
corpus=${2:-$build/corpus}
shift
if [ $# -gt 0 ]; then shift; fi
mkdir -p "$build"
cmake -S "$root" -B "$build" -DCMAKE_CXX_COMPILER="${CXX:-clang++}" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O2 -g1 -DNDEBUG" \
  -DOCTET_FUZZ=ON -DOCTET_TESTS=OFF -DOCTET_SANITIZE=address,undefined > "$build/configure.log" 2>&1 ||
  { cat "$build/configure.log" >&2; exit 1; }
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target octet_fuzz_onnx_reader octet_onnx_seeds octet_fuzz_calibration_caches \
  octet_fuzz_quant_descriptor octet_fuzz_checkpoint octet_fuzz_text_parser octet_fuzz_image_loader octet_fuzz_npy_loader \
  octet_fuzz_plan_reader octet_plan_seeds
mkdir -p "$corpus" "$build/seeds"
"$build/fuzz/octet_onnx_seeds" "$build/seeds"
cd "$build"
mkdir -p caches cache_seeds
printf 'TRT-8003-EntropyCalibration2\ninput: 3c010204\nRelu_1:0: 3f800000\n' > cache_seeds/tensorrt
printf '0 3ff0000000000000 3fefffeb074a771d\r\nx: 1\r\n' > cache_seeds/legacy
printf 'data 2.64\nconv 1 6.0\n' > cache_seeds/ort_text
printf '{"CLS": "TensorsData", "data": {"a": {"lowest": -1.0, "highest": 2.5}}}' > cache_seeds/ort_json
printf 'octet histograms 1\n\001\0\0\0\0\0\0\0h\012\0\0\0\0\0\0\0' > cache_seeds/histograms
printf '\014\0\0\0\010\0\014\0\004\0\010\0\010\0\0\0\004\0\0\0\0\0\0\0' > cache_seeds/ort_flatbuffers
mkdir -p descriptors descriptor_seeds
printf 'amax: 3.1415927410125732\naxis:\n- 1\n- 2\nname: a\nnum_bits: 2\n' > descriptor_seeds/toolkit
printf 'num_bits: !!python/tuple\n- 4\n- 3\ncalib_method: histogram\nunsigned: true\n' > descriptor_seeds/pair
printf '{"amax": [[0.5], [1e-05]], "axis": [0], "name": "x", "num_bits": 8, "scale_amax": 0.5}' > descriptor_seeds/json
mkdir -p plans plan_seeds
"$build/fuzz/octet_plan_seeds" plan_seeds
python3 "$root/fuzz/checkpoint_seeds.py" checkpoint_seeds
python3 "$root/fuzz/loader_seeds.py" loader_seeds
mkdir -p corpus_checkpoint corpus_text_parser corpus_image_loader corpus_npy_loader logs

short=$((seconds / 12 + 1))
# fuzz TARGET SECONDS LONGEST_INPUT MEMORY_MIB FOLDERS_AND_OPTIONS...
fuzz() {
  target=$1 time=$2 length=$3 memory=$4
  shift 4
  "$build/fuzz/octet_fuzz_$target" -max_total_time="$time" -max_len="$length" -timeout=10 -rss_limit_mb="$memory" \
    -print_final_stats=1 "$@" > "logs/$target" 2>&1 &
  wait $! || { echo "$target" >> findings; exit 1; }
}
# stop STATUS PROCESSES...: of a trap, which a shell runs at once only while it waits for processes in its background.
stop() {
  status=$1
  shift
  trap '' INT TERM
  kill "$@" 2> /dev/null || true
  wait
  exit "$status"
}
# lane COMMAND...: in a subshell. Before its first fuzzer $! is the other lane or nothing, and then all is to end anyway.
lane() {
  trap 'set +u; stop 143 $!' TERM
  "$@"
}
plans() {
  fuzz plan_reader "$seconds" 65536 2048 plans plan_seeds
  fuzz calibration_caches $short 4096 1024 caches cache_seeds
  fuzz quant_descriptor $short 4096 1024 descriptors descriptor_seeds
  fuzz checkpoint $short 4096 2048 corpus_checkpoint checkpoint_seeds
}
# rss: a reader of small files has no reason for more; a tensor that claims more than it holds must not be allocated. Of the
# picture decoders one may rightly hold 384 MiB of pixels, and ASan's red zones beside them.
models() {
  fuzz onnx_reader "$seconds" 16384 2048 "$@" "$corpus" "$build/seeds"
  fuzz text_parser $short 4096 2048 corpus_text_parser loader_seeds/text
  fuzz image_loader $short 4096 2048 corpus_image_loader loader_seeds/image
  fuzz npy_loader $short 4096 2048 corpus_npy_loader loader_seeds/npy
}
rm -f logs/* findings
lanes=
# $! is in $lanes, but between a lane's start and the next command.
trap 'set +u; stop 130 $lanes $!' INT
trap 'set +u; stop 143 $lanes $!' TERM
(lane plans) &
lanes=$!
(lane models "$@") &
lanes="$lanes $!"
found=0
for process in $lanes; do wait "$process" || found=1; done
for log in logs/[!o]* logs/onnx_reader; do [ ! -f "$log" ] || cat "$log"; done
[ ! -f findings ] || echo "tools/fuzz.sh: findings of $(tr '\n' ' ' < findings)" >&2
exit $found

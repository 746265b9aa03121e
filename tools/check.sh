#!/usr/bin/env bash
# Formatting, layers, header sizes, the arithmetic of the measurements, clang-tidy. `make check`.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

status=0
git ls-files '*.cpp' '*.h' '*.cu' '*.cuh' | xargs clang-format --dry-run --Werror || status=1
tools/check_layers.py || status=1
tools/check_guide.py || status=1
if ! report=$(python3 -m unittest discover -s bench/peers -p '*_test.py' -b 2>&1); then echo "$report"; status=1; fi

# The house's sizes: headers 150 lines, sources 800.
while read -r lines file; do
  case "$file" in
    total) ;;
    *.h) [ "$lines" -le 150 ] || { echo "$file: $lines lines, a header has at most 150"; status=1; } ;;
    *) [ "$lines" -le 800 ] || { echo "$file: $lines lines, a source has at most 800"; status=1; } ;;
  esac
done < <(git ls-files 'src/*.cpp' 'src/*.h' 'include/*.h' 'tests/*.cpp' 'tests/*.h' | xargs wc -l)

# What is built on libtorch is checked where it is built: with the flags of its own compile commands.
torch_flags=$(python3 - <<'EOF'
import json, shlex
try:
    for entry in json.load(open("build/compile_commands.json")):
        if entry["file"].endswith("/src/train/trainer.cpp"):
            words = shlex.split(entry["command"])
            print(*[w for i, w in enumerate(words) if w[:2] in ("-I", "-D") or w == "-isystem" or words[i - 1] in ("-isystem", "-I")])
except OSError:
    pass
EOF
)
torch_rooms='^(src/train|src/train_cli|include/octet/train)/'

# Every header compiles alone; those of ISA files with the flags that their files have.
isa_flags="-mavx2 -mfma -mf16c -mavxvnni -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mamx-tile -mamx-int8"
while read -r header; do
  flags="" folder=.
  case "$header" in
    src/kernels/*|src/quant/rows/*) flags="$isa_flags" ;;
    src/train/*|src/train_cli/*|include/octet/train/*) flags="$torch_flags" folder=build ;;
  esac
  # shellcheck disable=SC2086
  (cd $folder && g++ -std=c++20 $flags -fsyntax-only -I"$root/src" -I"$root/include" -I"$root/build/generated" -x c++ -include "$root/$header" /dev/null) ||
    { echo "$header does not compile alone"; status=1; }
done < <(git ls-files 'src/*.h' 'include/*.h' | grep -vE '^src/backends/cuda/' | { [ -n "$torch_flags" ] && cat || grep -vE "$torch_rooms"; })  # nvcc's headers

# Release 16, because 14 does not know all of C++20. ISA files are left out: it does not know all intrinsics that gcc compiles them with.
# A source that this build leaves out (a GPU's, libtorch's) has no flags to be checked with.
tools/tidy_commands.py build build/tidy
git ls-files 'src/*.cpp' | grep -vE 'src/(kernels|quant/rows)/.*(avx|amx)|src/backends/cuda/' |
  while read -r source; do grep -qF "/$source\"" build/compile_commands.json && echo "$source"; done |
  xargs -P "$(nproc)" -n 4 clang-tidy-16 -p build/tidy --quiet 2>/dev/null || status=1
[ $status -eq 0 ] && echo "check: clean"
exit $status

#!/usr/bin/env bash
# Formatting, layers, header sizes, clang-tidy. `make check`.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
git ls-files '*.cpp' '*.h' '*.cu' '*.cuh' | xargs clang-format --dry-run --Werror || status=1
tools/check_layers.py || status=1
tools/check_guide.py || status=1

# The house's sizes: headers 150 lines, sources 800.
while read -r lines file; do
  case "$file" in
    total) ;;
    *.h) [ "$lines" -le 150 ] || { echo "$file: $lines lines, a header has at most 150"; status=1; } ;;
    *) [ "$lines" -le 800 ] || { echo "$file: $lines lines, a source has at most 800"; status=1; } ;;
  esac
done < <(git ls-files 'src/*.cpp' 'src/*.h' 'include/*.h' 'tests/*.cpp' | xargs wc -l)

# Every header compiles alone; those of ISA files with the flags that their files have.
isa_flags="-mavx2 -mfma -mf16c -mavxvnni -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mamx-tile -mamx-int8"
while read -r header; do
  flags=""
  case "$header" in src/kernels/*|src/quant/rows/*) flags="$isa_flags" ;; esac
  # shellcheck disable=SC2086
  g++ -std=c++20 $flags -fsyntax-only -Isrc -Iinclude -Ibuild/generated -x c++ -include "$header" /dev/null || { echo "$header does not compile alone"; status=1; }
done < <(git ls-files 'src/*.h' 'include/*.h' | grep -vE '^(src/backends/cuda|src/train|src/train_cli|include/octet/train)/')  # nvcc's headers and libtorch's

# Release 16, because 14 does not know all of C++20. ISA files are left out: it does not know all intrinsics that gcc compiles them with.
git ls-files 'src/*.cpp' | grep -vE 'src/(kernels|quant/rows)/.*(avx|amx)|src/train|src/backends/cuda/' |
  xargs -P "$(nproc)" -n 4 clang-tidy-16 -p build --quiet 2>/dev/null || status=1
[ $status -eq 0 ] && echo "check: clean"
exit $status

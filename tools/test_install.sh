#!/usr/bin/env bash
# Installs into a folder of its own and uses octet from outside: tools/test_install.sh BUILD_DIR [--packages | --link]
# Checks the library's dependencies, size and exported names, builds the examples through CMake and through pkg-config, runs
# them on a plan and compares their answers; with --packages also makes the .deb and .tar.gz and looks into them.
# --link looks at octet and its link trtexec only, installed and in the package of the programs.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "test_install: $*" >&2; exit 1; }

# The limits stated in docs/runtime.md; growth beyond them is a decision, not an accident.
most_bytes=$((40 * 128 * 1024))
allowed='^(libstdc\+\+\.so\.6|libm\.so\.6|libgcc_s\.so\.1|libc\.so\.6|ld-linux-x86-64\.so\.2)$'

DESTDIR="$work/image" cmake --install "$build" --prefix /opt/octet --strip > "$work/install.log" || fail "install failed: $(tail -3 "$work/install.log")"
prefix="$work/image/opt/octet"
plan="$root/tests/compat/format_1.plan"

# -DOCTET_TRTEXEC_LINK=ON installs a link trtexec, which is octet's trtexec by its name alone; otherwise there is none.
linked=$(sed -n 's/^OCTET_TRTEXEC_LINK:BOOL=//p' "$build/CMakeCache.txt")
check_link() {  # folder of programs
  if [ "$linked" != ON ]; then
    [ ! -e "$1/trtexec" ] || fail "$1/trtexec is there without OCTET_TRTEXEC_LINK"
    return
  fi
  [ "$(readlink "$1/trtexec")" = octet ] || fail "$1/trtexec is not a link to octet beside it"
  (cd "$work" && PATH="$1:$PATH" trtexec --loadEngine="$plan" --iterations=2 --duration=0 --warmUp=0 &> trtexec.txt) \
    || fail "the installed trtexec fails: $(tail -3 "$work/trtexec.txt")"
  grep -q '^&&&& PASSED octet.trtexec .* # trtexec --loadEngine=' "$work/trtexec.txt" || fail "trtexec does not go by its name"
  PATH="$1:$PATH" trtexec --loadEngine="$plan" --frobnicate > "$work/trtexec.txt" 2>&1 && fail "the installed trtexec takes an unknown flag"
  grep -q 'Unknown option: --frobnicate' "$work/trtexec.txt" || fail "the installed trtexec does not name an unknown flag"
}
"$prefix/bin/octet" --version > /dev/null || fail "the installed program does not start"
check_link "$prefix/bin"
[ "$linked" != ON ] || echo "test_install: trtexec is installed as a link and runs"
make_packages() {  # options of cpack
  (cd "$build" && cpack -B "$work/packages" "$@" > "$work/cpack.log" 2>&1) || fail "cpack failed: $(tail -3 "$work/cpack.log")"
  for deb in "$work"/packages/*.deb; do dpkg -x "$deb" "$work/unpacked"; done
  program=$(find "$work/unpacked" -name octet -type f)
  ldd "$program" | grep -q 'not found' && fail "the packaged program misses: $(ldd "$program" | grep 'not found')"
  "$program" --version > /dev/null || fail "the packaged program does not start"
  check_link "$(dirname "$program")"
}
if [ "${2:-}" = "--link" ]; then
  make_packages -G DEB -D CPACK_COMPONENTS_ALL=tools
  exit 0
fi

lib=$(find "$prefix" -name 'liboctet_runtime.so.*.*.*' -type f)
[ -n "$lib" ] || fail "no liboctet_runtime.so.X.Y.Z under $prefix"

size=$(stat -c %s "$lib")
[ "$size" -le $most_bytes ] || fail "$lib has $size bytes, allowed are $most_bytes"
needed=$(readelf -d "$lib" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
for name in $needed; do
  [[ $name =~ $allowed ]] || fail "$lib needs $name, which the runtime library must not"
done
readelf -d "$lib" | grep -q 'SONAME.*liboctet_runtime.so.0' || fail "the soname is not liboctet_runtime.so.0"
strangers=$(nm -DC --defined-only "$lib" | awk '{ $1=""; $2=""; print }' | grep -vE '^ *(octet_|octet::runtime::|octet::name\(|OCTET_0|(vtable|typeinfo|typeinfo name) for octet::runtime)' || true)
[ -z "$strangers" ] || fail "exported besides the public names: $(echo "$strangers" | head -5)"

cmake -S "$root/tests/outside" -B "$work/outside" -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLES="$root/examples" > "$work/outside.log" 2>&1 \
  && cmake --build "$work/outside" >> "$work/outside.log" 2>&1 || fail "the outside project does not build: $(grep -m 3 -i error "$work/outside.log")"
"$work/outside/runtime_cpp" "$plan" > "$work/cpp.txt" || fail "the C++ example failed"
"$work/outside/runtime_c" "$plan" > "$work/c.txt" || fail "the C example failed"
cmp -s "$work/cpp.txt" "$work/c.txt" || fail "C and C++ give different answers"
[ -s "$work/c.txt" ] || fail "the examples printed nothing"

pc=$(dirname "$(find "$prefix" -name octet_runtime.pc)")
# shellcheck disable=SC2046
cc -std=c11 -Wall -Werror "$root/examples/runtime.c" -o "$work/pc_c" $(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs octet_runtime) \
  || fail "pkg-config's flags do not build the C example"
LD_LIBRARY_PATH=$(dirname "$lib") "$work/pc_c" "$plan" | cmp -s - "$work/c.txt" || fail "built with pkg-config it answers differently"
LD_LIBRARY_PATH=$(dirname "$lib") "$work/pc_c" /dev/null 2> /dev/null && fail "a file that is no plan was accepted"
# The other examples, on pictures of one colour each: from calibration to an engine file, an own calibrator, fine-tuning.
model="$root/examples/models/shapes_cnn.onnx"
mkdir "$work/pictures"
for shade in 020 120 220 320; do
  { printf 'P6\n32 32\n255\n'; head -c 3072 /dev/zero | tr '\0' "\\$shade"; } > "$work/pictures/$shade.ppm"
done
outside="$work/outside"
"$outside/calibrate_and_build" "$model" shapes-train:32 rgb,norm=half "$work/own.plan" > "$work/build.txt" || fail "calibrate_and_build failed"
"$outside/classify" "$work/own.plan" "$work/pictures" rgb,norm=half > "$work/classes.txt" || fail "classify failed"
[ "$(grep -c ppm "$work/classes.txt")" -ge 4 ] || fail "classify named $(cat "$work/classes.txt")"
"$outside/image_calibrator" "$model" "$work/pictures" "$work/own_int8.onnx" rgb,norm=half 32 "$work/own.cache" > /dev/null || fail "image_calibrator failed"
if [ -e "$outside/fine_tune" ]; then
  "$outside/fine_tune" "$work/own_int8.onnx" shapes-train:64 rgb,norm=half "$work/tuned.onnx" > /dev/null || fail "fine_tune failed"
  "$prefix/bin/octet" inspect "$work/tuned.onnx" > /dev/null || fail "octet does not read what fine_tune wrote"
fi

echo "test_install: liboctet_runtime $size bytes, needs $(echo $needed); examples built outside: $(cd "$outside" && ls -d classify calibrate_and_build image_calibrator fine_tune runtime_c runtime_cpp 2> /dev/null | tr '\n' ' ')"

[ "${2:-}" = "--packages" ] || exit 0
make_packages
lib=$(find "$work/unpacked" -name 'liboctet_runtime.so.0')
ldd "$lib" | grep -q 'not found' && fail "the packaged library misses: $(ldd "$lib" | grep 'not found')"
# What each package may ask of a Debian 12 that has nothing but its base.
declare -A may_need=(
  [liboctet-runtime0]='libc6|libgcc-s1|libstdc\+\+6'
  [liboctet-runtime-dev]='liboctet-runtime0'
  [octet]='libc6|libgcc-s1|libstdc\+\+6|libjpeg62-turbo|libpng16-16|zlib1g|libyaml-cpp0\.7|libxxhash0'
  [octet-mpi]='libc6|libgcc-s1|libstdc\+\+6|libopenmpi3|octet')
for deb in "$work"/packages/*.deb; do
  package=$(dpkg -f "$deb" Package)
  [ -n "${may_need[$package]:-}" ] || fail "a package $package that nobody expects"
  for need in $(dpkg -f "$deb" Depends | tr ',' '\n' | sed 's/([^)]*)//g; s/|.*//'); do
    [[ $need =~ ^(${may_need[$package]})$ ]] || fail "package $package needs $need"
  done
done
if [ -e "$build/liboctet_mpi.so" ]; then
  [ -n "$(find "$work/unpacked" -path '*/octet/liboctet_mpi.so')" ] || fail "the MPI module is in no package"
fi
readelf -d "$program" | grep -q libmpi && fail "the program links MPI"
ls "$work"/packages/*.tar.gz > /dev/null || fail "no tarball"
for deb in "$work"/packages/*.deb; do
  echo "test_install: $(basename "$deb") $(stat -c %s "$deb") bytes, depends: $(dpkg -f "$deb" Depends)"
done

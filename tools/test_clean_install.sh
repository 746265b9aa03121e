#!/usr/bin/env bash
# Installs octet's packages on a Debian 12 that has nothing but its base, and uses them there: tools/test_clean_install.sh BUILD_DIR [ROOT_TARBALL]
# Needs root (chroot), debootstrap and Debian's mirror. With ROOT_TARBALL the base system is kept there and taken from there the next time.
# Checks: apt takes the .deb files with what they depend on and no more; octet, the runtime library's examples from outside through CMake and pkg-config,
# trtexec where the build has the link; and the same program from the tarball, without a package manager.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
tarball=${2:-}
work=$(mktemp -d)
clean=$work/root
trap 'umount "$clean/proc" 2> /dev/null || true; rm -rf "$work"' EXIT
fail() { echo "test_clean_install: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "chroot needs root"

(cd "$build" && cpack -B "$work/packages" > "$work/cpack.log" 2>&1) || fail "cpack failed: $(tail -3 "$work/cpack.log")"

mkdir "$clean"
if [ -n "$tarball" ] && [ -e "$tarball" ]; then
  tar xf "$tarball" -C "$clean"
else
  debootstrap --variant=minbase bookworm "$clean" http://deb.debian.org/debian > "$work/debootstrap.log" 2>&1 || fail "debootstrap: $(tail -2 "$work/debootstrap.log")"
  [ -z "$tarball" ] || tar cf "$tarball" -C "$clean" .
fi
mount -t proc proc "$clean/proc"
cp /etc/resolv.conf "$clean/etc/resolv.conf"
in_root() { chroot "$clean" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
mkdir "$clean/octet"
cp "$work"/packages/*.deb "$work"/packages/*.tar.gz "$clean/octet/"
cp -r "$root/examples" "$root/tests/outside" "$root/tests/compat" "$clean/octet/"

before=$(in_root dpkg-query -f '${Package}\n' -W | sort)
in_root apt-get -q update > "$work/apt.log" 2>&1 || fail "apt update: $(tail -2 "$work/apt.log")"
# The MPI module is for clusters and brings Open MPI; the rest is what a user takes.
in_root sh -c 'apt-get -q -y --no-install-recommends install $(ls /octet/*.deb | grep -v mpi)' > "$work/apt.log" 2>&1 || fail "apt install: $(tail -3 "$work/apt.log")"
added=$(comm -13 <(echo "$before") <(in_root dpkg-query -f '${Package}\n' -W | sort) | tr '\n' ' ')

model=/octet/examples/models/shapes_cnn.onnx
in_root octet --version > "$work/version.txt" || fail "octet does not start"
in_root sh -c "cd /tmp && octet build $model --precision int8 --calib-data shapes-train:64 --preprocess rgb,norm=half --quiet -o m.plan \
  && octet eval m.plan --data shapes:400 --quiet" > "$work/eval.txt" || fail "build and eval: $(tail -3 "$work/eval.txt")"
grep -q '^Evaluation Accuracy' "$work/eval.txt" || fail "eval said $(cat "$work/eval.txt")"
in_root octet doctor > "$work/doctor.txt" || fail "doctor: $(tail -3 "$work/doctor.txt")"
trtexec="octet trtexec"  # or the link, where the build has it
if grep -q '^OCTET_TRTEXEC_LINK:BOOL=ON' "$build/CMakeCache.txt"; then trtexec=trtexec; fi
in_root sh -c "cd /tmp && $trtexec --onnx=$model --int8 --iterations=3 --duration=0" > "$work/trtexec.txt" 2>&1 || fail "$trtexec: $(tail -3 "$work/trtexec.txt")"
grep -q '^&&&& PASSED octet.trtexec' "$work/trtexec.txt" || fail "$trtexec did not pass"
# The tarball stands by itself: the library beside the program, found from wherever it is unpacked.
in_root sh -c 'mkdir /opt/o && tar xzf /octet/*.tar.gz -C /opt/o --strip-components=1 && "$(find /opt/o -name octet -path "*/bin/*")" --version' > "$work/tar.txt" \
  || fail "the tarball's program does not start"
cmp -s "$work/tar.txt" "$work/version.txt" || fail "tarball and package are different: $(cat "$work/tar.txt")"

in_root sh -c 'apt-get -q -y --no-install-recommends install g++ cmake make pkg-config' > "$work/apt.log" 2>&1 || fail "apt install g++: $(tail -3 "$work/apt.log")"
plan=/octet/compat/format_1.plan
in_root sh -c "cd /tmp && cc -std=c11 -Wall -Werror /octet/examples/runtime.c -o pc_c \$(pkg-config --cflags --libs octet_runtime) && ./pc_c $plan" > "$work/pc.txt" \
  || fail "an example does not build by pkg-config"
mkdir "$clean/octet/own"
cat > "$clean/octet/own/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(own CXX)
find_package(octet_runtime REQUIRED)
add_executable(own /octet/examples/runtime.cpp)
target_link_libraries(own PRIVATE octet::runtime)
CMAKE
in_root sh -c "cmake -S /octet/own -B /tmp/own && cmake --build /tmp/own" > "$work/cmake.txt" 2>&1 || fail "an outside CMake project does not build: $(grep -m 3 -i error "$work/cmake.txt")"
in_root /tmp/own/own $plan > "$work/own.txt" || fail "the outside project's program fails"
cmp -s "$work/pc.txt" "$work/own.txt" || fail "C and C++ answer differently"
in_root sh -c 'apt-get -q -y purge octet liboctet-runtime0 liboctet-runtime-dev' > "$work/apt.log" 2>&1 || fail "purge: $(tail -3 "$work/apt.log")"
left=$(in_root sh -c 'find / -xdev -path /octet -prune -o -path /tmp -prune -o -path /opt -prune -o -path /proc -prune -o -name "*octet*" -print')
[ -z "$left" ] || fail "left behind after the purge: $left"
echo "test_clean_install: $(in_root cat /etc/debian_version): packages, tarball and $trtexec work; apt added $added"

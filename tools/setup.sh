#!/usr/bin/env bash
# usage: setup.sh [train] [browser] [mpi] [cache]
# Installs the Debian packages that octet is built with; does nothing when all are there. sudo only when not root.
# train: also libtorch, which octet-train (octet finetune) is built on where it is there; about 1 GB.
# mpi: also Open MPI, for calibration over several processes and its tests.
# cache: also ccache, for builds that share sources (.ci/run).
# browser: also Chromium, which tools/check_report.py opens the demo's page in; about 300 MB.
set -euo pipefail

packages=(g++ cmake ninja-build git python3 python3-venv pkg-config dpkg-dev
  libcli11-dev nlohmann-json3-dev libyaml-cpp-dev libxxhash-dev libjpeg62-turbo-dev libpng-dev zlib1g-dev libgtest-dev libgmock-dev
  clang lld clang-format clang-tidy-16 libclang-rt-14-dev)

for extra in "$@"; do
  case $extra in
    train) packages+=(libtorch-dev libgloo-dev) ;;
    browser) packages+=(chromium) ;;
    mpi) packages+=(libopenmpi-dev openmpi-bin) ;;
    cache) packages+=(ccache) ;;
    *) echo "setup: unknown '$extra'; train, browser, mpi and cache can be added" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: needs root or sudo to install: ${missing[*]}" >&2; exit 1; }
  sudo="sudo"
fi
echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >&2
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2

#!/usr/bin/env bash
# Installs the system packages that are missing, and says which and why. Silent when nothing is missing.
#
#   cmake/install-packages.sh GROUP...      GROUP: build, examples, tests, tests-all, benchmarks, cuda
#
# cuda is for machines that have a CUDA toolkit, and does nothing elsewhere: the headers of cudnn-frontend, which no
# distribution has, by pip into build/cudnn-frontend, where CMake looks. Nothing else needs them.
#
# Debian and Ubuntu: installs with apt, with sudo where the user is not root. Elsewhere, or where that is not possible,
# it names what is missing and exits with status 1.
set -euo pipefail

missing=()  # package names
reasons=()  # one line each

# need PACKAGE REASON COMMAND...: the package is missing if the command fails.
need() {
  local package=$1 reason=$2
  shift 2
  if ! "$@" >/dev/null 2>&1; then
    missing+=("$package")
    reasons+=("  $package: $reason")
  fi
}

has_command() { command -v "$1"; }

# Does the C++ compiler find the header? Where there is no compiler yet, the answer is no, and apt knows better.
read -ra compiler <<<"${CXX:-c++}"
has_header() { printf '#include <%s>\n' "$1" | "${compiler[@]}" -std=c++17 -x c++ -E -; }
has_one_header() {
  local header
  for header in "$@"; do
    if has_header "$header"; then return 0; fi
  done
  return 1
}

# Where Debian keeps it, and where others do; as cmake/Findspikenet_hdf5.cmake.
has_hdf5() { has_one_header hdf5.h hdf5/serial/hdf5.h; }

has_clang_sanitizers() {
  local out status=0
  out=$(mktemp)
  echo 'int main() {}' | clang++ -x c++ -fsanitize=address,undefined -o "$out" - || status=$?
  rm -f "$out"
  return "$status"
}

has_libcxx() {
  local out status=0
  out=$(mktemp)
  printf '#include <string>\nint main() {}\n' | clang++ -x c++ -stdlib=libc++ -o "$out" - || status=$?
  rm -f "$out"
  return "$status"
}

has_qemu_aarch64() { command -v qemu-aarch64 || command -v qemu-aarch64-static; }

has_arm_library() { printf '#include <array>\n#include <cstdlib>\n' | arm-none-eabi-g++ -std=c++17 -x c++ -E -; }

# As the tests look for it: tests/interop/CMakeLists.txt.
has_pytorch() { python3 -c 'import torch' || /usr/bin/python3 -c 'import torch'; }

# Beside the Python that has PyTorch: tests/interop/install.sh.
has_venv() {
  if python3 -c 'import torch'; then python3 -c 'import ensurepip'; else /usr/bin/python3 -c 'import ensurepip'; fi
}

# As cmake/FindCUDNN.cmake looks for it.
cudnn_frontend=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/cudnn-frontend
has_cudnn_frontend() {
  [ -n "${CUDNN_FRONTEND_ROOT-}" ] || [ -e "$cudnn_frontend/include/cudnn_frontend.h" ] ||
    has_header cudnn_frontend.h || has_header /usr/local/cuda/include/cudnn_frontend.h ||
    python3 -c 'import os, sys; sys.exit(not any(os.path.exists(p + "/include/cudnn_frontend.h") for p in sys.path))'
}
install_cudnn_frontend() {
  if ! { has_command nvcc || has_command /usr/local/cuda/bin/nvcc; } >/dev/null; then return; fi
  if has_cudnn_frontend >/dev/null 2>&1; then return; fi
  echo "Installing the headers of cudnn-frontend into $cudnn_frontend: pip install nvidia-cudnn-frontend"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
    --target "$cudnn_frontend" nvidia-cudnn-frontend || echo "Without them, and so without spikenet::cuda."
}

if [ $# -eq 0 ]; then
  echo "usage: $0 GROUP...   (build, examples, tests, tests-all, benchmarks, cuda)" >&2
  exit 2
fi
for group in "$@"; do
  case $group in
    build)
      need g++ "the C++ compiler" has_command "${compiler[0]}"
      need make "runs the build" has_command make
      need cmake "configures the build" has_command cmake
      need libeigen3-dev "Eigen, the matrix products of the CPU backend" has_one_header Eigen/Core eigen3/Eigen/Core
      ;;
    examples)
      need zlib1g-dev "zlib, reads the gzipped data files" has_header zlib.h
      need nlohmann-json3-dev "JSON, the header of safetensors files" has_header nlohmann/json.hpp
      need libpng-dev "libpng, the images in event files" has_header png.h
      need libssl-dev "OpenSSL, the check sums of data files and checkpoints" has_header openssl/evp.h
      need libcli11-dev "CLI11, the command line" has_header CLI/CLI.hpp
      need libhdf5-dev "HDF5, the files of spikenet-nir" has_hdf5
      need libcairo2-dev "cairo, draws the charts" has_one_header cairo/cairo-svg.h cairo-svg.h
      ;;
    tests)
      need g++ "the compiler that everything is tested with" has_command "${compiler[0]}"
      need catch2 "Catch2, the test framework" has_one_header catch2/catch.hpp catch2/catch_all.hpp
      need zlib1g-dev "zlib, reads the gzipped data files" has_header zlib.h
      need nlohmann-json3-dev "JSON, the header of safetensors files" has_header nlohmann/json.hpp
      need libpng-dev "libpng, the images in event files" has_header png.h
      need libssl-dev "OpenSSL, the check sums of checkpoints" has_header openssl/evp.h
      need libhdf5-dev "HDF5, the layer below .nir files" has_hdf5
      ;;
    tests-all)
      need g++ "the compiler that everything is tested with" has_command g++
      need clang "the second compiler that the tests are built with" has_command clang++
      need libclang-rt-dev "the address and undefined-behaviour sanitizers of clang" has_clang_sanitizers
      need libc++-dev "the second standard library that the headers are compiled with" has_libcxx
      need libc++abi-dev "what that library is linked with" has_libcxx
      if [ "$(uname -m)" = x86_64 ]; then
        need g++-aarch64-linux-gnu "the compiler for the tests on NEON" has_command aarch64-linux-gnu-g++
        need qemu-user "the emulator that runs the tests on NEON" has_qemu_aarch64
      fi
      need gcc-arm-none-eabi "the compiler for the tests on a Cortex-M" has_command arm-none-eabi-g++
      need libstdc++-arm-none-eabi-newlib "the standard library of that compiler" has_arm_library
      need qemu-system-arm "the emulator that runs the tests on a Cortex-M" has_command qemu-system-arm
      need python3-torch "PyTorch, which the network is compared with" has_pytorch
      need python3-venv "holds the Python packages that the network is compared with" has_venv
      ;;
    benchmarks)
      need libbenchmark-dev "Google Benchmark" has_header benchmark/benchmark.h
      need nlohmann-json3-dev "JSON, the header of safetensors files" has_header nlohmann/json.hpp
      ;;
    cuda)
      install_cudnn_frontend
      ;;
    *)
      echo "$0: no group \"$group\"; the groups are build, examples, tests, tests-all, benchmarks, cuda" >&2
      exit 2
      ;;
  esac
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
echo "Missing system packages:"
printf '%s\n' "${reasons[@]}" | sort -u

if ! command -v apt-get >/dev/null; then
  echo "This system has no apt. Please install what these Debian packages contain: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Only root can install them. Please run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing: ${as_root[*]:+sudo }apt-get install ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# Every header compiles with libc++, LLVM's standard library, and a network trains with it:
#
#   tests/headers/libcxx.sh CLANG SOURCE SCRATCH OPTION...
#
# Exits with 77 where there is no CLANG or no libc++.
set -euo pipefail

clang=$1 source=$2 scratch=$3
shift 3
mkdir -p "$scratch"
if ! command -v "$clang" >/dev/null; then
  echo "Skipped: there is no $clang"
  exit 77
fi
if ! "$clang" -std=c++20 -stdlib=libc++ -x c++ - -o "$scratch/probe" <<<$'#include <vector>\nint main() {}' 2>/dev/null; then
  echo "Skipped: $clang has no libc++ (Debian: libc++-dev libc++abi-dev)"
  exit 77
fi
"$clang" -std=c++20 -stdlib=libc++ -O0 -Wall -Wextra -Werror "$@" "$source" -o "$scratch/libcxx" -pthread
"$scratch/libcxx" "$scratch/model.safetensors"

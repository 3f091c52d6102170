#!/usr/bin/env bash
# Seconds and peak memory of compiling a file that trains one deep spiking residual network
# (tests/compile_budget/train_one_dsrn.cpp), beside those of a file that only includes the header. Then the processor
# time of a second file that does the same with that network, which the first has compiled (docs/compile-time.md).
#   benchmarks/compile_time.sh [COMPILER...]        the default: g++ and, where it is installed, clang++
#   EIGEN=DIR                                       where the folder Eigen is, if not where the system has it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -eq 0 ]; then
  set -- g++
  if command -v clang++ >/dev/null; then set -- g++ clang++; fi
fi
for eigen in "${EIGEN:-}" /usr/include/eigen3 /usr/local/include/eigen3 /opt/homebrew/include/eigen3; do
  if [ -d "$eigen/Eigen" ]; then break; fi
done
if [ ! -d "$eigen/Eigen" ]; then
  echo "$0: cannot find Eigen; EIGEN=DIR says where it is" >&2
  exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$1" -std=c++20 -O1 tests/compile_budget/measure_command.cpp -o "$scratch/measure"
echo '#include <spikenet/dsrn.hpp>' >"$scratch/header_alone.cpp"

row='%-12s %-26s %-8s %s\n'
# shellcheck disable=SC2059  # the format is the variable's purpose
{
  printf "$row" compiler file options "time, peak memory"
  for compiler in "$@"; do
    for file in "$scratch/header_alone.cpp" tests/compile_budget/train_one_dsrn.cpp; do
      for level in -O0 -O2; do
        cost=$("$scratch/measure" 1000000 "$compiler" -std=c++20 "$level" -Iinclude -isystem "$eigen" -c "$file" \
          -o "$scratch/out.o")
        printf "$row" "$compiler" "$(basename "$file")" "$level" "$cost"
      done
    done
  done
}

# A file that compiles the network, a second file that uses it (docs/compile-time.md), and the same with the header
# precompiled, in alternation; the least of three.
mkdir "$scratch/net"
sed -n '/^#include <spikenet/p; /^using net_t/p' tests/compile_budget/train_one_dsrn.cpp >"$scratch/net/net.hpp"
echo 'extern template struct spikenet::network_code<net_t>;' >>"$scratch/net/net.hpp"
second=$scratch/second_file.cpp
{
  echo '#include "net.hpp"'
  sed '/^#include <spikenet/d; /^using net_t/d' tests/compile_budget/train_one_dsrn.cpp
} >"$second"
seconds() {  # COMPILER ARGUMENT...: of the processor
  local TIMEFORMAT=%U
  { time "$1" -std=c++20 -O2 -Iinclude -isystem "$eigen" "${@:2}"; } 2>&1
}
for compiler in "$@"; do
  precompiled=$scratch/net/net.hpp.gch use=(-include "$scratch/net/net.hpp")
  if "$compiler" --version | grep -q clang; then use=(-include-pch "$precompiled"); fi
  seconds "$compiler" -x c++-header "$scratch/net/net.hpp" -o "$precompiled" >/dev/null
  for _ in 1 2 3; do
    mv "$precompiled" "$scratch/kept"
    first=$(seconds "$compiler" -c tests/compile_budget/train_one_dsrn.cpp -o "$scratch/out.o")
    plain=$(seconds "$compiler" -I "$scratch/net" -c "$second" -o "$scratch/out.o")
    mv "$scratch/kept" "$precompiled"
    echo "$first $plain $(seconds "$compiler" "${use[@]}" -I "$scratch/net" -c "$second" -o "$scratch/out.o")"
  done | awk -v compiler="$compiler" '
    NR == 1 || $1 < first { first = $1 }
    NR == 1 || $2 < second { second = $2 }
    NR == 1 || $3 < with { with = $3 }
    END {
      printf "%s -O2: %.1f s for the first file, %.1f s for a second (%.2f), ", compiler, first, second, second / first
      printf "%.1f s with a precompiled header (%.2f)\n", with, with / first
    }'
done

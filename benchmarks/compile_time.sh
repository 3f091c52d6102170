#!/usr/bin/env bash
# Seconds and peak memory of compiling a file that trains one deep spiking residual network
# (tests/compile_budget/train_one_dsrn.cpp), beside those of a file that only includes the header.
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

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

# In alternation, the least of three.
second=$scratch/second_file.cpp
sed '/^using net_t/a extern template struct spikenet::network_code<net_t>;' tests/compile_budget/train_one_dsrn.cpp >"$second"
seconds() {  # COMPILER FILE
  local TIMEFORMAT=%U
  { time "$1" -std=c++20 -O2 -Iinclude -isystem "$eigen" -c "$2" -o "$scratch/out.o"; } 2>&1
}
for compiler in "$@"; do
  for _ in 1 2 3; do
    echo "$(seconds "$compiler" tests/compile_budget/train_one_dsrn.cpp) $(seconds "$compiler" "$second")"
  done | awk -v compiler="$compiler" '
    NR == 1 || $1 < first { first = $1 }
    NR == 1 || $2 < second { second = $2 }
    END { printf "%s -O2: %.1f s for the first file, %.1f s for a second: %.2f\n", compiler, first, second, second / first }'
done

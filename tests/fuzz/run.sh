#!/usr/bin/env bash
# Fuzzes the readers: tests/fuzz/run.sh [INPUTS [TARGET...]], by default 1000000 inputs through each target (nir: a
# hundredth). Prints a line for each and stops at the first finding. Build tree, corpora and logs: build/fuzz/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

inputs=${1:-1000000}
targets=("${@:2}")
[[ ${#targets[@]} -gt 0 ]] || targets=(idx gzip safetensors state_dict nir)
if [[ ! $inputs =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: tests/fuzz/run.sh [INPUTS [TARGET...]]" >&2
  exit 2
fi

cmake -S . -B build/fuzz -D CMAKE_CXX_COMPILER="${CXX:-clang++}" -D CMAKE_BUILD_TYPE=RelWithDebInfo -D SPIKENET_FUZZ=ON \
  -D SPIKENET_BUILD_EXAMPLES=OFF -D SPIKENET_BUILD_BENCHMARKS=OFF >/dev/null
cmake --build build/fuzz -j "${JOBS:-1}" --target "${targets[@]/#/replay_}" "${targets[@]/#/fuzz_}" >/dev/null

fuzz=$PWD/tests/fuzz
cd build/fuzz
for target in "${targets[@]}"; do
  tests/fuzz/replay_"$target" write seeds/"$target" 2>/dev/null
  mkdir -p corpus/"$target"
  options=(-runs="$inputs" -max_len=2048 -seed=1 -timeout=10 -malloc_limit_mb=16 -rss_limit_mb=1024 -print_final_stats=1)
  case $target in
    gzip) options+=(-max_len=1024) ;;  # a byte may become a thousand
    nir) options+=(-runs=$(((inputs + 99) / 100))) ;;  # HDF5 takes its time
    safetensors | state_dict) options+=(-dict="$fuzz/safetensors.dict") ;;
  esac
  log=fuzz_$target.log
  if ! tests/fuzz/fuzz_"$target" "${options[@]}" corpus/"$target" seeds/"$target" >"$log" 2>&1; then
    tail -n 40 "$log"
    echo "$target: a finding; its log is build/fuzz/$log. To run the input again: build/fuzz/tests/fuzz/fuzz_$target FILE"
    exit 1
  fi
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  done_line=$(grep '\sDONE\s' "$log")
  echo "$target: $(stat number_of_executed_units) inputs, $(sed -n 's/ inputs were accepted$//p' "$log") accepted," \
    "$(stat average_exec_per_sec)/s, $(sed -E 's/.*(cov: [0-9]+) (ft: [0-9]+) (corp: [0-9]+).*/\1, \2, \3/' <<<"$done_line")," \
    "peak $(stat peak_rss_mb) MiB, no finding"
done

#!/usr/bin/env bash
# What logging to TensorBoard costs a training: pairs of the same training with and without it, one after the other and
# in changing order, and the ratio of their images a second, where the time that the end of an epoch takes counts too.
#   benchmarks/logging_cost.sh [PROGRAM]            the default: build/release/examples/mnist/spikenet-mnist
#   PAIRS=3 LIMIT=20000 EPOCHS=1 THREADS=0          pairs of trainings, images of one, epochs, threads (0: all cores)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=${1:-$root/build/release/examples/mnist/spikenet-mnist}
pairs=${PAIRS:-3} limit=${LIMIT:-20000} epochs=${EPOCHS:-1} threads=${THREADS:-0}
if [ ! -x "$program" ]; then
  echo "$0: there is no program $program; build the target spikenet-mnist" >&2
  exit 1
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# seconds NAME OPTION...: of a training, with all that it does between start and test; user and system time, which other
# programs on the machine disturb least, go to NAME.cpu.
seconds() {
  local name=$1 start end
  shift
  start=$(date +%s.%N)
  TIMEFORMAT='%U %S'
  { time "$program" sweep --v_th 0.5 --a 0.5 --limit "$limit" --epochs "$epochs" --threads "$threads" \
    --out "$scratch/$name" "$@" >"$scratch/$name.log" 2>&1; } 2>"$scratch/$name.cpu"
  end=$(date +%s.%N)
  awk -v a="$start" -v b="$end" '{ printf "%.2f %.2f\n", b - a, $1 + $2 }' "$scratch/$name.cpu"
}

echo "$limit images, $epochs epochs, $pairs pairs. Seconds, and seconds of processor time:"
for ((pair = 1; pair <= pairs; ++pair)); do
  if ((pair % 2)); then
    with=$(seconds "with$pair")
    without=$(seconds "without$pair" --no_tensorboard)
  else
    without=$(seconds "without$pair" --no_tensorboard)
    with=$(seconds "with$pair")
  fi
  echo "$with $without" | tee -a "$scratch/pairs" |
    awk -v n="$pair" '{ printf "pair %d: with %s, %s; without %s, %s; cost %+.2f %%, %+.2f %%\n", n, $1, $2, $3, $4,
                        100 * ($1 / $3 - 1), 100 * ($2 / $4 - 1) }'
done
awk '{ a += $1; b += $3; c += $2; d += $4 }
     END { printf "all: cost %+.2f %% of the time, %+.2f %% of the processor time\n", 100 * (a / b - 1),
           100 * (c / d - 1) }' "$scratch/pairs"

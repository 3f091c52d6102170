#!/usr/bin/env bash
# examples/mnist/run.sh and train.sh: what they have built for which arguments. CMake and the program are stand-ins.
#
#   tests/example/run.sh ROOT SCRATCH      ROOT: the project; SCRATCH: a folder, which is emptied
set -euo pipefail

root=$1 scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch/project/examples/mnist" "$scratch/project/cmake" "$scratch/bin"
cd "$scratch"
cp "$root"/examples/mnist/{run,train}.sh project/examples/mnist/
printf '#!/bin/sh\n' >project/cmake/install-packages.sh
cat >bin/cmake <<'STAND_IN'
#!/usr/bin/env bash
# Keeps what it is told in a cache, and builds a program that prints its arguments.
build=project/build/mnist
mkdir -p $build/examples/mnist
for argument in "$@"; do
  case $argument in
    SPIKENET_MNIST_*=*)
      touch $build/CMakeCache.txt
      sed -i "/^${argument%%=*}:/d" $build/CMakeCache.txt
      echo "${argument%%=*}:STRING=${argument#*=}" >>$build/CMakeCache.txt
      ;;
  esac
done
printf '#!/bin/sh\necho "$@"\n' >$build/examples/mnist/spikenet-mnist
chmod +x $build/examples/mnist/spikenet-mnist
STAND_IN
chmod +x bin/cmake project/cmake/install-packages.sh
export PATH=$PWD/bin:$PATH
failures=0

# builds SIZES READOUTS COMMANDS SCRIPT ARGUMENT...: that is what CMake is told, and the program gets its arguments.
builds() {
  local expected="$1 $2 $3" script=$4 actual="" list output
  shift 4
  output=$(project/examples/mnist/$script "$@") || output="exit status $?"
  for list in SIZES READOUTS COMMANDS; do
    actual+=$(sed -n "s/^SPIKENET_MNIST_$list:STRING=//p" project/build/mnist/CMakeCache.txt)" "
  done
  [ $script = run.sh ] || set -- train "$@"
  if [ "$actual" != "$expected " ] || [ "$output" != "$*" ]; then
    echo "FAILED: $script $*: builds $actual, not $expected; prints $output"
    failures=$((failures + 1))
  fi
}
# network WIDTH TIMESTEPS READOUT FILE: the beginning of what train writes.
network() {
  printf '\230\0\0\0\0\0\0\0{"__metadata__":{"readout":"%s","timesteps":"%s","width":"%s"},"conv1.weight":{}}' \
    $3 $2 $1 >$4
}

# Only what is asked for, and what was asked for before.
current=mean_current
builds 16x2 $current train train.sh --epochs 3
builds 16x2 $current train run.sh --help
builds 16x2 $current 'train;test' run.sh test --checkpoint none
builds '16x2;32x2' $current 'train;test' train.sh --width 32
builds '16x2;32x2;8x4' $current 'train;test' train.sh --width=8 --steps=4
builds '16x2;32x2;8x4' "$current;mean_spikes" 'train;test;infer' run.sh infer --readout mean_spikes
rm -r project/build
network 24 3 mean_spikes model.safetensors
builds 24x3 mean_spikes firing-rates run.sh firing-rates --checkpoint model.safetensors
mkdir -p stopped/last
network 12 2 $current stopped/last/model.safetensors
builds '24x3;12x2' "mean_spikes;$current" 'firing-rates;train' train.sh --resume=stopped
# What makes no sense is left to the program.
for arguments in '--width 0' '--width' '--width x;y' '--steps 99999999' '--readout none'; do
  builds '24x3;12x2;16x2' "mean_spikes;$current" 'firing-rates;train' train.sh $arguments
done

echo "$failures failures"
[ "$failures" -eq 0 ]

#!/usr/bin/env bash
# Runs spikenet-mnist: examples/mnist/run.sh COMMAND ARGUMENT... Installs what is missing, configures, and builds the
# program with the command and the network that the arguments name. What it has already stays. --help lists the commands.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/mnist

# cached OPTION: a list in CMake's cache; nothing before it is first configured.
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt" 2>/dev/null || true; }
# with ITEM LIST: the list with this item.
with() { [[ ";$2;" == *";$1;"* ]] && echo "$2" || echo "${2:+$2;}$1"; }
# entry KEY FILE: of what train writes beside a network's weights, in the header of the file.
entry() { head -c 65536 "$2" 2>/dev/null | LC_ALL=C sed -nE "/\"$1\":/{s/.*\"$1\":\"([0-9a-z_]+)\".*/\1/p;q}" || true; }

# The network: by its options, or in the file that they name.
width=16 steps=2 readout=mean_current
arguments=("$@")
for ((i = 0; i < $#; i++)); do
  name=${arguments[i]%%=*} value=${arguments[i]#*=}
  [[ ${arguments[i]} == *=* ]] || value=${arguments[i + 1]-}
  case $name in
    --width) width=$value ;;
    --steps) steps=$value ;;
    --readout) readout=$value ;;
    --checkpoint | --init | --resume)
      if [ -d "$value" ]; then value=$value/last/model.safetensors; fi
      width=$(entry width "$value") steps=$(entry timesteps "$value") readout=$(entry readout "$value")
      ;;
  esac
done
# The program refuses what makes no sense, with a message; it is built as if that was not there.
[[ ${width}x$steps =~ ^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$ ]] || width=16 steps=2
[[ $readout =~ ^mean_(current|spikes)$ ]] || readout=mean_current
[[ ${1-} =~ ^(sweep|test|import|firing-rates|profile|infer|export)$ ]] && command=$1 || command=train
sizes=$(with "${width}x$steps" "$(cached SPIKENET_MNIST_SIZES)")
readouts=$(with "$readout" "$(cached SPIKENET_MNIST_READOUTS)")
commands=$(with "$command" "$(cached SPIKENET_MNIST_COMMANDS)")

"$root/cmake/install-packages.sh" build examples || echo "Going on with what there is."
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}; fi

cmake -S "$root" -B "$build" -D CMAKE_BUILD_TYPE=Release -D SPIKENET_BUILD_TESTS=OFF -D SPIKENET_BUILD_BENCHMARKS=OFF \
  -D SPIKENET_MNIST_SIZES="$sizes" -D SPIKENET_MNIST_READOUTS="$readouts" -D SPIKENET_MNIST_COMMANDS="$commands"
cmake --build "$build" --target spikenet-mnist --parallel "$(nproc 2>/dev/null || echo 2)"
exec "$build/examples/mnist/spikenet-mnist" "$@"

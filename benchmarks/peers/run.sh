#!/usr/bin/env bash
# Compares spikenet with PyTorch, SpikingJelly and snnTorch on this machine: the same network, weights, batches and
# cores, in turns. Installs them in a virtual environment in the build directory (6 GB: PyPI's PyTorch brings CUDA
# along), builds spikenet's side, checks that all compute the same, measures, prints tables and draws a chart.
#
#   benchmarks/peers/run.sh [--python PYTHON] [--build DIR] [OPTION...]
#
#   --python PYTHON   an interpreter that has PyTorch, instead of the virtual environment: /usr/bin/python3 with
#                     Debian's python3-torch. What it does not have is left out.
#   --build DIR       build directory (default: build/peers)
#   --help            the options of the measurement
#
# benchmarks/README.md says how to read the tables.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/peers
python=
options=()
while [ $# -gt 0 ]; do
  case $1 in
    --python | --build)
      if [ $# -lt 2 ]; then
        echo "$0: $1 needs a value" >&2
        exit 2
      fi
      if [ "$1" = --python ]; then python=$2; else build=$2; fi
      shift 2
      ;;
    *)
      options+=("$1")
      shift
      ;;
  esac
done

export PYTHONDONTWRITEBYTECODE=1
# Options that are wrong, and --help, should not have to wait for an installation.
sizes=$("${python:-python3}" "$here/compare.py" --list-sizes ${options[@]+"${options[@]}"})
case $sizes in usage:*) echo "$sizes"; exit 0 ;; esac

mkdir -p "$build"
"$root/cmake/install-packages.sh" build benchmarks || echo "Going on with what there is."
if [ -z "$python" ]; then
  python=$build/venv/bin/python
  if ! "$python" -c 'import torch, spikingjelly, snntorch' 2>/dev/null; then
    echo "Installing PyTorch, SpikingJelly and snnTorch in $build/venv ..."
    python3 -m venv "$build/venv"
    "$build/venv/bin/pip" install --quiet --disable-pip-version-check torch spikingjelly snntorch
  fi
fi
"$python" -c 'import torch' || {
  echo "$0: $python has no PyTorch; on Debian and Ubuntu, python3-torch brings it for /usr/bin/python3" >&2
  exit 1
}

if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}; fi
cmake -S "$root" -B "$build/cmake" -D CMAKE_BUILD_TYPE=Release -D SPIKENET_BUILD_TESTS=OFF \
  -D SPIKENET_BUILD_EXAMPLES=OFF -D SPIKENET_PEER_SIZES="$sizes" >"$build/cmake.log" || {
  cat "$build/cmake.log"
  exit 1
}
targets=()
IFS=';' read -ra each <<<"$sizes"
for size in "${each[@]}"; do targets+=("spikenet_peer_$size"); done
cmake --build "$build/cmake" --target "${targets[@]}" --parallel "$(nproc 2>/dev/null || echo 2)"

exec "$python" "$here/compare.py" --programs "$build/cmake/benchmarks/peers" --out "$build/results" \
  ${options[@]+"${options[@]}"}

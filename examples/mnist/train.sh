#!/usr/bin/env bash
# Trains the deep spiking residual network on the bundled MNIST: installs what is missing, configures, builds, trains.
# Arguments go to the program: examples/mnist/train.sh --epochs 3 --limit 10000; --help lists them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/mnist

"$root/cmake/install-packages.sh" build examples || echo "Going on with what there is."
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}; fi

cmake -S "$root" -B "$build" -D CMAKE_BUILD_TYPE=Release \
  -D SPIKENET_BUILD_TESTS=OFF -D SPIKENET_BUILD_BENCHMARKS=OFF
cmake --build "$build" --target spikenet-mnist --parallel "$(nproc 2>/dev/null || echo 2)"
exec "$build/examples/mnist/spikenet-mnist" train "$@"

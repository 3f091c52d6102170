#!/usr/bin/env bash
# A network of another framework, exported there, made C++ by spikenet-nir, compiled and run, has the spikes that it had:
#
#   tests/interop/nir_generated.sh PYTHON FRAMEWORK DT SPIKENET-NIR SCRATCH COMPILER...
#
# COMPILER...: compiles tests/nir/generated.cpp when it is told -I with the folder of model.hpp and -o.
set -euo pipefail

python=$1 framework=$2 dt=$3 program=$4 scratch=$5
shift 5
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1

rm -rf "$scratch"
mkdir -p "$scratch"
"$python" -W ignore "$here/nir_frameworks.py" "$framework" "$scratch"
"$program" info "$scratch/$framework.nir"
"$program" to-cpp "$scratch/$framework.nir" "$scratch/model.hpp" --dt "$dt" --timesteps 8
"$@" -I "$scratch" "$here/../nir/generated.cpp" -o "$scratch/generated"
"$scratch/generated" "$scratch/$framework.safetensors"

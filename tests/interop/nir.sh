#!/usr/bin/env bash
# What spikenet exports has the same spikes in other frameworks, as far as they are there:
#
#   tests/interop/nir.sh PYTHON SCRATCH COMPILER...
#
# SCRATCH: a folder, which is emptied. COMPILER...: compiles nir_interop.cpp, when it is told -o, with what it needs.
set -euo pipefail

python=$1 scratch=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1

frameworks=()
for framework in snntorch.import_nir spikingjelly.activation_based.nir_exchange; do  # releases of SpikingJelly before 2 have none
  if "$python" -W ignore -c "import torch, $framework" 2>/dev/null; then
    frameworks+=("${framework%%.*}")
  else
    echo "Without ${framework%%.*}: there is no $framework"
  fi
done
rm -rf "$scratch"
mkdir -p "$scratch"
"$1" "$here/nir_interop.cpp" "${@:2}" -o "$scratch/nir_interop"
"$scratch/nir_interop" "$scratch"
"$python" "$here/nir_run.py" "$scratch" "${frameworks[@]}"

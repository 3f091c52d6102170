#!/usr/bin/env bash
# What spikenet exports has the same spikes in other frameworks, as far as they are there:
#
#   tests/interop/nir.sh PYTHON PROGRAM SCRATCH      PROGRAM: nir_interop; SCRATCH: a folder, which is emptied
set -euo pipefail

python=$1 program=$2 scratch=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1

frameworks=()
for framework in snntorch spikingjelly; do
  if "$python" -c "import torch, $framework" 2>/dev/null; then frameworks+=("$framework"); else echo "Without $framework"; fi
done
rm -rf "$scratch"
"$program" "$scratch"
"$python" "$here/nir_run.py" "$scratch" "${frameworks[@]}"

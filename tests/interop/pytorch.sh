#!/usr/bin/env bash
# Weights, logits, gradients and a training step go both ways between spikenet and PyTorch.
#
#   tests/interop/pytorch.sh PYTHON PROGRAM SCRATCH      PROGRAM: dsrn_interop; SCRATCH: a folder, which is emptied
set -euo pipefail

python=$1 program=$2 scratch=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1

rm -rf "$scratch"
mkdir -p "$scratch/spikenet" "$scratch/pytorch"
"$program" write "$scratch/spikenet"
"$python" "$here/dsrn_interop.py" check "$scratch/spikenet"
"$python" "$here/dsrn_interop.py" write "$scratch/pytorch"
"$program" check "$scratch/pytorch"

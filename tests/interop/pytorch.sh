#!/usr/bin/env bash
# Weights, logits, gradients and a training step go both ways between spikenet and PyTorch.
#
#   tests/interop/pytorch.sh PYTHON PROGRAM SCRATCH      PROGRAM: dsrn_interop; SCRATCH: a folder, which is emptied
#
# Exit status 77, with a line that says why, where there is no Python or no PyTorch for it.
set -euo pipefail

python=$1 program=$2 scratch=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1

if ! command -v "$python" >/dev/null; then
  echo "skipped: there is no $python; -D SPIKENET_PYTHON=... names another"
  exit 77
fi
if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "skipped: $python has no PyTorch (on Debian and Ubuntu: python3-torch); -D SPIKENET_PYTHON=... names another"
  exit 77
fi

rm -rf "$scratch"
mkdir -p "$scratch/spikenet" "$scratch/pytorch"
"$program" write "$scratch/spikenet"
"$python" "$here/dsrn_interop.py" check "$scratch/spikenet"
"$python" "$here/dsrn_interop.py" write "$scratch/pytorch"
"$program" check "$scratch/pytorch"

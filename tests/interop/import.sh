#!/usr/bin/env bash
# Another library's network computes the same as spikenet with its weights, which come back as they were.
#
#   tests/interop/import.sh PYTHON PROGRAM LIBRARY SCRATCH      PROGRAM: dsrn_interop; SCRATCH: a folder, which is emptied
set -euo pipefail

python=$1 program=$2 library=$3 scratch=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1

rm -rf "$scratch"
mkdir -p "$scratch"
"$python" "$here/import_interop.py" write "$library" "$scratch"
"$program" import "$library" "$scratch"
"$python" "$here/import_interop.py" check "$library" "$scratch"

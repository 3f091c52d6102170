#!/usr/bin/env bash
# Runs a command that needs a Python with a package, or says why it cannot, with the exit status by which CTest knows a
# skipped test, 77:
#
#   needs_python.sh PYTHON PACKAGE COMMAND...
set -euo pipefail
python=$1 package=$2
shift 2

advice="configure with -D SPIKENET_PYTHON=<a python that has the package $package> to run this test"
if ! command -v "$python" >/dev/null; then
  echo "Skipped: there is no $python; $advice."
  exit 77
fi
if ! reason=$("$python" -c "import $package" 2>&1); then
  echo "Skipped: $python says \"${reason##*$'\n'}\"; $advice."
  exit 77
fi
exec "$@"

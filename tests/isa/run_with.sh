#!/usr/bin/env bash
# run_with.sh FEATURE... -- PROGRAM...: runs the program where the processor has all features, else says in one line
# which it has not, and exits with status 77.
set -euo pipefail

have=" $(grep -m1 '^flags' /proc/cpuinfo 2>/dev/null || true) "
missing=()
while [ "$1" != -- ]; do
  if [[ $have != *" $1 "* ]]; then missing+=("$1"); fi
  shift
done
shift
if [ ${#missing[@]} -gt 0 ]; then
  echo "skipped: this processor has no ${missing[*]}"
  exit 77
fi
exec "$@"

# What the scripts that test spikenet-mnist share; to be sourced with their arguments, PROGRAM DATA SCRATCH. Goes into
# SCRATCH, emptied.
set -euo pipefail

program=$1 data=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
failures=0

# complain TITLE: the check failed; shows what the program wrote.
complain() {
  echo "FAILED: $1"
  sed 's/^/    /' output errors
  failures=$((failures + 1))
}

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

# big_endian NUMBER...: each as four bytes, as IDX files have them.
big_endian() {
  local number
  for number in "$@"; do
    printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((number >> 24 & 255)) $((number >> 16 & 255)) \
      $((number >> 8 & 255)) $((number & 255)))"
  done
}

#!/usr/bin/env bash
# examples/cortex_m: a Cortex-M, emulated, classifies test images of MNIST exactly as this machine does, and the program
# fits 512 KB of flash and 256 KB of RAM. Status 77 where there is no compiler for it or no emulator.
#
#   tests/inference/cortex_m.sh COMPILER REPOSITORY SCRATCH      COMPILER: of this machine; SCRATCH: is emptied
set -euo pipefail

compiler=$1 root=$2 scratch=$3
for tool in arm-none-eabi-g++ qemu-system-arm; do
  if ! command -v $tool >/dev/null; then
    echo "Skipped: there is no $tool."
    exit 77
  fi
done
rm -rf "$scratch"
mkdir -p "$scratch"
example=$root/examples/cortex_m

"$example/run.sh" m3 "$scratch" >"$scratch/m3"
grep -v '^class' "$scratch/m3"

CXX=$compiler "$example/run.sh" host "$scratch" >"$scratch/host"
grep '^program' "$scratch/host"

# number PATTERN: the number behind it in what the board had to say.
number() { sed -nE "s/^$1 ([0-9]+).*/\1/p" "$scratch/m3"; }
failures=0
fail() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}
diff <(grep -E '^(class|right)' "$scratch/m3") <(grep -E '^(class|right)' "$scratch/host") ||
  fail "board (<) and host (>) differ"
[ "$(grep -c '^class' "$scratch/m3")" -eq 100 ] || fail "not 100 images"
[ "$(number right)" -ge 95 ] || fail "fewer than 95 of 100 are right"
[ "$(number flash)" -le $((512 * 1024)) ] || fail "more than 512 KB of flash"
[ $(($(number ram) + $(number stack))) -le $((256 * 1024)) ] || fail "more than 256 KB of RAM"
[ "$(number stack)" -gt 0 ] && [ "$(number instructions)" -gt 0 ] || fail "stack or instructions were not counted"
[ $failures -eq 0 ]

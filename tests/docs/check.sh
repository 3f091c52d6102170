#!/usr/bin/env bash
# Compiles the blocks of C++ in pages, and runs those that are programs; blocks.awk says how a block is read. Of a shell
# command, the files of the repository that it names must be there.
#
#   check.sh SCRATCH ROOT CONTEXT PAGE... -- COMPILER ARGUMENT... [-- LIBRARY...]
#
# SCRATCH is made anew; the pages are relative to ROOT. Declarations may use CONTEXT, a header, without including it,
# and include what is beside it. LIBRARY: what programs are linked with.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$1 root=$2 context=$3
shift 3
pages=() compile=() libraries=()
while [ "$1" != -- ]; do pages+=("$1") && shift; done
shift
while [ $# -gt 0 ] && [ "$1" != -- ]; do compile+=("$1") && shift; done
if [ $# -gt 0 ]; then libraries=("${@:2}"); fi

rm -rf "$scratch"
mkdir -p "$scratch"
cd "$root"
awk -v OUT="$scratch" -f "$here/blocks.awk" "${pages[@]}"

status=0
complain() { echo "$1" >&2 && status=1; }

"${compile[@]}" -fsyntax-only -I "$(dirname "$context")" -include "$context" "$scratch/declarations.cpp" ||
  complain "Blocks do not compile: see the lines of pages above."

for folder in "$scratch"/programs/*/; do
  if [ ! -d "$folder" ]; then continue; fi
  name=$(basename "$folder")
  if ! "${compile[@]}" -O0 "$folder"/*.cpp -o "$folder/program" "${libraries[@]}"; then
    complain "The program of $name does not compile."
  elif ! (cd "$folder" && ./program); then
    complain "The program of $name fails."
  fi
done

for source in "$scratch"/fails/*.cpp; do
  if [ ! -e "$source" ]; then continue; fi
  name=$(basename "$source" .cpp)
  if message=$("${compile[@]}" -fsyntax-only "$source" 2>&1); then
    complain "$name: the block compiles, although it must not."
  elif ! grep -qE -f "${source%.cpp}.regex" <<<"$message"; then
    complain "$name: the compiler's message does not match $(cat "${source%.cpp}.regex"): $message"
  fi
done

while read -r place command; do
  for word in $command; do
    case $word in
      cmake/* | examples/* | tests/* | benchmarks/*)
        if [ ! -e "$word" ]; then complain "$place: there is no $word."; fi
        ;;
    esac
  done
done <"$scratch/commands"
exit "$status"

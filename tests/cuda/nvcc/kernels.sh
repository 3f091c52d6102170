#!/usr/bin/env bash
# Compiles every kernel of the CUDA backend with warnings as errors and reads what the compiler says of each: registers of
# a thread, shared memory of a block, and what does not fit into registers. That last one ("spills") is an error.
#
#   tests/cuda/nvcc/kernels.sh NVCC ARCHITECTURES [-t] NVCC-OPTION...
#
#   ARCHITECTURES  such as "75 80 90";   -t: docs/cuda-kernels.md on standard output
set -euo pipefail

nvcc=$1 architectures=$2
shift 2
table=no
if [ "${1-}" = -t ]; then
  table=yes
  shift
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
code=()
for architecture in $architectures; do
  code+=(-gencode "arch=compute_$architecture,code=sm_$architecture")
done

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
if ! "$nvcc" -std=c++20 -O3 --extended-lambda "${code[@]}" -Xptxas -v -Werror all-warnings -Xcompiler -Wall,-Wextra \
  "$@" -c "$here/kernels.cu" -o "$out/kernels.o" >"$out/log" 2>&1; then
  grep -v '^ptxas info' "$out/log" >&2
  exit 1
fi

# One line for each kernel and architecture: name, architecture, registers, bytes of shared memory, bytes spilled.
c++filt <"$out/log" | awk '
  /Compiling entry function/ {
    name = $0; sub(/.*entry function .?/, "", name); sub(/.? for .?sm_[0-9]+.?$/, "", name)
    architecture = $0; sub(/.*sm_/, "", architecture); sub(/[^0-9].*/, "", architecture)
  }
  /bytes spill stores/ {
    spilled = $0; sub(/.*stack frame, /, "", spilled)
    split(spilled, words, " "); stores = words[1]; loads = words[5]
  }
  /Used [0-9]+ registers/ {
    registers = $0; sub(/.*Used /, "", registers); sub(/ .*/, "", registers)
    shared = 0
    if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH) + 0
    gsub(/spikenet::(detail::)?(cuda_kernels::)?/, "", name); gsub(/\(anonymous namespace\)::/, "", name)
    gsub(/lif_dynamics<[^>]*>/, "D", name)
    gsub(/[0-9]+ul?/, "&", name); name = gensub_ul(name)
    sub(/^void /, "", name); sub(/\(.*$/, "", name)
    print name "\t" architecture "\t" registers "\t" shared "\t" stores + loads
  }
  function gensub_ul(text) { while (match(text, /[0-9]ul/)) text = substr(text, 1, RSTART) substr(text, RSTART + 3); return text }
' | LC_ALL=C sort >"$out/kernels"

if [ ! -s "$out/kernels" ]; then
  echo "kernels.sh: the compiler names no kernel" >&2
  exit 1
fi
if [ $table = yes ]; then
  echo "| kernel |$(for a in $architectures; do printf ' sm_%s |' "$a"; done) shared memory |"
  echo "|---|$(for a in $architectures; do printf '%s' '---|'; done)---|"
  awk -F'\t' -v architectures="$architectures" '
    { if (!($1 in seen)) { seen[$1] = 1; order[++count] = $1 } registers[$1, $2] = $3; shared[$1] = $4 }
    END {
      n = split(architectures, list, " ")
      for (i = 1; i <= count; ++i) {
        line = "| `" order[i] "` |"
        for (j = 1; j <= n; ++j) line = line " " registers[order[i], list[j]] " |"
        print line " " shared[order[i]] " |"
      }
    }' "$out/kernels"
else
  awk -F'\t' '{ most = $3 > most ? $3 : most } END { print NR " kernels, of at most " most " registers" }' "$out/kernels"
fi
if awk -F'\t' '$5 > 0 { print $1 " for sm_" $2 " spills " $5 " bytes"; found = 1 } END { exit !found }' "$out/kernels" >&2; then
  exit 1
fi

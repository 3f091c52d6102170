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
  grep -v -e '^ptxas info' -e 'bytes stack frame' "$out/log" >&2
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
    while (match(name, /[0-9]ul/)) name = substr(name, 1, RSTART) substr(name, RSTART + 3)
    sub(/^void /, "", name); sub(/\(.*$/, "", name)
    print name "\t" architecture "\t" registers "\t" shared "\t" stores + loads
  }
' | LC_ALL=C sort >"$out/kernels"

if [ ! -s "$out/kernels" ]; then
  echo "kernels.sh: the compiler names no kernel" >&2
  exit 1
fi
if [ $table = yes ]; then
  cat <<END
# What the compiler makes of the CUDA backend's kernels

Made by \`tests/cuda/nvcc/kernels.sh\` with option -t, from what nvcc $("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p') says: every kernel for
the shapes of \`spikenet::dsrn<spikenet::cuda<float>, 128, 2>\`, in float and in mixed precision, optimised; registers of a thread, on
each architecture. \`D\` is the neurons' dynamics; the last type is what lies between layers. No kernel spills registers or has shared
memory of a fixed size; reductions are launched with what
\`backend/cuda/kernels/reduction.hpp\` says, up to 24 KiB a block. Blocks have 256 threads: up to 64 registers a thread, a multiprocessor of
the T4 is full, on the A100 and H100 up to 32, and with 40 registers it holds 6 blocks of 8. \`ctest -L nvcc\` compiles them anew,
warnings as errors, and fails where one spills.

END
  echo "| kernel |$(for a in $architectures; do printf ' sm_%s |' "$a"; done)"
  echo "|---|$(for a in $architectures; do printf '%s' '---|'; done)"
  awk -F'\t' -v architectures="$architectures" '
    { if (!($1 in seen)) { seen[$1] = 1; order[++count] = $1 } registers[$1, $2] = $3 }
    END {
      n = split(architectures, list, " ")
      for (i = 1; i <= count; ++i) {
        line = "| `" order[i] "` |"
        for (j = 1; j <= n; ++j) line = line " " registers[order[i], list[j]] " |"
        print line
      }
    }' "$out/kernels"
else
  awk -F'\t' '{ most = $3 > most ? $3 : most } END { print NR " kernels, of at most " most " registers" }' "$out/kernels"
fi
if awk -F'\t' '$4 > 0 { print $1 " for sm_" $2 " has " $4 " bytes of shared memory of a fixed size"; found = 1 }
  $5 > 0 { print $1 " for sm_" $2 " spills " $5 " bytes"; found = 1 } END { exit !found }' "$out/kernels" >&2; then
  exit 1
fi

#!/usr/bin/env bash
# registered.sh OBJECT...: whether each kernel that these objects would start is one that nvcc has compiled. It sees a
# template twice, with two compilers, and where they do not agree on what a requires-expression says, the one for the host
# starts a kernel that the other has not made: an "invalid resource handle", and only on a GPU. The objects are not
# optimised, so that all functions are in them.
set -euo pipefail

wrong=0
for object in "$@"; do
  # On the host a function stands for each kernel that may be started, and one of nvcc's, a __device_stub__, for each that it
  # has compiled.
  counts=$(nm "$object" | awk '
    $2 != "t" { next }
    $3 ~ /^_ZN8spikenet.*L[0-9]+(for_each_kernel|reduce_chunks|merge_chunks|copy_filters)I/ &&
        $3 !~ /device_stub/ { ++started }
    $3 ~ /^_ZL[0-9]+__device_stub__ZN8spikenet/ { ++compiled }
    END { print started + 0, compiled + 0 }')
  read -r started compiled <<<"$counts"
  echo "$(basename "$object"): starts $started kernels, has $compiled"
  if [ "$started" = 0 ] || [ "$started" != "$compiled" ]; then wrong=1; fi
done
if [ $wrong = 1 ]; then
  echo "an object starts kernels that nvcc has not compiled, or none at all" >&2
fi
exit $wrong

#!/usr/bin/env bash
# spikenet-nir: a trained network as a .nir file and as C++, and what it says of bad input.
#
#   tests/example/nir.sh PROGRAM DATA SCRATCH SPIKENET-NIR     DATA: MNIST's four files; SCRATCH: a folder, which is emptied
nir=$4
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "${@:1:3}"

# runs PROGRAM ARGUMENT...: succeeds.
runs() { "$@" >output 2>errors || complain "exit status $?: $*"; }
# says TEXT: the output has it.
says() { grep -qF -- "$1" output || complain "does not say: $1"; }
# refuses STATUS TEXT ARGUMENT...: spikenet-nir fails so, with one line that says so.
refuses() {
  local status=0 expected=$1 text=$2
  shift 2
  "$nir" "$@" >output 2>errors || status=$?
  [[ $status == "$expected" ]] || complain "exit status $status, not $expected: $*"
  [[ $(wc -l <errors) == 1 ]] && grep -qF -- "$text" errors || complain "not one line that says \"$text\": $*"
}

small_data data
runs "$program" train --data data --epochs 1 --validation 50 --threads 1 --out trained
runs "$nir" export --checkpoint trained/model.safetensors model.nir
says "pixels from 0 to 1"
runs "$nir" info model.nir
says "model.nir: 43 nodes, 50 edges"
grep -qE '^layer2.0.spike2 +LIF +\[32, 14, 14\] .*sum of layer2.0.conv2 \+ layer2.0.downsample.0$' output ||
  complain "the sum of a residual block"
runs "$nir" to-cpp model.nir model.hpp --same_input --timesteps 2 --namespace digits
for text in "namespace digits {" "spikenet::image<1, 28, 28>" ".threshold = 0.5, .decay = 0.25" 'named<"fc2", spikenet::linear<10>>'; do
  grep -qF -- "$text" model.hpp || complain "the header does not say: $text"
done

head -c 1000 model.nir >part.nir
refuses 1 "part.nir: is not an HDF5 file, or is truncated; HDF5 says" info part.nir
refuses 1 "the timestep dt of 0.1 s" to-cpp model.nir x.hpp --dt 0.1
refuses 1 "no name for a namespace" to-cpp model.nir x.hpp --namespace "a b"
refuses 2 "--dt" to-cpp model.nir x.hpp --dt nan
refuses 2 "missing.nir" info missing.nir
refuses 2 "A command" --
refuses 1 "cannot be created" to-cpp model.nir no/such/folder/x.hpp
[[ ! -e x.hpp ]] || complain "a refused header is written"

echo "$failures failures"
[ "$failures" -eq 0 ]

#!/usr/bin/env bash
# spikenet-mnist import, and train --init: another library's weights are tested and trained further as one's own, and
# what cannot be a network of this program is refused.
#
#   tests/example/import.sh PROGRAM DATA SCRATCH      DATA: MNIST's four files; SCRATCH: a folder, which is emptied
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "$@"

# runs ARGUMENT...: the program succeeds.
runs() { "$program" "$@" >output 2>errors || complain "exit status $?: $*"; }

# refuses STATUS PATTERN ARGUMENT...: the program exits with STATUS and one line that matches.
refuses() {
  local status=$1 pattern=$2 actual=0
  shift 2
  "$program" "$@" >output 2>errors || actual=$?
  if [ "$actual" -ne "$status" ]; then complain "exit status $actual, not $status: $*"; fi
  if [ "$(wc -l <errors)" -ne 1 ] || ! grep -Eq -- "$pattern" errors; then
    complain "not one line that matches '$pattern': $*"
  fi
}
says() { grep -Eq -- "$1" output || complain "no line matches '$1'"; }

# header FILE: of a safetensors file, whose first 8 bytes are the header's length.
header() { head -c $(($(od -An -t u8 -N 8 "$1") + 8)) "$1" | tail -c +9; }
# of KEY FILE: an entry of the metadata.
of() { header "$2" | sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/"; }

# As STBP-simple calls them: only the shortcuts have other names, since a file may have either name of the others.
stbp_simple() {
  local length text
  text=$(header "$1" | sed -E 's/"__metadata__":\{[^}]*\},//; s/downsample\.0/downsample.layer/g; s/downsample\.1/downsample.bn/g')
  text=$(printf '%-*s' $((${#text} + (8 - ${#text} % 8) % 8)) "$text")
  length=${#text}
  printf "$(printf '\\x%02x' $((length & 255)) $((length >> 8 & 255)) $((length >> 16 & 255)))\0\0\0\0\0%s" "$text"
  tail -c +$(($(od -An -t u8 -N 8 "$1") + 9)) "$1"
}

small_data small
runs train --data small --train_batch_size 16 --epochs 1 --threads 1 --no_tensorboard --out own
model=own/model.safetensors
tested=$(grep -Eo '^test accuracy [0-9.]+ %' output)
stbp_simple $model >theirs.safetensors
normalisation=(--pixel_mean "$(of pixel_mean $model)" --pixel_stddev "$(of pixel_stddev $model)")

# The network is the one that it was.
runs import theirs.safetensors --v_th 0.5 --tau 0.25 "${normalisation[@]}" --out runs/imported
says '^network     width 16, 2 timesteps'
imported=runs/imported/model.safetensors
for key in width timesteps readout v_th tau surrogate_half_width pixel_mean pixel_stddev; do
  [ "$(of $key $imported)" = "$(of $key $model)" ] || complain "another $key"
done
runs test --data small --checkpoint $model
expected=$(grep -Eo '^test accuracy [0-9.]+ %, test loss [0-9.]+' output)
[[ $expected == "$tested"* ]] || complain "the accuracy is not that of training, $tested"
runs test --data small --checkpoint $imported
[ "$(grep -Eo '^test accuracy [0-9.]+ %, test loss [0-9.]+' output)" = "$expected" ] || complain "not $expected"

# Training goes on from it: from these weights, which so low a rate does not change; and with this normalisation.
runs train --init $imported --data small --train_batch_size 16 --epochs 1 --threads 1 --schedule constant --lr 1e-30 \
  --no_tensorboard --out runs/further
says "^begun with  $imported"
[[ $(grep '^test accuracy' output) == "$tested"* ]] || complain "not $tested"
[ "$(of pixel_mean runs/further/model.safetensors)" = "$(of pixel_mean $model)" ] || complain 'another normalisation'
runs train --resume runs/further --epochs 2 --threads 1 --no_tensorboard
says '^resumed     after epoch 1/2'

# SpikingJelly's neurons, whose input decays, in the words of this program.
runs import --from spikingjelly $model --v_th 1 --tau 2 --out runs/spikingjelly
says '^neurons     threshold \(v_th\) 2, decay \(tau\) 0.5'
[ "$(of tau runs/spikingjelly/model.safetensors)" = 0.5 ] || complain 'another decay'
runs test --data small --checkpoint runs/spikingjelly/model.safetensors
runs import --from spikingjelly $model --v_th 1 --tau 2 --no_decay_input --out runs/no_decay_input
says '^neurons     threshold \(v_th\) 1, decay \(tau\) 0.5'

neurons=(--v_th 0.5 --tau 0.25)
refuses 1 "$model: Its names do not tell whose it is; say --from" import $model "${neurons[@]}" --out new
LC_ALL=C sed 's/"conv1.weight"/"conv9.weight"/; s/"fc1.bias"/"fc9.bias"/' theirs.safetensors >renamed.safetensors
refuses 1 'renamed.+: tensor "conv1.weight" is missing; .*"fc1.bias" is missing; .*"conv9.weight" of .*; .*"fc9.bias" of ' \
  import renamed.safetensors "${neurons[@]}" --out new
refuses 1 'theirs.safetensors: tensor "layer2.0.downsample.0.weight" is missing; .*bn.bias" .* has no place .* with [0-9]+ more' \
  import theirs.safetensors --from spikingjelly --v_th 1 --tau 2 --out new
refuses 1 'tau must be at least 1' import $model --from spikingjelly --v_th 1 --tau 0.25 --out new
refuses 1 'the decay must lie in \[0, 1\]' import theirs.safetensors --v_th 1 --tau 2 --out new
refuses 1 'is not overwritten' import theirs.safetensors "${neurons[@]}" --out runs/imported
refuses 2 'v_th.* is required' import theirs.safetensors --tau 0.25 --out new
refuses 2 'width excludes --init' train --init $model --width 16 --out new
refuses 1 'theirs.safetensors: There is no "width" in its metadata' train --init theirs.safetensors --data small --out new
[ ! -e new ] || complain 'what was refused left a directory'

echo "$failures failures"
[ "$failures" -eq 0 ]

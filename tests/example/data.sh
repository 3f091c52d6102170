#!/usr/bin/env bash
# Which images spikenet-mnist's commands read: those that a network was trained on, unless the command line says
# otherwise, from wherever they are started; and where these are unknown or gone, none.
#
#   tests/example/data.sh PROGRAM DATA SCRATCH      DATA: MNIST's four files; SCRATCH: a folder, which is emptied
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "$@"

# runs ARGUMENT...: the program succeeds.
runs() { "$program" "$@" >output 2>errors || complain "exit status $?: $*"; }
# reads DIRECTORY ARGUMENT...: the program succeeds, and says that it reads the images there.
reads() {
  local directory=$1
  shift
  runs "$@"
  grep -Eq "^data +$directory: " output || complain "does not read $directory: $*"
}
# refuses PATTERN ARGUMENT...: the program fails with one line that matches.
refuses() {
  local pattern=$1 actual=0
  shift
  "$program" "$@" >output 2>errors || actual=$?
  [ "$actual" -eq 1 ] || complain "exit status $actual, not 1: $*"
  [ "$(wc -l <errors)" -eq 1 ] && grep -Eq -- "$pattern" errors || complain "not one line that matches '$pattern': $*"
}

small_data small
small=$PWD/small
runs train --data small --epochs 1 --threads 1 --no_tensorboard --out own
tested=$(grep -Eo '^test accuracy [0-9.]+ %' output)
model=$PWD/own/model.safetensors

mkdir elsewhere
cd elsewhere
reads "$small" test --checkpoint "$model"
grep -Eq "^$tested" output || complain "not $tested"
reads "$small" firing-rates --checkpoint "$model" --out rates
reads "$small" infer --checkpoint "$model" --repeat 1
reads "$small" train --init "$model" --epochs 1 --no_tensorboard --out further
reads "$small" train --resume ../own --no_tensorboard
runs profile --checkpoint "$model" --batch_size 16 --repeat 2
reads ../small-other test --checkpoint "$model" --data ../small-other
cd ..

# The bundled images are found wherever the program is built.
runs train --limit 100 --epochs 1 --threads 1 --no_tensorboard --out bundled
grep -aq '"data":"MNIST"' bundled/model.safetensors || complain "the bundled images are remembered by their path"
reads "$data" infer --checkpoint bundled/model.safetensors --images 10 --repeat 1

# An import says whose images it is for.
runs import --from spikingjelly own/model.safetensors --v_th 1 --tau 2 --data small --out imported
reads "$small" test --checkpoint imported/model.safetensors

mv small moved
LC_ALL=C sed 's/"data":/"dada":/' own/model.safetensors >unknown
for command in test firing-rates infer profile "train --out new"; do
  option=--checkpoint
  [[ $command != train* ]] || option=--init
  refuses "own/model.safetensors: .*trained on the images in $small,.*--data" $command $option own/model.safetensors
  refuses 'unknown: .*does not say which images.*--data' $command $option unknown
done
reads moved test --checkpoint own/model.safetensors --data moved

echo "$failures failures"
[ "$failures" -eq 0 ]

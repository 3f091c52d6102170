#!/usr/bin/env bash
# spikenet-mnist train --resume: a training that stops, between epochs or by a signal in the middle of one, and goes on
# leaves the same files, byte for byte, as one that does not stop, or that is not logged. And what contradicts the training is refused.
#
#   tests/example/resume.sh PROGRAM DATA SCRATCH      DATA: MNIST's four files; SCRATCH: a folder, which is emptied
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "$@"

# runs ARGUMENT...: training, which succeeds.
runs() { "$program" train --threads 1 "$@" >output 2>errors || complain "exit status $?: $*"; }

# refuses STATUS PATTERN ARGUMENT...: training exits with STATUS and one line that matches.
refuses() {
  local status=$1 pattern=$2 actual=0
  shift 2
  "$program" train --threads 1 "$@" >output 2>errors || actual=$?
  if [ "$actual" -ne "$status" ]; then complain "exit status $actual, not $status: $*"; fi
  if [ "$(wc -l <errors)" -ne 1 ] || ! grep -Eq -- "$pattern" errors; then
    complain "not one line that matches '$pattern': $*"
  fi
}

# says PATTERN: a line of the last output matches.
says() { grep -Eq -- "$1" output || complain "no line matches '$1'"; }

# same RUN RUN: the files of two runs are the same, but for the event files, which have times in them.
same() { diff -r -x 'events.out.tfevents.*' "$1" "$2" >>errors || complain "$1 and $2 differ"; }
differ() { if cmp -s "$1/model.safetensors" "$2/model.safetensors"; then complain "$1 and $2 are the same"; fi; }

# interrupted SIGNAL STATUS ARGUMENT...: training gets the signal after its first step, and exits with STATUS in the
# middle of an epoch. Not every attempt meets one, so RUN, the last argument, is made anew from RUN.before, if there is
# one.
interrupted() {
  local signal=$1 status=$2 run=${!#} attempt actual pid
  shift 2
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$run"
    if [ -d "$run.before" ]; then cp -r "$run.before" "$run"; fi
    # A shell's background jobs ignore SIGINT.
    env --default-signal=INT "$program" train --threads 1 --log_interval 1 "$@" >output 2>errors &
    pid=$!
    until grep -q images/s output || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
    kill -s "$signal" "$pid" 2>/dev/null || true
    actual=0
    wait "$pid" || actual=$?
    if [ "$actual" -eq "$status" ] && grep -Eq "^stopped by SIG$signal after epoch [1-4]/4, batch [0-9]+ of 34" output
    then
      says "to go on: spikenet-mnist train --resume $run\$"
      return
    fi
  done
  complain "SIG$signal stopped no training in the middle of an epoch: exit status $actual: $*"
}

small_data small

# Two epochs and two more. A run that is complete trains no more, and is tested.
common=(--data small --train_batch_size 16 --schedule step --lr 0.001)
runs "${common[@]}" --epochs 4 --out whole
says '^test accuracy'
runs "${common[@]}" --epochs 2 --out parts
runs --resume parts --epochs 4
says 'resumed +after epoch 2/4'
same whole parts
runs --resume parts --lr 0.001
says '^test accuracy'
same whole parts
runs "${common[@]}" --epochs 4 --no_tensorboard --out unwatched
same whole unwatched

# By a signal in the middle of an epoch, and by another; with all that a training can have.
full=(--data small --train_batch_size 8 --epochs 4 --schedule one_cycle --optimizer sgd --lr 0.05 --momentum 0.8
  --weight_decay 1e-4 --clip_norm 0.5 --patience 20 --crop_padding 2 --flip 0.1 --seed 5 --readout mean_spikes)
runs "${full[@]}" --out uninterrupted
interrupted INT 130 "${full[@]}" --out stopped
mv stopped stopped.before
interrupted TERM 143 --resume stopped
runs --resume stopped
same uninterrupted stopped
rm -rf stopped.before

# A second signal does not wait for the end of the step, here of one that takes long.
died=no
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf killed
  env --default-signal=INT "$program" train --threads 1 --data small --log_interval 1 --train_batch_size 90 \
    --out killed >output 2>errors &
  pid=$!
  until grep -q images/s output || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
  kill -s INT "$pid" 2>/dev/null || true
  sleep 0.01
  kill -s TERM "$pid" 2>/dev/null || true
  actual=0
  wait "$pid" || actual=$?
  if [ "$actual" -eq 143 ]; then
    died=yes
    break
  fi
done
if [ $died = no ]; then complain "no second signal has killed the program: exit status $actual"; fi

# Clipping: a norm that no gradient reaches changes nothing, a small one does.
short=(--data small --limit 100 --epochs 1 --schedule constant --optimizer sgd --lr 0.1)
runs "${short[@]}" --out free
runs "${short[@]}" --out loose --clip_norm 1000000
runs "${short[@]}" --out tight --clip_norm 0.01
says 'gradients +scaled down to a norm of 0.01'
cmp -s free/model.safetensors loose/model.safetensors || complain "a clip_norm of 1000000 changes the training"
differ free tight

# Patience: too high a rate soon makes an epoch worse. It is not taken up again.
runs --data small --limit 100 --epochs 50 --schedule constant --lr 0.1 --patience 1 --out impatient
says '^stopped early: 1 epochs'
cp -r impatient resumed
runs --resume resumed
says '^stopped early: 1 epochs'
same impatient resumed

# What contradicts the training
cp -r parts kept
refuses 1 '--lr: .* 0.001 .* 0.002' --resume parts --lr 0.002
refuses 1 '--width: .* 16 .* 32' --resume parts --width 32
refuses 1 '--optimizer: .* adam .* sgd' --resume parts --optimizer sgd
refuses 1 '--limit: .* not given .* 100' --resume parts --limit 100
refuses 1 '--seed: .* 1 .* 2' --resume parts --seed 2
refuses 1 '--epochs: .* 4 .* 3' --resume parts --epochs 3
refuses 1 '--epochs: .* 4 .* 5.* one_cycle' --resume stopped --epochs 5
refuses 1 'small-other: .*images' --resume parts --data small-other
refuses 2 '--resume.*--out|--out.*--resume' --resume parts --out another
refuses 2 '--resume.*--run_name|--run_name.*--resume' --resume parts --run_name another
refuses 2 '--resume: .*nowhere' --resume nowhere
refuses 1 'small/last/training.safetensors: ' --resume small
refuses 1 'parts/model.safetensors: .*--resume' --data small --out parts
same parts kept

# Checkpoints that are damaged, or two that are mixed up
cp -r parts mixed
cp stopped/last/model.safetensors mixed/last/
refuses 1 'mixed/last/model.safetensors: does not belong' --resume mixed
cp -r parts damaged
cp parts/last/training.safetensors damaged/last/
LC_ALL=C sed -i 's/"lr":"0.001"/"lr":"a.001"/' damaged/last/training.safetensors
refuses 1 'damaged/last/training.safetensors: .*"lr"' --resume damaged
cp parts/last/training.safetensors damaged/last/
LC_ALL=C sed -i 's/"adam.first.fc2.bias"/"adam.third.fc2.bias"/' damaged/last/training.safetensors
refuses 1 'training.safetensors: tensor "adam.first.fc2.bias" is missing' --resume damaged

echo "$failures failures"
[ "$failures" -eq 0 ]

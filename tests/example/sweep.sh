#!/usr/bin/env bash
# spikenet-mnist sweep: a table with a row for each training, a picture, a run of each. A sweep that is stopped, or has
# more values to try, goes on where it was. A training that breaks down is a row.
#
#   tests/example/sweep.sh PROGRAM DATA SCRATCH      DATA: MNIST's four files; SCRATCH: a folder, which is emptied
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "$@"

common=(--threads 1 --data small --train_batch_size 16 --recalibrate 0)

# sweeps ARGUMENT...: succeeds.
sweeps() { "$program" sweep "${common[@]}" "$@" >output 2>errors || complain "exit status $?: $*"; }
says() { grep -Eq -- "$1" output || complain "no line matches '$1'"; }
# has LINES FILE
has() { [ "$(wc -l <"$2")" -eq "$1" ] || complain "$2 has not $1 lines"; }

small_data small

# Two by two
sweeps --epochs 1 --limit 100 --v_th 0.3,0.6 --a 0.5,1 --out grid
says 'training 4/4: v_th 0.6, a 1, tau 0.25$'
says '^best +validation accuracy [0-9.]+ %'
has 5 grid/sweep.csv
grep -q '^v_th,a,tau,validation_accuracy,' grid/sweep.csv || complain 'the table has not the right head'
for v_th in 0.3 0.6; do
  for a in 0.5 1; do
    run=v_th-${v_th}_a-${a}_tau-0.25
    grep -Eq "^$v_th,$a,0.25,[01](\.[0-9]+)?,[0-9.]+,1,[0-9.e-]+,,$run," grid/sweep.csv || complain "no row of $run"
    [ "$(find "grid/$run" -name 'events.out.tfevents.*' | wc -l)" -eq 1 ] || complain "not one event file in $run"
    "$program" test --data small --checkpoint "grid/$run/model.safetensors" >output 2>errors ||
      complain "the network of $run cannot be tested"
  done
done
head -c 4 grid/accuracy.png | grep -q PNG || complain 'accuracy.png is not a PNG file'
[ "$(wc -c <grid/accuracy.svg)" -gt 5000 ] || complain 'accuracy.svg is no picture'

# The same again does nothing; another value does what is new; another option is another sweep.
cp grid/sweep.csv before.csv
sweeps --epochs 1 --limit 100 --v_th 0.3,0.6 --a 0.5,1 --out grid
[ "$(grep -c 'done before' output)" -eq 4 ] || complain 'what is done is done again'
cmp -s grid/sweep.csv before.csv || complain 'the table changed'
sweeps --epochs 1 --limit 100 --v_th 0.3 --a 1,2 --tau 0.25,0.5 --out grid
[ "$(grep -c 'done before' output)" -eq 1 ] || complain 'not one training is known'
has 8 grid/sweep.csv
for tau in 0.25 0.5; do [ -s grid/accuracy-tau-$tau.svg ] || complain "no picture for tau $tau"; done
status=0
"$program" sweep "${common[@]}" --epochs 1 --limit 90 --out grid >output 2>errors || status=$?
if [ $status -ne 1 ] || ! grep -q 'grid/sweep.csv: Line 2 .*--limit: "100" there, "90" now.*--out' errors; then
  complain 'rows of another limit are taken'
fi

# A row that was cut short is done again.
head -c -20 before.csv >grid/sweep.csv
sweeps --epochs 1 --limit 100 --v_th 0.3,0.6 --a 0.5,1 --out grid
[ "$(grep -c 'done before' output)" -eq 3 ] || complain 'a row that was cut short counts'
has 5 grid/sweep.csv
cut -d, -f 1-6 grid/sweep.csv >actual.csv && cut -d, -f 1-6 before.csv >expected.csv
cmp -s actual.csv expected.csv || complain 'the row that was cut short is another'

# Trainings that break down
sweeps --epochs 1 --limit 100 --v_th 0.5 --a 0.5 --lr 1e38 --out broken
says '^broke down  1 of 1'
grep -Eq '^0.5,0.5,0.25,,,0,[0-9.e-]+,"Training broke down in epoch 1, batch' broken/sweep.csv ||
  complain 'no row of a training that broke down'
[ -s broken/accuracy.png ] || complain 'no picture of nothing'

# Ctrl-C, and on
sweeps --v_th 0.3,0.6 --a 0.5 --epochs 2 --out whole
stopped=no
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf parts
  env --default-signal=INT "$program" sweep "${common[@]}" --v_th 0.3,0.6 --a 0.5 --epochs 2 --log_interval 1 \
    --out parts >output 2>errors &
  pid=$!
  until grep -q 'training 2/2' output || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
  kill -s INT $pid 2>/dev/null || true
  status=0
  wait $pid || status=$?
  if [ $status -eq 130 ]; then
    stopped=yes
    break
  fi
done
if [ $stopped = no ]; then complain "SIGINT stopped no sweep: exit status $status"; fi
says 'to go on: .*--out parts'
has 2 parts/sweep.csv
sweeps --v_th 0.3,0.6 --a 0.5 --epochs 2 --out parts
[ "$(grep -c 'done before' output)" -eq 1 ] || complain 'the first of the two is done again'
cut -d, -f 1-6 parts/sweep.csv >actual.csv && cut -d, -f 1-6 whole/sweep.csv >expected.csv
cmp -s actual.csv expected.csv || complain 'a sweep that was stopped ends in other numbers'
for run in v_th-0.3_a-0.5_tau-0.25 v_th-0.6_a-0.5_tau-0.25; do
  cmp -s "whole/$run/model.safetensors" "parts/$run/model.safetensors" || complain "$run has another network"
done

echo "$failures failures"
[ "$failures" -eq 0 ]

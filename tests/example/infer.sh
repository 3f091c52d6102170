#!/usr/bin/env bash
# spikenet-mnist infer: in every kind of numbers its predictions are those of the network that training has left, stopping
# early costs nothing where it never happens, and its chart is there.
#
#   tests/example/infer.sh PROGRAM DATA SCRATCH      DATA: MNIST's four files; SCRATCH: a folder, which is emptied
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "$@"

small_data small
bytes=()
# runs ARGUMENT...: the program succeeds.
runs() { "$program" "$@" >output 2>errors || complain "exit status $?: $*"; }
# field PATTERN: what an expression with one group finds in the output.
field() { sed -nE "s/$1/\\1/p" output; }

runs train --data small --epochs 3 --train_batch_size 16 --threads 1 --out trained
trained=$(field '^test accuracy ([0-9.]+ %).*')
infer=(infer --data small --checkpoint trained/model.safetensors --repeat 1)

for number in float double int8; do
  runs "${infer[@]}" --number $number --early_exit 1e9
  accuracy=$(field '^accuracy +([0-9.]+ %), of the network.*')
  [[ $(field '^accuracy .* of the network ([0-9.]+ %);.*') == "$trained" ]] || complain "$number: not the network's accuracy"
  equal=$(field '^accuracy .*; ([0-9]+) of 50 predictions are the network.s')
  # A network that has learned so little often wavers between two answers.
  [[ $equal -ge $([[ $number == int8 ]] && echo 30 || echo 50) ]] || complain "$number: other predictions"
  grep -Eq '^speed +[1-9][0-9]* images/s in batches of 200; .* [0-9.]+ ms$' output || complain "$number: no speed"
  grep -Eq '^neurons +fire at [0-9.]+ % of' output || complain "$number: no firing rate"
  [[ $(field '^early exit  .*accuracy ([0-9.]+ %) after 2.000 of 2 .*') == "$accuracy" ]] ||
    complain "$number: another accuracy where none stops early"
  bytes[${#bytes[@]}]=$(field '^inference .*: ([0-9]+) bytes of parameters.*')
done
# Of float, double, int8: weights are nearly all there is.
((bytes[1] > 19 * bytes[0] / 10 && 3 * bytes[2] < bytes[0])) || complain "parameters of ${bytes[*]} bytes"

# The same integers, whatever is computed together and by how many threads.
grep -E '^(accuracy|early|neurons)' output >expected
runs "${infer[@]}" --early_exit 1e9 --batch 7 --threads 1
grep -E '^(accuracy|early|neurons)' output | cmp -s - expected || complain "int8: batches and threads make a difference"

mkdir -p figures
runs "${infer[@]}" --images 9 --early_exit 0 --chart figures/early.svg
grep -q ': 9 test images$' output || complain "not 9 images"
grep -q '^early exit .* after 1.000 of 2 ' output || complain "a margin of 0 does not stop at once"
grep -q '</svg>' figures/early.svg || complain "figures/early.svg is not an SVG file"
head -c 4 figures/early.png | grep -q PNG || complain "figures/early.png is not a PNG file"
for chart in figures/of.png figures/any; do
  runs "${infer[@]}" --images 9 --chart $chart
  [[ -s ${chart%.png}.svg && -s ${chart%.png}.png ]] || complain "--chart $chart: not two pictures"
done
[[ $(ls figures | wc -l) == 6 ]] || complain "other files than the pictures: $(ls figures)"

echo "$failures failures"
[ "$failures" -eq 0 ]

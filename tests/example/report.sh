#!/usr/bin/env bash
# spikenet-mnist test --report: its files are there, its tables agree with each other, with the labels, and with the
# accuracy and the loss that training has measured.
#
#   tests/example/report.sh PROGRAM DATA SCRATCH      DATA: MNIST's four files; SCRATCH: a folder, which is emptied
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "$@"

# 300 images to train and validate, and to test COUNT, the last so many of the test images.
first() { head -c "$1" || true; }
test_images() {
  local count=$1
  mkdir "$count"
  gzip -dc "$data/train-images-idx3-ubyte.gz" | tail -c +17 >pixels
  gzip -dc "$data/train-labels-idx1-ubyte.gz" | tail -c +9 >labels
  { big_endian 2051 300 28 28 && first $((784 * 300)) <pixels; } >"$count/train-images-idx3-ubyte"
  { big_endian 2049 300 && first 300 <labels; } >"$count/train-labels-idx1-ubyte"
  { big_endian 2051 "$count" 28 28 && gzip -dc "$data/t10k-images-idx3-ubyte.gz" | tail -c $((784 * count)); } \
    >"$count/t10k-images-idx3-ubyte"
  { big_endian 2049 "$count" && gzip -dc "$data/t10k-labels-idx1-ubyte.gz" | tail -c "$count"; } \
    >"$count/t10k-labels-idx1-ubyte"
}
test_images 50
test_images 2

# runs ARGUMENT...: the program succeeds.
runs() { "$program" "$@" >output 2>errors || complain "exit status $?: $*"; }

# holds TITLE PROGRAM [FILE]: what awk calculates of the report's table of images, or of FILE, is true.
holds() { awk -F, "$2 END { exit !ok }" "report/${3:-images.csv}" || complain "$1"; }

runs train --data 50 --epochs 2 --train_batch_size 16 --threads 1 --out trained
trained=$(grep '^test accuracy' output)
runs test --data 50 --checkpoint trained/model.safetensors --test_batch_size 7 --report report
tested=$(grep '^test accuracy' output)
accuracy=$(sed -E 's/^test accuracy ([0-9.]+) .*/\1/' <<<"$tested")
loss=$(sed -E 's/.* test loss ([0-9.]+).*/\1/' <<<"$tested")
awk -v a="$(sed -E 's/.* loss ([0-9.]+);.*/\1/' <<<"$trained")" -v b="$loss" \
  'BEGIN { exit !(a - b < 0.00015 && b - a < 0.00015) }' || complain "the loss is not that of training: $trained"
[[ $trained == "test accuracy $accuracy %"* ]] || complain "the accuracy is not that of training: $trained"

# All images, in order, with their labels. The network has learned something, and not everything.
cut -d , -f 2 report/images.csv | tail -n +2 >labels
tail -c 50 50/t10k-labels-idx1-ubyte | od -An -v -t u1 -w1 | tr -d ' ' | cmp -s - labels || complain "other labels"
holds 'the images are not numbered from 0' 'NR > 1 { ok += $1 == NR - 2 } { good = ok == 50 } END { ok = good }'
holds 'the accuracy is not that of the table' \
  "NR > 1 { right += \$2 == \$3 } { ok = sprintf(\"%.2f\", 2 * right) == \"$accuracy\" && right > 5 && right < 50 }"
holds 'the loss is not that of the table' "NR > 1 { sum += \$6 } { ok = sum / 50 - $loss < 1e-4 && $loss - sum / 50 < 1e-4 }"
holds 'losses and probabilities do not belong together' \
  'BEGIN { ok = 1 } NR > 1 { d = exp(-$6) - $4; if (d > 1e-6 || d < -1e-6 || $5 < $4 || ($2 == $3) != ($4 == $5)) ok = 0 }'

# The confusion matrix counts the same.
for label in 0 1 2 3 4 5 6 7 8 9; do
  for answer in 0 1 2 3 4 5 6 7 8 9; do
    count=$(awk -F, -v label=$label -v answer=$answer '$2 == label && $3 == answer' report/images.csv | wc -l)
    holds "label $label, answer $answer: not $count" \
      "NR == $((label + 2)) { ok = \$1 == $label && \$$((answer + 2)) == $count }" confusion.csv
  done
done
# And so does the table of classes: recall and precision of the class 0.
awk -F, 'NR == 1 { next } { label += $2 == 0; answer += $3 == 0; both += $2 == 0 && $3 == 0 }
  function share(whole) { return whole ? sprintf("%.2f%%", 100 * both / whole) : "-" }
  END { print 0, label, share(label), share(answer) }' report/images.csv >expected
grep -E '^0 ' output | sed 's/ %/%/g' | awk '{ print $1, $2, $3, $4 }' | cmp -s expected - ||
  complain "the class 0 is not $(cat expected)"

# Pictures. Fewer images than a row has are all there.
runs test --data 2 --checkpoint trained/model.safetensors --report deep/er
for picture in report/confusion report/worst deep/er/confusion deep/er/worst; do
  head -c 4 $picture.png | grep -q PNG || complain "$picture.png is not a PNG file"
  grep -q '</svg>' $picture.svg || complain "$picture.svg is not an SVG file"
done
grep -Eq '^[0-9] +0 +- ' output || complain "a class without images has a recall"

# Without the option there are no files.
runs test --data 50 --checkpoint trained/model.safetensors
[[ $(grep '^test accuracy' output) == "test accuracy $accuracy %, test loss $loss,"* ]] ||
  complain "other figures without a report"
if grep -q recall output; then complain "a table of classes without a report"; fi

echo "$failures failures"
[ "$failures" -eq 0 ]

#!/usr/bin/env bash
# What spikenet-mnist does with input that is wrong: one line that says what and where, the right exit status, no
# checkpoint touched. And with input that is unusual but right: it works.
#
#   tests/example/bad_input.sh PROGRAM DATA SCRATCH      DATA: MNIST's four files; SCRATCH: a folder, which is emptied
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh" "$@"

# refuses STATUS PATTERN ARGUMENT...: the program exits with STATUS, and writes one line to standard error, which
# matches the extended regular expression.
refuses() {
  local status=$1 pattern=$2 actual=0
  shift 2
  "$program" "$@" >output 2>errors || actual=$?
  if [ "$actual" -ne "$status" ]; then
    complain "exit status $actual, not $status: $*"
  elif [ "$(wc -l <errors)" -ne 1 ] || ! grep -Eq -- "$pattern" errors; then
    complain "not one line that matches '$pattern': $*"
  elif ! cmp -s kept.safetensors trained/model.safetensors; then
    complain "the checkpoint changed: $*"
  elif [ -n "$(find . -name '*.safetensors' ! -path ./kept.safetensors ! -path './trained/*' ! -path './bad/*')" ]; then
    complain "there is a checkpoint: $*"
  fi
}

# accepts PATTERN ARGUMENT...: the program succeeds, and a line of its output matches.
accepts() {
  local pattern=$1 actual=0
  shift
  "$program" "$@" >output 2>errors || actual=$?
  if [ "$actual" -ne 0 ]; then
    complain "exit status $actual: $*"
  elif ! grep -Eq -- "$pattern" output; then
    complain "no line matches '$pattern': $*"
  fi
}

# pixels FIRST COUNT, labels FIRST COUNT: of the training images.
gzip -dc "$data/train-images-idx3-ubyte.gz" >all-images
gzip -dc "$data/train-labels-idx1-ubyte.gz" >all-labels
pixels() { tail -c +$((17 + 784 * $1)) all-images | head -c $((784 * $2)) || true; }
labels() { tail -c +$((9 + $1)) all-labels | head -c "$2" || true; }

# images COUNT HEIGHT WIDTH: an IDX file of so many images, whose content is the training images' bytes.
images() {
  big_endian 2051 "$1" "$2" "$3"
  pixels 0 $((($1 * $2 * $3 + 783) / 784)) | head -c $(($1 * $2 * $3))
}

# A small data set: 70 images to train and validate, 30 to test.
mkdir small
images 70 28 28 >small/train-images-idx3-ubyte
{ big_endian 2049 70 && labels 0 70; } >small/train-labels-idx1-ubyte
{ big_endian 2051 30 28 28 && pixels 70 30; } >small/t10k-images-idx3-ubyte
{ big_endian 2049 30 && labels 70 30; } >small/t10k-labels-idx1-ubyte

# damaged NAME: a copy of the small data set, for the caller to damage.
damaged() {
  rm -rf damaged
  cp -r small damaged
  rm "damaged/$1"
}

# Unusual but right: batches larger than the data, a last batch of one image, gzip and plain files side by side, more
# images asked for than there are. The first of these leaves the checkpoint that all others must leave alone.
accepts '^test accuracy [0-9.]+ %' train --data small --epochs 1 --out trained
cp trained/model.safetensors kept.safetensors
tested=$(grep -o '^test accuracy [0-9.]* %' output || true)
accepts "^$tested" test --data small --checkpoint trained/model.safetensors
accepts "^$tested" test --checkpoint trained/model.safetensors
accepts "^$tested" test --data small --checkpoint trained/model.safetensors --test_batch_size 1000000
accepts '^layer2.0.spike2 +conv2 \+ downsample.0 +6272 ' firing-rates --data small --checkpoint trained/model.safetensors \
  --out rates --csv --threads 1
for file in rates/firing-rates.svg rates/firing-rates.png; do
  if [ ! -s "$file" ]; then complain "there is no $file"; fi
done
if ! head -c 4 rates/firing-rates.png | grep -q PNG; then complain "firing-rates.png is not a PNG file"; fi
if [ "$(wc -l <rates/firing-rates.csv)" -ne 20 ]; then complain "firing-rates.csv has not a line for each layer"; fi
accepts 'test image 29, a [0-9], taken for a [0-9]' firing-rates --data small --checkpoint trained/model.safetensors \
  --sample 29
if [ ! -s trained/firing-rates.png ]; then complain "no chart beside the checkpoint"; fi
accepts '^written +net.hpp: namespace digits, int8, ' export --checkpoint trained/model.safetensors --header net.hpp \
  --number int8 --name digits
if ! grep -q '^using model = spikenet::inference<architecture, spikenet::quantised<std::uint8_t>>;' net.hpp; then
  complain "net.hpp does not have the network"
fi
mkdir zipped
for file in small/*; do gzip -c "$file" >"zipped/${file#small/}.gz"; done
cp small/t10k-labels-idx1-ubyte zipped/
accepts '63 images to train, 7 to validate, 30 to test' train --data zipped --epochs 1 --train_batch_size 62 \
  --val_batch_size 6 --test_batch_size 29 --limit 1000 --optimizer sgd --momentum 0.5 --schedule one_cycle --flip 0.5 \
  --crop_padding 2 --readout mean_spikes --no_cuda --threads 1
if [ -z "$(find runs -name model.safetensors)" ]; then complain "no checkpoint in runs/"; fi
rm -rf runs

# No network is compiled for a GPU by default: auto says so and goes on.
accepts '^on the CPU: There is no network of width 16 with 2 timesteps for a GPU .* SPIKENET_MNIST_GPU_SIZES=|^processor   the GPU' \
  train --data small --epochs 1 --device auto --out by_itself
rm -rf by_itself

# The command line
refuses 2 'train or test'
refuses 2 '--device: .*abacus' train --data small --device abacus
refuses 1 '--device cuda: .*width 17 .* SPIKENET_MNIST_GPU_SIZES=' train --data small --width 17 --device cuda
refuses 2 'expected.*--colour' train --colour red
for precision in tf32 float16 bfloat16; do
  refuses 2 "--precision: The CPU computes in float32 only; $precision" train --data small --precision $precision
  refuses 2 "--precision: The CPU computes in float32 only; $precision" train --resume trained --precision $precision
  refuses 2 "--precision: " train --data small --no_cuda --device cuda --precision $precision
done
refuses 2 '--momentum: .*sgd' train --data small --momentum 0.5
refuses 2 '--momentum: .*sgd' sweep --data small --momentum 0.5
refuses 2 'walk' walk
for option in train_batch_size val_batch_size test_batch_size epochs limit validation width steps; do
  for value in 0 -1 1.5 x 99999999999999999999; do
    refuses 2 "--$option: .*$value" train --data small --$option $value
  done
done
for value in 0 -1 nan inf 1e999 x; do
  for option in lr v_th a; do refuses 2 "--$option: .*$value" train --data small --$option $value; done
done
for value in -0.1 1.1 nan x; do
  for option in tau flip; do refuses 2 "--$option: .*$value" train --data small --$option $value; done
done
refuses 2 '--momentum: .*1' train --momentum 1
refuses 2 '--weight_decay: .*-1' train --weight_decay -1
refuses 2 '--crop_padding: .*28' train --crop_padding 28
refuses 2 '--seed: .*-1' train --seed -1
refuses 2 '--threads: .*1025' train --threads 1025
refuses 2 '--log_interval: .*-1' train --log_interval -1
refuses 2 '--out: ' train --out ''
for value in '' . .. a/b; do
  refuses 2 "--run_name: .*\"$value\"" train --run_name "$value"
  refuses 2 "--run_name: .*\"$value\"" sweep --run_name "$value"
done
refuses 2 '--run_name.*--out|--out.*--run_name' train --run_name a --out b
refuses 2 '--run_name.*--out|--out.*--run_name' sweep --run_name a --out b
for value in 0 0.1,0 0.1,x nan; do
  for option in v_th a; do refuses 2 "--$option: " sweep --data small --$option $value; done
done
refuses 2 '--tau: .*1.5' sweep --tau 0.5,1.5
refuses 2 'width 17 .* SPIKENET_MNIST_SIZES=' sweep --width 17
refuses 2 '--resume' sweep --resume trained
refuses 2 '--data: .*nowhere' sweep --data nowhere
refuses 2 '--schedule: ' train --schedule none
refuses 2 '--optimizer: ' train --optimizer none
refuses 2 '--readout: ' train --readout none
refuses 2 '--epochs' train --epochs
refuses 2 'width 17 .* SPIKENET_MNIST_SIZES=' train --width 17
refuses 2 '3 timesteps .* SPIKENET_MNIST_SIZES=' train --steps 3
refuses 2 '--checkpoint' test
refuses 2 '--checkpoint: .*nowhere' test --checkpoint nowhere
refuses 2 '--checkpoint: .*small' test --checkpoint small
refuses 2 '--checkpoint' firing-rates
refuses 2 '--checkpoint: .*nowhere' firing-rates --checkpoint nowhere
for value in -1 1.5 x; do
  refuses 2 "--sample: .*$value" firing-rates --checkpoint trained/model.safetensors --sample $value
done
refuses 2 '--out: ' firing-rates --checkpoint trained/model.safetensors --out ''
refuses 2 '--report: ' test --checkpoint trained/model.safetensors --report ''
refuses 2 '--data: .*nowhere' train --data nowhere
refuses 2 '--data: ' train --data ''

for value in x.jpg x.pdf x.svg.gz x. ''; do
  refuses 2 "--chart: .*\"$value\".*\.svg.*\.png" infer --checkpoint trained/model.safetensors --chart "$value"
done

refuses 2 '--header' export --checkpoint trained/model.safetensors
refuses 2 '--checkpoint' export --header x.hpp
refuses 2 '--header: ' export --checkpoint trained/model.safetensors --header ''
refuses 2 '--number: .*int4' export --checkpoint trained/model.safetensors --header x.hpp --number int4

# Where the checkpoint goes
refuses 1 'trained/model.safetensors: .*--out' train --data small --out trained
echo >occupied
refuses 1 'occupied' train --data small --out occupied
refuses 1 'occupied' train --data small --out occupied/below
refuses 1 'occupied' sweep --data small --out occupied
mkdir -p runs/begun another
echo >runs/begun/events.out.tfevents.1.host.1.0
refuses 1 'runs/begun: .*--run_name' train --data small --run_name begun
echo 'a,b' >another/sweep.csv
refuses 1 'another/sweep.csv: Line 1 .*--out' sweep --data small --out another
refuses 1 'occupied' firing-rates --data small --checkpoint trained/model.safetensors --out occupied
refuses 1 'occupied' firing-rates --data small --checkpoint trained/model.safetensors --out occupied/below
mkdir -p taken/firing-rates.svg
refuses 1 'taken/firing-rates.svg: ' firing-rates --data small --checkpoint trained/model.safetensors --out taken
refuses 1 'occupied' test --data small --checkpoint trained/model.safetensors --report occupied
refuses 1 'occupied' test --data small --checkpoint trained/model.safetensors --report occupied/below
for file in confusion.svg confusion.png confusion.csv worst.svg worst.png images.csv; do
  rm -rf taken
  mkdir -p "taken/$file"
  refuses 1 "taken/$file: " test --data small --checkpoint trained/model.safetensors --report taken
done
refuses 1 'occupied/below.hpp: ' export --checkpoint trained/model.safetensors --header occupied/below.hpp
refuses 1 '"a b".*namespace' export --checkpoint trained/model.safetensors --header x.hpp --name 'a b'
refuses 1 '--sample 30: .*small.* 0 to 29' firing-rates --data small --checkpoint trained/model.safetensors --sample 30

# The data
mkdir empty
refuses 1 'empty/train-images-idx3-ubyte: .*not exist' train --data empty
refuses 1 '--limit.*--validation' train --data small --limit 1
refuses 1 '--limit.*--validation' train --data small --limit 10 --validation 10
name=train-images-idx3-ubyte
damaged $name
refuses 1 "damaged/$name: .*not exist" train --data damaged
big_endian 2052 70 28 28 >damaged/$name
refuses 1 "damaged/$name: " train --data damaged
big_endian 3000000000 70 28 28 >damaged/$name
refuses 1 "damaged/$name: .*magic" train --data damaged
big_endian 2051 70 >damaged/$name
refuses 1 "damaged/$name: .*truncated" train --data damaged
big_endian 2051 4294967295 4294967295 4294967295 >damaged/$name
refuses 1 "damaged/$name: .*header" train --data damaged
: >damaged/$name
refuses 1 "damaged/$name: .*truncated" train --data damaged
head -c 20000 small/$name >damaged/$name
refuses 1 "damaged/$name: .*truncated" train --data damaged
{ cat small/$name && echo; } >damaged/$name
refuses 1 "damaged/$name: .*too long" train --data damaged
images 69 28 28 >damaged/$name
refuses 1 "damaged/.*: .*70 labels.*69" train --data damaged
images 70 32 32 >damaged/$name
refuses 1 "damaged/$name.*: .*32x32.*28x28" train --data damaged
{ big_endian 2051 70 28 28 && head -c $((70 * 784)) /dev/zero; } >damaged/$name
refuses 1 "damaged.*: .*alike" train --data damaged
rm damaged/$name
mkdir damaged/$name
refuses 1 "damaged/$name: .*regular file" train --data damaged

damaged $name
gzip -c small/$name >whole.gz
head -c $(($(wc -c <whole.gz) / 2)) whole.gz >damaged/$name.gz
refuses 1 "damaged/$name.gz: .*truncated" train --data damaged
{ head -c 3000 whole.gz && head -c 100 /dev/zero && tail -c +3101 whole.gz; } >damaged/$name.gz
refuses 1 "damaged/$name.gz: .*corrupt" train --data damaged
{ cat whole.gz && echo garbage; } >damaged/$name.gz
refuses 1 "damaged/$name.gz: .*garbage" train --data damaged
printf '%s  %s\n' 00000000000000000000000000000000 $name.gz >damaged/MD5SUMS
cp whole.gz damaged/$name.gz
refuses 1 "damaged/$name.gz: .*damaged" train --data damaged

name=train-labels-idx1-ubyte
damaged $name
{ big_endian 2049 70 && labels 0 69 && printf '\x0a'; } >damaged/$name
refuses 1 "damaged/$name: .*image 69 is 10" train --data damaged
cp small/train-images-idx3-ubyte damaged/$name
refuses 1 "damaged/$name: .*dimension" train --data damaged
name=t10k-images-idx3-ubyte
damaged $name
refuses 1 "damaged/$name: .*not exist" train --data damaged
refuses 1 "damaged/$name: .*not exist" test --data damaged --checkpoint trained/model.safetensors
refuses 1 "damaged/$name: .*not exist" firing-rates --data damaged --checkpoint trained/model.safetensors
images 30 27 28 >damaged/$name
refuses 1 "damaged/$name.*: .*27x28.*28x28" test --data damaged --checkpoint trained/model.safetensors

# Numbers that get out of hand
refuses 1 'epoch 1, batch [0-9]+: .*--lr' train --data small --epochs 1 --train_batch_size 8 --lr 1e38 --out diverged

# Checkpoints
checkpoint=trained/model.safetensors
mkdir bad
: >bad/empty
refuses 1 'bad/empty: ' test --data small --checkpoint bad/empty
head -c 100000 $checkpoint >bad/truncated
refuses 1 'bad/truncated: ' test --data small --checkpoint bad/truncated
refuses 1 'bad/truncated: ' firing-rates --data small --checkpoint bad/truncated
cp small/t10k-images-idx3-ubyte bad/images
refuses 1 'bad/images: ' test --data small --checkpoint bad/images
# Replaces in the header, by text of the same length.
alter() { LC_ALL=C sed "s/$1/$2/" $checkpoint >"bad/$3"; }
alter '"v_th":"0.5"' '"v_th":"1x5"' number
refuses 1 'bad/number: .*v_th' test --data small --checkpoint bad/number
alter '"v_th":"0.5"' '"v_th":"0.0"' threshold
refuses 1 'bad/threshold: .*threshold' test --data small --checkpoint bad/threshold
alter '"v_th":"0.5"' '"vath":"0.5"' missing
refuses 1 'bad/missing: .*v_th' test --data small --checkpoint bad/missing
alter '"width":"16"' '"width":"17"' width
refuses 1 'bad/width: .*width 17' test --data small --checkpoint bad/width
alter '\[16,1,3,3\]' '[16,1,9,1]' shape
refuses 1 'bad/shape: .*conv1.weight' test --data small --checkpoint bad/shape
alter 'mean_current' 'mean_voltage' readout
refuses 1 'bad/readout: .*mean_voltage' test --data small --checkpoint bad/readout
alter 'bn1.running_var' 'bn1.running_vat' name
refuses 1 'bad/name: .*bn1.running_var' test --data small --checkpoint bad/name
# The last four bytes belong to a weight: NaN.
{ head -c -4 $checkpoint && printf '\xff\xff\xff\x7f'; } >bad/nan
refuses 1 'bad/nan: .*not finite' test --data small --checkpoint bad/nan

echo "$failures failures"
[ "$failures" -eq 0 ]

# What the scripts that test spikenet-mnist share; to be sourced with their arguments, PROGRAM DATA SCRATCH. Goes into
# SCRATCH, emptied.
set -euo pipefail

program=$1 data=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
failures=0

# complain TITLE: the check failed; shows what the program wrote.
complain() {
  echo "FAILED: $1"
  sed 's/^/    /' output errors
  failures=$((failures + 1))
}

# big_endian NUMBER...: each as four bytes, as IDX files have them.
big_endian() {
  local number
  for number in "$@"; do
    printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((number >> 24 & 255)) $((number >> 16 & 255)) \
      $((number >> 8 & 255)) $((number & 255)))"
  done
}

# small_data DIRECTORY: a small data set, 300 images to train and validate, 50 to test. And DIRECTORY-other: the same
# number of other images.
small_data() {
  local prefix all count images
  mkdir "$1" "$1-other"
  for images in "train 60000 300" "t10k 10000 50"; do
    read -r prefix all count <<<"$images"
    gzip -dc "$data/$prefix-images-idx3-ubyte.gz" | tail -c $((784 * all)) >pixels
    gzip -dc "$data/$prefix-labels-idx1-ubyte.gz" | tail -c "$all" >labels
    { big_endian 2051 "$count" 28 28 && head -c $((784 * count)) pixels; } >"$1/$prefix-images-idx3-ubyte"
    { big_endian 2049 "$count" && head -c "$count" labels; } >"$1/$prefix-labels-idx1-ubyte"
    { big_endian 2051 "$count" 28 28 && tail -c $((784 * count)) pixels; } >"$1-other/$prefix-images-idx3-ubyte"
    { big_endian 2049 "$count" && tail -c "$count" labels; } >"$1-other/$prefix-labels-idx1-ubyte"
  done
  rm pixels labels
}

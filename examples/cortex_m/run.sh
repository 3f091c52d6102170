#!/usr/bin/env bash
# Builds the program for a Cortex-M, runs it in QEMU, and prints what it prints, then what it takes of the device.
#
#   examples/cortex_m/run.sh [MACHINE [DIRECTORY]]
#
#   MACHINE     m3 (the default), m4, m7; or host: this machine, by $CXX
#   DIRECTORY   for what is built: a temporary one by default
#
# Needs arm-none-eabi-g++ with newlib and qemu-system-arm: on Debian and Ubuntu gcc-arm-none-eabi,
# libstdc++-arm-none-eabi-newlib and qemu-system-arm.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
machine=${1:-m3}
case $machine in
  m3) board=mps2-an385 processor=(-mcpu=cortex-m3 -mthumb) ;;
  m4) board=mps2-an386 processor=(-mcpu=cortex-m4 -mthumb) ;;
  m7) board=mps2-an500 processor=(-mcpu=cortex-m7 -mthumb) ;;
  host) ;;
  *)
    echo "usage: $0 [m3|m4|m7|host [DIRECTORY]]" >&2
    exit 2
    ;;
esac
if [ $# -ge 2 ]; then
  build=$2
  mkdir -p "$build"
else
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
fi

# The first 100 test images and labels, which become a part of the program.
count=100
of_data() { gzip -dc "$here/../mnist/data/$1.gz" | tail -c "+$2" | head -c "$3" || true; }
of_data t10k-images-idx3-ubyte 17 $((784 * count)) >"$build/images"
of_data t10k-labels-idx1-ubyte 9 $count >"$build/labels"
bytes_of_images=$((785 * count))

build() {  # build COMPILER OPTION... BOARD
  "$1" -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -ffunction-sections -fdata-sections -Wl,--gc-sections \
    -Wall -Wextra -Wshadow -Wconversion -I"$here/../../include" -Wa,-I"$build" "${@:2:$#-2}" \
    "$here/classify.cpp" "$here/${*: -1}" "$here/images.S" -o "$build/digits-$machine"
}

if [ "$machine" = host ]; then
  build "${CXX:-c++}" -Os -s host.cpp
  "$build/digits-host"
  echo "program $(($(wc -c <"$build/digits-host") - bytes_of_images)) bytes: code, weights and tables, stripped"
  exit
fi

build arm-none-eabi-g++ "${processor[@]}" -Os -nostartfiles --specs=nano.specs -T"$here/flash.ld" \
  -Wl,-z,noexecstack -Wl,--no-warn-execstack cortex_m.cpp
# The emulator's clock runs 1 ns for each instruction, and the boards' at 25 MHz: a tick is 40 instructions.
timeout 300 qemu-system-arm -M $board -display none -monitor none -serial none -icount shift=0 -chardev stdio,id=host \
  -semihosting-config enable=on,target=native,chardev=host -kernel "$build/digits-$machine" </dev/null |
  tee "$build/output-$machine"

number() { sed -n "s/^$1 \([0-9]*\).*/\1/p" "$build/output-$machine"; }
read -r text data bss _ < <(arm-none-eabi-size "$build/digits-$machine" | tail -n 1)
echo "flash $((text + data - bytes_of_images)) bytes: code, weights and tables; and $bytes_of_images of images"
echo "ram $((data + bss)) bytes, and $(number stack) of stack"
echo "instructions $((40 * $(number ticks))) for an image"

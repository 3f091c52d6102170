#!/usr/bin/env bash
# Builds and tests everything: clang and the sanitizers, then g++ with all that there is. Ends on the summary of the last
# and largest run; the first failure ends the script with a status that is not 0. Build trees: build/tests/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cmake/install-packages.sh build examples tests benchmarks cuda || echo "Going on with what there is."
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}; fi
jobs=$(nproc 2>/dev/null || echo 2)

# stage TITLE COMMAND...: runs the command, with its time at the end.
stage() {
  local title=$1 start=$SECONDS
  shift
  echo
  echo "== $title"
  "$@"
  echo "== $title: done in $((SECONDS - start)) s"
}

configure() {  # configure PRESET NAME OPTION...
  local preset=$1 name=$2
  shift 2
  cmake --preset "$preset" -B "build/tests/$name" -D SPIKENET_WERROR=ON "$@"
}
build() {  # build NAME [--target TARGET...]
  local name=$1
  shift
  cmake --build "build/tests/$name" --parallel "$jobs" "$@"
}
run() {  # run NAME CTEST-OPTION...
  local name=$1
  shift
  ctest --test-dir "build/tests/$name" --parallel "$jobs" --output-on-failure --no-tests=error --timeout 900 "$@"
}

few=(-D SPIKENET_BUILD_EXAMPLES=OFF -D SPIKENET_BUILD_BENCHMARKS=OFF -D SPIKENET_CUDA=OFF)

# clang compiles once, with the sanitizers, every test but those against other people's programs and of what the compiler
# makes of exported networks, which need the results alone, and the gradients, whose kernels the unit tests run as well;
# optimised, which takes longest, only those that hold what its optimiser could get wrong: kernels, gradients, golden
# values.
stage "clang, sanitizers: configure" \
  configure clang-sanitize sanitize "${few[@]}" -D SPIKENET_ISA_TESTS=OFF -D SPIKENET_INTEROP_TESTS=OFF \
  -D SPIKENET_GRADIENT_TESTS=OFF -D SPIKENET_EXPORT_TESTS=OFF -D SPIKENET_GOLDEN_CASES=4x1
stage "clang, sanitizers: build" build sanitize
stage "clang, sanitizers: test" run sanitize --label-regex 'unit|golden|fuzz|nir|cuda'

stage "clang, optimised: configure" configure clang clang "${few[@]}" -D SPIKENET_GOLDEN_CASES=4x2
stage "clang, optimised: build" build clang --target isa_tests gradient_tests golden_check_4x2
stage "clang, optimised: test" run clang --label-regex '^(isa|gradient|golden|compile_fail)$' --exclude-regex isa/neon

# One size more than the one that is trained, for what chooses among sizes.
stage "g++: configure" configure release gcc -D CMAKE_CXX_COMPILER=g++ -D "SPIKENET_MNIST_SIZES=16x2;32x2"
stage "g++: build" build gcc
echo
echo "== g++: test"
run gcc

#!/usr/bin/env bash
# Builds and tests spikenet, and ends with one summary.
#
#   tests/run.sh         What a user needs to trust, with one compiler: $CXX, or g++.
#   tests/run.sh --all   Everything: clang and the sanitizers, all instruction sets, small targets, CUDA as far as it
#                        goes without a GPU, other libraries.
#
# Installs missing packages, and says which. Build trees: build/tests/. Exits with 0 if everything that could be built
# and run has passed; README.md beside this script lists the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=no
case "$#,${1-}" in
  0,) ;;
  1,--all) all=yes ;;
  *)
    echo "usage: tests/run.sh [--all]" >&2
    exit 2
    ;;
esac

if [ $all = yes ]; then
  cmake/install-packages.sh build examples tests tests-all benchmarks cuda || echo "Going on with what there is."
  tests/interop/install.sh || echo "Going on without the Python packages of the interoperability tests."
else
  cmake/install-packages.sh build examples tests || echo "Going on with what there is."
fi
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}; fi
jobs=$(nproc 2>/dev/null || echo 2)

# stage TITLE COMMAND...: runs the command and prints how long it took.
stage() {
  local title=$1 start=$SECONDS
  shift
  echo
  echo "== $title"
  "$@"
  echo "== $title: done in $((SECONDS - start)) s"
}

trees=()
# build PRESET TREE LABELS TARGET... -- OPTION...: configures build/tests/TREE for the tests with these labels, and builds
# them and these targets.
build() {
  local preset=$1 tree=$2 labels=$3 prefix= targets=()
  shift 3
  while [ "$1" != -- ]; do
    targets+=("$1")
    shift
  done
  if [ $all = yes ]; then prefix=$tree/; fi
  stage "$tree: configure" cmake --preset "$preset" -B "build/tests/$tree" -D SPIKENET_WERROR=ON \
    -D "SPIKENET_TEST_LABELS=$labels" -D "SPIKENET_TEST_PREFIX=$prefix" "${@:2}"
  stage "$tree: build" cmake --build "build/tests/$tree" --parallel "$jobs" --target spikenet_tests "${targets[@]}"
  trees+=("$tree")
}
library_alone=(-D SPIKENET_BUILD_EXAMPLES=OFF -D SPIKENET_BUILD_BENCHMARKS=OFF -D SPIKENET_CUDA=OFF)

if [ $all = no ]; then
  build release quick "unit;gradient;golden;isa;compile_fail;rules;docs;packaging;training" -- \
    -D SPIKENET_BUILD_BENCHMARKS=OFF -D SPIKENET_CUDA=OFF -D "SPIKENET_GOLDEN_CASES=4x2;8x2s4" \
    -D SPIKENET_MNIST_SIZES=16x2 -D SPIKENET_MNIST_READOUTS=mean_current -D "SPIKENET_MNIST_COMMANDS=train;test"
else
  # clang compiles with the sanitizers, unoptimised, what may have undefined behaviour: without debug information, which
  # takes a quarter of the compile time. It compiles optimised what its optimiser could get wrong.
  build clang-sanitize sanitize "unit;golden;fuzz;nir;cuda" -- "${library_alone[@]}" -D SPIKENET_GOLDEN_CASES=4x1 \
    -D CMAKE_CXX_FLAGS_RELWITHDEBINFO=-O0
  build clang clang "isa;golden;compile_fail" -- "${library_alone[@]}" -D SPIKENET_GOLDEN_CASES=4x2
  # g++ compiles unoptimised, with assertions, the programs that are no tests.
  build debug debug small_example spikenet_benchmarks spikenet_peer_16x2 -- -D CMAKE_CXX_COMPILER=g++ -D SPIKENET_CUDA=OFF
  build release gcc "unit;gradient;golden;isa;isa_other;allocation;compile_fail;rules;headers;docs;packaging;\
compile_budget;inference;nir;example;training;interop;cuda_golden;cuda_races;plans;nvcc;gpu" \
    all_verify_interface_header_sets -- \
    -D CMAKE_CXX_COMPILER=g++ -D SPIKENET_BUILD_BENCHMARKS=OFF -D SPIKENET_MNIST_SIZES=16x2
fi

# One ctest runs the tests of all trees.
printf 'subdirs("%s")\n' "${trees[@]}" >build/tests/CTestTestfile.cmake
log=build/tests/Testing/Temporary/LastTest.log
summary=build/tests/summary.txt
echo
echo "== test"
status=0
ctest --test-dir build/tests --parallel "$jobs" --output-on-failure --no-tests=error --timeout 900 2>&1 |
  tee "$summary" || status=$?

echo
echo "== summary"
if grep -q '^Skipped: ' "$log"; then
  echo "Skipped:"
  awk '/^[0-9]+\/[0-9]+ Test(ing)?: / && !/ Test: / { name = $0; sub(/^[^:]*: /, "", name) }
       /^Skipped: / { sub(/^Skipped: /, ""); print "  " name ": " $0 }' "$log"
fi
if [ $all = no ]; then echo "Not part of this run, but of tests/run.sh --all: see tests/README.md."; fi
sed -n '/tests passed, .* tests failed out of/,$p' "$summary" | grep -v '(Skipped)$'
exit $status

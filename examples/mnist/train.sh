#!/usr/bin/env bash
# Trains the deep spiking residual network on the bundled MNIST: installs what is missing, configures, builds, trains.
# Arguments go to the program: examples/mnist/train.sh --epochs 3 --limit 10000; --help lists them.
exec "$(dirname "${BASH_SOURCE[0]}")/run.sh" train "$@"

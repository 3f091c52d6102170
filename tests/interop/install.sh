#!/usr/bin/env bash
# Installs the Python packages of the interoperability tests into build/python, a virtual environment on top of the
# system's PyTorch. Says what it installs; silent if everything is there.
set -euo pipefail

packages=(spikingjelly==0.0.0.0.14 snntorch==1.0.0 nir==1.0.8 nirtorch==2.6 tensorboard==2.21.0 h5py==3.16.0
  safetensors==0.8.0)
# These ask for more of PyTorch than the tests use, or for plotting libraries.
without_dependencies=" spikingjelly snntorch nirtorch "

environment=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/python
stamp=$environment/installed
if [ "$(cat "$stamp" 2>/dev/null)" = "${packages[*]}" ]; then exit 0; fi

base=
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import torch' 2>/dev/null; then
    base=$python
    break
  fi
done
if [ -z "$base" ]; then
  echo "No Python with PyTorch: without the packages of the interoperability tests."
  exit 0
fi
echo "Installing into $environment: ${packages[*]}"
"$base" -m venv --system-site-packages "$environment"
for package in "${packages[@]}"; do
  options=(--quiet --disable-pip-version-check --only-binary=:all:)
  if [[ $without_dependencies == *" ${package%%==*} "* ]]; then options+=(--no-deps); fi
  "$environment/bin/python3" -m pip install "${options[@]}" "$package"
done
echo "${packages[*]}" >"$stamp"

"""Networks of snnTorch and Norse, exported by their own functions, and the spikes that they have: what tests/nir/generated.cpp
holds networks against that spikenet-nir has made of the graphs.

    nir_frameworks.py FRAMEWORK DIRECTORY       FRAMEWORK: snntorch or norse

Writes DIRECTORY/FRAMEWORK.nir and DIRECTORY/FRAMEWORK.safetensors: frames [T, ...], and spikes.NODE [T, ...] for each node
of neurons.
"""

import os
import sys

import nir
import torch

from safetensors_torch import save_file

TIMESTEPS = 8


def snntorch_network():
    import snntorch
    from snntorch import utils
    from snntorch.export_nir import export_to_nir

    def leaky(shape, threshold):
        return snntorch.Leaky(beta=torch.full(shape, 0.8), threshold=torch.full(shape, threshold), init_hidden=True,
                              reset_mechanism="zero", reset_delay=False)

    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), leaky((4, 4, 4), 0.5), torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(4, 3, 1, bias=False), leaky((3, 2, 2), 0.3), torch.nn.Flatten(),
        torch.nn.Linear(12, 5), leaky((5,), 0.1))
    graph = export_to_nir(net, torch.zeros(1, 1, 4, 4), ignore_dims=[0])

    def run(frames):
        utils.reset(net)  # the export has run it
        spikes = {}
        for frame in frames:
            x = frame[None]
            for name, layer in enumerate(net):
                x = layer(x)
                if isinstance(layer, snntorch.Leaky):
                    spikes.setdefault(str(name), []).append(x[0])
        return spikes

    return graph, run, (1, 4, 4)


def norse_network():
    import norse.torch as norse

    # Norse writes tau = dt / tau_mem_inv, and 1 for r: a time constant in timesteps of dt^2.
    parameters = norse.LIFBoxParameters(v_th=torch.tensor(0.1))
    layers = [torch.nn.Linear(6, 8), norse.LIFBoxCell(p=parameters), torch.nn.Linear(8, 4), norse.LIFBoxCell(p=parameters)]
    with torch.no_grad():
        layers[2].weight *= 3
    graph = norse.to_nir(norse.SequentialState(*layers), torch.zeros(1, 6))

    def run(frames):
        spikes, states = {}, {}
        for frame in frames:
            x = frame[None]
            for name, layer in enumerate(layers):
                if isinstance(layer, norse.LIFBoxCell):
                    x, states[name] = layer(x, states.get(name))
                    spikes.setdefault(str(name), []).append(x[0])
                else:
                    x = layer(x)
        return spikes

    return graph, run, (6,)


def main(framework, directory):
    torch.manual_seed(2)
    with torch.no_grad():
        graph, run, shape = {"snntorch": snntorch_network, "norse": norse_network}[framework]()
        frames = 3 * torch.randn(TIMESTEPS, *shape)
        spikes = {name: torch.stack(values).float() for name, values in run(frames).items()}
    for name, value in spikes.items():
        if not 0 < value.mean() < 1:
            sys.exit(f"{framework}: the neurons {name} all do the same, so that nothing is tested")
    os.makedirs(directory, exist_ok=True)
    # h5py compresses no single values, of which Norse has some.
    nir.write(os.path.join(directory, framework + ".nir"), graph, compression=None)
    save_file({"frames": frames, **{"spikes." + name: value for name, value in spikes.items()}},
              os.path.join(directory, framework + ".safetensors"))
    print(framework + ":", ", ".join(f"{name} {value.mean():.2f}" for name, value in spikes.items()), "spikes per neuron and step")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs a graph that spikenet has exported in other frameworks, and holds spikes and logits against spikenet's.

    nir_run.py DIRECTORY FRAMEWORK...          FRAMEWORK: nir, snntorch, spikingjelly

DIRECTORY has model.nir and expected.safetensors, which nir_interop.cpp writes. nir only reads and checks the graph, with the
reference package. A spike may differ where the membrane is within 1e-5 of its threshold in spikenet; what follows such a
spike in the same image may differ, too.
"""

import os
import sys

import nir
import torch

from safetensors_torch import load_file

NEAR = 1e-5


def read(directory):
    graph = nir.read(os.path.join(directory, "model.nir"))
    neurons = {name: node for name, node in graph.nodes.items() if isinstance(node, (nir.LIF, nir.IF))}
    print(f"nir {nir.version}: {len(graph.nodes)} nodes, {len(graph.edges)} edges, {len(neurons)} layers of neurons")
    return graph, neurons


def snntorch_module(graph):
    """What runs one timestep, and its modules that are neurons, by name."""
    import snntorch
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(graph)
    cells = {name: module for name, module in net.named_modules() if isinstance(module, snntorch.Leaky)}
    for cell in cells.values():
        cell.init_hidden = True  # they keep their state themselves

    def step(images):
        result = net(images)
        return result[0] if isinstance(result, tuple) else result

    return step, cells


def spikingjelly_module(graph):
    from spikingjelly.activation_based import neuron, nir_exchange

    net = nir_exchange.import_from_nir(graph)
    # Each is in a module that hands its state on.
    cells = {name: module for name, module in net.named_modules()
             if isinstance(getattr(module, "module", module), neuron.BaseNode) and not name.endswith(".module")}
    state = None

    def step(images):
        nonlocal state
        output, state = net(images, state)
        return output

    return step, cells


def order(graph):
    """The nodes, each after all that lead into it."""
    left, result = set(graph.nodes), []
    while left:
        ready = sorted(name for name in left if not any(a in left for a, b in graph.edges if b == name))
        result += ready
        left -= set(ready)
    return result


def plain(name):
    return "".join(c for c in name if c.isalnum())


def compare(directory, framework, graph, neurons):
    expected = load_file(os.path.join(directory, "expected.safetensors"))
    images = expected["images"]
    step, cells = {"snntorch": snntorch_module, "spikingjelly": spikingjelly_module}[framework](graph)
    names = {plain(name): name for name in neurons}
    seen = {}
    for name, module in cells.items():
        def keep(_module, _arguments, output, spikes=seen.setdefault(names[plain(name)], [])):
            spikes.append((output[0] if isinstance(output, tuple) else output).detach())
        module.register_forward_hook(keep)
    steps = expected["spikes." + next(iter(neurons))].shape[0]
    with torch.no_grad():
        outputs = [step(images) for _ in range(steps)]

    if seen.keys() != neurons.keys():
        sys.exit(f"{framework}: layers of neurons are missing: {sorted(neurons.keys() - seen.keys())}")
    silent = [name for name in neurons if not expected["spikes." + name].any()]
    if silent:
        sys.exit(f"{framework}: nothing is compared where no neuron fires: {silent}")
    for name in neurons:
        if torch.stack(seen[name]).shape != expected["spikes." + name].shape:
            sys.exit(f"{framework}: {name} has another shape")
    total = different = 0
    excused, wrong_images = [torch.zeros(len(images), dtype=torch.bool) for _ in range(2)]
    membranes = dict.fromkeys(neurons, torch.zeros(()))
    for t in range(steps):
        for name in order(graph):
            if name not in neurons:
                continue
            node = neurons[name]
            decay = 1 - 1e-4 / node.tau.flat[0] if isinstance(node, nir.LIF) else 1
            u = decay * membranes[name] + expected["input." + name][t]
            mine, theirs = expected["spikes." + name][t], seen[name][t].float()
            membranes[name] = u * (1 - mine)
            wrong = (mine != theirs).flatten(1)
            near = ((u - float(node.v_threshold.flat[0])).abs() < NEAR).flatten(1)
            total, different = total + mine.numel(), different + int(wrong.sum())
            # What follows from a spike that may differ may differ too.
            wrong_images |= (wrong & ~near).any(1) & ~excused
            excused |= wrong.any(1)
    error = (torch.stack(outputs).mean(0) - expected["logits"]).abs()[~excused].max().item()
    fired = torch.cat([expected["spikes." + name].flatten() for name in neurons]).mean()
    print(f"{framework}: {different} of {total:,} spikes differ, in {int(excused.sum())} of {len(images)} images, "
          f"logits of the others by {error:.1e} at most; {100 * fired:.1f} % of the neurons fire")
    if wrong_images.any() or not error < 1e-4:
        sys.exit(f"{framework}: {int(wrong_images.sum())} images differ where no membrane was within {NEAR} of its threshold")


def main(directory, *frameworks):
    graph, neurons = read(directory)
    for framework in frameworks:
        if framework != "nir":
            compare(directory, framework, nir.read(os.path.join(directory, "model.nir")), neurons)


if __name__ == "__main__":
    main(*sys.argv[1:])

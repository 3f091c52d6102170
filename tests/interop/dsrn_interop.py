"""The PyTorch side of the interoperability test; dsrn_interop.cpp is the other, and says what is in the files.

    dsrn_interop.py write DIRECTORY
    dsrn_interop.py check DIRECTORY
"""

import os
import sys

import torch
from torch.nn import functional

from dsrn_torch import DSRN, TdBN
from safetensors_torch import load_file, save_file

TOLERANCE = 1e-9
READOUTS = "mean_current", "mean_spikes"


def make_network(readout):
    return DSRN(width=4, timesteps=2, stem=2, readout=readout, v_th=0.4, tau=0.3, a=0.6).double()


def run(net, images, labels):
    """What the network makes of the batch, under the names of expected.safetensors. Takes one step of Adam."""
    result = {"images": images, "labels": labels}
    net.eval()
    result["logits"] = net(images).detach()
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    loss = functional.cross_entropy(net(images), labels)
    loss.backward()
    result["loss"] = loss.detach()
    result.update({"grad." + name: parameter.grad.clone() for name, parameter in net.named_parameters()})
    optimizer.step()
    result.update({"after." + name: value.clone() for name, value in net.state_dict().items()
                   if not name.endswith("num_batches_tracked")})
    return result


def write(directory):
    for number, readout in enumerate(READOUTS):
        torch.manual_seed(number)
        net = make_network(readout)
        # So small a network would be silent with the starting values. Running statistics that are not these, either.
        for module in net.modules():
            if isinstance(module, TdBN):
                torch.nn.init.normal_(module.weight, 2, 0.2)
                torch.nn.init.normal_(module.bias, 0.1, 0.1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            functional.cross_entropy(net(torch.randn(4, 1, 28, 28).double()), torch.randint(10, (4,))).backward()
            optimizer.step()
            optimizer.zero_grad()
        folder = os.path.join(directory, readout)
        os.makedirs(folder)
        save_file(net.state_dict(), os.path.join(folder, "model.safetensors"))
        expected = run(net, torch.randn(3, 1, 28, 28).double(), torch.randint(10, (3,)))
        save_file(expected, os.path.join(folder, "expected.safetensors"))


def check(directory):
    good = True
    for readout in READOUTS:
        folder = os.path.join(directory, readout)
        net = make_network(readout)
        net.load_state_dict(load_file(os.path.join(folder, "model.safetensors")), strict=True)
        expected = load_file(os.path.join(folder, "expected.safetensors"))
        actual = run(net, expected["images"], expected["labels"])
        if actual.keys() != expected.keys():
            sys.exit(f"{folder}: keys differ: {sorted(actual.keys() ^ expected.keys())}")
        silent = [name for name, value in actual.items() if name.startswith("grad.") and not value.any()]
        if silent:
            sys.exit(f"{folder}: nothing is compared where the gradient is 0: {silent}")
        worst = {}
        for name, value in expected.items():
            if value.shape != actual[name].shape:
                sys.exit(f"{folder}: {name} has shape {list(actual[name].shape)}, not {list(value.shape)}")
            error = (value - actual[name]).abs().max().item()
            group = name.partition(".")[0]
            worst[group] = max(worst.get(group, 0), error) if error == error else float("inf")
        print(f"{folder}: worst errors", ", ".join(f"{group} {error:.1e}" for group, error in worst.items()))
        good = good and max(worst.values()) <= TOLERANCE
    if not good:
        sys.exit(f"more than {TOLERANCE}")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](sys.argv[2])

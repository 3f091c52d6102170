"""The Python side of the test of import.hpp; dsrn_interop.cpp is the other.

    import_interop.py write LIBRARY DIRECTORY      LIBRARY: spikingjelly, pytorch or stbp_simple
    import_interop.py check LIBRARY DIRECTORY

`write` leaves the library's deep spiking residual network with random weights and statistics, theirs.safetensors, and
what it computes in evaluation mode, expected.safetensors: images and logits. `check` compares theirs.safetensors with
back.safetensors, the export of the imported network, which the library's network must load with strict=True. `pytorch`
is SpikingJelly's network of PyTorch's own layers, with the equations of its neurons written out.
"""

import math
import os
import sys

import torch
from torch import nn

from safetensors_torch import load_file, save_file

TIMESTEPS, WIDTH, STEM, V_TH = 2, 4, 2, 0.4
TAU = 1 / 0.7  # SpikingJelly's: 0.3 of the potential are left
DECAY = 0.3  # STBP-simple's


def conv(make, channels_in, channels_out, kernel=3, stride=1):
    return make(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)


# SpikingJelly, in its multi-step mode: [T, N, ...].


class OverTime:
    """A layer of PyTorch that takes time and batch for one axis."""

    def forward(self, x):
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Conv2d(OverTime, nn.Conv2d):
    pass


class BatchNorm2d(OverTime, nn.BatchNorm2d):
    pass


class LIFNode(nn.Module):
    def forward(self, x):
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            v = v + (current - v) / TAU
            spikes.append((v >= V_TH).to(v))
            v = v * (1 - spikes[-1])
        return torch.stack(spikes)


class PyTorchLayers:
    conv, linear = Conv2d, nn.Linear

    @staticmethod
    def norm(channels, branches=1):
        return BatchNorm2d(channels)

    lif = LIFNode

    @staticmethod
    def forget(net):
        pass


def spikingjelly_layers():
    from spikingjelly.activation_based import functional, layer, neuron

    class SpikingJellyLayers:
        @staticmethod
        def conv(*arguments, **options):
            return layer.Conv2d(*arguments, **options, step_mode="m")

        @staticmethod
        def linear(*arguments):
            return layer.Linear(*arguments, step_mode="m")

        @staticmethod
        def norm(channels, branches=1):
            norm = layer.ThresholdDependentBatchNorm2d(1 / math.sqrt(branches), V_TH, channels)
            # Release 0.0.0.0.14 inherits a check from PyTorch that is not implemented.
            norm._check_input_dim = lambda _: None
            return norm

        @staticmethod
        def lif():
            return neuron.LIFNode(tau=TAU, v_threshold=V_TH, step_mode="m")

        forget = functional.reset_net

    return SpikingJellyLayers


class Block(nn.Module):
    def __init__(self, layers, channels_in, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(layers.conv, channels_in, channels, 3, stride), layers.norm(channels)
        self.conv2, self.bn2 = conv(layers.conv, channels, channels), layers.norm(channels, branches=2)
        self.sn1, self.sn2, self.downsample = layers.lif(), layers.lif(), nn.Identity()
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(conv(layers.conv, channels_in, channels, 1, stride),
                                            layers.norm(channels, branches=2))

    def forward(self, x):
        return self.sn2(self.bn2(self.conv2(self.sn1(self.bn1(self.conv1(x))))) + self.downsample(x))


class MultiStep(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.forget = layers.forget

        def blocks(channels_in, channels, count, stride):
            return nn.Sequential(*(Block(layers, channels if i else channels_in, channels, 1 if i else stride)
                                   for i in range(count)))

        self.conv1, self.bn1, self.sn1 = conv(layers.conv, 1, STEM), layers.norm(STEM), layers.lif()
        self.layer1 = blocks(STEM, WIDTH, 3, 1)
        self.layer2 = blocks(WIDTH, 2 * WIDTH, 3, 2)
        self.layer3 = blocks(2 * WIDTH, 4 * WIDTH, 2, 2)
        self.fc1, self.sn2, self.fc2 = layers.linear(4 * WIDTH, 256), layers.lif(), layers.linear(256, 10)

    def forward(self, images):
        self.forget(self)
        x = self.sn1(self.bn1(self.conv1(images.expand(TIMESTEPS, *images.shape))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc2(self.sn2(self.fc1(x.mean((3, 4))))).mean(0)


# STBP-simple: [N, ..., T]. Its layers and its network, as far as the names in a state dict and the numbers go.


class TdLayer(nn.Module):
    def __init__(self, layer, bn=None):
        super().__init__()
        self.layer, self.bn = layer, bn

    def forward(self, x):
        x = torch.stack([self.layer(x[..., t]) for t in range(TIMESTEPS)], -1)
        return x if self.bn is None else self.bn(x)


class TdBatchNorm(nn.BatchNorm2d):
    def __init__(self, channels, alpha=1):
        super().__init__(channels)
        self.alpha = alpha

    def forward(self, x):
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = x.mean([0, 2, 3, 4]), x.var([0, 2, 3, 4], unbiased=False)
            n = x.numel() / x.size(1)
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean = 0.1 * mean + 0.9 * self.running_mean
                self.running_var = 0.1 * variance * n / (n - 1) + 0.9 * self.running_var
        x = self.alpha * V_TH * (x - mean[None, :, None, None, None]) / torch.sqrt(
            variance[None, :, None, None, None] + self.eps)
        return x * self.weight[None, :, None, None, None] + self.bias[None, :, None, None, None]


class LIFSpike(nn.Module):
    def forward(self, x):
        u, spikes = torch.zeros_like(x[..., 0]), [torch.zeros_like(x[..., 0])]
        for t in range(TIMESTEPS):
            u = DECAY * u * (1 - spikes[-1]) + x[..., t]
            spikes.append(torch.gt(u - V_TH, 0).to(u))
        return torch.stack(spikes[1:], -1)


class StbpBlock(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(nn.Conv2d, channels_in, channels, 3, stride), TdBatchNorm(channels)
        self.conv2, self.bn2 = conv(nn.Conv2d, channels, channels), TdBatchNorm(channels, alpha=1 / (2**0.5))
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = TdLayer(conv(nn.Conv2d, channels_in, channels, 1, stride),
                                      TdBatchNorm(channels, alpha=1 / (2**0.5)))
        self.conv1_s, self.conv2_s = TdLayer(self.conv1, self.bn1), TdLayer(self.conv2, self.bn2)
        self.spike = LIFSpike()

    def forward(self, x):
        out = self.conv2_s(self.spike(self.conv1_s(x)))
        return self.spike(out + (x if self.downsample is None else self.downsample(x)))


class StbpSimple(nn.Module):
    def __init__(self):
        super().__init__()

        def blocks(channels_in, channels, count, stride):
            return nn.Sequential(*(StbpBlock(channels if i else channels_in, channels, 1 if i else stride)
                                   for i in range(count)))

        self.conv1, self.bn1 = conv(nn.Conv2d, 1, STEM), TdBatchNorm(STEM)
        self.conv1_s = TdLayer(self.conv1, self.bn1)
        self.layer1 = blocks(STEM, WIDTH, 3, 1)
        self.layer2 = blocks(WIDTH, 2 * WIDTH, 3, 2)
        self.layer3 = blocks(2 * WIDTH, 4 * WIDTH, 2, 2)
        self.fc1, self.fc2 = nn.Linear(4 * WIDTH, 256), nn.Linear(256, 10)
        self.fc1_s, self.fc2_s, self.spike = TdLayer(self.fc1), TdLayer(self.fc2), LIFSpike()

    def forward(self, images):
        x = self.spike(self.conv1_s(images.unsqueeze(-1).expand(*images.shape, TIMESTEPS)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc2_s(self.spike(self.fc1_s(x.mean((2, 3))))).mean(-1)


def make_network(library):
    if library == "stbp_simple":
        return StbpSimple().double()
    return MultiStep(PyTorchLayers if library == "pytorch" else spikingjelly_layers()).double()


def write(library, directory):
    torch.manual_seed(1)
    net = make_network(library)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.weight, 2 if library == "stbp_simple" else 1.2, 0.2)
            torch.nn.init.normal_(module.bias, 0.1, 0.1)
    with torch.no_grad():
        for _ in range(20):  # statistics by which the neurons fire, but
            net(torch.randn(4, 1, 28, 28).double())
        for module in net.modules():  # not those of any batch
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean += 0.05 * torch.randn_like(module.running_mean)
                module.running_var *= 0.8 + 0.4 * torch.rand_like(module.running_var)
        net.eval()
        rates = []
        for module in net.modules():
            if type(module).__name__ in ("LIFNode", "LIFSpike"):
                module.register_forward_hook(lambda *call: rates.append(call[2].mean().item()))
        images = torch.randn(6, 1, 28, 28).double()
        logits = net(images)
    print(f"{library}: firing rates from {min(rates):.3f} to {max(rates):.3f}")
    if len(rates) != 18 or min(rates) < 0.01 or max(rates) > 0.99:
        sys.exit(f"nothing is compared where neurons do not fire: {rates}")
    save_file(net.state_dict(), os.path.join(directory, "theirs.safetensors"))
    save_file({"images": images, "logits": logits}, os.path.join(directory, "expected.safetensors"))


def check(library, directory):
    theirs, back = (load_file(os.path.join(directory, name + ".safetensors")) for name in ("theirs", "back"))
    make_network(library).load_state_dict(back, strict=True)
    worst = max((value - back[name]).abs().max().item() for name, value in theirs.items()
                if not name.endswith("num_batches_tracked"))
    print(f"{library}: worst error of a weight that came back {worst:.1e}")
    if not worst <= 1e-14:
        sys.exit("the weights that came back are others")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])

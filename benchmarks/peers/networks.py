"""The deep spiking residual network of spikenet's dsrn.hpp in the manner of other libraries.

One structure, with the names of spikenet's state dict; what differs is a Manner: how time is laid out in a tensor, and
what a convolution, a tdBN and a layer of neurons are. The mathematics is docs/mathematics.md, the neurons' and the
normalisation's plain PyTorch form tests/interop/dsrn_torch.py.
"""

import math
import struct

import torch
from torch import nn

from dsrn_torch import LIF, Spike, TdBN


class Manner:
    """Of T timesteps, and neurons with threshold v_th, of whose potential tau is left after a timestep, and whose
    surrogate is 2a wide."""

    def __init__(self, timesteps, v_th, tau, a):
        self.timesteps, self.v_th, self.tau, self.a = timesteps, v_th, tau, a

    def conv(self, channels_in, channels_out, kernel, stride):
        return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)

    def linear(self, features_in, features_out):
        return nn.Linear(features_in, features_out)

    def bn_weight(self, branches):
        """What spikenet's tdBN weight is multiplied with to be this library's."""
        return 1.0

    def reset(self, net):
        """Forgets the membrane potentials of the last batch, where they are kept."""


class Merged(Manner):
    """Plain PyTorch at its best: time and batch are one axis, [T*N, C, H, W], so that each layer is called once; only
    the neurons walk over time. What comes before the first neurons is computed once."""

    def tdbn(self, channels, branches=1):
        return TdBN(channels, self.v_th, branches)

    def lif(self):
        return LIF(self.timesteps, self.v_th, self.tau, self.a)

    def stem(self, conv, bn, images):
        return bn(conv(images)).repeat(self.timesteps, 1, 1, 1)

    def pool(self, x):
        return x.mean((2, 3))

    def read_out(self, x):
        return x.view(self.timesteps, -1, x.shape[1]).mean(0)

    def by_timestep(self, x):
        return x.view(self.timesteps, -1, *x.shape[1:])


class EachTimestep(nn.Module):
    """Calls a layer once for each timestep of [T, N, ...]."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return torch.stack([self.layer(current) for current in x])


class TimeFirstTdBN(TdBN):
    def forward(self, x):
        return super().forward(x.flatten(0, 1)).view(x.shape)


class TimeFirstLIF(LIF):
    def forward(self, x):
        return super().forward(x.flatten(0, 1)).view(x.shape)


class Stepwise(Manner):
    """Each layer called once for each timestep, [T, N, C, H, W]."""

    def conv(self, *arguments):
        return EachTimestep(super().conv(*arguments))

    def linear(self, *arguments):
        return EachTimestep(super().linear(*arguments))

    def tdbn(self, channels, branches=1):
        return TimeFirstTdBN(channels, self.v_th, branches)

    def lif(self):
        return TimeFirstLIF(self.timesteps, self.v_th, self.tau, self.a)

    def stem(self, conv, bn, images):
        return bn(conv(images.expand(self.timesteps, *images.shape)))

    def pool(self, x):
        return x.mean((3, 4))

    def read_out(self, x):
        return x.mean(0)

    def by_timestep(self, x):
        return x


class SnnTorchLIF(nn.Module):
    def __init__(self, manner):
        super().__init__()
        import snntorch
        self.neuron = snntorch.Leaky(beta=manner.tau, threshold=manner.v_th, reset_mechanism="zero",
                                     spike_grad=lambda v: Spike.apply(v, manner.a))

    def forward(self, x):
        potential, spikes = torch.zeros_like(x[0]), []
        for current in x:
            spike, potential = self.neuron(current, potential)
            spikes.append(spike)
        return torch.stack(spikes)


class SnnTorch(Stepwise):
    """snnTorch's neurons, as its tutorials use them: one timestep after the other. Their gradient does not flow through
    the reset; there is no tdBN."""

    def lif(self):
        return SnnTorchLIF(self)


class TimeLastLayer(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        out = None
        for t in range(x.shape[-1]):
            y = self.layer(x[..., t])
            if out is None:
                out = y.new_zeros(y.shape + x.shape[-1:])
            out[..., t] = y
        return out


class TimeLastTdBN(TdBN):
    """Normalises with elementary operations, as a five-dimensional tensor needs."""

    def forward(self, x):
        over, shape = [0, 2, 3, 4], (1, -1, 1, 1, 1)
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = x.mean(over), x.var(over, unbiased=False)
            n = x.numel() / x.shape[1]
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean += self.momentum * (mean - self.running_mean)
                self.running_var += self.momentum * (variance * n / (n - 1) - self.running_var)
        x = self.scale * (x - mean.view(shape)) / torch.sqrt(variance.view(shape) + self.eps)
        return x * self.weight.view(shape) + self.bias.view(shape)


class TimeLastLIF(nn.Module):
    def __init__(self, manner):
        super().__init__()
        self.v_th, self.tau, self.a = manner.v_th, manner.tau, manner.a

    def forward(self, x):
        u, o, out = torch.zeros_like(x[..., 0]), torch.zeros_like(x[..., 0]), torch.zeros_like(x)
        for t in range(x.shape[-1]):
            u = self.tau * u * (1 - o) + x[..., t]
            o = Spike.apply(u - self.v_th, self.a)
            out[..., t] = o
        return out


class StbpSimple(Manner):
    """The manner of STBP-simple's layers: time is the last axis, [N, C, H, W, T]; each layer is called once for each
    timestep (T times: their code makes one call more to learn the shape)."""

    def conv(self, *arguments):
        return TimeLastLayer(super().conv(*arguments))

    def linear(self, *arguments):
        return TimeLastLayer(super().linear(*arguments))

    def tdbn(self, channels, branches=1):
        return TimeLastTdBN(channels, self.v_th, branches)

    def lif(self):
        return TimeLastLIF(self)

    def stem(self, conv, bn, images):
        return bn(conv(images.unsqueeze(-1).expand(*images.shape, self.timesteps)))

    def pool(self, x):
        return x.mean((2, 3))

    def read_out(self, x):
        return x.mean(-1)

    def by_timestep(self, x):
        return x.movedim(-1, 0)


class SpikingJelly(Manner):
    """SpikingJelly's layers and neurons in its multi-step mode, [T, N, C, H, W]."""

    def __init__(self, timesteps, v_th, tau, a):
        super().__init__(timesteps, v_th, tau, a)
        from spikingjelly.activation_based import functional, layer, neuron, surrogate
        self.functional, self.layer, self.neuron, self.surrogate = functional, layer, neuron, surrogate

    def conv(self, channels_in, channels_out, kernel, stride):
        return self.layer.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False, step_mode="m")

    def linear(self, features_in, features_out):
        return self.layer.Linear(features_in, features_out, step_mode="m")

    def tdbn(self, channels, branches=1):
        return self.layer.ThresholdDependentBatchNorm2d(1 / math.sqrt(branches), self.v_th, channels)

    def bn_weight(self, branches):
        return self.v_th / math.sqrt(branches)

    def lif(self):
        # Its decay is 1 - 1/tau, its rectangle alpha high and 1/alpha wide. Its neurons fire at the threshold, those of
        # spikenet above it: at the next float.
        (bits,) = struct.unpack("<I", struct.pack("<f", self.v_th))
        (above,) = struct.unpack("<f", struct.pack("<I", bits + 1))
        return self.neuron.LIFNode(tau=1 / (1 - self.tau), decay_input=False, v_threshold=above, v_reset=0.0,
                                   surrogate_function=self.surrogate.Rect(alpha=1 / (2 * self.a)), detach_reset=False,
                                   step_mode="m")

    def stem(self, conv, bn, images):
        return bn(conv(images.unsqueeze(0))).expand(self.timesteps, -1, -1, -1, -1)

    def pool(self, x):
        return x.mean((3, 4))

    def read_out(self, x):
        return x.mean(0)

    def reset(self, net):
        self.functional.reset_net(net)

    def by_timestep(self, x):
        return x


class Block(nn.Module):
    def __init__(self, manner, channels_in, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = manner.conv(channels_in, channels, 3, stride), manner.tdbn(channels)
        self.spike1 = manner.lif()
        self.conv2, self.bn2 = manner.conv(channels, channels, 3, 1), manner.tdbn(channels, branches=2)
        self.downsample = nn.Sequential()
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(manner.conv(channels_in, channels, 1, stride),
                                            manner.tdbn(channels, branches=2))
        self.spike2 = manner.lif()

    def forward(self, x):
        out = self.spike1(self.bn1(self.conv1(x)))
        return self.spike2(self.bn2(self.conv2(out)) + self.downsample(x))


class Network(nn.Module):
    """Images [N, 1, 28, 28] to logits [N, 10], the mean over time of the last layer's current."""

    def __init__(self, manner, width):
        super().__init__()
        self.manner = manner

        def layer(channels_in, channels, blocks, stride):
            return nn.Sequential(*(Block(manner, channels if i else channels_in, channels, 1 if i else stride)
                                   for i in range(blocks)))

        self.conv1, self.bn1, self.spike = manner.conv(1, width, 3, 1), manner.tdbn(width), manner.lif()
        self.layer1 = layer(width, width, 3, 1)
        self.layer2 = layer(width, 2 * width, 3, 2)
        self.layer3 = layer(2 * width, 4 * width, 2, 2)
        self.fc1, self.spike1, self.fc2 = manner.linear(4 * width, 256), manner.lif(), manner.linear(256, 10)

    def forward(self, images):
        x = self.spike(self.manner.stem(self.conv1, self.bn1, images))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.spike1(self.fc1(self.manner.pool(x)))
        return self.manner.read_out(self.fc2(x))

    def neurons(self):
        """The layers of neurons, in the order in which they are computed."""
        yield self.spike
        for layer in self.layer1, self.layer2, self.layer3:
            for block in layer:
                yield block.spike1
                yield block.spike2
        yield self.spike1

    def parameter_scales(self):
        """By spikenet's name: this network's name, and what its value is in units of spikenet's."""
        scales = {}
        for name in self.state_dict():
            theirs = name.replace(".layer.", ".")
            parts = theirs.split(".")
            normalises = "bn1" in parts or "bn2" in parts or parts[-3:-1] == ["downsample", "1"]
            branches = 2 if "bn2" in parts or "downsample" in parts else 1
            scales[theirs] = name, self.manner.bn_weight(branches) if normalises and parts[-1] == "weight" else 1.0
        return scales

    def load(self, state):
        """A state dict of spikenet's. Names and shapes must be those of this network."""
        scales = self.parameter_scales()
        unknown = set(state) - set(scales)
        if unknown:
            raise ValueError(f"the weights have {sorted(unknown)[0]}, which this network does not")
        constants = {name: value for name, value in self.state_dict().items() if ".neuron." in name}  # snnTorch's
        theirs = {scales[name][0]: value * scales[name][1] for name, value in state.items()}
        self.load_state_dict({**constants, **theirs})

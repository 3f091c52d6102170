"""The deep spiking residual network of spikenet's dsrn.hpp as a plain PyTorch module.

Its state dict has the names and shapes of the C++ network's, so that weights go both ways with strict=True. The
mathematics is docs/mathematics.md; nothing here is shared with the C++ library. Needs PyTorch alone.
"""

import math

import torch
from torch import nn
from torch.nn import functional


class Spike(torch.autograd.Function):
    """1 where v > 0, else 0; its derivative is taken to be a rectangle of half width a and area 1."""

    @staticmethod
    def forward(ctx, v, a):
        ctx.save_for_backward(v)
        ctx.a = a
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (v,) = ctx.saved_tensors
        return gradient * (v.abs() < ctx.a) / (2 * ctx.a), None


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons with hard reset: [T*N, ...], time outermost, to spikes of the same shape."""

    def __init__(self, timesteps, v_th, tau, a):
        super().__init__()
        self.timesteps, self.v_th, self.tau, self.a = timesteps, v_th, tau, a

    def forward(self, x):
        u, o, spikes = 0.0, 0.0, []
        for current in x.view(self.timesteps, -1, *x.shape[1:]):
            u = self.tau * u * (1 - o) + current
            o = Spike.apply(u - self.v_th, self.a)
            spikes.append(o)
        return torch.cat(spikes)


class TdBN(nn.BatchNorm2d):
    """Threshold-dependent batch normalisation: batch normalisation with the scale alpha * v_th * weight, where alpha is
    1 / sqrt(branches) for a layer whose output is one of so many that are summed."""

    def __init__(self, channels, v_th, branches=1):
        super().__init__(channels)
        self.scale = v_th / math.sqrt(branches)

    def forward(self, x):
        if self.training:
            self.num_batches_tracked += 1
        return functional.batch_norm(x, self.running_mean, self.running_var, self.scale * self.weight, self.bias,
                                     self.training, self.momentum, self.eps)


def conv3x3(channels_in, channels_out, stride=1):
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)


class Block(nn.Module):
    """LIF(tdBN(conv(LIF(tdBN(conv(x))))) + shortcut(x)), with a projection where shape or stride changes."""

    def __init__(self, channels_in, channels, stride, v_th, make_lif):
        super().__init__()
        self.conv1, self.bn1, self.spike1 = conv3x3(channels_in, channels, stride), TdBN(channels, v_th), make_lif()
        self.conv2, self.bn2, self.spike2 = conv3x3(channels, channels), TdBN(channels, v_th, branches=2), make_lif()
        self.downsample = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                                            TdBN(channels, v_th, branches=2))

    def forward(self, x):
        out = self.spike1(self.bn1(self.conv1(x)))
        return self.spike2(self.bn2(self.conv2(out)) + self.downsample(x))


class DSRN(nn.Module):
    """Images [N, channels, height, width], the same at every timestep, to logits [N, classes].

    width: channels of the first blocks. stem: channels of the first convolution, by default the width. readout: logits
    are the mean over time of the last layer's current (mean_current) or of its neurons' spikes (mean_spikes).
    """

    def __init__(self, width, timesteps, stem=None, channels=1, classes=10, readout="mean_current", v_th=0.5, tau=0.25,
                 a=0.5):
        super().__init__()
        if readout not in ("mean_current", "mean_spikes"):
            raise ValueError(f"readout is {readout!r}, neither mean_current nor mean_spikes")
        stem = stem or width
        self.timesteps = timesteps

        def make_lif():
            return LIF(timesteps, v_th, tau, a)

        def layer(channels_in, channels_out, blocks, stride):
            return nn.Sequential(*(Block(channels_out if i else channels_in, channels_out, 1 if i else stride, v_th,
                                         make_lif) for i in range(blocks)))

        self.conv1, self.bn1, self.spike = conv3x3(channels, stem), TdBN(stem, v_th), make_lif()
        self.layer1 = layer(stem, width, 3, 1)
        self.layer2 = layer(width, 2 * width, 3, 2)
        self.layer3 = layer(2 * width, 4 * width, 2, 2)
        self.fc1, self.spike1 = nn.Linear(4 * width, 256), make_lif()
        self.fc2 = nn.Linear(256, classes)
        self.spike2 = make_lif() if readout == "mean_spikes" else nn.Identity()

    def forward(self, images):
        x = images.repeat(self.timesteps, 1, 1, 1)
        x = self.spike(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.spike1(self.fc1(x.mean((2, 3))))
        x = self.spike2(self.fc2(x))
        return x.view(self.timesteps, -1, x.shape[1]).mean(0)

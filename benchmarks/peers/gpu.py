#!/usr/bin/env python3
"""Other libraries' side of spikenet_gpu_benchmark: a training step of the same network in them, on an NVIDIA GPU.

    gpu.py [--width 128] [--steps 2] [--batch 64] [--seconds 1] [VARIANT...]

Prints a line for each variant, in the columns of spikenet_gpu_benchmark. Needs PyTorch with CUDA; SpikingJelly where a
variant is its. Wall time of a training step (copy of the batch to the GPU, forward, cross-entropy, backward, Adam),
which ends when the host has the loss.
"""

import argparse
import contextlib
import importlib.util
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "interop"))

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

import networks  # noqa: E402

# name: manner, precision, options
VARIANTS = {
    "stbp": ("StbpSimple", "float32", ""),
    "torch": ("Merged", "float32", ""),
    "torch-tf32-cl": ("Merged", "tf32", "cl"),
    "torch-float16-cl": ("Merged", "float16", "cl"),
    "torch-float16-compile-cl": ("Merged", "float16", "cl compile"),
    "torch-float16-graphs-cl": ("Merged", "float16", "cl graphs"),
    "spikingjelly": ("SpikingJelly", "float32", ""),
    "spikingjelly-float16": ("SpikingJelly", "float16", ""),
    "spikingjelly-float16-compile": ("SpikingJelly", "float16", "compile"),
}
WARM_UP, LEAST = 5, 10


class Training:
    def __init__(self, manner, precision, options, width, timesteps):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        self.half = precision == "float16"
        self.format = torch.channels_last if "cl" in options else torch.contiguous_format
        self.manner = getattr(networks, manner)(timesteps, v_th=0.5, tau=0.25, a=0.5)
        self.net = networks.Network(self.manner, width).cuda().to(memory_format=self.format)
        self.run = self.net
        if "compile" in options or "graphs" in options:
            torch._dynamo.reset()
            self.run = torch.compile(self.net, dynamic=False, mode="reduce-overhead" if "graphs" in options else None)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.half)

    def step(self, images, labels):
        images = images.cuda(non_blocking=True).contiguous(memory_format=self.format)
        labels = labels.cuda(non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.float16) if self.half else contextlib.nullcontext():
            loss = functional.cross_entropy(self.run(images), labels)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.manner.reset(self.net)
        return loss.item()


def measure(name, arguments):
    manner, precision, options = VARIANTS[name]
    training = Training(manner, precision, options.split(), arguments.width, arguments.steps)
    torch.manual_seed(2)
    images = torch.randn(arguments.batch, 1, 28, 28).pin_memory()
    labels = (torch.arange(arguments.batch) % 10).pin_memory()
    for _ in range(WARM_UP):
        training.step(images, labels)
    times = []
    while len(times) < LEAST or sum(times) < arguments.seconds:
        start = time.perf_counter()
        training.step(images, labels)
        times.append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2, help="timesteps")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1, help="to measure each variant for")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    arguments = parser.parse_args()
    for name in arguments.variants:
        if name not in VARIANTS:
            parser.error(f"there is no variant {name!r}, but {', '.join(VARIANTS)}")
    if not torch.cuda.is_available():
        print("Skipped: PyTorch finds no GPU")
        return
    torch.backends.cudnn.benchmark = True
    print(f"{torch.cuda.get_device_name()}, width {arguments.width}, {arguments.steps} timesteps, "
          f"PyTorch {torch.__version__}\n{'':28} {'batch':>6} {'median ms':>10} {'least':>10} {'most':>10} {'images/s':>12}")
    for name in arguments.variants or VARIANTS:
        if VARIANTS[name][0] == "SpikingJelly" and not importlib.util.find_spec("spikingjelly"):
            print(f"{name:28} there is no spikingjelly")
            continue
        times = measure(name, arguments)
        median = statistics.median(times)
        print(f"{name:28} {arguments.batch:6} {1e3 * median:10.3f} {1e3 * min(times):10.3f} {1e3 * max(times):10.3f} "
              f"{arguments.batch / median:12.0f}", flush=True)


if __name__ == "__main__":
    main()

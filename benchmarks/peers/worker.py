"""Another library's side of the comparison, in a process that takes turns with others; ours.cpp is spikenet's.

    worker.py VARIANT WEIGHTS INPUTS THREADS WIDTH TIMESTEPS

Obeys the commands train, evaluate and memory of ours.cpp, a line each, and answers each with a line of JSON; besides

    check BATCH SIZE PATH   compares with what ours.cpp has recorded with this BATCH, evaluating SIZE images at once

`worker.py list` prints the variants that this Python can run, and why it cannot run the others.
"""

import contextlib
import ctypes
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "interop"))

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

import networks  # noqa: E402
from safetensors_torch import load_file  # noqa: E402

# name: manner, options, what it is
VARIANTS = {
    "stbp": ("StbpSimple", "", "STBP-simple's layers, a call a timestep"),
    "stepwise": ("Stepwise", "", "PyTorch, a call a timestep, time first"),
    "torch": ("Merged", "", "PyTorch, all timesteps in a call"),
    "torch-cl": ("Merged", "cl", "PyTorch, all timesteps, channels last"),
    "torch-compile": ("Merged", "compile", "PyTorch, all timesteps, torch.compile"),
    "torch-compile-cl": ("Merged", "compile cl", "PyTorch, all timesteps, torch.compile, channels last"),
    "torch-bf16-cl": ("Merged", "bf16 cl", "PyTorch, all timesteps, bf16 autocast, channels last"),
    "torch-bf16-compile-cl": ("Merged", "bf16 compile cl",
                              "PyTorch, all timesteps, bf16 autocast, torch.compile, channels last"),
    "torch-frozen": ("Merged", "compile cl frozen",
                     "PyTorch, all timesteps, torch.compile with frozen weights, channels last"),
    "spikingjelly": ("SpikingJelly", "", "SpikingJelly, multi-step"),
    "spikingjelly-cl": ("SpikingJelly", "cl", "SpikingJelly, channels last"),
    "spikingjelly-compile": ("SpikingJelly", "compile", "SpikingJelly, torch.compile"),
    "spikingjelly-compile-cl": ("SpikingJelly", "compile cl", "SpikingJelly, torch.compile, channels last"),
    "spikingjelly-bf16-compile": ("SpikingJelly", "bf16 compile", "SpikingJelly, bf16 autocast, torch.compile"),
    "snntorch": ("SnnTorch", "", "snnTorch's neurons, a call a timestep"),
}


def why_not(variant):
    """Why this Python cannot run a variant, or None."""
    manner, options, _ = VARIANTS[variant]
    package = {"SpikingJelly": "spikingjelly", "SnnTorch": "snntorch"}.get(manner)
    if package and not importlib.util.find_spec(package):
        return f"there is no {package}"
    if "compile" in options and not hasattr(torch, "compile"):
        return f"PyTorch {torch.__version__} has no torch.compile"
    return None


def processor_has_bf16():
    with open("/proc/cpuinfo") as file:
        text = file.read()
    return "avx512_bf16" in text or "amx_bf16" in text or " bf16" in text


def list_variants():
    versions = {"PyTorch": torch.__version__}
    for package in "spikingjelly", "snntorch":
        if importlib.util.find_spec(package):
            versions[package] = importlib.metadata.version(package)
    return {"versions": versions, "bf16": processor_has_bf16(),
            "variants": [{"name": name, "what": what, "manner": manner, "options": options.split(),
                          "why_not": why_not(name)} for name, (manner, options, what) in VARIANTS.items()]}


def metadata_of(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)).get("__metadata__", {})


def memory_in_use(which):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(which + ":"))


class Batches:
    """Labelled images that are gone through in batches, again and again."""

    def __init__(self, images, labels):
        self.images, self.labels, self.next = images, labels, 0

    def take(self, size):
        if self.next + size > len(self.labels):
            self.next = 0
        part = slice(self.next, self.next + size)
        self.next += size
        return self.images[part], self.labels[part]


class Worker:
    def __init__(self, variant, weights, inputs, threads, width, timesteps):
        torch.set_num_threads(threads)
        manner, options, _ = VARIANTS[variant]
        options = options.split()
        self.bf16, self.compiled = "bf16" in options, "compile" in options
        self.format = torch.channels_last if "cl" in options else torch.contiguous_format

        metadata = metadata_of(weights)
        self.neuron = {"v_th": float(metadata.get("v_th", 0.5)), "tau": float(metadata.get("tau", 0.25)),
                       "a": float(metadata.get("surrogate_half_width", 0.5))}
        if metadata.get("readout", "mean_current") != "mean_current":
            raise ValueError(f"{weights}: its readout is {metadata['readout']}, not mean_current")
        self.manner = getattr(networks, manner)(timesteps, **self.neuron)
        self.net = networks.Network(self.manner, width)
        self.net.load(load_file(weights))
        self.net.to(memory_format=self.format)
        self.initial = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.run = self.net
        if self.compiled:
            importlib.import_module("torch._inductor.config").freezing = "frozen" in options
            self.run = torch.compile(self.net, dynamic=False)

        inputs = load_file(inputs)
        self.training = Batches(inputs["images"], inputs["labels"])
        self.test = Batches(inputs["test_images"], inputs["test_labels"])
        self.frozen = "frozen" in options

    def obey(self, line):
        command, *arguments = line.split()
        if command in ("train", "evaluate"):
            batch, seconds = arguments
            return getattr(self, command)(int(batch), float(seconds))
        if command == "memory":
            return self.memory(int(arguments[0]))
        if command == "check":
            return self.check(int(arguments[0]), int(arguments[1]), arguments[2])
        raise ValueError(f"{line!r} is no command")

    def start_again(self):
        if not self.frozen:
            self.net.load_state_dict(self.initial)
            # The fused Adam is the fastest where there is one.
            try:
                self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-4, fused=True)
            except (TypeError, RuntimeError):
                self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-4)
        self.training.next = self.test.next = 0

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.bf16 else contextlib.nullcontext()

    def train_step(self, batch):
        images, labels = self.training.take(batch)
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            loss = functional.cross_entropy(self.run(images.contiguous(memory_format=self.format)), labels)
        loss.backward()
        self.optimizer.step()
        self.manner.reset(self.net)
        return loss.item()

    def logits(self, images):
        with torch.inference_mode(), self.autocast():
            result = self.run(images.contiguous(memory_format=self.format))
        self.manner.reset(self.net)
        return result

    # The first step is not timed: it compiles, and takes the memory.
    def turn(self, step, seconds):
        step()
        count, start = 0, time.perf_counter()
        while True:
            step()
            count += 1
            taken = time.perf_counter() - start
            if taken >= seconds:
                break
        # The other processes need the memory while they have their turns.
        ctypes.CDLL(None).malloc_trim(0)
        return {"steps": count, "seconds": taken}

    def train(self, batch, seconds):
        self.start_again()
        self.net.train()
        return self.turn(lambda: self.train_step(batch), seconds)

    def evaluate(self, batch, seconds):
        self.start_again()
        self.net.eval()
        return self.turn(lambda: self.logits(self.test.take(batch)[0]), seconds)

    # A step with two images first, so that what the library takes once is there; but a compiled network would be
    # compiled anew for another batch size.
    def memory(self, batch):
        self.start_again()
        self.net.train()
        self.train_step(batch if self.compiled else 2)
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = memory_in_use("VmRSS")
        self.train_step(batch)
        return {"before": before, "peak": memory_in_use("VmHWM")}

    def check(self, batch, evaluation_batch, path):
        """Evaluation of test images, then a training step, against what ours.cpp has written."""
        expected = load_file(path)
        self.start_again()
        self.net.eval()
        count = len(expected["logits"])
        with self.recorded(count) as layers:
            logits = self.logits(self.test.take(evaluation_batch)[0])[:count].float()
        difference = (logits - expected["logits"]).abs().amax(1)
        close = difference <= 1e-4 * expected["logits"].abs().max()
        result = {"images": count, "close": int(close.sum()),
                  "same_class": int((logits.argmax(1) == expected["logits"].argmax(1)).sum()),
                  "difference": float(difference[close].max()) if close.any() else None}
        if layers:
            flips, untouched = self.flipped_spikes(layers, expected, "spikes.")
            result["evaluation"] = flips
            result["close"] = int(untouched.sum())
            result["difference"] = float(difference[untouched].max()) if untouched.any() else None
        if self.frozen:
            return result

        self.net.train()
        images, _ = self.training.take(batch)
        with self.recorded(batch) as layers, self.autocast():
            loss = functional.cross_entropy(self.run(images.contiguous(memory_format=self.format)), expected["labels"])
        loss.backward()
        self.manner.reset(self.net)
        if layers:
            result["training"], _ = self.flipped_spikes(layers, expected, "training_spikes.", coupled=True)
        own = dict(self.net.named_parameters())
        error = norm = 0.0
        for name, (own_name, scale) in self.net.parameter_scales().items():
            if "gradient." + name in expected:
                theirs = expected["gradient." + name]
                error += float((own[own_name].grad * scale - theirs).square().sum())
                norm += float(theirs.square().sum())
        self.optimizer.zero_grad(set_to_none=True)
        return {**result, "loss": loss.item(), "expected_loss": expected["loss"].item(),
                "gradient_error": (error / norm)**0.5}

    @contextlib.contextmanager
    def recorded(self, count):
        """Currents and spikes of each layer of neurons that runs meanwhile, for the first `count` images, [T, count,
        values of an image, channels last]; nothing where the network is compiled."""
        layers = []

        def record(_, inputs, output):
            layers.append((self.flat(inputs[0].detach(), count), self.flat(output.detach(), count)))

        hooks = [] if self.compiled else [layer.register_forward_hook(record) for layer in self.net.neurons()]
        yield layers
        for hook in hooks:
            hook.remove()

    def flat(self, x, count):
        x = self.manner.by_timestep(x)[:, :count]
        return (x.movedim(2, -1) if x.dim() == 5 else x).flatten(2).float()

    def flipped_spikes(self, layers, expected, prefix, coupled=False):
        """How many spikes differ, and for the first of each image how far its neuron was from the threshold: what comes
        after a spike that differs has another input. coupled: the images of a batch share their statistics, so that
        what comes after the first of any of them has."""
        count = layers[0][0].shape[1]
        flipped = total = 0
        untouched = torch.ones(count, dtype=torch.bool)
        margin = 0.0
        for number, (currents, spikes) in enumerate(layers):
            words = expected[prefix + str(number)]
            if len(words) != -(-spikes.numel() // 64):
                raise ValueError(f"layer {number} of neurons: there are {spikes.numel()} spikes, not {64 * len(words)}")
            bits = (words[:, None] >> torch.arange(64)) & 1
            theirs = bits.flatten()[:spikes.numel()].view(spikes.shape).float()
            differs = theirs != spikes
            flipped, total = flipped + int(differs.sum()), total + differs.numel()
            u, fired = torch.zeros_like(currents[0]), torch.zeros_like(spikes[0])
            for t in range(len(spikes)):
                u = self.neuron["tau"] * u * (1 - fired) + currents[t]
                fired = spikes[t]
                first = differs[t] & untouched[:, None]
                if first.any():
                    margin = max(margin, float((u[first] - self.neuron["v_th"]).abs().max()))
                untouched &= ~differs[t].any(1)
            if coupled and not untouched.all():
                untouched[:] = False
        return {"flipped": flipped, "spikes": total, "margin": margin,
                "rate": sum(float(spikes.sum()) for _, spikes in layers) / total}, untouched


def main(arguments):
    if arguments == ["list"]:
        print(json.dumps(list_variants()))
        return
    # What libraries print goes elsewhere: standard output is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    variant, weights, inputs, *numbers = arguments
    worker = Worker(variant, weights, inputs, *map(int, numbers))
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.obey(line)), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

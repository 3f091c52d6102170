"""Measures spikenet and other libraries in turns, on the same network, batches and cores; run.sh calls it.

The processes of all libraries live side by side, and one at a time computes. A turn starts from the same weights and
takes the same batches in the same order. Each turn of another library comes right after one of spikenet, so that what
else the machine does meets both; the ratio of the two is taken turn by turn, and its median, least and greatest value
are printed.

Needs no package; the Python that it starts the workers with needs PyTorch.
"""

import argparse
import gzip
import json
import os
import select
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))

TRAINING_IMAGES, TEST_IMAGES = 6400, 2000
EVALUATION_BATCH = 200
# What is measured: the command of a turn, and its batch where --batch does not say it.
MODES = {"train": ("train", None), "evaluate": ("evaluate", EVALUATION_BATCH), "latency": ("evaluate", 1)}
# The numbers that spikenet's inference is measured in, and the least share of images whose class it must agree on with
# the network that it is made of.
INFERENCE = {"float": 0.99, "int8": 0.9}
GROWTH = {"width": 16, "timesteps": (1, 2, 4, 8), "trained_at": 2}
MEMORY = {"width": 64, "timesteps": 4}
MEMORY_VARIANTS = "stbp", "torch", "torch-cl", "torch-compile", "spikingjelly"


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="run.sh", description="Compares spikenet with PyTorch, SpikingJelly and snnTorch.",
        epilog="Besides: --python PYTHON, an interpreter that has PyTorch, instead of a virtual environment; "
        "--build DIR, the build directory (default: build/peers).")
    parser.add_argument("--widths", type=integers, default=[16], metavar="W,W", help="of the network (default: 16)")
    parser.add_argument("--steps", type=int, default=2, metavar="T", help="timesteps (default: 2)")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images in a training step (default: 64)")
    parser.add_argument("--modes", type=words, default=list(MODES), metavar="MODE,MODE",
                        help="train, evaluate (in batches of 200), latency (of one image); all by default")
    parser.add_argument("--checkpoint", metavar="FILE", help="weights of a trained network, a safetensors file: used "
                        "for networks of its width; others are trained for a few steps first")
    parser.add_argument("--warm-up-steps", type=int, default=30, metavar="N", help="how many (default: 30)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each library (default: 5)")
    parser.add_argument("--seconds", type=float, default=5, metavar="S", help="length of a turn (default: 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="of each library (default: one for each core)")
    parser.add_argument("--variants", type=words, metavar="NAME,NAME", help="of the other libraries; default: all that "
                        "run here; those in bf16 where the processor computes in it")
    parser.add_argument("--slack", type=float, default=1.5, metavar="X", help="after the first round, go on only with "
                        "variants that took at most X times as long as the fastest (default: 1.5)")
    parser.add_argument("--patience", type=float, default=600, metavar="S", help="give up a variant whose first turn "
                        "takes longer, compilation included (default: 600)")
    parser.add_argument("--growth", action="store_true", help="also: time of a training step at width 16 and 1, 2, 4, "
                        "8 timesteps")
    parser.add_argument("--memory", action="store_true", help="also: peak memory of a training step at width 64, 4 "
                        "timesteps")
    parser.add_argument("--data", default=os.path.join(HERE, "..", "..", "examples", "mnist", "data"), metavar="DIR",
                        help="MNIST's four files (default: the bundled ones)")
    parser.add_argument("--chart", metavar="FILE", help="the chart, SVG (default: peers.svg in the build directory)")
    parser.add_argument("--list-sizes", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--programs", metavar="DIR", help=argparse.SUPPRESS)  # where run.sh has built spikenet's side
    parser.add_argument("--out", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not set(options.modes) <= set(MODES):
        parser.error(f"--modes: of {', '.join(MODES)}, with a comma between them")
    return options


def integers(text):
    return [int(word) for word in text.split(",") if word]


def words(text):
    return [word for word in text.split(",") if word]


def sizes(options):
    """The networks that are measured: (width, timesteps)."""
    result = [(width, options.steps) for width in options.widths]
    if options.growth:
        result += [(GROWTH["width"], timesteps) for timesteps in GROWTH["timesteps"]]
    if options.memory:
        result.append((MEMORY["width"], MEMORY["timesteps"]))
    return sorted(set(result))


# The network's arithmetic.

def dense_flop(width, timesteps, batch_passes):
    """Operations an image of a network that makes no use of spikes, a multiply-add being two. batch_passes: 1 for the
    forward pass alone; 3 for a training step, where the gradients by input and weights take as much each. The first
    convolution is computed once for all timesteps, and nobody needs the gradient by the image."""
    w, first = width, 28 * 28 * 9 * width
    block1 = 28 * 28 * 9 * w * w
    block2, block3 = 14 * 14 * 9 * (2 * w)**2, 7 * 7 * 9 * (4 * w)**2
    rest = 6 * block1
    rest += 14 * 14 * (9 + 1) * w * 2 * w + 5 * block2
    rest += 7 * 7 * (9 + 1) * 2 * w * 4 * w + 3 * block3
    rest += 4 * w * 256 + 256 * 10
    return 2 * (batch_passes * timesteps * rest + (2 if batch_passes == 3 else 1) * first)


# Files.

def read_idx(directory, name, dimensions):
    path = os.path.join(directory, name)
    opened = open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz", "rb")
    with opened as file:
        content = file.read()
    if content[:4] != bytes((0, 0, 8, dimensions)):
        raise SystemExit(f"{path}: not an IDX file of bytes in {dimensions} dimensions.")
    return content[4 + 4 * dimensions:]


def write_safetensors(path, tensors):
    """tensors: name to (type, shape, bytes); the widest elements first."""
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def read_metadata(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)).get("__metadata__", {})


def write_inputs(path, directory, checkpoint):
    """The batches that every worker is given, normalised as the checkpoint's were, or as all of MNIST's are."""
    sets = {}
    for prefix, files, count in ("", "train", TRAINING_IMAGES), ("test_", "t10k", TEST_IMAGES):
        sets[prefix] = (read_idx(directory, files + "-images-idx3-ubyte", 3),
                        read_idx(directory, files + "-labels-idx1-ubyte", 1)[:count], count)
    metadata = read_metadata(checkpoint) if checkpoint else {}
    if "pixel_mean" in metadata:
        mean, deviation = float(metadata["pixel_mean"]), float(metadata["pixel_stddev"])
    else:
        pixels = sets[""][0]
        counts = [pixels.count(value) for value in range(256)]
        mean = sum(n * value for value, n in enumerate(counts)) / len(pixels) / 255
        deviation = (sum(n * (value / 255 - mean)**2 for value, n in enumerate(counts)) / len(pixels))**0.5
    table = [struct.pack("<f", (value / 255 - mean) / deviation) for value in range(256)]
    tensors = {}
    for prefix, (_, labels, count) in sets.items():
        tensors[prefix + "labels"] = "I64", [count], struct.pack(f"<{count}q", *labels)
    for prefix, (pixels, _, count) in sets.items():
        values = b"".join(table[value] for value in pixels[:count * 784])
        tensors[prefix + "images"] = "F32", [count, 1, 28, 28], values
    write_safetensors(path, tensors)


# Workers.

class WorkerError(Exception):
    pass


class Worker:
    """A process that answers each line with a line of JSON."""

    def __init__(self, command, log, environment=None):
        self.log = log
        with open(log, "w") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            text=True, env={**os.environ, **(environment or {})})
        self.answer(300)

    def ask(self, line, patience=3600):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer(patience)

    def answer(self, patience):
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        if not ready:
            self.process.kill()
            self.process.wait()
            raise WorkerError(f"no answer in {patience:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            with open(self.log) as file:
                lines = [text.strip() for text in file if text.strip()]
            raise WorkerError((lines or ["ended without a word"])[-1][:200] + f" ({self.log})")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    def __init__(self, options):
        self.options = options
        os.makedirs(options.out, exist_ok=True)
        self.inputs = os.path.join(options.out, "inputs.safetensors")
        if options.checkpoint and not os.path.exists(options.checkpoint):
            raise SystemExit(f"{options.checkpoint}: there is no such file.")
        write_inputs(self.inputs, options.data, options.checkpoint)
        listed = subprocess.run([sys.executable, os.path.join(HERE, "worker.py"), "list"], check=True,
                                stdout=subprocess.PIPE, text=True)
        self.libraries = json.loads(listed.stdout)
        self.weights = {}
        self.results = {"versions": self.libraries["versions"], "threads": options.threads, "turns": options.rounds,
                        "seconds": options.seconds, "processor": processor(), "comparisons": []}

    def ours(self, width, timesteps, weights):
        program = os.path.join(self.options.programs, f"spikenet_peer_{width}x{timesteps}")
        return Worker([program, weights, self.inputs, str(self.options.threads)],
                      os.path.join(self.options.out, f"spikenet-{width}x{timesteps}.log"))

    def peer(self, variant, width, timesteps, weights, tuned=True):
        # glibc gives blocks over 32 MB back to the system at once, so that the pages of large tensors are cleared anew
        # for each of them. It is told to keep them; but where memory is measured, it is left as it comes.
        keep = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}
        environment = {"OMP_NUM_THREADS": str(self.options.threads), "PYTHONDONTWRITEBYTECODE": "1",
                       "TORCHINDUCTOR_CACHE_DIR": os.path.join(self.options.out, "inductor"),
                       "TORCHINDUCTOR_COMPILE_THREADS": "1", **(keep if tuned else {})}
        return Worker([sys.executable, os.path.join(HERE, "worker.py"), variant, weights, self.inputs,
                       str(self.options.threads), str(width), str(timesteps)],
                      os.path.join(self.options.out, f"{variant}-{width}x{timesteps}.log"), environment)

    def weights_of(self, width, timesteps):
        """The file of the weights to measure with, and what they are."""
        if self.options.checkpoint:
            metadata = read_metadata(self.options.checkpoint)
            if int(metadata.get("width", 0)) == width:
                return self.options.checkpoint, f"trained at {metadata.get('timesteps', 'unknown')} timesteps"
        steps = self.options.warm_up_steps
        path = os.path.join(self.options.out, f"weights-{width}x{timesteps}-{steps}.safetensors")
        if path not in self.weights:
            say(f"Training the network of width {width} and {timesteps} timesteps for {steps} steps ...")
            worker = self.ours(width, timesteps, "-")
            worker.ask(f"prepare {steps} {path}", 7200)
            worker.close()
            self.weights[path] = True
        return path, f"after {steps} training steps from initialisation"

    def variants(self):
        chosen, left_out = [], {}
        for variant in self.libraries["variants"]:
            name = variant["name"]
            if self.options.variants is not None and name not in self.options.variants:
                continue
            if variant["why_not"]:
                left_out[name] = variant["why_not"]
            elif "bf16" in variant["options"] and not self.libraries["bf16"] and self.options.variants is None:
                left_out[name] = "the processor has no bf16 arithmetic"
            else:
                chosen.append(variant)
        return chosen, left_out

    # Both compute the same.

    def check(self, ours, workers, comparison, width, timesteps):
        batch = self.options.batch
        path = os.path.join(self.options.out, f"recorded-{width}x{timesteps}.safetensors")
        ours.ask(f"record {batch} {path}")
        comparison["checks"] = {}
        for name in list(workers):
            worker, variant = workers[name]
            try:
                found = worker.ask(f"check {batch} {EVALUATION_BATCH} {path}", self.options.patience)
            except WorkerError as error:
                comparison["left_out"][name] = str(error)
                say(f"  {name}: left out, {error}")
                del workers[name]
                continue
            comparison["checks"][name] = found
            say(f"  {name}: {told(found)}")
            if "bf16" not in variant["options"] and not same_network(found, variant):
                raise SystemExit(f"{name} does not compute the same network.")
        os.remove(path)
        comparison["inference"] = {}
        for number, least in INFERENCE.items():
            found = comparison["inference"][number] = ours.ask(f"agree {number}")
            say(f"  spikenet inference, {number}: classes of {found['same_class']} of {found['images']} images agree, "
                f"logits to {found['median_difference']:.1e} (median)")
            if found["same_class"] < least * found["images"]:
                raise SystemExit(f"spikenet's inference in {number} does not compute the same network.")

    def compare(self, width, timesteps):
        options = self.options
        weights, origin = self.weights_of(width, timesteps)
        variants, left_out = self.variants()
        comparison = {"width": width, "timesteps": timesteps, "weights": origin, "left_out": left_out, "modes": {}}
        say(f"\nWidth {width}, {timesteps} timesteps: the same logits from the same weights ({origin})?")
        ours = self.ours(width, timesteps, weights)
        workers = {}
        for variant in variants:
            try:
                workers[variant["name"]] = self.peer(variant["name"], width, timesteps, weights), variant
            except WorkerError as error:
                left_out[variant["name"]] = str(error)
                say(f"  {variant['name']}: left out, {error}")
        try:
            self.check(ours, workers, comparison, width, timesteps)
            if not workers:
                raise SystemExit("There is nothing to compare with.")
            for mode in options.modes:
                comparison["modes"][mode] = self.take_turns(mode, ours, workers, left_out)
        finally:
            ours.close()
            for worker, _ in workers.values():
                worker.close()
        self.results["comparisons"].append(comparison)
        return comparison

    def take_turns(self, mode, ours, workers, left_out):
        options = self.options
        command, batch = MODES[mode]
        batch = batch or options.batch
        own_commands = {"spikenet": command}
        if mode != "train":
            own_commands.update({f"spikenet inference, {number}": f"infer {number}" for number in INFERENCE})
        playing = {name: variant for name, (_, variant) in workers.items()
                   if mode != "train" or "frozen" not in variant["options"]}
        result = {"batch": batch, "spikenet": {name: [] for name in own_commands}, "rates": [], "peaks": [],
                  "peers": {name: [] for name in playing}, "dropped": []}

        def images_per_second(turn):
            return turn["steps"] * batch / turn["seconds"]

        for number in range(options.rounds):
            for name in list(playing):
                try:
                    if number == 0:  # a first turn that compiles
                        workers[name][0].ask(f"{command} {batch} 0", options.patience)
                    own = {ours_name: ours.ask(f"{own_command} {batch} {options.seconds}")
                           for ours_name, own_command in own_commands.items()}
                    their_rate = images_per_second(workers[name][0].ask(f"{command} {batch} {options.seconds}"))
                except WorkerError as error:
                    left_out[name] = str(error)
                    say(f"  {name}: left out, {error}")
                    del playing[name], result["peers"][name]
                    continue
                ratios = {}
                for ours_name, turn in own.items():
                    result["spikenet"][ours_name].append(images_per_second(turn))
                    ratios[ours_name] = images_per_second(turn) / their_rate
                result["rates"].append(own["spikenet"]["rate"])
                result["peers"][name].append({"images_per_second": their_rate, "ratios": ratios})
                say(f"  {mode} {number + 1}/{options.rounds}: {name} {their_rate:.1f} images/s, " + ", ".join(
                    f"{ours_name} {images_per_second(turn):.1f} (times {ratios[ours_name]:.2f})"
                    for ours_name, turn in own.items()))
            result["peaks"].append(ours.ask("peak 0.5")["flops"])
            if number == 0:
                self.drop(playing, result)
        return result

    def drop(self, playing, result):
        """The slow ones play no further round: what counts is the fastest of each library, and STBP-simple's layers."""
        fastest = max((turns[0]["images_per_second"] for turns in result["peers"].values()), default=0)
        families = {}
        for name in playing:
            rate = result["peers"][name][0]["images_per_second"]
            families.setdefault(playing[name]["manner"], []).append((rate, name))
        kept = {max(rates)[1] for rates in families.values()}
        for name in list(playing):
            if name not in kept and result["peers"][name][0]["images_per_second"] * self.options.slack < fastest:
                result["dropped"].append(name)
                del playing[name]

    # What grows.

    def growth(self):
        width, turns = GROWTH["width"], {}
        workers = {}
        weights, origin = self.weights_of(width, GROWTH["trained_at"])
        say("\nTime of a training step as timesteps grow")
        for timesteps in GROWTH["timesteps"]:
            workers[timesteps] = self.ours(width, timesteps, weights)
        try:
            for _ in range(self.options.rounds):
                for timesteps, worker in workers.items():
                    turn = worker.ask(f"train {self.options.batch} {self.options.seconds}")
                    turns.setdefault(timesteps, []).append(1000 * turn["seconds"] / turn["steps"])
        finally:
            for worker in workers.values():
                worker.close()
        self.results["growth"] = {"width": width, "batch": self.options.batch, "weights": origin, "milliseconds": turns}

    def memory(self):
        width, timesteps = MEMORY["width"], MEMORY["timesteps"]
        weights, _ = self.weights_of(width, timesteps)
        say("\nMemory of a training step")
        ours = self.ours(width, timesteps, weights)
        found = {"spikenet": ours.ask(f"memory {self.options.batch}")}
        ours.close()
        for variant in self.variants()[0]:
            if variant["name"] not in MEMORY_VARIANTS:
                continue
            try:
                worker = self.peer(variant["name"], width, timesteps, weights, tuned=False)
                found[variant["name"]] = worker.ask(f"memory {self.options.batch}", self.options.patience)
                worker.close()
            except WorkerError as error:
                say(f"  {variant['name']}: left out, {error}")
        self.results["memory"] = {"width": width, "timesteps": timesteps, "batch": self.options.batch, "kB": found}


def same_network(found, variant):
    """In fp32 sums are rounded in another order, and a neuron that is that near to its threshold fires on one side
    only; then logits differ. All else has to agree."""
    good = 2 * found["close"] >= found["images"]
    for mode in "evaluation", "training":
        good = good and (mode not in found or found[mode]["margin"] < 1e-4)
    if "evaluation" in found and found["difference"] is not None:
        good = good and found["difference"] < 1e-3
    # Where no spike differs in a training step, its gradients have to agree as well; but snnTorch's do not flow through
    # the reset.
    if "training" in found and found["training"]["flipped"] == 0 and variant["manner"] != "SnnTorch":
        good = good and found["gradient_error"] < 1e-3
    return good


def told(found):
    text = f"logits of {found['close']} of {found['images']} images agree"
    if found["difference"] is not None:
        text += f" to {found['difference']:.1e}"
    text += f", classes of {found['same_class']}"
    if "evaluation" in found:
        text += "; " + told_of_spikes(found["evaluation"])
    if "gradient_error" in found:
        text += (f". Training step: loss {found['loss']:.5f} and {found['expected_loss']:.5f}, gradients differ by "
                 f"{100 * found['gradient_error']:.2g} %")
    if "training" in found:
        text += "; " + told_of_spikes(found["training"])
    return text


def told_of_spikes(flips):
    text = f"{flips['flipped']} of {flips['spikes']} neurons fire on one side only"
    if flips["flipped"]:
        text += f", the first of them within {flips['margin']:.1e} of the threshold"
    return text


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def say(text):
    print(text, flush=True)


# Tables.

def summary(result):
    """Median images a second of each variant, and by spikenet's ways median, least and greatest ratio; the fastest
    first."""
    rows = []
    for name, turns in result["peers"].items():
        ratios = {}
        for own in result["spikenet"]:
            each = [turn["ratios"][own] for turn in turns]
            ratios[own] = statistics.median(each), min(each), max(each)
        rows.append({"name": name, "images_per_second": statistics.median(t["images_per_second"] for t in turns),
                     "ratios": ratios, "turns": len(turns)})
    return sorted(rows, key=lambda row: row["ratios"]["spikenet"][0])


TITLES = {"train": "Training step", "evaluate": "Evaluation", "latency": "Evaluation of one image"}


def table(comparison, mode, results, what):
    result = comparison["modes"][mode]
    width, timesteps, batch = comparison["width"], comparison["timesteps"], result["batch"]
    flop = dense_flop(width, timesteps, 3 if mode == "train" else 1)
    peak = statistics.median(result["peaks"])
    lines = [f"### {TITLES[mode]}, width {width}, T = {timesteps}, batch {batch}", "",
             f"Weights {comparison['weights']}; mean firing rate {statistics.median(result['rates']):.3f}. "
             f"Threads of each: {results['threads']}; their fp32 peak: {peak / 1e9:.0f} GFLOP/s; a dense network takes "
             f"{flop / 1e9:.3f} GFLOP an image.", ""]
    if mode != "train":
        lines += [f"spikenet's inference in {number} and the network agree on the classes of {found['same_class']} of "
                  f"{found['images']} test images." for number, found in comparison["inference"].items()] + [""]
    own_names = list(result["spikenet"])
    lines += ["| | images/s |" + (" ms |" if batch == 1 else "")
              + "".join(f" {name}: times as fast (least to most) |" for name in own_names)
              + " turns | of the dense fp32 limit |",
              "|---|---:|" + ("---:|" if batch == 1 else "") + "---:|" * len(own_names) + "---:|---:|"]

    def row(name, rate, ratios, turns):
        times = f" {1000 / rate:.3f} |" if batch == 1 else ""
        lines.append(f"| {name} | {rate:.1f} |{times}" + "".join(f" {ratio} |" for ratio in ratios)
                     + f" {turns} | {100 * rate * flop / peak:.0f} % |")

    for name, rates in result["spikenet"].items():
        row(f"**{name}**", statistics.median(rates), [""] * len(own_names), len(rates))
    for peer in summary(result):
        row(f"{what[peer['name']]} (`{peer['name']}`)", peer["images_per_second"],
            [f"{median:.2f} ({least:.2f} to {most:.2f})" for median, least, most in peer["ratios"].values()],
            peer["turns"])
    return lines + [""]


def report(results, what):
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    lines = [f"{versions}; {results['processor']}. Turns of {results['seconds']:g} s, {results['turns']} of each.", ""]
    for comparison in results["comparisons"]:
        for mode in comparison["modes"]:
            lines += table(comparison, mode, results, what)
        for name, why in comparison["left_out"].items():
            lines.append(f"Left out: `{name}`, {why}.  ")
        lines.append("")
    if "growth" in results:
        growth = results["growth"]
        lines += [f"### A training step of spikenet as T grows: width {growth['width']}, batch {growth['batch']}", "",
                  f"Weights {growth['weights']}.", "", "| T | ms | times T = 1 |", "|---:|---:|---:|"]
        one = statistics.median(next(iter(growth["milliseconds"].values())))
        for timesteps, turns in growth["milliseconds"].items():
            lines.append(f"| {timesteps} | {statistics.median(turns):.1f} | {statistics.median(turns) / one:.2f} |")
        lines.append("")
    if "memory" in results:
        memory = results["memory"]
        lines += [f"### Memory of a training step: width {memory['width']}, T = {memory['timesteps']}, batch "
                  f"{memory['batch']}", "", "| | taken by the step, MB | times spikenet | whole process, MB |",
                  "|---|---:|---:|---:|"]
        own = memory["kB"]["spikenet"]["peak"] - memory["kB"]["spikenet"]["before"]
        for name, kilobytes in memory["kB"].items():
            step = kilobytes["peak"] - kilobytes["before"]
            lines.append(f"| {what.get(name, name)} | {step / 1024:.0f} | {step / own:.1f} | "
                         f"{kilobytes['peak'] / 1024:.0f} |")
        lines.append("")
    return "\n".join(lines)


# The chart.

FAMILIES = {"Merged": "PyTorch", "SpikingJelly": "SpikingJelly", "SnnTorch": "snnTorch",
            "Stepwise": "PyTorch by timestep", "StbpSimple": "STBP-simple's layers"}


def bars(result, manners):
    """spikenet and the fastest variant of each library: (label, images a second, how many times as fast spikenet's
    fastest way is)."""
    own = {name: statistics.median(rates) for name, rates in result["spikenet"].items()}
    fastest = max(own, key=own.get)
    rows, seen = [(name, rate, None) for name, rate in own.items()], set()
    for row in summary(result):
        family = FAMILIES[manners[row["name"]]]
        if family not in seen:
            seen.add(family)
            rows.append((family, row["images_per_second"], row["ratios"][fastest][0]))
    return rows


def chart(results, manners):
    panels = [(comparison, mode) for comparison in results["comparisons"] for mode in comparison["modes"]]
    width, left, right, bar, title = 760, 190, 240, 18, 40
    body, y = [], 8
    for comparison, mode in panels:
        rows = bars(comparison["modes"][mode], manners)
        longest = max(rate for _, rate, _ in rows)
        body.append(f'<text class="title" x="0" y="{y + 18}">{TITLES[mode]}, width {comparison["width"]}, '
                    f'{comparison["timesteps"]} timesteps, batch {comparison["modes"][mode]["batch"]}: '
                    f'images a second</text>')
        y += title - 8
        for label, rate, ratio in rows:
            length = max(1.0, (width - left - right) * rate / longest)
            kind = "ours" if ratio is None else "theirs"
            value = f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
            times = f'<tspan class="ratio" dx="10">spikenet is {ratio:.1f} times as fast</tspan>' if ratio else ""
            body.append(f'<text class="label" x="{left - 10}" y="{y + bar - 4}">{label}</text>'
                        f'<rect class="{kind}" x="{left}" y="{y}" width="{length:.1f}" height="{bar}" rx="2"/>'
                        f'<text class="value" x="{left + length + 8:.1f}" y="{y + bar - 4}">{value}{times}</text>')
            y += bar + 6
        y += 14
    height = y
    style = """
    text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; font-size: 14px; }
    .label { text-anchor: end; }
    .ratio { fill: #59636e; }
    .ours { fill: #1a7f37; }
    .theirs { fill: #8c959f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .ratio { fill: #9198a1; }
      .ours { fill: #3fb950; }
      .theirs { fill: #6e7681; }
    }
  """
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-label="Images a second of spikenet and other libraries">\n  <style>{style}</style>\n  '
            + "\n  ".join(body) + "\n</svg>\n")


def main(arguments):
    options = parse(arguments)
    if options.list_sizes:
        print(";".join(f"{width}x{timesteps}" for width, timesteps in sizes(options)))
        return
    bench = Bench(options)
    for width in options.widths:
        bench.compare(width, options.steps)
    if options.growth:
        bench.growth()
    if options.memory:
        bench.memory()

    variants = bench.libraries["variants"]
    text = report(bench.results, {variant["name"]: variant["what"] for variant in variants})
    picture = chart(bench.results, {variant["name"]: variant["manner"] for variant in variants})
    drawing = options.chart or os.path.join(options.out, "peers.svg")
    for path, content in ((os.path.join(options.out, "peers.json"), json.dumps(bench.results, indent=1)),
                          (os.path.join(options.out, "peers.md"), text),
                          (drawing, picture)):
        with open(path, "w") as file:
            file.write(content)
    say("\n" + text)
    say(f"Also in {options.out}: peers.md, peers.json; the chart is {drawing}.")


if __name__ == "__main__":
    main(sys.argv[1:])

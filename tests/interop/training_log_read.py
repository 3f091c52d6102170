"""Trains with spikenet-mnist on a few images and reads what it logged with TensorBoard's own code.

    training_log_read.py SPIKENET_MNIST DATA SCRATCH_DIRECTORY

DATA has MNIST's four files.
"""

import glob
import gzip
import io
import os
import re
import shutil
import signal
import struct
import subprocess
import sys

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util import tensor_util

PROGRAM, DATA, SCRATCH = sys.argv[1:]
TRAINING, VALIDATION, BATCH, INTERVAL, EPOCHS, PEAK = 270, 30, 16, 3, 3, 0.004
BATCHES = -(-TRAINING // BATCH)
EPOCH_TAGS = [
    "Training Loss / Epoch",
    "Training Accuracy / Epoch",
    "Validation Loss / Epoch",
    "Validation Accuracy / Epoch",
    "Images per Second / Epoch",
]
BATCH_TAGS = ["Training Loss / Batch Index", "Learning Rate / Batch Index", "Gradient Norm / Batch Index"]
FINAL_TAGS = ["Final / Validation Accuracy", "Final / Test Accuracy", "Final / Test Loss"]


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def check_equal(found, expected, what):
    check(found == expected, f"{what}: {found!r} is not {expected!r}")


def write_data(directory):
    os.makedirs(directory)
    for prefix, count in (("train", TRAINING + VALIDATION), ("t10k", 50)):
        with gzip.open(os.path.join(DATA, f"{prefix}-images-idx3-ubyte.gz")) as file:
            images = file.read()[16 : 16 + 784 * count]
        with gzip.open(os.path.join(DATA, f"{prefix}-labels-idx1-ubyte.gz")) as file:
            labels = file.read()[8 : 8 + count]
        with open(os.path.join(directory, f"{prefix}-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">4I", 2051, count, 28, 28) + images)
        with open(os.path.join(directory, f"{prefix}-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">2I", 2049, count) + labels)


COMMON = [PROGRAM, "train", "--threads", "1", "--data", "small", "--train_batch_size", str(BATCH), "--epochs",
          str(EPOCHS), "--schedule", "cosine"]  # fmt: skip


def command(*arguments, lr=PEAK, interval=INTERVAL):
    return [*COMMON, "--lr", str(lr), "--log_interval", str(interval), *arguments]


def train(*arguments, status=0, **options):
    result = subprocess.run(command(*arguments, **options), cwd=SCRATCH, capture_output=True, text=True)
    check_equal(result.returncode, status, f"exit status of {arguments}: {result.stderr}")
    return result.stdout


def accumulated(run, files=1):
    directory = os.path.join(SCRATCH, run)
    found = glob.glob(os.path.join(directory, "events.out.tfevents.*"))
    check_equal(len(found), files, f"{run}: number of event files")
    for path in found:  # every record, its CRCs checked by the loader
        check(len(list(event_file_loader.RawEventFileLoader(path).Load())) > 1, f"{path} cannot be read")
    guidance = {kind: 0 for kind in event_accumulator.DEFAULT_SIZE_GUIDANCE}  # 0: everything, not a sample
    accumulator = event_accumulator.EventAccumulator(directory, size_guidance=guidance)
    accumulator.Reload()
    return accumulator


def series(accumulator, tag):
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def check_scalars(log, printed):
    scalars = log.Tags()["scalars"]
    weights = [tag.split(" / ")[1] for tag in log.Tags()["histograms"] if tag.startswith("Parameters / ")]
    layers = [tag.split(" / ")[1] for tag in log.Tags()["histograms"] if tag.startswith("Membrane Potential / ")]
    check("conv1.weight" in weights and "fc2.bias" in weights and len(weights) > 50, f"parameters: {weights}")
    check(len(layers) == 18 and "layer2.0.spike2" in layers, f"layers of neurons: {layers}")
    expected = EPOCH_TAGS + BATCH_TAGS + FINAL_TAGS
    expected += [f"Gradient Norm by Parameter / {name}" for name in weights]
    expected += [f"Firing Rate / {name}" for name in layers]
    check_equal(sorted(scalars), sorted(expected), "scalar tags")

    steps = [step for step in range(1, EPOCHS * BATCHES + 1) if step % INTERVAL == 0]
    for tag in BATCH_TAGS:
        check_equal([step for step, _ in series(log, tag)], steps, f"steps of {tag}")
    for step, rate in series(log, "Learning Rate / Batch Index"):
        expected = PEAK * (1 + np.cos(np.pi * (step - 1) / BATCHES / EPOCHS)) / 2
        check(np.isclose(rate, expected, rtol=1e-5), f"learning rate of step {step}: {rate} is not {expected}")
    for tag in scalars:
        if tag not in BATCH_TAGS + FINAL_TAGS:
            check_equal([step for step, _ in series(log, tag)], list(range(1, EPOCHS + 1)), f"steps of {tag}")
        if "Norm" in tag or "Loss" in tag or "Second" in tag:
            check(all(value > 0 for _, value in series(log, tag)), f"{tag}: {series(log, tag)}")
        if "Firing Rate" in tag:
            check(all(0 < value < 1 for _, value in series(log, tag)), f"{tag}: {series(log, tag)}")

    # What the program printed.
    lines = re.findall(r"training loss ([\d.]+), accuracy +([\d.]+) %  validation loss ([\d.]+), accuracy +([\d.]+) %",
                       printed)  # fmt: skip
    check_equal(len(lines), EPOCHS, "lines of epochs")
    for column, (tag, unit) in enumerate(zip(EPOCH_TAGS, (1, 100, 1, 100))):
        for (step, value), line in zip(series(log, tag), lines):
            check(abs(unit * value - float(line[column])) < 0.0051, f"{tag}, epoch {step}: {value} is not as printed")
    best = max(float(line[3]) for line in lines)
    tested = float(re.search(r"test accuracy ([\d.]+) %", printed)[1])
    for tag, value in zip(FINAL_TAGS, (best, tested)):
        check_equal([step for step, _ in series(log, tag)], [EPOCHS], f"step of {tag}")
        check(abs(100 * series(log, tag)[0][1] - value) < 0.0051, f"{tag} is not as printed")


def check_histograms(log, printed):
    parameters = int(re.search(r"(\d+) parameters", printed)[1])
    for tag in log.Tags()["histograms"]:
        check_equal([e.step for e in log.Histograms(tag)], list(range(1, EPOCHS + 1)), f"steps of {tag}")
        for event in log.Histograms(tag):
            h = event.histogram_value
            check_equal(sum(h.bucket), h.num, f"{tag}: counts")
            check(h.min <= h.sum / h.num <= h.max, f"{tag}: mean")
            check(h.sum_squares * h.num >= h.sum**2 * (1 - 1e-9), f"{tag}: squares")
    last = [log.Histograms(tag)[-1].histogram_value.num for tag in log.Tags()["histograms"] if "Parameters" in tag]
    check_equal(sum(last), parameters, "all parameters")

    # The potentials of the first layer: neurons, timesteps, images. Those above the threshold are those that fired.
    h = log.Histograms("Membrane Potential / spike")[-1].histogram_value
    check_equal(h.num, 28 * 28 * 16 * 2 * VALIDATION, "potentials of spike")
    above = sum(n for limit, n in zip(h.bucket_limit, h.bucket) if limit > 0.5)
    check(np.isclose(above / h.num, series(log, "Firing Rate / spike")[-1][1], rtol=1e-6), "spikes of spike")


def check_pictures(log):
    check_equal(sorted(log.Tags()["images"]), ["Firing Rates", "Training Images"], "image tags")
    for tag in log.Tags()["images"]:
        check_equal([e.step for e in log.Images(tag)], list(range(1, EPOCHS + 1)), f"steps of {tag}")
    image = np.array(Image.open(io.BytesIO(log.Images("Training Images")[0].encoded_image_string)))
    check_equal(image.shape, (2 * 28, 8 * 28), "a batch of 16 images in rows of 8")
    check(image.min() == 0 and image.max() > 250, "range of the pixels")
    chart = np.array(Image.open(io.BytesIO(log.Images("Firing Rates")[0].encoded_image_string)).convert("L"))
    check(chart.shape[0] > 300 and chart.shape[1] > 300 and chart.min() < 100 < 250 < chart.max(), "the chart")


def check_hyperparameters(log):
    (text,) = log.Tensors("Hyperparameters")
    markdown = tensor_util.make_ndarray(text.tensor_proto).item().decode()
    for row in ("| option | value |\n|---|---|\n", "| `--lr` | 0.004 |", f"| `--limit` | {TRAINING + VALIDATION} |"):
        check(row in markdown, f"{row!r} is not in {markdown}")
    contents = log.PluginTagToContent("hparams")
    experiment = hparams_metadata.parse_experiment_plugin_data(contents[hparams_metadata.EXPERIMENT_TAG])
    names = {info.name: info.type for info in experiment.hparam_infos}
    check_equal(len(names), 23, "number of hyperparameters")
    check_equal((names["v_th"], names["schedule"]), (api_pb2.DATA_TYPE_FLOAT64, api_pb2.DATA_TYPE_STRING), "types")
    metrics = [info.name.tag for info in experiment.metric_infos]
    check(all(tag in log.Tags()["scalars"] for tag in metrics) and len(metrics) == 3, f"metrics: {metrics}")
    start = hparams_metadata.parse_session_start_info_plugin_data(contents[hparams_metadata.SESSION_START_INFO_TAG])
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    check_equal({k: values[k] for k in ("lr", "a", "schedule", "validation")},
                {"lr": PEAK, "a": 0.5, "schedule": "cosine", "validation": VALIDATION}, "values")  # fmt: skip
    check_status(log, api_pb2.STATUS_SUCCESS)


def check_status(log, expected):
    contents = log.PluginTagToContent("hparams")
    check(hparams_metadata.SESSION_END_INFO_TAG in contents, "a run has no end")
    end = hparams_metadata.parse_session_end_info_plugin_data(contents[hparams_metadata.SESSION_END_INFO_TAG])
    check_equal(end.status, expected, "status")


def check_killed(whole):
    """A run that was killed in its second epoch and goes on: the same curves, each step once."""
    process = subprocess.Popen(command("--out", "killed"), cwd=SCRATCH, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "epoch 2/3" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    train("--resume", "killed")
    log = accumulated("killed", files=2)
    check_equal(sorted(log.Tags()["scalars"]), sorted(whole.Tags()["scalars"]), "killed: tags")
    for tag in whole.Tags()["scalars"]:
        found, expected = series(log, tag), series(whole, tag)
        if "Second" in tag:
            found, expected = ([step for step, _ in s] for s in (found, expected))
        check_equal(found, expected, f"killed: {tag}")
    check_hyperparameters(log)


def main():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.makedirs(SCRATCH)
    write_data(os.path.join(SCRATCH, "small"))
    printed = train("--run_name", "whole")
    whole = accumulated("runs/whole")
    check_scalars(whole, printed)
    check_histograms(whole, printed)
    check_pictures(whole)
    check_hyperparameters(whole)
    check_killed(whole)

    train("--out", "broken", lr=1e38, status=1)
    check_status(accumulated("broken"), api_pb2.STATUS_FAILURE)
    train("--no_tensorboard", "--out", "silent")
    check_equal(glob.glob(os.path.join(SCRATCH, "silent", "events*")), [], "files of --no_tensorboard")
    train("--out", "epochs", interval=0)
    found = accumulated("epochs").Tags()["scalars"]
    check(all(tag not in found for tag in BATCH_TAGS), f"log_interval 0: {found}")
    print("TensorBoard reads all that a training logs.")


main()

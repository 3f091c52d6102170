"""Reads what event_file_write wrote with TensorBoard's own code and checks every record and value.

    event_file_read.py EVENT_FILE_WRITE SCRATCH_DIRECTORY
"""

import glob
import io
import math
import os
import shutil
import subprocess
import sys

import numpy as np
from google.protobuf import json_format
from PIL import Image
from tensorboard import context
from tensorboard.backend.event_processing import data_provider
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.backend.event_processing import plugin_event_multiplexer
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import backend_context
from tensorboard.plugins.hparams import get_experiment
from tensorboard.plugins.hparams import list_session_groups
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util import tensor_util

WRITER, SCRATCH = sys.argv[1:]
RUNS = os.path.join(SCRATCH, "runs")
HISTOGRAM_STEPS = [9, 19, 29, 39, 49]


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def check_equal(found, expected, what):
    check(found == expected, f"{what}: {found!r} is not {expected!r}")


def event_files(run):
    return sorted(glob.glob(os.path.join(RUNS, run, "events.out.tfevents.*")))


def raw_events(path):
    return [event_pb2.Event.FromString(record) for record in event_file_loader.RawEventFileLoader(path).Load()]


def accumulated(run):
    # A size guidance of 0 keeps everything instead of a sample.
    guidance = {kind: 0 for kind in event_accumulator.DEFAULT_SIZE_GUIDANCE}
    accumulator = event_accumulator.EventAccumulator(os.path.join(RUNS, run), size_guidance=guidance)
    accumulator.Reload()
    return accumulator


def bucket_limits():
    positive = []
    limit = 1e-12
    while limit < 1e20:
        positive.append(limit)
        limit *= 1.1
    largest = sys.float_info.max
    return np.array([-largest, *(-x for x in reversed(positive)), 0.0, *positive, largest])


def check_histogram(histogram, values, what):
    """A HistogramProto against its values, counted by NumPy."""
    values = np.asarray(values)
    finite = values[np.isfinite(values)].astype(np.float64)
    check_equal(histogram.num, len(finite), f"{what}: num")
    check(np.isclose(histogram.sum, finite.sum(), rtol=1e-12, atol=1e-9), f"{what}: sum")
    check(np.isclose(histogram.sum_squares, (finite**2).sum(), rtol=1e-12), f"{what}: sum_squares")
    check_equal(histogram.min, finite.min() if len(finite) else 0, f"{what}: min")
    check_equal(histogram.max, finite.max() if len(finite) else 0, f"{what}: max")
    check_equal(len(histogram.bucket), len(histogram.bucket_limit), f"{what}: number of buckets")

    limits = bucket_limits()
    places = np.searchsorted(limits, finite, side="right")
    expected = {limits[i]: n for i, n in zip(*np.unique(places, return_counts=True))}
    found = {limit: n for limit, n in zip(histogram.bucket_limit, histogram.bucket) if n > 0}
    check_equal(found, expected, f"{what}: buckets")
    # The left edge of every bucket that counts something is the limit before its own.
    for before, limit, count in zip(histogram.bucket_limit, histogram.bucket_limit[1:], histogram.bucket[1:]):
        if count > 0:
            check_equal(before, limits[np.searchsorted(limits, limit) - 1], f"{what}: left edge")


def weights(rate, step):
    x = (np.arange(1000.0) - 500) / 500
    return (x * x * x * (1 + rate * step)).astype(np.float32)


def potentials(rate, step):
    return (np.arange(1000.0) - 500) / 500 + rate * step


def expected_pixels(channels):
    y, x = np.mgrid[0:28, 0:36]
    planes = [7 * x, 9 * y, 3 * x * y][:channels]
    return np.stack(planes, axis=-1).astype(np.uint8)


def check_same(found, expected, what):
    """Floats that may be NaN."""
    check_equal(len(found), len(expected), f"{what}: number of values")
    same = [a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found, expected)]
    check(all(same), f"{what}: {found} is not {expected}")


def check_run(number, png):
    run = f"run{number}"
    rate = 0.05 * number
    files = event_files(run)
    check_equal(len(files), 1, f"{run}: number of files")

    # Every record, as it lies in the file, its CRCs checked by the loader.
    events = raw_events(files[0])
    check(events, f"{run}: no record can be read")
    check_equal(events[0].file_version, "brain.Event:2", run)
    check(all(len(event.summary.value) == 1 for event in events[1:]), f"{run}: one value a record")
    times = [event.wall_time for event in events]
    check(times == sorted(times) and times[0] > 1.6e9, f"{run}: wall times")
    histograms = {}
    counts = {}
    for event in events[1:]:
        value = event.summary.value[0]
        kind = value.WhichOneof("value")
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "histo":
            histograms[value.tag, event.step] = value.histo
    check_equal(
        counts,
        {"simple_value": 50 + 5 + 6, "histo": 2 * 5 + 2, "image": 3, "tensor": 1 + (3 if number < 3 else 2)},
        f"{run}: records of each kind",
    )
    for step in HISTOGRAM_STEPS:
        check_histogram(histograms["weights/conv1", step], weights(rate, step), f"{run}: weights, step {step}")
        check_histogram(histograms["potentials/lif1", step], potentials(rate, step), f"{run}: potentials, step {step}")
    check_histogram(histograms["weights/diverged", 0], [math.nan] * 3, f"{run}: diverged")
    check_histogram(histograms["weights/diverging", 0], [1, math.nan, 2, math.inf], f"{run}: diverging")

    # What TensorBoard's dashboards get to see.
    accumulator = accumulated(run)
    tags = accumulator.Tags()
    check_equal(
        sorted(tags["scalars"]), ["accuracy/validation", "loss/diverging", "loss/training"], f"{run}: scalar tags"
    )
    check_equal(
        sorted(tags["histograms"]),
        ["potentials/lif1", "weights/conv1", "weights/diverged", "weights/diverging"],
        f"{run}: histogram tags",
    )
    check_equal(sorted(tags["images"]), ["images/colour", "images/given", "images/grey"], f"{run}: image tags")

    loss = accumulator.Scalars("loss/training")
    check_equal([e.step for e in loss], list(range(50)), f"{run}: steps of the loss")
    for e in loss:
        check(np.isclose(e.value, math.exp(-rate * e.step), rtol=1e-6), f"{run}: loss at {e.step}")
    accuracy = accumulator.Scalars("accuracy/validation")
    check_equal([e.step for e in accuracy], HISTOGRAM_STEPS, f"{run}: steps of the accuracy")
    for e in accuracy:
        check(np.isclose(e.value, 1 - math.exp(-rate * e.step), rtol=1e-6), f"{run}: accuracy at {e.step}")
    check_equal([e.step for e in accumulator.Scalars("loss/diverging")], list(range(6)), f"{run}: diverging steps")
    check_same(
        [e.value for e in accumulator.Scalars("loss/diverging")],
        [1.0, 3.0, math.nan, math.inf, -math.inf, 2.0],
        f"{run}: diverging loss",
    )
    check_equal([e.step for e in accumulator.Histograms("weights/conv1")], HISTOGRAM_STEPS, f"{run}: histogram steps")

    for tag, channels in [("images/grey", 1), ("images/colour", 3)]:
        (image,) = accumulator.Images(tag)
        check_equal((image.step, image.height, image.width), (5, 28, 36), f"{run}: {tag}")
        pixels = np.array(Image.open(io.BytesIO(image.encoded_image_string)))
        check(np.array_equal(pixels.reshape(28, 36, channels), expected_pixels(channels)), f"{run}: pixels of {tag}")
    (image,) = accumulator.Images("images/given")
    check_equal((image.height, image.width), (11, 17), f"{run}: images/given")
    check_equal(image.encoded_image_string, png, f"{run}: images/given")

    check_equal(list(accumulator.PluginTagToContent("text")), ["configuration"], f"{run}: text tags")
    (text,) = accumulator.Tensors("configuration")
    check_equal(
        tensor_util.make_ndarray(text.tensor_proto).item().decode(),
        f"# Run {number}\n\n| name | value |\n|---|---|\n| \u03c4 | 0.25 |\n| *a* | 0.5 |\n",
        f"{run}: text",
    )

    contents = accumulator.PluginTagToContent("hparams")
    start = hparams_metadata.parse_session_start_info_plugin_data(contents[hparams_metadata.SESSION_START_INFO_TAG])
    check(start.start_time_secs > 1.6e9, f"{run}: start time")
    experiment = hparams_metadata.parse_experiment_plugin_data(contents[hparams_metadata.EXPERIMENT_TAG])
    check_equal(
        [(info.name, info.type) for info in experiment.hparam_infos],
        [
            ("V_th", api_pb2.DATA_TYPE_FLOAT64),
            ("T", api_pb2.DATA_TYPE_FLOAT64),
            ("shift", api_pb2.DATA_TYPE_BOOL),
            ("optimizer", api_pb2.DATA_TYPE_STRING),
        ],
        f"{run}: the experiment's hyperparameters",
    )
    check_equal(hparams_metadata.SESSION_END_INFO_TAG in contents, number < 3, f"{run}: has an end")
    if number < 3:
        end = hparams_metadata.parse_session_end_info_plugin_data(contents[hparams_metadata.SESSION_END_INFO_TAG])
        check_equal(end.status, api_pb2.STATUS_SUCCESS if number == 1 else api_pb2.STATUS_FAILURE, f"{run}: status")
        check(end.end_time_secs >= start.start_time_secs, f"{run}: end time")


def check_table():
    """The table of the HParams tab, as the plugin answers the page."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(RUNS)
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, RUNS)
    plugin = backend_context.Context(base_plugin.TBContext(logdir=RUNS, data_provider=provider))
    request_context = context.RequestContext()

    experiment = get_experiment.Handler(request_context, plugin, "", api_pb2.GetExperimentRequest()).run()
    check_equal(
        [info.name.tag for info in experiment.metric_infos], ["accuracy/validation", "loss/training"], "metrics"
    )
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        allowed_statuses=[
            api_pb2.STATUS_UNKNOWN,
            api_pb2.STATUS_SUCCESS,
            api_pb2.STATUS_FAILURE,
            api_pb2.STATUS_RUNNING,
        ],
    )
    response = list_session_groups.Handler(request_context, plugin, "", request).run()
    json_format.MessageToJson(response)  # what goes to the page
    check_equal(response.total_size, 3, "number of rows")
    statuses = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_UNKNOWN]
    for number, group in enumerate(response.session_groups, start=1):
        check_equal(group.name, f"run{number}", "a row's name")
        values = {name: getattr(v, v.WhichOneof("kind")) for name, v in group.hparams.items()}
        check_equal(
            values,
            {"V_th": 0.2 * number, "T": number, "shift": number == 2, "optimizer": "SGD" if number == 3 else "Adam"},
            f"hyperparameters of run{number}",
        )
        check_equal([session.status for session in group.sessions], [statuses[number - 1]], f"status of run{number}")
        metrics = {metric.name.tag: (metric.training_step, metric.value) for metric in group.metric_values}
        decay = math.exp(-0.05 * number * 49)
        check_equal(sorted(metrics), ["accuracy/validation", "loss/training"], f"metrics of run{number}")
        check_equal([step for step, _ in metrics.values()], [49, 49], f"steps of the metrics of run{number}")
        check(np.isclose(metrics["accuracy/validation"][1], 1 - decay, rtol=1e-6), f"accuracy of run{number}")
        check(np.isclose(metrics["loss/training"][1], decay, rtol=1e-6), f"loss of run{number}")


def check_resumed():
    check_equal(len(event_files("resumed")), 2, "resumed: number of files")
    loss = accumulated("resumed").Scalars("loss")
    expected = [(step, step) for step in range(5)] + [(step, 100 + step) for step in range(5, 12)]
    check_equal([(e.step, e.value) for e in loss], expected, "resumed: loss")


def check_torn():
    """A file that a kill cut short at any byte: the whole records before it, and no complaint."""
    with open(event_files("resumed")[0], "rb") as file:
        content = file.read()
    path = os.path.join(SCRATCH, "events.out.tfevents.torn")
    whole = 0
    for size in range(len(content) + 1):
        with open(path, "wb") as file:
            file.write(content[:size])
        found = len(raw_events(path))
        check(found in (whole, whole + 1), f"torn at byte {size}: {found} records after {whole}")
        whole = found
    check_equal(whole, 11, "records of the whole file")


def main():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.makedirs(SCRATCH)
    png = io.BytesIO()
    ramp = np.arange(11 * 17 * 4, dtype=np.uint32).reshape(11, 17, 4) * 5
    Image.fromarray((ramp % 256).astype(np.uint8)).save(png, format="PNG")
    png_path = os.path.join(SCRATCH, "given.png")
    with open(png_path, "wb") as file:
        file.write(png.getvalue())

    subprocess.run([WRITER, RUNS, png_path], check=True)
    for number in (1, 2, 3):
        check_run(number, png.getvalue())
    check_table()
    check_resumed()
    check_torn()
    print("TensorBoard reads all that was written.")


main()

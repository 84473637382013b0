"""TF Serving's batching parameters, from a model's latencies on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from training.common import machine
from training.common.files import write_text
from training.data.folder import sample_images
from training.evaluation.prediction import loaded_version

SIZES = (1, 2, 4, 8, 16, 32)
ROUNDS = 7
WORTHWHILE = 1.05  # images per second, by which a larger batch must be better


def measure(version: Path) -> dict[int, float]:
    """Returns the median seconds of `serve_bytes` by batch size, measured in turns.

    Raises:
        ValueError: If the version is damaged, or `export` did not write it.
    """
    loaded = loaded_version(version)
    function = loaded.signatures["serve_bytes"]
    channels = (
        loaded.signatures["serving_default"].structured_input_signature[1]["pixels"].shape[-1]
    )
    images = sample_images.encoded(None, 16, 224, channels)
    batches = {n: tf.constant([images[i % len(images)] for i in range(n)]) for n in SIZES}
    for batch in batches.values():
        function(image_bytes=batch)
    seconds: dict[int, list[float]] = {n: [] for n in SIZES}
    for _ in range(ROUNDS):
        for n, batch in batches.items():
            start = time.perf_counter()
            function(image_bytes=batch)["probabilities"].numpy()
            seconds[n].append(time.perf_counter() - start)
    return {n: statistics.median(times) for n, times in seconds.items()}


def choose(measured: Mapping[int, float], longest: float) -> int:
    """Returns the largest batch size that is worthwhile and takes at most `longest` seconds."""
    best = min(measured)
    for size, seconds in sorted(measured.items()):
        faster = size / seconds >= WORTHWHILE * best / measured[best]
        if faster and seconds <= longest:
            best = size
    return best


def write(file: Path, measured: Mapping[int, float], longest: float) -> None:
    """Writes the file, with the measured figures in a comment."""
    size = choose(measured, longest)
    # Waiting longer than one image takes to compute costs more than a batch gains.
    wait = min(measured[1] / 2, 0.005) if size > 1 else 0
    figures = "; ".join(f"{n}: {1000 * s:.1f} ms" for n, s in sorted(measured.items()))
    text = f"""\
# Written by `python -m training batching` from the medians, by batch size: {figures}.
max_batch_size {{ value: {size} }}
batch_timeout_micros {{ value: {round(1e6 * wait)} }}
num_batch_threads {{ value: {machine.cpus()} }}
max_enqueued_batches {{ value: 16 }}
"""
    write_text(file, text)

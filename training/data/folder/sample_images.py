"""Encoded images that warm a model up, calibrate it and compare its runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data.decoding import image_decoding
from training.data.decoding.formats.kinds import READ_FORMATS
from training.data.decoding.reading_errors import one_line
from training.data.folder.folder_walk import images_below
from training.data.splits import listed


def encoded(folder: Path | None, count: int, size: int, channels: int) -> list[bytes]:
    """Returns up to `count` image files of a folder, chosen by a fixed seed, or drawn pictures.

    Raises:
        ValueError: If the folder has no images, or a chosen one cannot be decoded.
        OSError: If a file cannot be read.
    """
    if folder is None:
        return drawn(min(count, 16), size, channels)
    paths, left_out = images_below(folder)
    if not paths:
        others = f" ({listed([str(other) for other in left_out], '; ')})" if left_out else ""
        raise ValueError(f"{folder} and its folders have no {READ_FORMATS} file{others}.")
    chosen = np.random.default_rng(0).permutation(len(paths))[:count]
    return [_decodable(paths[i]) for i in sorted(chosen)]


def _decodable(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        image_decoding.decode(tf.constant(content))
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{path} cannot be decoded: {one_line(error)}.") from error
    return content


def drawn(count: int, size: int, channels: int) -> list[bytes]:
    """JPEG files of drawn pictures, `size` pixels high and half as much again wide."""
    return [_drawn(seed, size, channels) for seed in range(count)]


def _drawn(seed: int, size: int, channels: int) -> bytes:
    rng = np.random.default_rng(seed)
    height, width = size, size + size // 2
    y, x = np.mgrid[:height, :width] / size
    frequency, phase = rng.uniform(1, 8, (2, channels)), rng.uniform(0, 6, channels)
    waves = np.sin(x[..., None] * frequency[0] + y[..., None] * frequency[1] + phase)
    pixels = 127 + 100 * waves + rng.normal(0, 10, (height, width, channels))
    return tf.io.encode_jpeg(tf.cast(np.clip(pixels, 0, 255), tf.uint8)).numpy()

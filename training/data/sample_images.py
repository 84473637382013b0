"""Encoded images to warm a model up, to calibrate and to compare runtimes with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

SUFFIXES = (".jpg", ".jpeg", ".png")


def encoded(folder: Path | None, count: int, size: int, channels: int) -> list[bytes]:
    """Up to `count` image files of a folder, drawn by a fixed seed; without one, drawn pictures.

    Raises:
        ValueError: If the folder has no images.
    """
    if folder is None:
        return drawn(min(count, 16), size, channels)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} has no images ({', '.join(SUFFIXES)}), nor have its folders.")
    chosen = np.random.default_rng(0).permutation(len(paths))[:count]
    return [paths[i].read_bytes() for i in sorted(chosen)]


def drawn(count: int, size: int, channels: int) -> list[bytes]:
    """JPEG files of drawn pictures, `size` pixels high and half as much again wide."""
    return [_drawn(seed, size, channels) for seed in range(count)]


def _drawn(seed: int, size: int, channels: int) -> bytes:
    """A JPEG of soft coloured waves and some noise, of `size` pixels and half as much again."""
    rng = np.random.default_rng(seed)
    height, width = size, size + size // 2
    y, x = np.mgrid[:height, :width] / size
    frequency, phase = rng.uniform(1, 8, (2, channels)), rng.uniform(0, 6, channels)
    waves = np.sin(x[..., None] * frequency[0] + y[..., None] * frequency[1] + phase)
    pixels = 127 + 100 * waves + rng.normal(0, 10, (height, width, channels))
    return tf.io.encode_jpeg(tf.cast(np.clip(pixels, 0, 255), tf.uint8)).numpy()

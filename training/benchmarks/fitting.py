"""Times `model.fit` on one repeated batch of noise."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # Keras's, by precision


def fitting(model: keras.Model, batch: int, steps: int) -> Callable[[], float]:
    """Measures the images per second of a compiled model's `fit`."""
    images = np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:]))
    batches = repeated(images, np.zeros(batch, np.int32))

    def repeat() -> float:
        began = time.perf_counter()
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        return steps * batch / (time.perf_counter() - began)

    repeat()
    return repeat


def repeated(images: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
    """Returns one batch, repeated endlessly.

    tf.data's tuner is off, because it sleeps as long as it has run: the end of each `fit` would
    wait for it, by up to the time of all steps.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = tf.data.Dataset.from_tensors((images.astype(np.float32), labels))
    return batches.repeat().with_options(options)

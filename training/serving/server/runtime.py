"""A version's signatures, computed by another runtime than TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from training.export import runtime_version
from training.export.inference_network import Classifier
from training.export.runtime_version import RuntimeVersion
from training.export.signatures import Signatures


def signatures(version: Path, runtime: str, loaded: Any) -> Mapping[str, Any]:
    """The signatures of an exported version whose probabilities another runtime computes.

    TensorFlow decodes and resizes, as in the SavedModel. `features` and `grad_cam` need more of the
    network than its probabilities, so they are not among them.

    Args:
        version: The version's directory.
        runtime: One of `export --formats`.
        loaded: The version's SavedModel.

    Raises:
        FileNotFoundError: If the version has no file for the runtime.
        ValueError: If the runtime is not installed.
    """
    found = runtime_version.load(version, runtime)
    classifier = Classifier(_Network(found), None, "in the file")
    top = loaded.signatures["classify"].structured_outputs["classes"].shape[-1]
    made = Signatures(classifier, found.resizing, found.labels, top, found.max_pixels)
    return made.signatures()


class _Network:
    """A runtime's network, called as a Keras model is: pixels (N, S, S, C) -> probabilities (N, K).

    It computes one batch at a time: the runtimes use every core by themselves, and two threads must
    not call OpenVINO's or LiteRT's at once.
    """

    def __init__(self, version: RuntimeVersion) -> None:
        size = version.resizing.crop
        self.input_shape = (None, size, size, version.channels)
        self.output = ("probabilities",)
        self._version = version
        self._lock = threading.Lock()

    def __call__(self, pixels: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        found = tf.numpy_function(self._locked, [pixels], tf.float32, stateful=False)
        return {"probabilities": tf.ensure_shape(found, (None, len(self._version.labels)))}

    def _locked(self, pixels: np.ndarray) -> np.ndarray:
        with self._lock:
            return self._version.predict(pixels).astype(np.float32)

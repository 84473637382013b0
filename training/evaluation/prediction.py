"""The most probable classes of image files, batch by batch and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from training.data.decoding import cropping, image_decoding
from training.data.decoding.reading_errors import one_line
from training.data.decoding.resizing import Resizing
from training.models.trained_model import TrainedModel, read_labels

READERS = 8  # threads that read and decode files, both without Python's lock

Classes = tuple[tuple[str, float], ...]  # (class name, probability), the most probable first


@dataclass(frozen=True)
class Prediction:
    """The classes of one file, or the reason why they are unknown."""

    file: str
    classes: Classes = ()
    error: str = ""


class Classifier(Protocol):
    """Finds the classes of encoded images in two steps, of which the first runs in threads."""

    def prepare(self, encoded: bytes) -> Any:
        """Returns what `classify` takes of one image file.

        Raises:
            ValueError: If the file is no image that is read.
        """

    def classify(self, prepared: Sequence[Any]) -> list[Classes | ValueError]:
        """Returns the classes of each image, or why it has none."""


def predictions(
    files: Sequence[Path], classifier: Classifier, batch_size: int
) -> Iterator[list[Prediction]]:
    """Yields the predictions of all files, in batches and in order.

    The next batch is read and prepared while a batch is classified.

    Args:
        files: The image files.
        classifier: Finds their classes.
        batch_size: Images that are classified together.
    """
    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]

    def prepared(file: Path) -> Any:
        return classifier.prepare(file.read_bytes())

    with ThreadPoolExecutor(READERS) as pool:
        started: list[Future[Any]] = []
        for batch, following in zip([[], *batches], [*batches, []], strict=True):
            waiting, started = started, [pool.submit(prepared, file) for file in following]
            if batch:
                yield _classified(batch, waiting, classifier)


def _classified(
    files: Sequence[Path], waiting: Sequence[Future[Any]], classifier: Classifier
) -> list[Prediction]:
    """The predictions of one batch, whose files are being prepared."""
    ready, reasons = {}, {}
    for file, future in zip(files, waiting, strict=True):
        try:
            ready[file] = future.result()
        except (ValueError, OSError) as error:
            reasons[file] = getattr(error, "strerror", None) or str(error)
    answers = classifier.classify(list(ready.values())) if ready else []
    found = dict(zip(ready, answers, strict=True))
    rows = []
    for file in files:
        classes = found.get(file, ())
        if isinstance(classes, ValueError):
            rows.append(Prediction(str(file), error=str(classes)))
        else:
            rows.append(Prediction(str(file), classes, reasons.get(file, "")))
    return rows


class PixelClassifier:
    """A network in this process, in whatever runtime.

    Args:
        predict: Pixels 0..255, float32 (N, S, S, C) -> probabilities (N, K).
        resizing: How images of any size become S x S.
        channels: C.
        labels: The K classes' names.
        top: Classes that are named for each image.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        resizing: Resizing,
        channels: int,
        labels: Sequence[str],
        top: int,
    ) -> None:
        self._predict, self._labels, self._top = predict, labels, top
        self._batch_size = 0
        self._decode = tf.function(
            lambda encoded: cropping.decode_cut(
                encoded,
                resizing.window,
                resizing.crop,
                channels=channels,
                kernel=resizing.kernel,
            ),
            input_signature=[tf.TensorSpec((), tf.string)],
        ).get_concrete_function()  # traced here, not by several readers at once

    def prepare(self, encoded: bytes) -> np.ndarray:
        """Returns the pixels that the network takes: float32 (S, S, C), 0..255."""
        try:
            with tf.device("CPU"):
                return np.asarray(self._decode(encoded))
        except tf.errors.OpError as error:
            reason = image_decoding.reason(tf.constant(encoded)).numpy().decode()
            raise ValueError(f"the image {reason}") from error

    def classify(self, prepared: Sequence[np.ndarray]) -> list[Classes | ValueError]:
        images = np.stack(prepared)
        # A smaller batch is filled up with repeated images: another size would be compiled again.
        self._batch_size = max(self._batch_size, len(images))
        filled = np.resize(images, (self._batch_size, *images.shape[1:]))
        probabilities = np.asarray(self._predict(filled)[: len(images)], np.float64)
        return [best(row, self._labels, self._top) for row in probabilities]


def model_classifier(net: TrainedModel, top: int) -> PixelClassifier:
    """Returns the classifier of a Keras model, which names `top` classes for each image."""

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(keras.ops.convert_to_numpy(net.model.predict_on_batch(images)))

    return PixelClassifier(predict, net.resizing, net.model.input_shape[-1], net.labels, top)


class VersionClassifier:
    """A version that `export` wrote: a SavedModel with the signature `serve_bytes`.

    Args:
        version: Its directory.
        top: Classes that are named for each image.

    Raises:
        ValueError: If it is damaged, or `export` did not write it.
        OSError: If it cannot be read.
    """

    def __init__(self, version: Path, top: int) -> None:
        self._model = loaded_version(version)  # holds the variables
        self._serve = self._model.signatures["serve_bytes"]
        file = version / "assets" / "labels.txt"
        self._labels = read_labels(file)
        self._top = top
        classes = self._serve.structured_outputs["probabilities"].shape[-1]
        if len(self._labels) != classes:
            raise ValueError(f"{file} names {len(self._labels)} classes; the model has {classes}.")

    def prepare(self, encoded: bytes) -> bytes:
        return encoded

    def classify(self, prepared: Sequence[bytes]) -> list[Classes | ValueError]:
        try:
            found = self._serve(image_bytes=tf.constant(prepared))["probabilities"].numpy()
        except tf.errors.InvalidArgumentError as error:  # one broken image fails its batch
            if len(prepared) == 1:
                return [ValueError(one_line(error))]
            return [one for encoded in prepared for one in self.classify([encoded])]
        return [best(row, self._labels, self._top) for row in found]


def loaded_version(version: Path) -> Any:
    """Loads the SavedModel that `export` wrote into a version's directory.

    Raises:
        ValueError: If it is damaged, or `export` did not write it.
    """
    try:
        model = tf.saved_model.load(str(version))
    except Exception as error:  # each kind of damage raises an error of its own
        raise ValueError(
            f"{version} is no SavedModel, or a damaged one: export the model again ({error})."
        ) from error
    if "serve_bytes" not in model.signatures:
        raise ValueError(f"{version} has no signature serve_bytes: `export` did not write it.")
    return model


def best(probabilities: np.ndarray, labels: Sequence[str], top: int) -> Classes:
    """The `top` most probable classes of one image, (K,); of equal ones the first.

    Raises:
        ValueError: If a probability is NaN.
    """
    if np.isnan(probabilities).any():
        raise ValueError("The model gives NaN for probabilities: its weights may be NaN.")
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple((labels[i], float(probabilities[i])) for i in order)

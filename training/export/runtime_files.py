"""A version's files for other runtimes, each compared with Keras, and measured on a data set.

`write` is what `export --formats` adds to a version: `runtimes/` with a file for each format, and
`parity.json` with what was found.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.data.batches import eval_batches
from training.data.folder import sample_images
from training.data.splits import Dataset, Split
from training.export.other_runtimes import FORMATS, Predict, converted
from training.export.signatures import ImageInput
from training.models.trained_model import TrainedModel

logger = logging.getLogger(__name__)

CALIBRATION_IMAGES = 200
# Largest difference of a probability from Keras's: of float runtimes, rounding in another order.
# int8 is no such rounding: its figures are reported, and its accuracy must be measured.
PARITY = 1e-4


@dataclass(frozen=True)
class Wanted:
    """The files that are asked for, and the images that calibrate and measure them."""

    formats: Sequence[str]  # keys of `other_runtimes.FORMATS`
    images: Path | None = None  # a folder of images to calibrate int8 with
    # Its training images calibrate int8 where there is no folder. Its test images measure the error
    # of the SavedModel and of each format.
    dataset: Dataset | None = None
    max_drop: float = np.inf  # points of accuracy that each may lose on the test images


def write(
    wanted: Wanted,
    trained: TrainedModel,
    network: keras.Model,
    encoded: Sequence[bytes],
    version: Path,
) -> dict[str, Any]:
    """Writes `version/runtimes/`.

    Args:
        wanted: The formats.
        trained: What is exported.
        network: Its network, as `inference_network` returns it.
        encoded: Image files to compare on.
        version: The directory of the version that is being written.

    Returns:
        For `model.json`: each format's file and differences, and the error in per cent.

    Raises:
        ValueError: If a float format's probabilities are not Keras's, or one loses too many points.
    """
    folder = version / "runtimes"
    folder.mkdir()
    model = keras.Model(network.input, network.output["probabilities"], name=network.name)
    pixels = _pixels(trained, encoded)
    expected = model(pixels, training=False).numpy()
    report: dict[str, Any] = {}
    errors = None
    if wanted.dataset is not None:
        errors = _Errors(model, wanted.dataset.test, trained.resizing.crop, wanted.max_drop)
        report["keras"] = {"test_error": errors.of_keras}
        report["savedmodel"] = {"test_error": errors.of("savedmodel", _saved_model(version))}
    int8 = any("int8" in name for name in wanted.formats)
    calibration = _calibration(wanted, trained) if int8 else None
    for name in wanted.formats:
        logger.info("Converting to %s", name)
        file = folder / FORMATS[name][0]
        predict = converted(model, name, file, calibration)
        report[name] = {"file": file.name, **_comparison(name, predict(pixels), expected)}
        if errors is not None:
            report[name]["test_error"] = errors.of(name, predict)
    (folder / "parity.json").write_text(json.dumps(report, indent=2) + "\n")
    return {"runtimes": report}


def _comparison(name: str, found: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    difference = float(np.abs(found - expected).max())
    if "int8" not in name and not difference <= PARITY:
        raise ValueError(f"{name}: probabilities differ by {difference:.1e} from Keras's.")
    return {
        "images_compared": len(expected),
        "largest_difference": difference,
        "same_best_class": float(np.mean(found.argmax(1) == expected.argmax(1))),
    }


class _Errors:
    """Measures test errors, and refuses what loses too many points beside Keras."""

    def __init__(self, model: keras.Model, test: Split, size: int, max_drop: float) -> None:
        self._test, self._size, self._max_drop = test, size, max_drop
        self.of_keras = test_error(model.predict_on_batch, test, size)

    def of(self, name: str, predict: Predict) -> float:
        error = test_error(predict, self._test, self._size)
        drop = error - self.of_keras
        if drop > self._max_drop:
            raise ValueError(
                f"{name} loses {drop:.2f} points of accuracy on {self._test.examples:,} test "
                f"images; at most {self._max_drop:g} are allowed (--max-drop). Nothing was "
                "published."
            )
        return error


def test_error(predict: Predict, test: Split, size: int) -> float:
    """Per cent of a split's images, all of them, whose best class is wrong."""
    wrong = 0
    for pixels, labels in eval_batches(test, batch_size=100, image_size=size).as_numpy_iterator():
        wrong += int((predict(pixels).argmax(1) != labels).sum())
    return 100 * wrong / test.examples


def _saved_model(version: Path) -> Predict:
    model = tf.saved_model.load(version)

    def predict(pixels: np.ndarray) -> np.ndarray:
        answer = model.signatures["serving_default"](pixels=tf.constant(pixels))
        return np.asarray(answer["probabilities"])

    return predict


def _calibration(wanted: Wanted, trained: TrainedModel) -> np.ndarray:
    """Images such as the network will see; with others int8 loses far more than need be."""
    size, channels = trained.resizing.crop, trained.model.input_shape[-1]
    if wanted.images is not None:
        encoded = sample_images.encoded(wanted.images, CALIBRATION_IMAGES, size, channels)
        return _pixels(trained, encoded)
    if wanted.dataset is None:
        raise ValueError(
            "int8 is calibrated with images such as it will see: give --images or --dataset."
        )
    batches = eval_batches(wanted.dataset.train, batch_size=CALIBRATION_IMAGES, image_size=size)
    return np.asarray(next(batches.as_numpy_iterator())[0])


def _pixels(trained: TrainedModel, encoded: Sequence[bytes]) -> np.ndarray:
    """Image files as the network takes them: (N, S, S, C) float32."""
    channels = trained.model.input_shape[-1]
    images = ImageInput(trained.resizing, channels, max_pixels=np.iinfo(np.int64).max)
    return np.asarray(images.decode(tf.constant(encoded)))

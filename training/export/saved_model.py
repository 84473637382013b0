"""A model as a SavedModel version under TF Serving's model base."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_resnet
from training.common.files import sha256
from training.data.decoding import image_decoding
from training.data.folder import sample_images
from training.export import model_base, model_card, warmup_requests
from training.export.inference_network import (
    Classifier,
    in_bfloat16,
    in_float32,
    inference_network,
)
from training.export.signatures import ImageInput, Signatures
from training.models.trained_model import TrainedModel

logger = logging.getLogger(__name__)

TOP = 5  # classes that `classify` names
MAX_PIXELS = 2**25  # of an encoded image: 33 megapixels, 100 MB decoded
# Largest difference of a probability from the Keras model's, by precision. In float32 trained nets
# stay below 1e-5; nets with random weights, whose scores are in the hundreds, differ by 2e-4 from
# rounding alone; a wrong graph differs by tenths. bfloat16 rounds to 8 bits: ResNet-20's
# probabilities of 2,000 CIFAR-10 test images differ by up to 0.045, half of them by less than 2e-5.
PARITY = {"float32": 1e-3, "bfloat16": 0.1}
COMPARED = 16  # images

Extras = Callable[[keras.Model, Sequence[bytes], Path], Mapping[str, Any]]


def export(
    trained: TrainedModel,
    name: str,
    base: Path,
    *,
    images: Path | None = None,
    top: int = TOP,
    precision: str = "float32",
    extras: Extras | None = None,
) -> Path:
    """Writes `base/name/<next version>/`: SavedModel, labels, `model.json`, model card, warm-up.

    The version is written to a temporary directory, loaded, compared with the Keras model, and
    renamed: a server that polls the folder never sees half a model. An existing version is never
    overwritten. A failed export leaves nothing behind.

    Args:
        trained: The model.
        name: The served model's name.
        base: TF Serving's model base path, e.g. `savedmodels`.
        images: Folder of images to compare and to warm up with. Default: drawn pictures.
        top: How many classes the signature `classify` names.
        precision: Of the SavedModel's feature maps and their weights: "float32" or "bfloat16".
        extras: Writes further files, from (network, images, the version's directory); what it
            returns goes into `model.json`.

    Returns:
        The version's directory.

    Raises:
        ValueError: If the name is not allowed, the model gives no probabilities, the written
            model's answers are not the Keras model's, or the base has a `labels.json` of another
            kind.
    """
    model_base.check_name("model", name)
    model_base.labels(base)  # refused now, if at all, rather than after the version is published
    size, channels = trained.resizing.crop, trained.model.input_shape[-1]
    encoded = sample_images.encoded(images, COMPARED, size, channels)
    logger.info("1/4 Rebuilding %s for inference", trained.model.name)
    reference = in_float32(trained.model)
    _check_probabilities(reference, _image_input(trained).decode(tf.constant(encoded)))
    classifier = inference_network(reference)
    written = in_bfloat16(classifier) if precision == "bfloat16" else classifier

    home = base / name
    with _made(home), tempfile.TemporaryDirectory(prefix=".writing-", dir=home) as temporary:
        version = Path(temporary) / "version"
        logger.info("2/4 Writing the SavedModel")
        _write_signatures(written, trained, top, version)
        logger.info("3/4 Comparing it with the Keras model on %d images", len(encoded))
        difference = _compare(reference, trained, version, encoded, PARITY[precision])
        facts = {
            "name": name,
            **trained.facts,
            "resizing": asdict(trained.resizing),
            "classes": len(trained.labels),
            "channels": channels,
            "precision": precision,
            "batch_norm": classifier.batch_norm,
            "max_pixels": MAX_PIXELS,
            "largest_difference_from_keras": difference,
            "warm_up_requests": warmup_requests.write(version, name, encoded, size, channels),
            "versions": _versions(),
        }
        if extras:
            facts |= extras(classifier.network, encoded, version)
        logger.info("4/4 Writing the model card and publishing the version")
        target = _publish(_described(version, facts, trained.labels), home)
    model_base.refresh(base)
    return target


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes the folder and its parents, and removes those again if the block raises."""
    made = [missing for missing in (folder, *folder.parents) if not missing.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for each in made:
            with contextlib.suppress(OSError):  # another export has written there
                each.rmdir()
        raise


def _image_input(trained: TrainedModel) -> ImageInput:
    return ImageInput(trained.resizing, trained.model.input_shape[-1], np.iinfo(np.int64).max)


def _check_probabilities(model: keras.Model, pixels: tf.Tensor) -> None:
    """Checks what the model gives, since a last layer of any kind may give probabilities."""
    found = np.asarray(model(pixels, training=False), np.float64)
    sums = found.sum(axis=1)
    tolerance = PARITY["float32"]
    if not (np.abs(sums - 1).max() <= tolerance and found.min() >= -tolerance):
        raise ValueError(
            f"{model.name} gives no probabilities: its outputs lie between {found.min():.3g} and "
            f"{found.max():.3g}, and sum to {sums.min():.3g} to {sums.max():.3g} for an image, not "
            "to 1. Let it end in a softmax over its classes."
        )


def _write_signatures(
    classifier: Classifier, trained: TrainedModel, top: int, version: Path
) -> None:
    module = Signatures(classifier, trained.resizing, trained.labels, top, MAX_PIXELS)
    tf.saved_model.save(module, version, signatures=module.signatures())


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "keras_resnet": keras_resnet.__version__,
    }


def _compare(
    reference: keras.Model,
    trained: TrainedModel,
    version: Path,
    encoded: Sequence[bytes],
    tolerance: float,
) -> float:
    """The largest difference of the written model's probabilities from the Keras model's.

    Raises:
        ValueError: If it is more than `tolerance`.
    """
    loaded = tf.saved_model.load(version)
    images = _image_input(trained)
    pixels = image_decoding.decode(encoded[0], images.channels)[tf.newaxis]
    differences = []
    for name, given, prepare in (
        ("serving_default", {"pixels": tf.cast(pixels, tf.float32)}, images.resize),
        ("serve_uint8", {"pixels": pixels}, images.resize),
        ("serve_bytes", {"image_bytes": tf.constant(encoded)}, images.decode),
    ):
        expected = reference(prepare(*given.values()), training=False)
        found = loaded.signatures[name](**given)["probabilities"]
        differences.append(np.abs(found.numpy() - expected.numpy()).max())
    largest = float(max(differences))
    if not largest <= tolerance:
        raise ValueError(
            f"The written model's probabilities differ by {largest:.1e} from the Keras model's; "
            f"at most {tolerance} is allowed. Nothing was published."
        )
    return largest


def _described(version: Path, facts: dict[str, Any], labels: Sequence[str]) -> Path:
    """Writes class names, model card and `model.json` into the version's directory."""
    assets = version / "assets"
    assets.mkdir(exist_ok=True)
    (assets / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    card = model_card.text(facts, labels)
    (version / model_card.FILE).write_text(card, encoding="utf-8")
    facts["sha256"] = {
        str(path.relative_to(version)): sha256(path)
        for path in sorted(version.rglob("*"))
        if path.is_file()
    }
    (assets / "model.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return version


def _publish(written: Path, home: Path) -> Path:
    """Renames `written` to the next free version number, whoever else exports at the same time."""
    while True:
        taken = [int(path.name) for path in home.iterdir() if path.name.isdecimal()]
        target = home / str(max(taken, default=0) + 1)
        try:
            os.rename(written, target)  # fails where the target exists with anything in it
        except OSError:
            if not target.exists():
                raise
            continue
        return target

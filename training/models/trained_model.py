"""A classifier with what belongs to it: how images are resized, its classes, where it is from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

import keras_resnet
from keras_resnet import architectures, weights
from keras_resnet.preprocessing import CLASS_NAMES, CONVENTIONS
from training.common.files import read_json, sha256
from training.config.catalogue import PHOTOGRAPHS
from training.data.decoding import cropping
from training.data.decoding.resizing import Resizing
from training.models.image_classifier import image_classifier
from training.models.opened_model import opened_model

logger = logging.getLogger(__name__)

IMAGENET_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A classifier of images, ready to be evaluated, inspected or exported."""

    model: keras.Model  # raw pixels 0..255 (N, S, S, C) -> probabilities (N, K)
    resizing: Resizing
    labels: tuple[str, ...]  # K
    facts: Mapping[str, Any] = field(default_factory=dict)  # for model.json

    def __post_init__(self) -> None:
        shape, outputs = self.model.input_shape, self.model.output_shape
        size = self.resizing.crop
        if shape not in [(None, size, size, channels) for channels in (1, 3)]:
            raise ValueError(
                f"{self.model.name} takes {shape}, not images of {size}x{size} with 1 or 3 "
                "channels: training.models.image_classifier gives it a size."
            )
        if not isinstance(outputs, tuple) or len(outputs) != 2:
            raise ValueError(
                f"{self.model.name} gives {outputs}, not probabilities (N, classes): add a top."
            )
        if len(self.labels) != outputs[1]:
            raise ValueError(
                f"{self.model.name} has {outputs[1]} classes; given {len(self.labels)} labels."
            )


def from_file(
    file: Path,
    labels: Sequence[str] | None = None,
    convention: str | None = None,
    image_size: int | None = None,
) -> TrainedModel:
    """A `.keras` file: one that `train` wrote, with its `result.json` beside it, or another.

    Args:
        file: The model. Nets that `train` wrote take raw pixels 0..255.
        labels: The classes' names. Default: those of `result.json`, else their numbers.
        convention: Key of `keras_resnet.preprocessing.CONVENTIONS` to put before the model, if it
            takes preprocessed images.
        image_size: For a model of images of any size; see `image_classifier`.

    Raises:
        ValueError: If the file is damaged or holds no classifier of images.
        OSError: If it cannot be read.
    """
    model = image_classifier(opened_model(file), convention, image_size)
    result = _json(file.with_name("result.json"))
    described = _json(file.with_name("job.json"))
    job = described.get("job", {})
    if job:  # its recipe with the numbers that followed from the data
        job = {**job, "recipe": _json(file.with_name("recipe.json")) or job.get("recipe", {})}
    if labels is None and "class_names" in result:
        labels = result["class_names"]
    elif labels is None:
        logger.warning(
            "%s: no class names are given nor beside the file, so the classes are numbered.", file
        )
        labels = [str(i) for i in range(model.output_shape[-1])]
    facts = {
        "network": job.get("network", model.name),
        "weights": {"file": file.name, "sha256": sha256(file)},
        "trained_on": job.get("dataset"),
        "test_error": {k: result[k] for k in ("test_error", "test_examples") if k in result},
        "convention": convention or "raw pixels, 0..255",
        **({"job": job, "result": result, "data": described.get("data", {})} if job else {}),
    }
    size = model.input_shape[1]
    # Photographs are tested on the centre of a larger one; other images have their size.
    photographs = convention is not None or job.get("dataset") in PHOTOGRAPHS
    side = round(cropping.evaluated_shorter_side(size)) if photographs else size
    return TrainedModel(model, Resizing(side, size), tuple(labels), facts)


def from_weights(
    network: str,
    source: str,
    labels: Sequence[str] | None = None,
    convention: str | None = None,
) -> TrainedModel:
    """A network of `keras_resnet` with published weights, or with those of a file.

    Args:
        network: `"resnet50"` and so on.
        source: A name of `keras_resnet.weights.list_published(network)`, or a weights file.
        labels: The classes' names. Default: ImageNet's WordNet ids, or numbers.
        convention: What the weights of a file need of their input; published weights say so.

    Raises:
        ValueError: If the weights do not fit, or the convention is missing.
        OSError: If they cannot be fetched or read.
    """
    architecture = architectures.get(network)
    found = weights.find(source, architecture)
    if isinstance(found, weights.PublishedWeights):
        if convention not in (None, found.preprocessing):
            raise ValueError(
                f"{found.name} of {network} need {found.preprocessing!r} preprocessing."
            )
        convention, protocol = found.preprocessing, found.origin.protocol
        resizing, path = protocol_resizing(protocol), Path(weights.fetch(found))
        measured = {"top1": found.top1, "top5": found.top5, "protocol": str(protocol)}
        published: dict[str, Any] = {**asdict(found), "published_error": measured}
        labels = labels or CLASS_NAMES.get(found.origin.data_set)
    else:
        if convention is None:
            raise ValueError(
                f"What {source} needs of its input is not in the file: give --preprocessing, one "
                f"of {', '.join(CONVENTIONS)}."
            )
        size = architectures.STEMS[architecture.stem].image_size
        photographs = architecture.stem == "imagenet"
        side = round(cropping.evaluated_shorter_side(size)) if photographs else size
        resizing, path, published = Resizing(side, size), Path(str(found)), {}

    pixels = keras.Input((resizing.crop, resizing.crop, 3), name="pixels")
    model = keras_resnet.ResNet(
        architecture,
        weights=source,
        input_tensor=keras_resnet.preprocess_input(pixels, convention, "channels_last"),
        classes=None if labels is None else len(labels),
    )
    facts = {
        "network": network,
        "weights": {**published, "file": path.name, "sha256": sha256(path)},
        "convention": {"name": convention, **asdict(CONVENTIONS[convention])},
    }
    return TrainedModel(model, resizing, tuple(labels or _class_ids(model.output_shape[-1])), facts)


def protocol_resizing(protocol: weights.CropProtocol) -> Resizing:
    """The resizing that the error of published weights was measured with."""
    return Resizing(protocol.shorter_side, protocol.size, protocol.interpolation)


def read_labels(path: Path) -> list[str]:
    """The class names in a file, one per line; empty lines at its end count for nothing.

    Raises:
        ValueError: If the file is not UTF-8.
        OSError: If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8 ({error}): save it in that encoding.") from error


def _class_ids(classes: int) -> list[str]:
    """ImageNet's WordNet ids in the order of the classes, as TFDS has them; else numbers."""
    if classes != IMAGENET_CLASSES:
        return [str(i) for i in range(classes)]
    import tensorflow_datasets as tfds

    return str(tfds.core.tfds_path("datasets/imagenet2012/labels.txt").read_text()).split()


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}

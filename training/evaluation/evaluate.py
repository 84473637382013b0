"""The error of one net, or of several together, over all test images, by one of the protocols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_resnet.fully_convolutional import fully_convolutional
from training.common.progress_bars import ProgressBar
from training.data.splits import ArraySplit, Dataset
from training.evaluation import protocols
from training.evaluation.protocols import PROTOCOLS, Protocol

if TYPE_CHECKING:
    from training.evaluation.test_crops import Batch

__all__ = ["PROTOCOLS", "Evaluation", "default_protocol", "evaluate", "probabilities"]

BATCH_SIZE = 128
SUM_TOLERANCE = 1e-3  # of an image's probabilities, in half precision too


@dataclass(frozen=True, eq=False)
class Answers:
    """The nets' answer to every image, in the split's order."""

    labels: np.ndarray  # (N,) the true classes
    classes: np.ndarray  # (N,) the most probable ones
    probabilities: np.ndarray  # (N,) of the most probable class
    true_probabilities: np.ndarray  # (N,) of the true class


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The error of a test, in per cent, and what it consists of."""

    protocol: str
    examples: int  # images seen, each once
    top1_error: float
    top5_error: float | None  # None: there are five classes or fewer
    class_errors: np.ndarray  # (C,) top-1; NaN for classes without images
    confusion: np.ndarray  # (C, C) number of images, row: true class, column: most probable one
    answers: Answers

    @property
    def balanced_error(self) -> float:
        """The mean of the classes' errors, each class counting alike; without those of no image."""
        return float(np.nanmean(self.class_errors))


def default_protocol(dataset: Dataset) -> str:
    """The name of the cheapest protocol for a data set's kind of images."""
    return "single" if dataset.image_shape else "center"


def check_protocol(name: str, dataset: Dataset) -> None:
    """Refuses a protocol that is not for a data set's kind of images.

    Raises:
        ValueError: If the protocol is unknown, or for the other kind.
    """
    photographs = dataset.image_shape is None
    if protocols.get(name).photographs != photographs:
        fitting = [one.name for one in PROTOCOLS.values() if one.photographs == photographs]
        raise ValueError(
            f"The protocol {name} is for {'small images' if photographs else 'photographs'}; "
            f"{dataset.name} takes {', '.join(fitting)}."
        )


def evaluate(
    models: Sequence[keras.Model],
    dataset: Dataset,
    protocol: str,
    *,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
) -> Evaluation:
    """Measures the test error of `models` together, by their mean probabilities.

    Every test image counts once, those of the last, smaller batch too. An image's scores are the
    mean probabilities over its views and the models; under `multi_scale` first over the positions
    of each view. In memory at any time are some batches, the confusion matrix, and four numbers for
    each image.

    Args:
        models: One or more: raw pixels 0..255 (N, H, W, C) -> probabilities (N, classes), such as
            `model.keras` of a run; classes in the order of `dataset.class_names`.
        dataset: Its test images are seen.
        protocol: A key of `PROTOCOLS`.
        batch_size: Views computed at once.
        progress: Whether to show a bar, if the error output is a terminal.

    Raises:
        ValueError: If the protocol is unknown or for the other kind of images; if the models do not
            fit the images, the classes or each other; if they do not give probabilities.
        OSError: If an image cannot be read.
    """
    classes = len(dataset.class_names)
    within_five = 0
    columns: list[tuple[np.ndarray, ...]] = []
    with ProgressBar(protocol, dataset.test.examples, show=progress) as bar:
        for scores, labels in probabilities(models, dataset, protocol, batch_size=batch_size):
            own = scores[np.arange(len(labels)), labels]
            columns.append((labels, scores.argmax(axis=1), scores.max(axis=1), own))
            within_five += int((_ranks(scores, labels) < 5).sum())
            bar.advance(len(labels))
    answers = Answers(*map(np.concatenate, zip(*columns, strict=True)))

    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (answers.labels, answers.classes), 1)
    examples = int(confusion.sum())
    of_class, right = confusion.sum(axis=1), np.diag(confusion)
    with np.errstate(invalid="ignore"):  # 0 / 0: a class without images
        class_errors = 100 * (of_class - right) / of_class
    return Evaluation(
        protocol=protocol,
        examples=examples,
        top1_error=float(100 * (examples - right.sum()) / examples),
        top5_error=100 * (examples - within_five) / examples if classes > 5 else None,
        class_errors=class_errors,
        confusion=confusion,
        answers=answers,
    )


def probabilities(
    models: Sequence[keras.Model],
    dataset: Dataset,
    protocol: str,
    *,
    batch_size: int = BATCH_SIZE,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the classes' probabilities of every test image once, batch by batch.

    The images come in the split's order. Arguments and errors are those of `evaluate`.

    Yields:
        Mean probabilities float64 (N, classes), and labels (N,).
    """
    chosen = protocols.get(protocol)
    _check(models, dataset, chosen, batch_size)
    size = models[0].input_shape[1]
    if chosen.fully_convolutional:
        models = [fully_convolutional(model) for model in models]
        for model in models:
            model.compile(jit_compile=False)  # a program for every size of photograph is too many
    for views, labels in _batches(dataset, chosen, size, batch_size):
        yield np.mean([_scores(model, views) for model in models], axis=0), labels


def _check(
    models: Sequence[keras.Model], dataset: Dataset, protocol: Protocol, batch_size: int
) -> None:
    if not models or batch_size < 1 or dataset.test.examples < 1:
        raise ValueError(
            "An evaluation needs a model, an image, and batches of at least one; given "
            f"{len(models)} models, {dataset.test.examples} images, batch_size={batch_size}."
        )
    check_protocol(protocol.name, dataset)
    for model in models:
        taken, given = model.input_shape, model.output_shape
        if taken != models[0].input_shape:
            raise ValueError(
                "Nets are evaluated together on the same views; these take images of shape "
                f"{models[0].input_shape[1:]} and {taken[1:]}."
            )
        if given != (None, len(dataset.class_names)):
            raise ValueError(
                f"{model.name} gives {given}; {dataset.name} has {len(dataset.class_names)} "
                "classes, so that it must give (None, that many)."
            )
        fixed = isinstance(taken, tuple) and len(taken) == 4 and None not in taken[1:]
        square = fixed and taken[1] == taken[2] and taken[3] == 3
        if not (square if protocol.photographs else fixed and taken[1:] == dataset.image_shape):
            wanted = dataset.image_shape or "(size, size, 3), the size of its crops"
            raise ValueError(
                f"{model.name} takes images of shape {taken}; {dataset.name} needs {wanted}."
            )


def _batches(dataset: Dataset, protocol: Protocol, size: int, batch_size: int) -> Iterator[Batch]:
    if isinstance(dataset.test, ArraySplit):
        yield from _arrays(dataset.test, batch_size)
        return
    # TensorFlow decodes and scales photographs; arrays do not need it.
    from training.data.decoding.reading_errors import readable_errors
    from training.evaluation import test_crops

    with readable_errors(dataset.name, dataset.root):
        yield from test_crops.batches(dataset.test, protocol, size, batch_size)


def _arrays(split: ArraySplit, batch_size: int) -> Iterator[Batch]:
    for start in range(0, split.examples, batch_size):
        stretch = slice(start, start + batch_size)
        images = split.images[stretch].astype(np.float32)
        yield (images[:, np.newaxis],), split.labels[stretch]


def _scores(model: keras.Model, views: tuple[np.ndarray, ...]) -> np.ndarray:
    """Mean probabilities over scales, views and positions: float64 (N, classes)."""
    scales = []
    for seen in views:  # (N, V, H, W, C)
        images, number = seen.shape[:2]
        scores = model.predict_on_batch(seen.reshape(images * number, *seen.shape[2:]))
        scores = np.asarray(scores, np.float64)  # (N * V, classes), or (N * V, h, w, classes)
        sums = scores.sum(axis=-1)
        if not (np.abs(sums - 1) < SUM_TOLERANCE).all() or scores.min() < 0:  # NaN too
            raise ValueError(
                f"{model.name} gives no probabilities: its outputs lie between {scores.min():.3g} "
                f"and {scores.max():.3g}, and sum to {sums.min():.3g} to {sums.max():.3g} for an "
                "image, not to 1. Take a net that ends in a softmax."
            )
        scales.append(scores.reshape(images, -1, scores.shape[-1]).mean(axis=1))
    mean: np.ndarray = np.mean(scales, axis=0)
    return mean


def _ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The true class's rank, (N,), from 0; of equal scores the smaller class comes first."""
    own = scores[np.arange(len(labels)), labels][:, np.newaxis]
    before = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    ranks: np.ndarray = np.count_nonzero((scores > own) | ((scores == own) & before), axis=1)
    return ranks

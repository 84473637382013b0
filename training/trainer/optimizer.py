"""The recipe's optimizer, loss and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from training.config.recipes import Recipe
from training.data.splits import Dataset
from training.trainer.coupled_sgd import CoupledSGD
from training.trainer.muon import Muon


def optimizer(recipe: Recipe) -> CoupledSGD:
    """The recipe's optimizer; the learning rate is set step by step during the run."""
    arguments: dict[str, Any] = {
        "learning_rate": recipe.learning_rate,
        "momentum": recipe.momentum,
        "nesterov": recipe.nesterov,
        "coupled_decay": recipe.weight_decay,
        "gradient_accumulation_steps": recipe.accumulation if recipe.accumulation > 1 else None,
        "use_ema": recipe.ema > 0,
        "ema_momentum": recipe.ema or 0.99,  # unread without use_ema
    }
    if recipe.muon and recipe.learning_rate:
        return Muon(kernel_rate=recipe.muon / recipe.learning_rate, **arguments)
    return CoupledSGD(**arguments)


class Crossentropy(keras.losses.Loss):
    """Cross-entropy of logits (N, classes), smoothed and weighted.

    The true values are classes (N,), or shares of each class (N, classes), as mixed images have.

    Args:
        label_smoothing: Fraction of the target spread evenly over all classes.
        class_weights: The weight of each class's images, (classes,). Default: 1 for each.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        name: str = "loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ops = keras.ops
        if len(y_true.shape) == 1:
            y_true = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])
        shares = ops.cast(y_true, y_pred.dtype)
        losses = keras.losses.categorical_crossentropy(
            shares, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )
        if self.class_weights is None:
            return losses
        return losses * ops.sum(shares * ops.cast(self.class_weights, y_pred.dtype), axis=-1)


def loss(recipe: Recipe, dataset: Dataset) -> keras.losses.Loss:
    """Returns the cross-entropy on logits that the recipe asks for.

    Raises:
        ValueError: If classes are to be balanced whose training images are not counted.
    """
    weights = None
    if recipe.class_weights == "balanced":
        counts = dataset.class_counts().get("train")
        if counts is None:
            raise ValueError(
                f"class_weights=balanced needs each class's number of images, which {dataset.name} "
                "does not tell before it is read: leave it out."
            )
        weights = balanced(counts)
    if recipe.label_smoothing or weights is not None or mixes(recipe):
        return Crossentropy(recipe.label_smoothing, weights)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def balanced(counts: np.ndarray) -> list[float]:
    """Weights by which each class counts the same: images / (classes * images of the class)."""
    return [float(counts.sum() / (len(counts) * count)) for count in counts]


def metrics(recipe: Recipe) -> list[Any]:
    """Returns the metrics of a training step: the accuracy."""
    return [accuracy] if mixes(recipe) else ["accuracy"]


def mixes(recipe: Recipe) -> bool:
    """Whether a training image may be of two classes."""
    return recipe.mixup > 0 or recipe.cutmix > 0


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Whether the largest logit is that of the class, or of the one with the largest share."""
    ops = keras.ops
    true = ops.argmax(y_true, axis=-1) if len(y_true.shape) == 2 else ops.cast(y_true, "int32")
    right = ops.equal(ops.cast(true, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
    return ops.cast(right, "float32")

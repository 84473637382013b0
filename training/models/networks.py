"""The network as it is trained, and as it is handed on: with its preprocessing in front."""

from __future__ import annotations

import keras
import numpy as np

import keras_resnet
from keras_resnet.architectures import STEMS, Architecture
from keras_resnet.resnet import DEEPEST_FLAT
from training.config.recipes import Recipe
from training.data.splits import Dataset


def trainable(architecture: Architecture, dataset: Dataset, scan: bool = False) -> keras.Model:
    """Random weights; mean-subtracted images (N, H, W, C) -> logits (N, classes)."""
    return keras_resnet.ResNet(
        architecture,
        weights=None,
        input_shape=image_shape(architecture, dataset),
        classes=len(dataset.class_names),
        classifier_activation=None,
        scan=scan,
    )


def scans(architecture: Architecture, recipe: Recipe) -> bool:
    """Whether a stage's blocks are run in a loop: as the recipe has it, or where it pays.

    Without, a net of 1202 layers takes minutes to its first step; one of 56 takes seconds either
    way, and its steps were faster without (docs/performance.md, "Deep nets").
    """
    if recipe.scan is not None:
        return recipe.scan
    return not recipe.jit and architecture.depth > DEEPEST_FLAT


def image_shape(architecture: Architecture, dataset: Dataset) -> tuple[int, int, int]:
    """What the network trains on: the data set's images, or crops of the size it was made for."""
    size = STEMS[architecture.stem].image_size
    return dataset.image_shape or (size, size, 3)


def complete(model: keras.Model, architecture: Architecture, mean: np.ndarray) -> keras.Model:
    """A trained model for everyone: raw pixels 0..255 (N, H, W, C) -> probabilities (N, classes).

    Args:
        model: The trained model of `trainable`; its weights are copied.
        architecture: As given to `trainable`.
        mean: What the input pipeline subtracted: (H, W, C) per pixel, or (1, 1, C) per channel.
    """
    per_pixel = mean.shape == model.input_shape[1:]
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    centred = keras.layers.Normalization(
        axis=(1, 2, 3) if per_pixel else -1,
        mean=mean if per_pixel else mean.reshape(-1),
        variance=np.ones_like(mean if per_pixel else mean.reshape(-1)),
        name="mean_subtraction",
    )(pixels)
    finished = keras_resnet.ResNet(
        architecture,
        weights=None,
        input_tensor=centred,
        classes=model.output_shape[-1],
    )
    keras_resnet.copy_weights(model, finished)
    return finished

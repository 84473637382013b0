"""The preprocessing of raw pixels, which travels with the finished model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

import keras_resnet
from keras_resnet import weights
from keras_resnet.architectures import Architecture
from keras_resnet.preprocessing import CONVENTIONS
from keras_resnet.weights import PublishedWeights
from training.data.pixel_mean import pixel_mean
from training.data.splits import Split
from training.models.opened_model import opened_model


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """(pixels - mean) / std, for pixels 0..255 in the order of the image: RGB, or grey."""

    mean: np.ndarray  # float32 (H, W, C), one per pixel, or (1, 1, C)
    std: np.ndarray  # float32, of the mean's shape
    bgr_weights: bool = False  # the weights to start from take BGR: their first kernel is turned

    @property
    def scales(self) -> bool:
        return bool((self.std != 1).any())

    def layer(self, mean: bool = True) -> keras.layers.Layer:
        """Returns the layer that applies it; without `mean`, to images with the mean subtracted."""
        per_pixel = self.mean.shape[:2] != (1, 1)

        def shaped(values: np.ndarray) -> np.ndarray:
            return values if per_pixel else values.reshape(-1)

        return keras.layers.Normalization(
            axis=(1, 2, 3) if per_pixel else -1,
            mean=shaped(self.mean if mean else np.zeros_like(self.mean)),
            variance=shaped(self.std**2),
            name="mean_subtraction" if mean else "scaling",
        )


def of_training_images(split: Split) -> Preprocessing:
    """Subtracts the mean of the training images, as section 4.2 of the paper does."""
    mean = pixel_mean(split)
    return Preprocessing(mean, np.ones_like(mean))


def convention_of(
    source: str, architecture: Architecture, convention: str | None = None
) -> str | None:
    """Returns the convention of weights; `None` for a `.keras` file, which holds its own.

    Args:
        source: A name of published weights, or a weights file.
        architecture: The network.
        convention: A key of `keras_resnet.preprocessing.CONVENTIONS`, for a file that does not say
            it. Published weights do, and so does a `model.keras` of `train`.

    Raises:
        ValueError: If nothing says what the weights need, or `convention` contradicts them.
        OSError: If there is no such file.
    """
    found = weights.find(source, architecture, include_top=False)
    if isinstance(found, PublishedWeights):
        if convention not in (None, found.preprocessing):
            raise ValueError(
                f"The weights {source} of {architecture.name} need the preprocessing "
                f"{found.preprocessing}; given {convention}."
            )
        return found.preprocessing
    if convention is None and source.endswith(".keras"):
        return None
    if convention is None or convention not in CONVENTIONS:
        raise ValueError(
            f"What {source} needs of its input is not in the file: give --preprocessing, one of "
            f"{', '.join(CONVENTIONS)}."
        )
    return convention


def of_weights(
    source: str, architecture: Architecture, convention: str | None, shape: tuple[int, int, int]
) -> Preprocessing:
    """Returns what weights need of their input.

    Args:
        source: A name of published weights, or a weights file.
        architecture: The network.
        convention: The convention of a file that does not say it.
        shape: (H, W, C) of the images to train on.

    Raises:
        ValueError: If `convention_of` does.
        OSError: If there is no such file.
    """
    convention = convention_of(source, architecture, convention)
    if convention is None:
        return _of_model_file(Path(source))
    given = CONVENTIONS[convention]
    bgr = given.order == "BGR"
    mean, std = given.means * given.scale, np.reshape(given.std, (1, 1, 3)) * given.scale
    if bgr:
        mean, std = mean[..., ::-1], std[..., ::-1]
    if mean.shape[:2] not in ((1, 1), shape[:2]):  # of images of another size
        mean = mean.mean(axis=(0, 1), keepdims=True)
    if shape[2] == 1:  # grey: three equal channels' mean
        mean, std = (values.mean(axis=-1, keepdims=True) for values in (mean, std))
    mean = np.ascontiguousarray(mean, np.float32)
    return Preprocessing(mean, np.broadcast_to(std, mean.shape).astype(np.float32), bgr)


def _of_model_file(path: Path) -> Preprocessing:
    """Reads the layer that a finished model of `train` begins with."""
    model = opened_model(path)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance = (
                keras.ops.convert_to_numpy(values) for values in (layer.mean, layer.variance)
            )
            shape = mean.shape[1:] if mean.ndim == 4 else (1, 1, mean.shape[-1])
            return Preprocessing(mean.reshape(shape), np.sqrt(variance).reshape(shape))
    raise ValueError(
        f"{path} does not begin with a normalization, as the models of `train` do: give "
        f"--preprocessing, one of {', '.join(CONVENTIONS)}."
    )


def starting_version(architecture: Architecture, source: str | None) -> Architecture:
    """The network in the version (v1 or v1.5) that weights were trained in."""
    if source is None:
        return architecture
    found = weights.find(source, architecture, include_top=False)
    version = weights.fitting_version(found, architecture)
    return keras_resnet.architectures.with_options(architecture, version=version)

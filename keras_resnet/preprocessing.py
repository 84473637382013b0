"""What published weights need of their input, and the names of ImageNet's classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

PRETRAINED = Path(__file__).parent / "pretrained"  # weights that come with the package


@dataclass(frozen=True)
class Convention:
    """(x / scale - mean) / std for pixels x in [0, 255], channel by channel in `order`."""

    order: str  # of the channels handed on: "RGB" or "BGR"
    scale: float
    mean: tuple[float, float, float] | str  # in `order`, after scaling; or .npy (H, W, 3): by pixel
    std: tuple[float, float, float]  # in `order`, after scaling

    @property
    def means(self) -> np.ndarray:
        """The mean: float64 (1, 1, 3) of channels, float32 (H, W, 3) of pixels; read-only."""
        if isinstance(self.mean, str):
            return _mean_of_pixels(self.mean)
        return np.reshape(self.mean, (1, 1, 3))


@cache
def _mean_of_pixels(file: str) -> np.ndarray:
    mean: np.ndarray = np.load(PRETRAINED / file)
    mean.flags.writeable = False
    return mean


# fmt: off
CONVENTIONS: Mapping[str, Convention] = MappingProxyType({
    # The authors' Caffe nets: mean pixel of ImageNet's training set, as keras.applications has it.
    "caffe": Convention("BGR",   1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    # torchvision and timm: mean and standard deviation of ImageNet's training set.
    "torch": Convention("RGB", 255.0, (0.485, 0.456, 0.406),      (0.229, 0.224, 0.225)),
    # Section 4.2: the per-pixel mean of CIFAR-10's 50,000 training images, for images of 32x32.
    "cifar10": Convention("RGB", 1.0, "cifar10_mean.npy",         (1.0, 1.0, 1.0)),
})
# The classes in the order of the outputs; ImageNet's are fetched by keras.applications.
CLASS_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer",
                "dog", "frog", "horse", "ship", "truck"),
})
# fmt: on


def preprocess_input(x: Any, convention: str, data_format: str | None = None) -> Any:
    """RGB pixels as a net with published weights takes them; `x` itself stays as it is.

    Args:
        x: RGB images with values in [0, 255]: (H, W, 3), (N, H, W, 3) or any (..., H, W, 3); under
            channels_first (..., 3, H, W). A NumPy array, a tensor or a symbolic Keras tensor.
        convention: A key of `CONVENTIONS`, `"caffe"`, `"torch"` or `"cifar10"`: the
            `preprocessing` of the weights in `keras_resnet.weights.list_published()`. The mean of
            `"cifar10"` is one per pixel: it takes images of 32x32.
        data_format: `"channels_last"` or `"channels_first"`. Default:
            `keras.config.image_data_format()`.

    Returns:
        The preprocessed images, of the same shape, as what was given: a NumPy array or a tensor;
        floating-point input keeps its type, other input becomes `keras.config.floatx()`.

    Raises:
        ValueError: If the convention or data format is unknown, or the images have not 3 channels
            or not the size of a mean per pixel.
    """
    if convention not in CONVENTIONS:
        raise ValueError(
            f"convention is one of {', '.join(map(repr, CONVENTIONS))}; given {convention!r}."
        )
    data_format = data_format or keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            f"data_format is 'channels_last' or 'channels_first'; given {data_format!r}."
        )
    if not hasattr(x, "shape"):
        raise ValueError(f"x is an array or a tensor of images; given {type(x).__name__}.")
    rank = len(x.shape)
    axis = -1 if data_format == "channels_last" else -3
    if rank < 3 or x.shape[axis] != 3:
        raise ValueError(
            f"x holds RGB images, 3 channels on axis {axis} ({data_format}); given shape "
            f"{tuple(x.shape)}. Repeat a grey image's channel three times; drop alpha."
        )

    row = CONVENTIONS[convention]
    height, width, _ = row.means.shape
    given = tuple(x.shape)[-3:-1] if axis == -1 else tuple(x.shape)[-2:]
    if (height, width) != (1, 1) and any(
        side not in (None, expected) for side, expected in zip(given, (height, width), strict=True)
    ):
        raise ValueError(
            f"convention={convention!r} has a mean for each pixel of {height}x{width} images; "
            f"given {given[0]}x{given[1]}. Resize them first."
        )
    dtype = keras.backend.standardize_dtype(x.dtype)
    if "float" not in dtype:
        dtype = keras.config.floatx()
    mean, std = row.means, np.reshape(row.std, (1, 1, 3))
    if axis == -3:
        mean, std = (np.transpose(values, (2, 0, 1)) for values in (mean, std))
    if isinstance(x, np.ndarray):
        x = x.astype(dtype)
        mean, std = mean.astype(dtype), std.astype(dtype)
        x = np.flip(x, axis) if row.order == "BGR" else x
    else:
        x = keras.ops.cast(x, dtype)
        mean, std = (keras.ops.convert_to_tensor(values, dtype) for values in (mean, std))
        x = keras.ops.flip(x, axis) if row.order == "BGR" else x
    return (x / row.scale - mean) / std


def decode_predictions(
    predictions: Any, top: int = 5, data_set: str = "imagenet"
) -> list[list[tuple[str, str, float]]]:
    """The best `top` classes for each of `predictions` (N, classes).

    Args:
        predictions: (N, 1000) of ImageNet, (N, 10) of CIFAR-10.
        top: How many.
        data_set: `"imagenet"`, by keras.applications' helper, which fetches the list of names
            once, or `"cifar10"`: the `origin.data_set` of the weights' row.

    Returns:
        For each image `(id, name, score)`, best first; the id is ImageNet's WordNet id, or the
        number of the class.

    Raises:
        ValueError: If the data set is unknown, or `predictions` have another number of classes.
    """
    if data_set == "imagenet":
        decoded: list[list[tuple[str, str, float]]] = (
            keras.applications.imagenet_utils.decode_predictions(predictions, top=top)
        )
        return decoded
    if data_set not in CLASS_NAMES:
        choices = ", ".join(map(repr, ("imagenet", *CLASS_NAMES)))
        raise ValueError(f"data_set is one of {choices}; given {data_set!r}.")
    names = CLASS_NAMES[data_set]
    scores = np.asarray(predictions)
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise ValueError(
            f"predictions of {data_set} are (N, {len(names)}); given shape {scores.shape}."
        )
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(str(i), names[i], row[i]) for i in chosen]
        for row, chosen in zip(scores, best, strict=True)
    ]

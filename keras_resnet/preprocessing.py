"""The preprocessing of images for published weights, and the names of the classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from keras_resnet import files
from keras_resnet.architectures import is_positive_integer


@dataclass(frozen=True)
class Convention:
    """(x / scale - mean) / std for pixels x in [0, 255], channel by channel in `order`."""

    order: str  # of the preprocessed channels: "RGB" or "BGR"
    scale: float
    mean: tuple[float, float, float] | str  # in `order`, after scaling; or .npy (H, W, 3): by pixel
    std: tuple[float, float, float]  # in `order`, after scaling
    used_by: str  # the published weights that need it

    @property
    def means(self) -> np.ndarray:
        """The mean: float64 (1, 1, 3) of channels, float32 (H, W, 3) of pixels; read-only."""
        if isinstance(self.mean, str):
            return _mean_of_pixels(self.mean)
        return np.reshape(self.mean, (1, 1, 3))


@cache
def _mean_of_pixels(file: str) -> np.ndarray:
    mean: np.ndarray = np.load(files.PRETRAINED / file)
    mean.flags.writeable = False
    return mean


# fmt: off
CONVENTIONS: Mapping[str, Convention] = MappingProxyType({
    # The authors' Caffe nets: the mean pixel of ImageNet's training set, from keras.applications.
    "caffe": Convention("BGR",   1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0),
                        "weights='imagenet' of resnet50, resnet101 and resnet152"),
    # Mean and standard deviation of ImageNet's training set.
    "torch": Convention("RGB", 255.0, (0.485, 0.456, 0.406),      (0.229, 0.224, 0.225),
                        "all other weights for ImageNet: torchvision's and timm's"),
    # Section 4.2: the per-pixel mean of CIFAR-10's 50,000 training images, for images of 32x32.
    "cifar10": Convention("RGB", 1.0, "cifar10_mean.npy",         (1.0, 1.0, 1.0),
                          "weights='cifar10'"),
})
# The classes in the order of the outputs; ImageNet's are fetched by keras.applications.
CLASS_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer",
                "dog", "frog", "horse", "ship", "truck"),
})
# fmt: on
CLASSES: Mapping[str, int] = MappingProxyType({"imagenet": 1000, "cifar10": 10})
# From keras.applications' imagenet_utils.py.
CLASS_INDEX = (
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
)


def preprocess_input(x: Any, convention: str | None = None, data_format: str | None = None) -> Any:
    """RGB pixels as published weights take them; `x` itself stays as it is.

    Args:
        x: RGB images with values in [0, 255]: (H, W, 3), (N, H, W, 3) or any (..., H, W, 3); under
            channels_first (..., 3, H, W). A NumPy array, a tensor or a symbolic Keras tensor.
        convention: A key of `CONVENTIONS`, `"caffe"`, `"torch"` or `"cifar10"`: the
            `preprocessing` of the weights in `keras_resnet.weights.list_published()`, or of a
            `keras_resnet.backbone`. There is no default, since weights of the same network differ.
            `"cifar10"` has a mean for each pixel of 32x32 images.
        data_format: `"channels_last"` or `"channels_first"`. Default:
            `keras.config.image_data_format()`.

    Returns:
        The preprocessed images, of the shape and kind (NumPy array, tensor) of `x`; floating-point
        input keeps its type, other input becomes `keras.config.floatx()`.

    Raises:
        ValueError: If the convention is missing or unknown, if the data format is unknown, or if
            the images have other than 3 channels or another size than a mean per pixel.
    """
    if convention is None or convention not in CONVENTIONS:
        choices = ", ".join(f"{name!r} ({one.used_by})" for name, one in CONVENTIONS.items())
        raise ValueError(
            f"convention takes that of the network's weights: {choices}; given {convention!r}."
        )
    found = CONVENTIONS[convention]
    axis = _channel_axis(x, data_format or keras.config.image_data_format())
    height, width, _ = found.means.shape
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
    mean, std = found.means, np.reshape(found.std, (1, 1, 3))
    if axis == -3:
        mean, std = (np.transpose(values, (2, 0, 1)) for values in (mean, std))
    if isinstance(x, np.ndarray):
        x = x.astype(dtype)
        mean, std = mean.astype(dtype), std.astype(dtype)
        x = np.flip(x, axis) if found.order == "BGR" else x
    else:
        x = keras.ops.cast(x, dtype)
        mean, std = (keras.ops.convert_to_tensor(values, dtype) for values in (mean, std))
        x = keras.ops.flip(x, axis) if found.order == "BGR" else x
    return (x / found.scale - mean) / std


def _channel_axis(x: Any, data_format: str) -> int:
    """The axis of the three channels of RGB images: -1 or -3."""
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            f"data_format is 'channels_last' or 'channels_first'; given {data_format!r}."
        )
    if not hasattr(x, "shape"):
        raise ValueError(f"x takes an array or a tensor of images; given {type(x).__name__}.")
    axis = -1 if data_format == "channels_last" else -3
    if len(x.shape) < 3 or x.shape[axis] != 3:
        raise ValueError(
            f"x takes RGB images, 3 channels on axis {axis} ({data_format}); given shape "
            f"{tuple(x.shape)}. Repeat a grey image's channel three times; drop alpha."
        )
    return axis


def decode_predictions(
    predictions: Any, top: int = 5, data_set: str = "imagenet"
) -> list[list[tuple[str, str, float]]]:
    """The best `top` classes for each of `predictions` (N, classes).

    Args:
        predictions: (N, 1000) for ImageNet, (N, 10) for CIFAR-10: an array, a tensor or a list.
        top: How many classes, at least 1.
        data_set: `"imagenet"`, whose class names keras.applications fetches once, or `"cifar10"`:
            the `origin.data_set` of the published weights.

    Returns:
        For each image `(id, name, score)`, best first; the id is ImageNet's WordNet id, or the
        number of the class.

    Raises:
        ValueError: If the data set is unknown, `top` is no whole number of at least 1, or
            `predictions` have another number of classes.
        OSError: If ImageNet's class names cannot be fetched.
    """
    if data_set not in CLASSES:
        raise ValueError(f"data_set is one of {', '.join(map(repr, CLASSES))}; given {data_set!r}.")
    scores = np.asarray(keras.ops.convert_to_numpy(predictions))
    if scores.ndim != 2 or scores.shape[1] != CLASSES[data_set]:
        raise ValueError(
            f"predictions of {data_set} are (N, {CLASSES[data_set]}); given shape {scores.shape}."
        )
    if not is_positive_integer(top):
        raise ValueError(f"top takes a whole number of at least 1; given {top!r}.")
    if data_set == "imagenet":
        return _decoded_imagenet(scores, top)
    names = CLASS_NAMES[data_set]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(str(i), names[i], of_image[i]) for i in chosen]
        for of_image, chosen in zip(scores, best, strict=True)
    ]


def _decoded_imagenet(scores: np.ndarray, top: int) -> list[list[tuple[str, str, float]]]:
    try:
        decoded: list[list[tuple[str, str, float]]] = (
            keras.applications.imagenet_utils.decode_predictions(scores, top=top)
        )
    except Exception as error:  # Keras raises a bare Exception if it cannot fetch
        path = files.cache() / CLASS_INDEX.rpartition("/")[2]
        raise OSError(
            f"The names of ImageNet's classes could not be fetched: {error}. Fetch {CLASS_INDEX} "
            f"by hand and put it at {path}."
        ) from error
    return decoded

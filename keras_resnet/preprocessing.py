"""What published weights need of their input, and the names of ImageNet's classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Convention:
    """(x / scale - mean) / std for pixels x in [0, 255], channel by channel in `order`."""

    order: str  # of the channels handed on: "RGB" or "BGR"
    scale: float
    mean: tuple[float, float, float]  # in `order`, after scaling
    std: tuple[float, float, float]  # in `order`, after scaling


# fmt: off
CONVENTIONS: Mapping[str, Convention] = MappingProxyType({
    # The authors' Caffe nets: mean pixel of ImageNet's training set, as keras.applications has it.
    "caffe": Convention("BGR",   1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    # torchvision and timm: mean and standard deviation of ImageNet's training set.
    "torch": Convention("RGB", 255.0, (0.485, 0.456, 0.406),      (0.229, 0.224, 0.225)),
})
# fmt: on


def preprocess_input(x: Any, convention: str, data_format: str | None = None) -> Any:
    """RGB pixels as a net with published weights takes them; `x` itself stays as it is.

    Args:
        x: RGB images with values in [0, 255]: (H, W, 3), (N, H, W, 3) or any (..., H, W, 3); under
            channels_first (..., 3, H, W). A NumPy array, a tensor or a symbolic Keras tensor.
        convention: A key of `CONVENTIONS`, `"caffe"` or `"torch"`: the `preprocessing` of the
            weights' row in `keras_resnet.weights.rows()`.
        data_format: `"channels_last"` or `"channels_first"`. Default:
            `keras.config.image_data_format()`.

    Returns:
        The preprocessed images, of the same shape, as what was given: a NumPy array or a tensor;
        floating-point input keeps its type, other input becomes `keras.config.floatx()`.

    Raises:
        ValueError: If the convention or data format is unknown, or the images have not 3 channels.
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
    dtype = keras.backend.standardize_dtype(x.dtype)
    if "float" not in dtype:
        dtype = keras.config.floatx()
    shape = [3 if i == rank + axis else 1 for i in range(rank)]
    if isinstance(x, np.ndarray):
        x = x.astype(dtype)
        mean, std = (np.reshape(np.asarray(v, dtype), shape) for v in (row.mean, row.std))
        x = np.flip(x, axis) if row.order == "BGR" else x
    else:
        x = keras.ops.cast(x, dtype)
        mean, std = (
            keras.ops.reshape(keras.ops.convert_to_tensor(v, dtype), shape)
            for v in (row.mean, row.std)
        )
        x = keras.ops.flip(x, axis) if row.order == "BGR" else x
    return (x / row.scale - mean) / std


def decode_predictions(predictions: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The best `top` classes of ImageNet for each of `predictions` (N, 1000).

    keras.applications' helper, which fetches the list of names once.

    Returns:
        For each image `(WordNet id, name, score)`, best first.

    Raises:
        ValueError: If `predictions` have not 1000 classes.
    """
    decoded: list[list[tuple[str, str, float]]] = (
        keras.applications.imagenet_utils.decode_predictions(predictions, top=top)
    )
    return decoded

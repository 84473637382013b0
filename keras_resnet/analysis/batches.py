"""The images and classes that the analyses are given, checked and as the model takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_resnet import graph
from keras_resnet.architectures import is_positive_integer

BATCH_SIZE = 128


def images_of(model: Any, images: Any) -> Any:
    """One batch of images as the tensor that the model takes.

    Raises:
        ValueError: If there are no images, they are no batch, or the model takes several tensors.
    """
    symbolic = graph.input_tensor(model)
    tensor = keras.ops.convert_to_tensor(images, symbolic.dtype)
    if len(tensor.shape) != len(symbolic.shape):
        raise ValueError(
            f"Images come in a batch, {symbolic.shape}; given shape {tuple(tensor.shape)}."
        )
    if not tensor.shape[0]:
        raise ValueError("There are no images.")
    return tensor


def class_numbers(given: Any, images: int, classes: int) -> np.ndarray:
    """The class of each image as an array (images,).

    Raises:
        ValueError: If these are not that many whole numbers from 0 to `classes` - 1.
    """
    found = np.asarray(given)
    if found.shape != (images,) or not np.isin(found, np.arange(classes)).all():
        raise ValueError(
            f"{images} images take {images} classes from 0 to {classes - 1}, whole numbers; given "
            f"shape {found.shape}: {np.array2string(found, threshold=8)}."
        )
    return found.astype(int)


def batches(images: Any, batch_size: int = BATCH_SIZE) -> Iterator[np.ndarray]:
    """Yields batches (N, H, W, C) of an array, or of an iterable of batches.

    Args:
        images: An array or tensor (N, H, W, C); or batches of them: any iterable, a
            `keras.utils.PyDataset` or a `tf.data.Dataset`. From batches that are tuples, such as
            (images, labels), the first item is taken.
        batch_size: Number of images in a batch of an array.

    Raises:
        ValueError: If there are no images, an item is no batch of images, or `batch_size` is no
            whole number of at least 1.
    """
    if not is_positive_integer(batch_size):
        raise ValueError(f"batch_size takes a whole number of at least 1; given {batch_size!r}.")
    if hasattr(images, "shape"):
        given: Any = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    elif isinstance(images, keras.utils.PyDataset):
        given = (images[i] for i in range(len(images)))
    else:
        given = images
    empty = True
    for batch in given:
        first = batch[0] if isinstance(batch, tuple | list) else batch
        array = keras.ops.convert_to_numpy(first)
        if array.ndim != 4:
            raise ValueError(f"Images come in batches (N, H, W, C); given shape {array.shape}.")
        if len(array):
            empty = False
            yield array
    if empty:
        raise ValueError("There are no images.")

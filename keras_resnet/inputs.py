"""A network's input and top as the caller asks for them, checked before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_resnet.architectures import STEMS, Architecture, is_positive_integer

Shape = tuple[int | None, ...]  # without the batch


def images(
    architecture: Architecture,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    include_top: bool = True,
) -> Any:
    """The Keras tensor (N, H, W, channels) that a network is built on.

    Args:
        architecture: The network.
        input_tensor: The caller's own tensor, or `None` for a new input.
        input_shape: (H, W, channels) of a new input; H and W may be `None`. Default, as in
            keras.applications: with a top the size that the network was made for, without one any
            size; 3 channels.
        include_top: Whether the network will have a top.

    Raises:
        ValueError: If these are not floating-point images as large as the network's total stride.
    """
    if input_tensor is None:
        shape = _default_shape(architecture, include_top) if input_shape is None else input_shape
        return keras.Input(_checked(shape, architecture))
    if not keras.utils.is_keras_tensor(input_tensor):
        raise ValueError(
            "input_tensor takes a Keras tensor such as keras.Input(shape=...); "
            f"given {type(input_tensor).__name__}."
        )
    if not keras.backend.is_float_dtype(input_tensor.dtype):
        raise ValueError(
            f"input_tensor takes floating-point numbers; given {input_tensor.dtype}. Preprocess or "
            "convert it first, such as by keras.ops.cast(input_tensor, 'float32')."
        )
    own = _checked(input_tensor.shape[1:], architecture)
    if input_shape is not None and _checked(input_shape, architecture) != own:
        raise ValueError(
            f"input_tensor and input_shape disagree: {own} and {tuple(input_shape)}. "
            "Give one of them."
        )
    return input_tensor


def check_top(classes: int | None, pooling: str | None) -> None:
    """Refuses what `classes` and `pooling` do not take.

    Raises:
        ValueError: If `classes` is neither `None` nor a whole number of at least 1, or `pooling` is
            not `None`, `"avg"` or `"max"`.
    """
    if classes is not None and not is_positive_integer(classes):
        raise ValueError(f"classes takes a whole number of at least 1; given {classes!r}.")
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling is one of None, 'avg', 'max'; given {pooling!r}.")


def check_activation(activation: Any) -> None:
    """Refuses a `classifier_activation` that is named by mistake on weights trained with softmax.

    Raises:
        ValueError: If it is the name of a function other than softmax and the identity.
    """
    fitting = (keras.activations.linear, keras.activations.softmax)
    if isinstance(activation, str) and keras.activations.get(activation) not in fitting:
        raise ValueError(
            "Published weights were trained with classifier_activation='softmax'; None or 'linear' "
            f"gives logits; given {activation!r}. If that is what you want, give the function, "
            f"such as keras.activations.{activation}."
        )


def _default_shape(architecture: Architecture, include_top: bool) -> Shape:
    size = STEMS[architecture.stem].image_size if include_top else None
    return (3, size, size) if _channels_first() else (size, size, 3)


def _checked(given: Any, architecture: Architecture) -> Shape:
    """The shape as a tuple of Python's integers and `None`."""
    order = "(channels, height, width)" if _channels_first() else "(height, width, channels)"
    shape = tuple(given) if hasattr(given, "__iter__") else (given,)
    if len(shape) != 3 or not all(n is None or is_positive_integer(n) for n in shape):
        raise ValueError(f"input_shape is {order}, positive integers or None; given {given!r}.")
    shape = tuple(None if n is None else int(n) for n in shape)
    channels, *sizes = shape if _channels_first() else (shape[-1], *shape[:-1])
    if channels is None:
        raise ValueError(f"input_shape is {order} with a fixed number of channels; given {shape}.")
    smallest = architecture.total_stride
    if any(size is not None and size < smallest for size in sizes):
        raise ValueError(
            f"{architecture.name} takes images of at least {smallest}x{smallest} pixels, so that "
            f"its last stage sees one; given input_shape={shape}, read as {order} "
            f"(image_data_format is {keras.config.image_data_format()!r})."
        )
    return shape


def _channels_first() -> bool:
    return bool(keras.config.image_data_format() == "channels_first")

"""One row of the table as a Keras functional model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers

from keras_resnet import blocks
from keras_resnet.architectures import STEMS, Architecture, is_positive_integer
from keras_resnet.scan.scanned_blocks import ScannedBlocks

# Keras walks a functional graph recursively, a frame per layer and three layers per convolution,
# so a flat net of more than some 300 layers meets Python's limit of 1000 frames, when it is built
# and when it is loaded. Deeper nets are a chain of nested models, `conv2_blocks1to25` and so on.
DEEPEST_FLAT = 200  # weighted layers
BLOCKS_PER_SECTION = 25


class Sampling(NamedTuple):
    """How a stage's first block strides, and its dilations before and behind that."""

    strides: int
    dilation_before: int
    dilation: int


def build(
    architecture: Architecture,
    include_top: bool = True,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    scan: bool = False,
) -> keras.Model:
    """The network of `architecture` with random weights, drawn as in He et al. 2015.

    Shapes below are channels_last; under `keras.config.image_data_format() == "channels_first"`
    they are (N, C, H, W).

    Args:
        architecture: A row of `keras_resnet.ARCHITECTURES`, or one of your own.
        include_top: Whether to end in global average pooling and the classifier.
        input_tensor: A Keras tensor to build upon, instead of a new input.
        input_shape: (H, W, C) without the batch. H and W may be `None`, for images of any size.
            Default: the size the network was made for, without a top any; 3 channels.
        pooling: Without a top: `None` for feature maps (N, H/32, W/32, C), `"avg"` or `"max"` for
            vectors (N, C).
        classes: Outputs of the top. Default: the stem's, 1000 or 10.
        classifier_activation: Activation of the top; `None` for logits.
        name: The model's name. Default: the row's.
        scan: Run the blocks of a stage after its first as one layer, `keras_resnet.ScannedBlocks`.

    Returns:
        A functional `keras.Model`: (N, H, W, C) -> (N, classes) with a top.

    Raises:
        ValueError: If an argument is not one of the above.
    """
    classes = STEMS[architecture.stem].classes if classes is None else classes
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling is one of None, 'avg', 'max'; given {pooling!r}.")
    if not is_positive_integer(classes):
        raise ValueError(f"classes takes a whole number of at least 1; given {classes!r}.")
    if input_tensor is None and input_shape is None:
        input_shape = default_shape(architecture, include_top)
    images, maps = trunk(architecture, input_tensor, input_shape, scan)
    x = maps[-1]
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)  # (N, C)
        x = layers.Dense(  # (N, classes)
            classes,
            activation=classifier_activation,
            kernel_initializer=blocks.he_normal(),
            # Under a mixed policy the softmax must not overflow: compute it in the variables' type.
            dtype=keras.config.dtype_policy().variable_dtype,
            name="predictions",
        )(x)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(name="max_pool")(x)

    source = keras.utils.get_source_inputs(images)
    # Keras expects calls to have the structure of `inputs`: one tensor, not a list of one.
    inputs = source[0] if len(source) == 1 else source
    return keras.Model(inputs, x, name=architecture.name if name is None else name)


def trunk(
    architecture: Architecture,
    input_tensor: Any,
    input_shape: Sequence[int | None] | None,
    scan: bool = False,
    output_stride: int | None = None,
) -> tuple[Any, list[Any]]:
    """The network up to its top: the input, and the map that each stage makes of it.

    Args:
        architecture: As of `build`, like the next three; one of the next two is given.
        input_tensor: The same.
        input_shape: The same.
        scan: The same.
        output_stride: Input pixels per pixel of the last map. Stages that would go beyond it
            dilate their convolutions instead of striding, and so have the same weights. Default:
            the network's own, 32 or 4.

    Raises:
        ValueError: If an argument is not one of the above.
    """
    images = _images(architecture, input_tensor, input_shape)
    x = _stem(images, architecture)  # ImageNet: (N, 56, 56, 64); CIFAR: (N, 32, 32, 16)
    maps = []
    samplings = _samplings(architecture, output_stride)
    for number, (count, filters, sampling) in enumerate(
        zip(architecture.blocks, architecture.filters, samplings, strict=True), start=2
    ):
        # ImageNet, basic: conv2_x (N, 56, 56, 64) .. conv5_x (N, 7, 7, 512)
        x = _stage(x, architecture, number, count, filters, sampling, scan)
        maps.append(x)
    return images, maps


def default_shape(
    architecture: Architecture, include_top: bool
) -> tuple[int | None, int | None, int | None]:
    """With a top the size the network was made for, without one any, as in keras.applications."""
    size = STEMS[architecture.stem].image_size if include_top else None
    if keras.config.image_data_format() == "channels_first":
        return 3, size, size
    return size, size, 3


def _images(
    architecture: Architecture,
    input_tensor: Any,
    input_shape: Sequence[int | None] | None,
) -> Any:
    """The checked input: a new `keras.Input`, or the caller's own tensor."""
    channels_first = keras.config.image_data_format() == "channels_first"
    if isinstance(input_shape, list):
        input_shape = tuple(input_shape)
    if input_tensor is not None:
        if not keras.utils.is_keras_tensor(input_tensor):
            raise ValueError(
                "input_tensor takes a Keras tensor such as keras.Input(shape=...); "
                f"given {type(input_tensor).__name__}."
            )
        tensor_shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and tensor_shape != input_shape:
            raise ValueError(
                f"input_tensor and input_shape disagree: {tensor_shape} and {input_shape}. "
                "Give one of them."
            )
        shape: Any = tensor_shape
    else:
        shape = input_shape

    order = "(channels, height, width)" if channels_first else "(height, width, channels)"
    if (
        not isinstance(shape, tuple)
        or len(shape) != 3
        or not all(n is None or is_positive_integer(n) for n in shape)
    ):
        raise ValueError(f"input_shape is {order}, positive integers or None; given {shape!r}.")
    channels, *sizes = shape if channels_first else (shape[-1], *shape[:-1])
    if channels is None:
        raise ValueError(f"input_shape is {order} with a fixed number of channels; given {shape}.")
    smallest = architecture.total_stride
    if any(size is not None and size < smallest for size in sizes):
        raise ValueError(
            f"{architecture.name} takes images of at least {smallest}x{smallest} pixels, so that "
            f"its last stage sees one; given input_shape={shape}, read as {order} "
            f"(image_data_format is {keras.config.image_data_format()!r})."
        )
    return input_tensor if input_tensor is not None else keras.Input(shape)


def _stem(x: Any, architecture: Architecture) -> Any:
    stem = STEMS[architecture.stem]
    x = blocks.conv_bn(
        x, architecture.first_filters, stem.kernel_size, stem.strides, "conv1"
    )  # ImageNet: (N, 112, 112, 64)
    x = layers.Activation("relu", name="conv1_relu")(x)
    if stem.max_pool:
        # Padded by zeros, which never win after a ReLU, as keras.applications and torchvision do.
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)  # (N, 56, 56, 64)
    return x


def _samplings(architecture: Architecture, output_stride: int | None) -> list[Sampling]:
    """For each stage; every one but the first (conv2_x) halves height and width, or dilates.

    A convolution behind a stride that is left out meets a map twice as dense, and looks at every
    second pixel of it; those up to it see the map they always did.
    """
    strides = architecture.stage_strides
    if output_stride is not None and output_stride not in strides:
        raise ValueError(
            f"output_stride of {architecture.name} is one of its stages' strides, "
            f"{', '.join(map(str, strides))}, or None; given {output_stride!r}."
        )
    samplings = [Sampling(1, 1, 1)]
    for stride in strides[1:]:
        dilation = samplings[-1].dilation
        if output_stride is None or stride <= output_stride:
            samplings.append(Sampling(2, 1, 1))
        else:
            samplings.append(Sampling(1, dilation, 2 * dilation))
    return samplings


def _stage(
    x: Any,
    architecture: Architecture,
    number: int,
    count: int,
    filters: int,
    sampling: Sampling,
    scan: bool,
) -> Any:
    """`count` blocks, the first of which may stride."""
    stage = f"conv{number}"
    if scan and count > 1:
        x = _blocks(x, architecture, range(1, 2), filters, stage, sampling)  # may change the shape
        block = _model(
            x, architecture, range(2, 3), filters, stage, sampling, name=f"{stage}_block2"
        )
        return ScannedBlocks(block, count - 1, name=f"{stage}_blocks2to{count}")(x)
    if architecture.depth <= DEEPEST_FLAT:
        return _blocks(x, architecture, range(1, count + 1), filters, stage, sampling)
    for first in range(1, count + 1, BLOCKS_PER_SECTION):
        section = range(first, min(first + BLOCKS_PER_SECTION, count + 1))
        name = f"{stage}_blocks{section[0]}to{section[-1]}"
        x = _model(x, architecture, section, filters, stage, sampling, name)(x)
    return x


def _model(
    x: Any,
    architecture: Architecture,
    section: range,
    filters: int,
    stage: str,
    sampling: Sampling,
    name: str,
) -> keras.Model:
    """Blocks as a model of its own, to be called with tensors like x."""
    inside = keras.Input(x.shape[1:], dtype=x.dtype)
    outside = _blocks(inside, architecture, section, filters, stage, sampling)
    return keras.Model(inside, outside, name=name)


def _blocks(
    x: Any,
    architecture: Architecture,
    section: range,
    filters: int,
    stage: str,
    sampling: Sampling,
) -> Any:
    strides, before, dilation = sampling
    for i in section:
        name = f"{stage}_block{i}"
        if i == 1:
            x = blocks.block(x, architecture, filters, strides, name, (before, dilation))
        else:
            x = blocks.block(x, architecture, filters, 1, name, (dilation, dilation))
    return x

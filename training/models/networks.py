"""The network as it is trained, and as it is handed on: with its preprocessing in front."""

from __future__ import annotations

import keras
import numpy as np

import keras_resnet
from keras_resnet.architectures import STEMS, Architecture
from keras_resnet.resnet import DEEPEST_FLAT
from keras_resnet.weights import transfer
from keras_resnet.weights.names import TOP
from training.config.recipes import Recipe
from training.data.splits import Dataset
from training.models.preprocessing import Preprocessing


def trainable(
    architecture: Architecture,
    dataset: Dataset,
    scan: bool = False,
    preprocessing: Preprocessing | None = None,
) -> keras.Model:
    """Builds the network with random weights.

    Args:
        architecture: The network.
        dataset: Says the images' shape and the number of classes.
        scan: Whether a stage's blocks run in a loop.
        preprocessing: Its division by a standard deviation, if it has one, becomes a layer.

    Returns:
        Mean-subtracted images (N, H, W, C) -> logits (N, classes).
    """
    shape = image_shape(architecture, dataset)
    if preprocessing is not None and preprocessing.scales:
        centred = keras.Input(shape)
        given = {"input_tensor": preprocessing.layer(mean=False)(centred)}
    else:
        given = {"input_shape": shape}
    return keras_resnet.ResNet(
        architecture,
        weights=None,
        classes=len(dataset.class_names),
        classifier_activation=None,
        scan=scan,
        **given,
    )


def start_from(model: keras.Model, architecture: Architecture, source: str, bgr: bool) -> None:
    """Gives a network of `trainable` weights from elsewhere; its top stays random.

    Args:
        model: The network; changed in place.
        architecture: As given to `trainable`.
        source: A name of published weights, or a weights file.
        bgr: Whether these weights take BGR images: the model takes RGB all the same, since the
            channels of its first kernel are put in the other order.

    Raises:
        ValueError: If the weights are of another network, or the file is damaged.
        OSError: If they cannot be fetched or read.
    """
    donor = keras_resnet.ResNet(architecture, include_top=False, weights=source)
    arrays = transfer.arrays_of(donor)
    if bgr:
        kernel = transfer.FIRST_KERNEL
        arrays[kernel] = np.ascontiguousarray(arrays[kernel][:, :, ::-1])
    own = transfer.arrays_of(model)
    top = {name: array for name, array in own.items() if name.startswith(f"{TOP}/")}
    transfer.assign(model, arrays | top, source)


def scans(architecture: Architecture, recipe: Recipe) -> bool:
    """Returns whether a stage's blocks run in a loop: as the recipe says, or where it pays.

    Without the loop, a net of 1202 layers takes minutes to its first step; one of 56 takes seconds
    either way, and its steps were faster without (docs/performance.md, "Deep nets").
    """
    if recipe.scan is not None:
        return recipe.scan
    return not recipe.jit and architecture.depth > DEEPEST_FLAT


def image_shape(architecture: Architecture, dataset: Dataset) -> tuple[int, int, int]:
    """Returns (H, W, C) of the data set's images, or of the crops that the network is made for."""
    size = STEMS[architecture.stem].image_size
    return dataset.image_shape or (size, size, 3)


def complete(
    model: keras.Model, architecture: Architecture, preprocessing: Preprocessing
) -> keras.Model:
    """Builds the model that everyone can use.

    Args:
        model: The trained model; its weights are copied.
        architecture: As given to `trainable`.
        preprocessing: What the input pipeline and `trainable`'s first layer did to the pixels.

    Returns:
        Raw pixels 0..255 (N, H, W, C) -> probabilities (N, classes).
    """
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    finished = keras_resnet.ResNet(
        architecture,
        weights=None,
        input_tensor=preprocessing.layer()(pixels),
        classes=model.output_shape[-1],
    )
    keras_resnet.copy_weights(model, finished)
    return finished

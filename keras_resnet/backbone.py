"""The residual net under other tasks: its feature maps by name, dilated, frozen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resnet import architectures, inputs, resnet
from keras_resnet import weights as weight_files
from keras_resnet.applications import default_weights
from keras_resnet.architectures import Architecture
from keras_resnet.scan.visitor import loops, walk
from keras_resnet.weights import PublishedWeights

STAGE = re.compile(r"conv(\d+)_")  # conv3_block1_1_conv, conv3_blocks2to25


@keras.saving.register_keras_serializable(package="keras_resnet")
class Backbone(keras.Model):
    """A functional model of images to a dict of feature maps; `backbone` builds it.

    Its files open once `keras_resnet` is imported. `keras.Model(net.inputs, net.outputs)` is the
    same net as a model that plain Keras saves and opens.

    Attributes:
        preprocessing: The `convention` that `keras_resnet.preprocess_input` takes for its weights,
            such as `"caffe"`; `None` where the weights do not say: random ones, and files.
        levels: The deepest stage of each stride, `{"P2": "C2", ..., "P5": "C5"}`.
    """

    preprocessing: str | None = None
    levels: Mapping[str, str] = MappingProxyType({})

    @property
    def pyramid_outputs(self) -> dict[str, Any]:
        """The maps by stride, as KerasHub takes them of an `image_encoder`.

        `"Pn"` is the deepest map of stride 2^n: `"P2"` to `"P5"` of an ImageNet net, up to `"P4"`
        at output stride 16 (which is C5), `"P0"` to `"P2"` of a CIFAR net.

        Raises:
            ValueError: If `keras.models.clone_model` made this copy, which leaves `levels` out.
        """
        if not self.levels:
            raise ValueError(
                f"This copy of {self.name} has no levels, which keras.models.clone_model leaves "
                "out: assign the `levels` and the `preprocessing` of the original to it."
            )
        return {level: self.output[stage] for level, stage in self.levels.items()}

    def get_config(self) -> dict[str, Any]:
        own = {"preprocessing": self.preprocessing, "levels": dict(self.levels)}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Backbone:
        config = dict(config)
        preprocessing, levels = config.pop("preprocessing"), config.pop("levels")
        model: Backbone = super().from_config(config, custom_objects)
        model.preprocessing = preprocessing
        model.levels = levels
        return model


def backbone(
    network: str | Architecture,
    weights: str | os.PathLike[str] | None = "default",
    input_shape: Sequence[int | None] | None = None,
    *,
    output_stride: int | None = None,
    frozen_stages: int = 0,
    frozen_batch_norm: bool = False,
    version: str | None = None,
    name: str | None = None,
) -> Backbone:
    """A network's feature maps, for detectors, segmenters and other tasks.

    The maps are the outputs of its stages by the paper's numbers: `"C2"` of conv2_x, and so on. Of
    an ImageNet net, `"C2"` to `"C5"` have strides 4, 8, 16 and 32; of a CIFAR net, `"C2"` to `"C4"`
    have 1, 2 and 4. A map of stride s of an image (H, W) is (ceil(H / s), ceil(W / s)). Shapes
    are channels_last; under `keras.config.image_data_format() == "channels_first"` they are
    (N, C, H, W).

    Args:
        network: A name such as `"resnet50"`, or an `Architecture`.
        weights: `None` for random weights, a published name or a file, as `keras_resnet.ResNet`
            takes them. The model's `preprocessing` says how images are preprocessed for them.
            Default: the weights that the network's constructor loads by default, ImageNet's for
            `"resnet18"` to `"resnet152"`; for an `Architecture`, `None`.
        input_shape: (H, W, channels). Default: (None, None, 3), images of any size. With weights of
            RGB nets any number of channels is allowed: four are taken for RGBA, where alpha has no
            influence before training; otherwise each of n channels gets an n-th of the sum of the
            three kernels.
        output_stride: Input pixels per pixel of the last map, of an ImageNet net 32, 16, 8 or 4.
            Stages that would go beyond it dilate their convolutions instead of striding (the "à
            trous algorithm"; Chen et al. 2017, arXiv 1706.05587, section 3.1). The weights are the
            same, and so are the values at the pixels that the striding net has. Default: the
            network's own stride.
        frozen_stages: How many stages are frozen; see `freeze`.
        frozen_batch_norm: Whether every batch norm is frozen; see `freeze`.
        version: `"v1"` or `"v1.5"`; see `keras_resnet.ResNet`.
        name: The model's name. Default: the network's.

    Returns:
        A functional model: (N, H, W, channels) -> {"C2": (N, H/4, W/4, filters), ..., "C5": ...};
        `pyramid_outputs` has the maps as KerasHub takes them of an `image_encoder`.

    Raises:
        ValueError: If an argument is not one of the above, or the weights do not fit.
        OSError: If a weights file is missing, cannot be fetched, or is damaged.
    """
    architecture = architectures.get(network) if isinstance(network, str) else network
    if not isinstance(architecture, Architecture):
        raise ValueError(
            f"network takes a name such as 'resnet50', or an Architecture; given {network!r}."
        )
    if weights == "default":
        weights = default_weights(network) if isinstance(network, str) else None
    source = weight_files.find(weights, architecture, include_top=False)
    version = weight_files.fitting_version(source, architecture, version)
    architecture = architectures.with_options(architecture, version=version)
    images = inputs.images(architecture, input_shape=input_shape, include_top=False)
    maps = resnet.feature_maps(images, architecture, output_stride)
    outputs = {f"C{stage}": x for stage, x in enumerate(maps, start=2)}
    model = Backbone(images, outputs, name=architecture.name if name is None else name)
    if source is not None:
        weight_files.load(model, source, architecture, include_top=False)

    model.preprocessing = source.preprocessing if isinstance(source, PublishedWeights) else None
    last = int(output_stride or architecture.total_stride)
    model.levels = {
        f"P{min(stride, last).bit_length() - 1}": f"C{stage}"
        for stage, stride in enumerate(architecture.stage_strides, start=2)
    }
    freeze(model, frozen_stages, frozen_batch_norm)
    return model


def freeze(model: keras.Model, stages: int = 0, batch_norm: bool = False) -> None:
    """Sets which of a network's layers are trained; compile the model afterwards.

    The top, and layers that are not the network's, such as a detector's head, stay as they are.
    Frozen batch norm uses its moving statistics in training too, and trains neither scale nor
    offset: it is a constant affine map, as in the paper's detectors (appendix A). Setting
    `model.trainable` undoes this; call `freeze` again.

    Args:
        model: A network of this package, or a model with one inside.
        stages: The layers of conv1 to conv`stages`_x are frozen, their batch norms too: 0 freezes
            none, 1 the stem, 2 the stem and conv2_x (detectron2's `FREEZE_AT`; mmdetection counts
            one less).
        batch_norm: Whether to freeze every batch norm of the network.

    Raises:
        ValueError: If `stages` is no such number, or `model` has no network of this package.
    """
    own = [(layer, stage) for layer in walk(model) if (stage := _stage(layer))]
    if not own:
        raise ValueError(f"{model.name} has no layers of a network of keras_resnet.")
    last = max(stage for _, stage in own)
    if isinstance(stages, bool | np.bool_) or stages not in range(last + 1):
        raise ValueError(
            f"{model.name} has conv1 to conv{last}_x: give a whole number of stages from 0 (none) "
            f"to {last} (all); given {stages!r}."
        )
    if batch_norm and loops(model):
        raise ValueError(
            f"{model.name} was built with scan=True, and the batch norms of its loops cannot be "
            "frozen by themselves: build it with scan=False."
        )
    for layer, stage in own:
        norm = isinstance(layer, layers.BatchNormalization)
        layer.trainable = stage > stages and not (batch_norm and norm)


def _stage(layer: Any) -> int:
    """The stage that a layer belongs to: 5 of `conv5_block1_1_conv`; 0 of other layers."""
    match = STAGE.match(layer.name)
    return int(match[1]) if match else 0

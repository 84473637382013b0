"""The named constructors, with the signature of `keras.applications`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_resnet import architectures, inputs, resnet
from keras_resnet import weights as weight_files
from keras_resnet.architectures import ARCHITECTURES, STEMS, Architecture
from keras_resnet.weights.published import PublishedWeights, of_network

ARGUMENTS = """
Shapes are channels_last; under `keras.config.image_data_format() == "channels_first"` they are
(N, C, H, W).

Args:
    include_top: Whether to end in global average pooling and the classifier.
    weights: `None` for random weights, drawn as in He et al. 2015; a published name,
        which `keras_resnet.weights.list_published(network)` lists; or the path of a file:
        `.weights.h5`, `.keras`, `.h5`, `.safetensors` or a PyTorch checkpoint such as `.pth`.
        Layers of the user's own are left out, and named in the log. Default: {weights}.
    input_tensor: A Keras tensor to build upon, instead of a new input.
    input_shape: (H, W, C) without the batch; H and W at least {smallest} pixels, or `None`.
        Default: ({size}, {size}, 3); without a top (None, None, 3).
    pooling: Without a top: `None` for feature maps (N, H/{smallest}, W/{smallest}, C); `"avg"` or
        `"max"` for vectors (N, C).
    classes: Outputs of the top. Default: {classes}. A file with another number is loaded without
        its top, which the log says; published weights with a top have their own number.
    classifier_activation: Activation of the top; `None` for logits.
    name: The model's name.
    shortcut: Residual nets only (section 3.3): `"A"`, identity with zero-padded channels and no
        parameters; `"B"`, projection where dimensions grow; `"C"`, projection everywhere.
        Default: {shortcut}.
    version: Which convolution of a stage's first block strides: `"v1"`, as in the paper, the first
        one; `"v1.5"`, the 3x3 of a bottleneck. Default: what the weights need (a file in PyTorch's
        layout: `"v1.5"`), else `"v1"`.
    zero_init_residual: Whether each residual branch starts at zero (arXiv 1706.02677, section 5.1).
    scan: Whether the blocks of a stage after its first run in a loop over stacked weights, so that
        very deep nets start in seconds. The outputs are the same. `copy_weights` copies the weights
        to the net built with `scan=False`, whose files open with plain Keras, and back.

Returns:
    A functional `keras.Model`: (N, {size}, {size}, 3) -> (N, {classes}) by default.

Raises:
    ValueError: If an argument is not one of the above, or the weights do not fit the network.
    OSError: If a weights file is missing, cannot be fetched, or is damaged.
"""


def ResNet(
    architecture: Architecture,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    *,
    shortcut: str | None = None,
    version: str | None = None,
    zero_init_residual: bool | None = None,
    scan: bool = False,
) -> keras.Model:
    """Any network: an entry of `keras_resnet.ARCHITECTURES`, or an `Architecture` of your own."""
    if not isinstance(architecture, Architecture):
        raise ValueError(
            "architecture takes a keras_resnet.Architecture, such as "
            f"keras_resnet.ARCHITECTURES['resnet50']; given {architecture!r}."
        )
    inputs.check_top(classes, pooling)
    architecture = architectures.with_options(architecture, shortcut, None, zero_init_residual)
    source = weight_files.find(weights, architecture, include_top, classes)
    if include_top and isinstance(source, PublishedWeights):
        inputs.check_activation(classifier_activation)
    version = weight_files.fitting_version(source, architecture, version)
    architecture = architectures.with_options(architecture, version=version)
    classes = STEMS[architecture.stem].classes if classes is None else int(classes)
    name = architecture.name if name is None else name

    images = inputs.images(architecture, input_tensor, input_shape, include_top)
    features = resnet.feature_maps(images, architecture, scan=scan)[-1]  # (N, H/32, W/32, C)
    if include_top:
        outputs = resnet.top(features, classes, classifier_activation)  # (N, classes)
    else:
        outputs = resnet.pooled(features, pooling)  # (N, C), or the features themselves
    first = keras.utils.get_source_inputs(images)
    # Keras expects calls to have the structure of `inputs`: one tensor, not a list of one.
    model = keras.Model(first[0] if len(first) == 1 else first, outputs, name=name)
    if source is not None:
        weight_files.load(model, source, architecture, include_top)
    return model


def _arguments(architecture: Architecture | None) -> str:
    """The arguments' description, with this network's own numbers."""
    if architecture is None:
        return ARGUMENTS.format(
            smallest="S",
            size="size",
            classes="classes",
            shortcut="the architecture's",
            weights="`None`",
        ).replace("\nArgs:\n", "\nArgs:\n    architecture: The network.\n")
    stem = STEMS[architecture.stem]
    return ARGUMENTS.format(
        smallest=architecture.total_stride,
        size=stem.image_size,
        classes=stem.classes,
        shortcut=repr(architecture.shortcut),
        weights=repr(default_weights(architecture.name)),
    )


def default_weights(network: str) -> str | None:
    """The default of a network's constructor: ImageNet's weights where they are published."""
    published = [one.name for one in of_network(network)]
    return "imagenet" if "imagenet" in published else None


def _constructor(function_name: str, place: str) -> Callable[..., keras.Model]:
    """The constructor of one network of the paper: `ResNet` with that network and its defaults."""
    architecture = ARCHITECTURES[function_name.lower()]
    defaults = {
        "weights": default_weights(architecture.name),
        "classes": STEMS[architecture.stem].classes,
        "name": architecture.name,
    }
    general = inspect.signature(ResNet)
    _, *others = general.parameters.values()
    own = [one.replace(default=defaults.get(one.name, one.default)) for one in others]
    signature = general.replace(parameters=own)

    def constructor(*arguments: Any, **options: Any) -> keras.Model:
        try:
            given = signature.bind(*arguments, **options)
        except TypeError as error:
            raise TypeError(f"{function_name}() {error}") from None
        given.apply_defaults()
        return ResNet(architecture, *given.args, **given.kwargs)

    constructor.__name__ = constructor.__qualname__ = function_name
    constructor.__signature__ = signature  # type: ignore[attr-defined]
    kind = "residual" if architecture.residual else "plain"
    first_line = f"The {architecture.depth}-layer {kind} net, {place}."
    constructor.__doc__ = f"{first_line}\n{_arguments(architecture)}"
    return constructor


ResNet.__doc__ = f"{ResNet.__doc__}\n{_arguments(None)}"

Plain18 = _constructor("Plain18", "Table 2")
Plain34 = _constructor("Plain34", "Fig. 3 middle")
ResNet18 = _constructor("ResNet18", "Table 1")
ResNet34 = _constructor("ResNet34", "Table 1")
ResNet50 = _constructor("ResNet50", "Table 1")
ResNet101 = _constructor("ResNet101", "Table 1")
ResNet152 = _constructor("ResNet152", "Table 1")

Plain20 = _constructor("Plain20", "section 4.2")
Plain32 = _constructor("Plain32", "section 4.2")
Plain44 = _constructor("Plain44", "section 4.2")
Plain56 = _constructor("Plain56", "section 4.2")
Plain110 = _constructor("Plain110", "section 4.2")
ResNet20 = _constructor("ResNet20", "section 4.2")
ResNet32 = _constructor("ResNet32", "section 4.2")
ResNet44 = _constructor("ResNet44", "section 4.2")
ResNet56 = _constructor("ResNet56", "section 4.2")
ResNet110 = _constructor("ResNet110", "section 4.2")
ResNet1202 = _constructor("ResNet1202", "section 4.2")


def CifarResNet(depth: int, *arguments: Any, **keywords: Any) -> keras.Model:
    """The CIFAR-10 residual net of any depth 6n+2, section 4.2; then `ResNet20`'s arguments."""
    return ResNet(architectures.cifar_architecture(depth), *arguments, **keywords)


def CifarPlain(depth: int, *arguments: Any, **keywords: Any) -> keras.Model:
    """The CIFAR-10 plain net of any depth 6n+2, section 4.2; then `Plain20`'s arguments."""
    return ResNet(architectures.cifar_architecture(depth, residual=False), *arguments, **keywords)

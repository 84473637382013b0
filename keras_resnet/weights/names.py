"""The names of a network's layers: this package's, PyTorch's, and those of older Keras files.

This package's are keras.applications' names of today: `conv2_block1_1_conv` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from keras_resnet.weights.errors import UnsuitableFileError

TOP = "predictions"
LAYERS = re.compile(rf"(?:conv1|conv\d+_block\d+_\d+)_(?:conv|bn)|{TOP}")
SCANNED = re.compile(r"conv\d+_(?:blocks|units)\d+to\d+")
# Layers of other networks that share most of a ResNet's names, such as those with pre-activation,
# or those that keep the scales of Caffe's batch norm in layers of their own.
OTHER_NETWORKS = re.compile(r"conv\d+_block\d+_.*|(?:res|bn|scale)\d[a-z]\d*_branch.*|scale_conv1")
OTHER_TORCH_NETWORKS = re.compile(r"(?:conv1|bn1|layer\d+)\..*")

# Keras before 2.2.5 called a layer `res3b_branch2a`; nets converted from the authors' Caffe models
# have `res3b1_branch2a` for the same block. keras-applications 1.0.8 called the top `probs`.
OLD_KERAS_LAYER = re.compile(r"(res|bn)(\d)([a-z])(\d*)_branch(1|2[abc])")
OLD_KERAS_STEM = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}
OLD_KERAS_TOPS = ("fc1000", "probs")
OLD_KERAS_BRANCHES = {"1": 0, "2a": 1, "2b": 2, "2c": 3}

TORCH_FIRST = "layer1.0.conv1.weight"  # every ResNet has it; what precedes it precedes every name
# PyTorch's names, as torchvision, timm and the usual CIFAR-10 code have them.
TORCH_LAYERS = (
    # PyTorch's                                         this package's
    (r"conv1",                                          r"conv1_conv"),
    (r"bn1",                                            r"conv1_bn"),
    (r"layer(\d+)\.(\d+)\.(conv|bn)(\d)",               r"conv{stage}_block{block}_\4_\3"),
    (r"layer(\d+)\.(\d+)\.(?:downsample|shortcut)\.0",  r"conv{stage}_block{block}_0_conv"),
    (r"layer(\d+)\.(\d+)\.(?:downsample|shortcut)\.1",  r"conv{stage}_block{block}_0_bn"),
    (r"fc|linear",                                      TOP),
)  # fmt: skip
TORCH_VARIABLES = {
    "bn": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
    "kernel": {"weight": "kernel", "bias": "bias"},
}
# A counter of training steps, which a batch norm with a fixed momentum never uses.
TORCH_UNUSED = "num_batches_tracked"


def some(names: Iterable[str], most: int = 8) -> str:
    """The first names of many and how many more there are, for a message."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def old_keras_layers(layers: Sequence[str]) -> dict[str, str]:
    """This package's names of the layers of an older Keras file, by their names in the file.

    Where the layers have today's names, only the top may have an older one.
    """
    found = {layer: name for layer in layers if (name := _old_keras_layer(layer))}
    if found:
        found |= {layer: name for layer, name in OLD_KERAS_STEM.items() if layer in layers}
    if TOP not in layers:
        found |= {layer: TOP for layer in OLD_KERAS_TOPS if layer in layers}
    return found


def _old_keras_layer(name: str) -> str | None:
    """This package's name of a layer in a block: `res3b_branch2a` -> `conv3_block2_1_conv`."""
    match = OLD_KERAS_LAYER.fullmatch(name)
    if match is None:
        return None
    kind, stage, letter, number, branch = match.groups()
    block = int(number) + 1 if number else ord(letter) - ord("a") + 1
    kind = "conv" if kind == "res" else "bn"
    return f"conv{stage}_block{block}_{OLD_KERAS_BRANCHES[branch]}_{kind}"


def torch_prefix(names: Iterable[str]) -> str:
    """The prefix of the names of the one network in a state dict, such as `module.backbone.`.

    Raises:
        UnsuitableFileError: If the state dict holds no ResNet, or several.
    """
    names = list(names)
    prefixes = [name.removesuffix(TORCH_FIRST) for name in names if name.endswith(TORCH_FIRST)]
    if not prefixes:
        raise UnsuitableFileError(
            f"it has no array {TORCH_FIRST!r}, which a ResNet in torchvision's layout has; its "
            f"arrays are {some(names)}"
        )
    if len(prefixes) > 1:
        raise UnsuitableFileError(
            f"it holds several networks, under {some(prefixes)}: save the state dict of one"
        )
    return prefixes[0]


def torch_layer(name: str) -> str | None:
    """This package's name of PyTorch's layer: `layer1.0.conv2` -> `conv2_block1_2_conv`."""
    for pattern, here in TORCH_LAYERS:
        match = re.fullmatch(pattern, name)
        if match and len(match.groups()) < 2:
            return here
        if match:  # stages are counted from conv2_x, blocks from 1
            stage, block = int(match[1]) + 1, int(match[2]) + 1
            return match.expand(here.format(stage=stage, block=block))
    return None


def torchvision_layer(name: str) -> str:
    """torchvision's name of a layer: `conv2_block1_2_conv` -> `layer1.0.conv2`."""
    if name == TOP:
        return "fc"
    match = re.fullmatch(r"conv(\d+)_block(\d+)_(\d+)_(conv|bn)", name)
    if match is None:
        return {"conv1_conv": "conv1", "conv1_bn": "bn1"}[name]
    block = f"layer{int(match[1]) - 1}.{int(match[2]) - 1}"
    if match[3] == "0":
        return f"{block}.downsample.{0 if match[4] == 'conv' else 1}"
    return f"{block}.{match[4]}{match[3]}"

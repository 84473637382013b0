"""Layer names are those of keras.applications, so that users' feature extractors keep working."""

from __future__ import annotations

import re

import keras
import numpy as np
import paper_numbers as paper
import pytest
from large_nets import named_net, undrawn

import keras_resnet
from keras_resnet import ARCHITECTURES, blocks
from keras_resnet.stages import Convolution, Shortcut

SCHEME = re.compile(
    r"conv1_(pad|conv|bn|relu)|pool1_(pad|pool)"
    r"|conv[2-5]_block[1-9]\d*_([1-3]_(pad|conv|bn|relu)|0_(pool|pad|conv|bn)|add|out)"
    r"|avg_pool|predictions"
)


def names(model: keras.Model) -> list[str]:
    """All names but the input's, which Keras numbers through."""
    return [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def output_shapes(model: keras.Model) -> dict[str, tuple[int | None, ...]]:
    return {name: model.get_layer(name).output.shape for name in names(model)}


@undrawn()
@pytest.mark.parametrize(
    "name",
    [
        "ResNet50",
        pytest.param("ResNet101", marks=pytest.mark.nightly),
        pytest.param("ResNet152", marks=pytest.mark.nightly),
    ],
)
def test_nets_have_the_layers_of_keras_applications(name):
    theirs = getattr(keras.applications, name)(weights=None)
    assert output_shapes(named_net(name.lower())) == output_shapes(theirs)


def test_features_come_from_any_block():
    resnet50 = named_net("resnet50")
    model = keras.Model(resnet50.input, resnet50.get_layer("conv4_block6_out").output)
    assert model.output_shape == (None, 14, 14, 1024)
    assert np.all(model(np.ones((1, 224, 224, 3), "float32"), training=False) >= 0)


def test_stages_have_the_output_sizes_of_table_1():
    resnet50 = named_net("resnet50")
    for stage, size in paper.IMAGENET_OUTPUT_SIZES.items():
        last = [name for name in names(resnet50) if name.startswith(f"{stage}_")][-1]
        assert resnet50.get_layer(last).output.shape[1:3] == (size, size)


def test_a_small_cifar_net_name_by_name():
    model = keras_resnet.CifarResNet(8, weights=None)
    stem = ["conv1_conv", "conv1_bn", "conv1_relu"]
    block = ["1_conv", "1_bn", "1_relu", "2_conv", "2_bn", "add", "out"]
    strided = ["1_pad", "0_pool", "0_pad", *block]
    blocks_of = {"conv2_block1": block, "conv3_block1": strided, "conv4_block1": strided}
    expected = [f"{name}_{layer}" for name, layers in blocks_of.items() for layer in layers]
    assert sorted(names(model)) == sorted([*stem, *expected, "avg_pool", "predictions"])


@pytest.mark.parametrize("name", ["resnet18", "plain18", "plain34", "resnet20", "plain20"])
def test_basic_and_plain_nets_follow_the_scheme(name):
    architecture = ARCHITECTURES[name]
    model = keras_resnet.ResNet(architecture, weights=None)
    assert all(SCHEME.fullmatch(layer) for layer in names(model))
    sizes = (
        paper.IMAGENET_OUTPUT_SIZES if architecture.stem == "imagenet" else paper.CIFAR_OUTPUT_SIZES
    )
    for number, (count, filters) in enumerate(
        zip(architecture.blocks, architecture.filters, strict=True), start=2
    ):
        size = sizes[f"conv{number}"]
        for block in range(1, count + 1):
            out = model.get_layer(f"conv{number}_block{block}_out")
            assert out.output.shape == (None, size, size, filters)
        assert f"conv{number}_block{count + 1}_out" not in names(model)
    assert any(layer.endswith("_add") for layer in names(model)) == architecture.residual
    assert any("_0_" in layer for layer in names(model)) == architecture.residual


@pytest.mark.parametrize("size", [8, 9])
def test_a_strided_3x3_samples_the_pixels_of_the_shortcut(size):
    """A kernel with nothing but a centre gives x[::2, ::2]; so do the shortcuts A and B."""
    x = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")
    images = keras.Input(x.shape[1:])
    outputs = {
        "convolution": blocks.conv_bn(images, Convolution("a", 3, 3, 2)),
        "shortcut A": blocks.shortcut(images, Shortcut(strides=2), "b"),
        "shortcut B": blocks.shortcut(images, Shortcut(Convolution("c_0", 3, 1, 2)), "c"),
    }
    model = keras.Model(images, outputs)
    delta = np.zeros((3, 3, 3, 3), "float32")
    delta[1, 1] = np.eye(3)
    model.get_layer("a_conv").kernel.assign(delta)
    model.get_layer("c_0_conv").kernel.assign(np.eye(3)[None, None])
    for name in ("a_bn", "c_0_bn"):
        model.get_layer(name).moving_variance.assign(np.full(3, 1 - blocks.BN_EPSILON))
    for sampled in model.predict_on_batch(x).values():
        np.testing.assert_allclose(sampled, x[:, ::2, ::2], rtol=1e-6)

"""Blocks and shortcuts, section 3.3 and Fig. 5, against the NumPy forward pass."""

from __future__ import annotations

import keras
import numpy as np
import numpy_resnet
import pytest

import keras_resnet
from keras_resnet import Architecture, analysis

CONVOLUTIONS = {"basic": 2, "bottleneck": 3}
STRIDED = {"v1": 1, "v1.5": 2}  # which convolution of a block, from 1
SHAPE = (9, 10, 3)  # odd, and not square


def tiny(**fields) -> Architecture:
    """Three small stages whose channels grow by odd and even numbers."""
    return Architecture(
        **{
            "name": "tiny",
            "stem": "cifar",
            "block": "basic",
            "blocks": (2, 1, 2),
            "filters": (4, 7, 9),
            "stem_filters": 3,
            "shortcut": "A",
            **fields,
        }
    )


def randomized(architecture: Architecture, shape=SHAPE) -> keras.Model:
    """The network with random weights and moving statistics, giving logits of 5 classes."""
    model = keras_resnet.ResNet(
        architecture,
        weights=None,
        input_shape=shape,
        classes=5,
        classifier_activation=None,
    )
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            gamma, variance = random.uniform(0.5, 1.5, size=(2, channels))
            beta, mean = random.normal(scale=0.3, size=(2, channels))
            layer.set_weights([gamma, beta, mean, variance])
    return model


def assert_agrees(architecture: Architecture, shape=SHAPE) -> None:
    model = randomized(architecture, shape)
    images = np.random.default_rng(2).normal(size=(2, *shape)).astype("float32")
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    expected = [
        numpy_resnet.forward(
            image.astype("float64"),
            weights,
            architecture.blocks,
            architecture.shortcut,
            CONVOLUTIONS[architecture.block],
            STRIDED[architecture.version],
            imagenet_stem=architecture.stem == "imagenet",
        )
        for image in images
    ]
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(model.predict_on_batch(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shortcut", ["A", "B", "C", None])
def test_basic_blocks(shortcut):
    assert_agrees(tiny(shortcut=shortcut))


@pytest.mark.parametrize("version", ["v1", "v1.5"])
@pytest.mark.parametrize("shortcut", ["A", "B", "C", None])
def test_bottleneck_blocks(shortcut, version):
    assert_agrees(tiny(block="bottleneck", filters=(2, 3, 5), shortcut=shortcut, version=version))


def test_imagenet_stem():
    assert_agrees(tiny(stem="imagenet", shortcut="B"), shape=(33, 46, 3))


def test_option_a_has_the_parameters_of_the_plain_net():
    with_a, plain = (keras_resnet.ResNet(tiny(shortcut=option)) for option in ("A", None))
    assert analysis.parameters(with_a) == analysis.parameters(plain)
    assert {layer.name for layer in plain.layers if layer.weights} == {
        layer.name for layer in with_a.layers if layer.weights
    }


def test_projections_stand_where_the_option_says():
    def projections(option):
        model = keras_resnet.ResNet(tiny(shortcut=option, stem_filters=4))
        return [layer.name[:-7] for layer in model.layers if layer.name.endswith("_0_conv")]

    everywhere = ["conv2_block1", "conv2_block2", "conv3_block1", "conv4_block1", "conv4_block2"]
    assert projections("A") == []
    assert projections("B") == ["conv3_block1", "conv4_block1"]
    assert projections("C") == everywhere


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_zero_init_residual_starts_every_block_as_its_shortcut(block):
    architecture = tiny(block=block, zero_init_residual=True)
    model = keras_resnet.ResNet(architecture, weights=None, input_shape=(8, 8, 3))
    names = ["conv1_relu", "conv2_block1_out", "conv2_block2_out"]
    features = keras.Model(model.input, [model.get_layer(name).output for name in names])
    stem, first, second = features.predict_on_batch(np.ones((1, 8, 8, 3), "float32"))
    assert np.any(stem > 0)
    np.testing.assert_array_equal(second, first)
    before = (first.shape[-1] - stem.shape[-1]) // 2
    np.testing.assert_array_equal(first[..., before : before + stem.shape[-1]], stem)
    assert first.sum() == pytest.approx(stem.sum(), rel=1e-5)  # the new channels are zero


def test_without_zero_init_the_branches_count():
    model = keras_resnet.ResNet(tiny(), weights=None, input_shape=(8, 8, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            np.testing.assert_array_equal(layer.gamma, 1)

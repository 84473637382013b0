"""Files of Keras 2 and of nets converted from Caffe go by their layers' names, not their order."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from weight_samples import images, outputs, randomize, relative_error, write_published_h5

import keras_resnet
from keras_resnet import ResNet, weights
from keras_resnet.weights import names

TINY = keras_resnet.Architecture("tiny", "imagenet", "bottleneck", (2, 3), (8, 16), "B")


def old_resnet(letters: str = "abc", bias: bool = True, epsilon: float = 1e-3) -> keras.Model:
    """The layers of Keras 2's ResNet50 in its order: a block's projection after its last one."""

    def conv_bn(x, filters, size, at, branch, strides=1):
        name = f"{at}_branch{branch}"
        padding = "same" if size > 1 else "valid"
        convolution = layers.Conv2D(
            filters, size, strides, padding, use_bias=bias, name=f"res{name}"
        )
        return layers.BatchNormalization(epsilon=epsilon, name=f"bn{name}")(convolution(x))

    pixels = keras.Input((64, 64, 3))
    x = layers.ZeroPadding2D(3)(pixels)
    x = layers.Conv2D(64, 7, 2, use_bias=bias, name="conv1")(x)
    x = layers.BatchNormalization(epsilon=epsilon, name="bn_conv1")(x)
    x = layers.ZeroPadding2D(1)(layers.ReLU()(x))
    x = layers.MaxPooling2D(3, 2)(x)
    for stage, (filters, blocks) in enumerate(((8, 2), (16, 3)), start=2):
        for block in range(blocks):
            at = f"{stage}{letters[block]}" if letters == "abc" else f"{stage}b{block}"
            at = f"{stage}a" if block == 0 else at
            strides = 2 if block == 0 and stage > 2 else 1
            y = layers.ReLU()(conv_bn(x, filters, 1, at, "2a", strides))
            y = layers.ReLU()(conv_bn(y, filters, 3, at, "2b"))
            y = conv_bn(y, 4 * filters, 1, at, "2c")
            x = conv_bn(x, 4 * filters, 1, at, "1", strides) if block == 0 else x
            x = layers.ReLU()(layers.Add()([y, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return randomize(keras.Model(pixels, layers.Dense(5, name="fc1000")(x)))


@pytest.mark.parametrize(
    ("letters", "bias", "epsilon"), [("abc", True, 1e-3), ("numbers", False, 1e-5)]
)
def test_the_outputs_are_those_of_the_net_that_wrote_the_file(letters, bias, epsilon, tmp_path):
    """Keras 2's own, with biases and its default epsilon; and nets named as Caffe names blocks."""
    theirs = old_resnet(letters, bias, epsilon)
    write_published_h5(theirs, tmp_path / "net.h5")
    ours = ResNet(
        TINY,
        weights=tmp_path / "net.h5",
        classes=5,
        classifier_activation=None,
        input_shape=(64, 64, 3),
    )
    x = images((2, 64, 64, 3))
    assert relative_error(outputs(ours, x), outputs(theirs, x)) < 1e-5


def test_blocks_and_branches_are_called_by_the_papers_numbers():
    found = names.old_keras_layers(
        ["conv1", "bn_conv1", "res2a_branch1", "bn5c_branch2c", "res4b22_branch2a", "fc1000"]
    )
    assert found == {
        "conv1": "conv1_conv",
        "bn_conv1": "conv1_bn",
        "res2a_branch1": "conv2_block1_0_conv",
        "bn5c_branch2c": "conv5_block3_3_bn",
        "res4b22_branch2a": "conv4_block23_1_conv",
        "fc1000": "predictions",
    }
    assert names.old_keras_layers(["conv1", "bn_conv1", "dense"]) == {}  # a user's own


def test_the_scales_of_caffe_are_no_part_of_a_resnet(tmp_path):
    scaled = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 1, name="res2a_branch1")])
    scaled.add(layers.BatchNormalization(name="scale2a_branch1"))
    write_published_h5(scaled, tmp_path / "net.h5")
    with pytest.raises(ValueError, match="'scale2a_branch1' has no place in a ResNet"):
        weights.read(str(tmp_path / "net.h5"))


def test_a_top_of_another_name_is_the_top(tmp_path):
    """keras-applications 1.0.8 called it `probs`."""
    theirs = randomize(ResNet(TINY, classes=5, input_shape=(64, 64, 3)))
    write_published_h5(
        theirs, tmp_path / "net.h5", rename=lambda name: name.replace("predictions", "probs")
    )
    ours = ResNet(TINY, classes=5, weights=tmp_path / "net.h5", input_shape=(64, 64, 3))
    x = images((1, 64, 64, 3))
    np.testing.assert_array_equal(outputs(ours, x), outputs(theirs, x))

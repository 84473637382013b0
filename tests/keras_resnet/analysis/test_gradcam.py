"""Grad-CAM against a closed form and finite differences."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from analysis_samples import KINDS, net, pixels

import keras_resnet
from keras_resnet import analysis


def test_of_the_last_map_it_is_the_class_activation_map() -> None:
    """Pooled and one dense layer: the gradient is the class's column of the kernel, everywhere."""
    model, images = net(), pixels(5)
    maps, classes = analysis.grad_cam(model, images)
    np.testing.assert_array_equal(classes, model.predict_on_batch(images).argmax(axis=1))
    last = model.get_layer("conv4_block1_out").output
    features = keras.Model(model.input, last).predict_on_batch(images)
    kernel = model.get_layer("predictions").get_weights()[0]
    for image, label, found in zip(features, classes, maps, strict=True):
        expected = np.maximum((image * kernel[:, label]).sum(axis=-1), 0)
        np.testing.assert_allclose(found, expected / max(expected.max(), 1e-9), atol=1e-4)
    assert maps.max() == 1.0


def test_of_an_earlier_layer_it_agrees_with_finite_differences() -> None:
    model, images, label = net(), pixels(1), 2
    (found,), _ = analysis.grad_cam(model, images, [label], "conv3_block1_out")
    middle = model.get_layer("conv3_block1_out").output
    features = keras.Model(model.input, middle).predict_on_batch(images)  # (1, 16, 16, 32)
    following = keras.Model(middle, model.get_layer("avg_pool").output)
    kernel = model.get_layer("predictions").get_weights()[0]

    step = 0.05  # to all pixels of one channel: the slope is the sum of its gradient
    moves = step * np.eye(32, dtype=np.float32)[:, np.newaxis, np.newaxis]
    above, below = (following.predict_on_batch(features + s * moves) @ kernel for s in (1, -1))
    slopes = (above - below)[:, label]
    expected = np.maximum(features[0] @ slopes, 0)
    np.testing.assert_allclose(found, expected / expected.max(), atol=0.03)


@pytest.mark.parametrize("layer", ["0_pool", "0_pad", "add", "out"])
def test_option_as_padding_does_not_hide_where_channels_are(layer) -> None:
    """It pads channels as if they were an axis of the other data format."""
    model = keras_resnet.CifarResNet(8, input_shape=(16, 12, 3))
    images = np.random.default_rng(0).normal(size=(2, 16, 12, 3)).astype("float32")
    maps, _ = analysis.grad_cam(model, images, layer=f"conv3_block1_{layer}")
    assert maps.shape == (2, 8, 6)


def test_it_names_what_it_cannot_look_at() -> None:
    with pytest.raises(ValueError, match="no layer 'conv9'"):
        analysis.grad_cam(net(), pixels(1), layer="conv9")
    with pytest.raises(ValueError, match="no layer 'predictions'"):
        analysis.grad_cam(net(), pixels(1), layer="predictions")
    with pytest.raises(ValueError, match="from 0 to 4"):
        analysis.grad_cam(net(), pixels(1), classes=[5])
    with pytest.raises(ValueError, match=r"whole numbers.*0\.5"):
        analysis.grad_cam(net(), pixels(1), classes=[0.5])
    headless = keras_resnet.ResNet(KINDS["basic"], include_top=False)
    with pytest.raises(ValueError, match="include_top=True"):
        analysis.grad_cam(headless, pixels(1))


def test_the_maps_channels_are_where_the_layers_have_them() -> None:
    """`image_data_format` does not count: a net may come from a file of another format."""
    model, images, labels = net(), pixels(3), [0, 1, 2]
    body = keras.Model(model.input, model.get_layer("conv4_block1_out").output)
    pool = keras.layers.GlobalAveragePooling2D(data_format="channels_first")
    x = pool(keras.layers.Permute((3, 1, 2))(body.output))
    turned = keras.Model(model.input, model.get_layer("predictions")(x))
    expected = analysis.grad_cam(model, images, labels)
    earlier = analysis.grad_cam(model, images, labels, "conv3_block1_out")
    for data_format in ("channels_last", "channels_first"):
        keras.config.set_image_data_format(data_format)
        try:
            found = [analysis.grad_cam(one, images, labels) for one in (turned, model)]
            found_earlier = analysis.grad_cam(model, images, labels, "conv3_block1_out")
        finally:
            keras.config.set_image_data_format("channels_last")
        for one in found:
            np.testing.assert_allclose(one.maps, expected.maps, atol=1e-4)
        np.testing.assert_allclose(found_earlier.maps, earlier.maps, atol=1e-4)

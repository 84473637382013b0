"""Nested, scanned and shared layers, and what users build around a net, give the same numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from analysis_samples import net, pixels
from keras import layers

import keras_resnet
from keras_resnet import Architecture, analysis


def test_nested_nets_are_gone_through_in_order() -> None:
    flat, nested, images = net(), net(nested=True), pixels(4)
    assert any(isinstance(layer, keras.Model) for layer in nested.layers)
    weights = {layer.name: layer.get_weights() for layer in analysis.walk(flat)}
    for layer in analysis.walk(nested):
        if layer.weights:
            layer.set_weights(weights[layer.name])
    expected, found = (analysis.layer_responses(model, images) for model in (flat, nested))
    assert found.names == expected.names
    np.testing.assert_allclose(found.stds, expected.stds, rtol=1e-5)
    labels = np.array([0, 1, 2, 3])
    expected, found = (analysis.gradient_norms(model, images, labels) for model in (flat, nested))
    assert found.names == expected.names
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-3)
    for layer in (None, "conv3_block1_out"):
        expected, found = (analysis.grad_cam(m, images, labels, layer) for m in (flat, nested))
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-4)


def test_a_stage_in_a_loop_is_looked_into_block_by_block() -> None:
    row = Architecture("narrow", "cifar", "basic", (3, 2), (4, 6), "A", stem_filters=4)
    written_out, looped = (
        keras_resnet.ResNet(row, input_shape=(32, 32, 3), classes=5, scan=scan)
        for scan in (False, True)
    )
    keras_resnet.copy_weights(written_out, looped)
    images, labels = pixels(4) / 64, np.array([0, 1, 2, 3])
    expected, found = (analysis.layer_responses(m, images, 3) for m in (written_out, looped))
    assert found.names == expected.names
    np.testing.assert_allclose(found.stds, expected.stds, rtol=1e-5)
    expected, found = (analysis.gradient_norms(m, images, labels) for m in (written_out, looped))
    assert found.names == expected.names
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-3)
    expected, found = (analysis.grad_cam(m, images) for m in (written_out, looped))
    np.testing.assert_allclose(found.maps, expected.maps, atol=1e-4)


def test_layers_shared_with_another_model_are_seen_where_they_are() -> None:
    """As in the model that trains: its batch norms are its own, the rest an older model's too."""
    first, images, labels = net(), pixels(3), np.array([0, 1, 2])

    def renewed(layer: keras.layers.Layer) -> keras.layers.Layer:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        return type(layer).from_config(layer.get_config()) if norm else layer

    second = keras.models.clone_model(
        first,
        first.input,
        clone_function=renewed,
        call_function=lambda layer, *arguments, **named: layer(*arguments, **named),
    )
    third = net(seed=1)  # the same values in a model by itself
    third.set_weights(second.get_weights())
    assert not np.allclose(analysis.features(first, images), analysis.features(third, images))
    np.testing.assert_allclose(
        analysis.features(second, images), analysis.features(third, images), rtol=1e-4, atol=1e-4
    )
    found, expected = (analysis.gradient_norms(m, images, labels).norms for m in (second, third))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    found, expected = (analysis.layer_responses(m, images).stds for m in (second, third))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    found, expected = (analysis.grad_cam(m, images, labels).maps for m in (second, third))
    np.testing.assert_allclose(found, expected, atol=1e-3)

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
    """The model in training has batch norms of its own, and shares the rest with another model."""
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


# What users build around a net


class FlipInside(layers.Layer):
    """Hides a random layer, and has no `training` argument to hand on to it."""

    def __init__(self) -> None:
        super().__init__()
        self.flip = layers.RandomFlip("horizontal")

    def call(self, inputs):
        return self.flip(inputs)


def augmentation() -> list[layers.Layer]:
    return [layers.RandomFlip("horizontal"), layers.RandomTranslation(0.3, 0.3), FlipInside()]


def behind_augmentation(model: keras.Model) -> keras.Model:
    return keras.Sequential([keras.Input((32, 32, 3)), *augmentation(), model])


def called_in_a_functional_model(model: keras.Model) -> keras.Model:
    images = keras.Input((32, 32, 3))
    x = keras.Sequential(augmentation(), name="augmentation")(images)
    x = layers.Dropout(0.5)(x, training=True)
    return keras.Model(images, model(x, training=False))


def with_a_head_of_its_own(model: keras.Model) -> keras.Model:
    body = keras.Model(model.input, model.get_layer("conv4_block1_out").output, name="body")
    top = model.get_layer("predictions")
    new = keras.Sequential(
        [
            *(keras.Input((32, 32, 3)), layers.RandomFlip("horizontal"), body),
            *(layers.GlobalAveragePooling2D(), layers.Dropout(0.5), layers.Dense(5)),
            layers.Activation("softmax"),
        ]
    )
    new.layers[-2].set_weights(top.get_weights())
    return new


def with_softmax_behind(model: keras.Model) -> keras.Model:
    top = model.get_layer("predictions")
    logits = layers.Dense(5)
    body = keras.Model(model.input, model.get_layer("avg_pool").output)
    inner = keras.Model(body.input, logits(layers.Dropout(0.9)(body.output)), name="inner")
    logits.set_weights(top.get_weights())
    images = keras.Input((32, 32, 3))
    return keras.Model(images, keras.ops.softmax(inner(images)))


@pytest.mark.parametrize(
    "build",
    [
        behind_augmentation,
        called_in_a_functional_model,
        with_a_head_of_its_own,
        with_softmax_behind,
    ],
)
def test_what_is_built_around_a_net_gives_the_nets_own_numbers(build) -> None:
    """Random layers are the identity, as in `predict`; nesting changes nothing."""
    bare, images, labels = net(), pixels(3), np.array([0, 1, 2])
    model = build(bare)
    np.testing.assert_allclose(model.predict(images, verbose=0), bare.predict(images, verbose=0))
    expected = analysis.layer_responses(bare, images)
    found = analysis.layer_responses(model, images)
    assert found.names == expected.names
    np.testing.assert_allclose(found.stds, expected.stds, rtol=1e-5)
    np.testing.assert_allclose(
        analysis.features(model, images), analysis.features(bare, images), rtol=1e-4, atol=1e-5
    )
    expected, found = (analysis.gradient_norms(m, images, labels).norms for m in (bare, model))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    for layer in (None, "conv3_block1_out"):
        expected, found = (analysis.grad_cam(m, images, None, layer) for m in (bare, model))
        np.testing.assert_array_equal(found.classes, expected.classes)
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-4)
    assert analysis.parameters(model) == analysis.parameters(bare)
    assert analysis.multiply_adds(model) == analysis.multiply_adds(bare)


def test_costs_are_those_of_the_calls_in_the_model() -> None:
    """The body is built for images of any size; here it is called twice, with two sizes."""
    inputs = keras.Input((None, None, 3))
    body = keras.Model(inputs, layers.Conv2D(4, 3, padding="same")(inputs))
    large, small = keras.Input((16, 16, 3)), keras.Input((8, 8, 3))
    both = keras.Model([large, small], [body(large), body(small)])
    assert analysis.multiply_adds(both) == (16 * 16 + 8 * 8) * 3 * 3 * 3 * 4
    with pytest.raises(ValueError, match="fixed input size"):
        analysis.multiply_adds(body)


class Subclassed(keras.Model):
    def __init__(self, inside: keras.Model) -> None:
        super().__init__(name="subclassed")
        self.inside = inside

    def call(self, inputs):
        return self.inside(inputs)


def test_models_that_cannot_be_analysed_are_refused_for_the_true_reason() -> None:
    images, labels = pixels(2), np.zeros(2, int)
    analyses = (
        analysis.layer_responses,
        analysis.features,
        analysis.grad_cam,
        lambda model, x: analysis.gradient_norms(model, x, labels),
        lambda model, x: analysis.multiply_adds(model),
    )
    subclassed, unbuilt = Subclassed(net()), keras.Sequential([layers.Rescaling(2.0), net()])
    for analyse in analyses:
        with pytest.raises(ValueError, match="is a Subclassed and no functional"):
            analyse(subclassed, images)
        with pytest.raises(ValueError, match="Sequential model that is not built: begin it"):
            analyse(unbuilt, images)
    with pytest.raises(ValueError, match="is not built"):
        analysis.parameters(keras.Sequential([layers.Dense(3)]))

    around = keras.Input((32, 32, 3))
    hidden = keras.Model(around, layers.Activation("softmax")(Subclassed(net())(around)))
    for analyse in analyses[:-1]:
        with pytest.raises(ValueError, match="subclassed"):
            analyse(hidden, images)
    with pytest.raises(ValueError, match="inside subclassed"):
        analysis.multiply_adds(hidden)
    whole = net()
    headless = keras.Model(whole.input, whole.get_layer("avg_pool").output)
    with pytest.raises(ValueError, match=r"not end in a dense .* but in avg_pool \(GlobalAverage"):
        analysis.features(headless, images)
    several = keras.Model(whole.input, [whole.output, headless.output])
    with pytest.raises(ValueError, match=r"has 2 outputs.*keras\.Model\(inputs, output\) of one"):
        analysis.features(several, images)
    other = keras.Input((64,))
    both = keras.Model([whole.input, other], layers.Dense(5)(headless.output + other))
    for analyse in analyses[:-1]:
        with pytest.raises(ValueError, match="takes 2 tensors; the analysis needs a model that"):
            analyse(both, images)
    maps = whole.get_layer("conv4_block1_out").output
    everywhere = keras.Model(whole.input, layers.Dense(5)(maps))
    with pytest.raises(ValueError, match=r"classifies every position .* takes \(None, 8, 8, 64\)"):
        analysis.features(everywhere, images)
    shared, twice = layers.Conv2D(3, 3, padding="same", name="shared"), keras.Input((32, 32, 3))
    with pytest.raises(ValueError, match="applies shared more than once"):
        analysis.layer_responses(keras.Model(twice, shared(shared(twice))), images)

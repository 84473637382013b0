"""Users' Keras models as functions from raw pixels of one size to probabilities."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from training.models.image_classifier import image_classifier

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (2, 8, 8, 3)).astype("f4")


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def classifier(x, y, units=3, activation="softmax"):
    pooled = layers.GlobalAveragePooling2D()(
        layers.Conv2D(4, 3, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3))(y)
    )
    return keras.Model(x, layers.Dense(units, activation=activation)(pooled), name="net")


def plain(shape=(8, 8, 3), **options):
    x = keras.Input(shape)
    return classifier(x, x, **options)


def test_a_functional_model_with_probabilities_stays_as_it_is():
    model = plain()
    found = image_classifier(model)
    assert [layer.name for layer in found.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(found(PIXELS), model(PIXELS))


def test_a_sequential_model_becomes_a_functional_one_with_the_same_layers():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), plain()])
    found = image_classifier(model)
    assert not isinstance(found, keras.Sequential)
    assert found.weights[0] is model.weights[0]
    np.testing.assert_allclose(found(PIXELS), model(PIXELS), atol=1e-6)


def test_whole_numbers_are_rounded_not_cut_off():
    x = keras.Input((8, 8, 3), dtype="uint8")
    model = classifier(x, layers.Rescaling(1 / 255)(x))
    found = image_classifier(model)
    np.testing.assert_allclose(found(PIXELS - 0.3), model(PIXELS.astype("u1")), atol=1e-6)


def test_a_model_of_one_batch_size_takes_any_number_of_images():
    x = keras.Input(batch_shape=(32, 8, 8, 3))
    found = image_classifier(classifier(x, x))
    assert found.input_shape == (None, 8, 8, 3)
    assert found.output_shape == (None, 3)
    assert found(PIXELS).shape == (2, 3)


def test_a_model_of_any_size_takes_the_one_that_is_asked_for():
    model = plain((None, None, 3))
    found = image_classifier(model, image_size=8)
    assert found.input_shape == (None, 8, 8, 3)
    np.testing.assert_allclose(found(PIXELS), model(PIXELS), atol=1e-6)
    with pytest.raises(ValueError, match="any size: say which, such as --image-size 224"):
        image_classifier(model)


def test_a_model_of_any_size_takes_its_network_s_own():
    base = keras_resnet.ResNet20(weights=None, include_top=False, input_shape=(None, None, 3))
    x = keras.Input((None, None, 3))
    assert image_classifier(classifier(x, base(x))).input_shape == (None, 32, 32, 3)


def test_scores_become_probabilities():
    scores = plain(activation=None)
    expected = np.exp(scores(PIXELS).numpy())
    found = image_classifier(keras.Sequential([keras.Input((8, 8, 3)), scores]))
    np.testing.assert_allclose(found(PIXELS), expected / expected.sum(1, keepdims=True), rtol=1e-5)


def test_one_probability_becomes_two_classes():
    model = plain(units=1, activation="sigmoid")
    p = model(PIXELS).numpy()
    np.testing.assert_allclose(
        image_classifier(model)(PIXELS), np.hstack([1 - p, p]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("convention", ["caffe", "torch", "cifar10"])
def test_the_convention_is_put_before_the_model(convention):
    x = keras.Input((32, 32, 3))
    model = classifier(x, x)
    pixels = RNG.uniform(0, 255, (2, 32, 32, 3)).astype("f4")
    expected = model(keras_resnet.preprocess_input(pixels, convention))
    np.testing.assert_allclose(image_classifier(model, convention)(pixels), expected, atol=1e-5)


def two_inputs():
    a, b = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    return classifier([a, b], layers.Add()([a, b]))


def two_outputs():
    x = keras.Input((8, 8, 3))
    return keras.Model(x, [layers.Flatten()(x), layers.GlobalAveragePooling2D()(x)], name="net")


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (two_inputs, r"has 2 inputs \(left, right\); an image classifier has one"),
        (two_outputs, "has 2 outputs"),
        (lambda: Subclassed(name="net"), "neither functional nor sequential"),
        (lambda: keras.Sequential([layers.Flatten()]), "begin it with a keras.Input"),
        (lambda: plain((8, 6, 3)), "images of 8x6; evaluation and export resize to squares"),
        (lambda: plain((8, 8, 5)), "1 or 3 channels"),
        (lambda: plain((3, 8, 8)), "Build it channels_last"),
        (lambda: plain(units=1, activation=None), "one number without an activation"),
        (
            lambda: keras_resnet.CifarResNet(8, include_top=False, input_shape=(32, 32, 3)),
            r"a classifier gives probabilities \(N, classes\)",
        ),
    ],
)
def test_what_is_no_classifier_of_images_is_refused_with_the_reason(model, message):
    with pytest.raises(ValueError, match=message):
        image_classifier(model())


def test_a_size_cannot_be_chosen_for_a_model_that_has_one():
    with pytest.raises(ValueError, match=r"takes images of 8x8; .* Given 16"):
        image_classifier(plain(), image_size=16)

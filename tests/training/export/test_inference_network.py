"""Networks for export: a user's model in float32, without randomness and batch norm."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from keras_resnet import Architecture
from training.export import other_runtimes
from training.export.inference_network import in_bfloat16, in_float32, inference_network
from training.models.image_classifier import image_classifier

RNG = np.random.default_rng(0)
PIXELS = RNG.uniform(0, 255, (2, 32, 32, 3)).astype("f4")
TINY = Architecture("tiny", "cifar", "basic", (1, 1, 1), (4, 4, 6), "B")


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def backbone(**options):
    """A residual network without its top, with drawn numbers in its batch norms."""
    base = keras_resnet.ResNet(TINY, weights=None, include_top=False, **options)
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return base


def model(before, top=None, shape=(32, 32, 3), **call):
    """The model of Keras's guides: layers before, a network, pooling and a dense layer."""
    x = keras.Input(shape)
    pooled = layers.GlobalAveragePooling2D()(backbone()(before(x), **call))
    return keras.Model(x, (top or layers.Dense(5, activation="softmax"))(pooled))


def scaled(x):
    return layers.Rescaling(1 / 64, offset=-2)(x)


def augmented():
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomContrast(0.2),
            keras.Sequential([layers.RandomZoom(0.1), layers.GaussianNoise(0.5)]),
        ]
    )


def wrapped():
    return keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 64), model(scaled)])


def two_of_one_name():
    """Two nested networks whose layers have the same names."""
    x = keras.Input((32, 32, 3))
    y = backbone(name="left")(scaled(x)) + backbone(name="right")(scaled(x), training=False)
    pooled = layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, layers.Dense(5, activation="softmax")(pooled))


def inside_out():
    """The classifier in one nested model, a layer of whose name is in another, random ones too."""
    x = keras.Input((32, 32, 3))
    features = keras.Input((6,))
    y = layers.Dense(6, name="dense_of_both")(layers.Dropout(0.5)(features))
    top = keras.Model(features, layers.Dense(5, activation="softmax")(y))
    y = layers.Dense(6, name="dense_of_both")(
        layers.GlobalAveragePooling2D()(backbone()(scaled(x)))
    )
    return keras.Model(x, top(y))


def normalized():
    normalization = layers.Normalization(mean=[100.0, 110, 120], variance=[60.0, 61, 62])
    return model(lambda x: layers.RandomFlip()(normalization(x)))


MODELS = {
    "augmentation": lambda: model(lambda x: scaled(augmented()(x))),
    "torch": lambda: model(lambda x: keras_resnet.preprocess_input(x, "torch"), training=False),
    "caffe": lambda: model(lambda x: keras_resnet.preprocess_input(x, "caffe"), training=False),
    "cifar10": lambda: model(lambda x: keras_resnet.preprocess_input(x, "cifar10")),
    "normalization": normalized,
    "sequential": wrapped,
    "two of one name": two_of_one_name,
    "nested top": inside_out,
    "dropout": lambda: model(
        scaled, keras.Sequential([layers.Dropout(0.5), layers.Dense(5, activation="softmax")])
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_network_computes_what_the_model_computes(name):
    original = MODELS[name]()
    found = inference_network(image_classifier(original))
    outputs = found.network(PIXELS)
    probabilities = outputs["probabilities"]
    np.testing.assert_allclose(
        probabilities, original(PIXELS, training=False), rtol=1e-4, atol=1e-5
    )
    assert found.batch_norm == "folded"
    assert len(found.network.variables) == len(found.network.weights)  # nothing draws numbers
    scores = outputs["features"].numpy() @ found.dense.kernel.numpy() + found.dense.bias.numpy()
    np.testing.assert_allclose(keras.ops.softmax(scores), probabilities, rtol=1e-4, atol=1e-5)


def test_maps_are_those_whose_mean_the_classifier_sees():
    found = inference_network(image_classifier(wrapped()))
    outputs = found.network(PIXELS)
    maps = outputs["maps"].numpy()
    assert maps.shape == (2, 8, 8, 6)
    np.testing.assert_allclose(maps.mean((1, 2)), outputs["features"], rtol=1e-4, atol=1e-5)


def test_a_classifier_without_a_dense_layer_has_no_features():
    x = keras.Input((32, 32, 3))
    scores = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1)(backbone()(scaled(x))))
    original = keras.Model(x, layers.Softmax()(scores))
    found = inference_network(image_classifier(original))
    assert (list(found.network.output), found.dense) == (["probabilities"], None)
    np.testing.assert_allclose(
        found.network(PIXELS)["probabilities"],
        original(PIXELS, training=False),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_norm_that_cannot_be_folded_is_kept():
    def top(pooled):
        return layers.Dense(5, activation="softmax")(
            layers.BatchNormalization(name="head_bn")(pooled)
        )

    original = model(scaled, top)
    found = inference_network(image_classifier(original))
    assert "head_bn follows" in found.batch_norm
    np.testing.assert_allclose(
        found.network(PIXELS)["probabilities"],
        original(PIXELS, training=False),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_a_mixed_policy_has_a_float32_copy(policy):
    exact = wrapped()
    keras.config.set_dtype_policy(policy)
    try:
        mixed = wrapped()
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(exact.get_weights())
    copy = in_float32(image_classifier(mixed))
    assert {layer.compute_dtype for layer in copy._flatten_layers()} == {"float32"}
    np.testing.assert_allclose(copy(PIXELS), exact(PIXELS), rtol=1e-5, atol=1e-6)
    assert in_float32(exact) is exact


@pytest.mark.parametrize("name", ["caffe", "sequential", "nested top"])
def test_feature_maps_alone_are_in_bfloat16(name):
    """Each layer between preprocessing and pooling, nested ones too; numbers agree to 8 bits."""
    exact = inference_network(image_classifier(MODELS[name]()))
    found = in_bfloat16(exact)
    for layer in found.network._flatten_layers():
        if isinstance(layer, layers.Conv2D | layers.Add):
            assert (layer.compute_dtype, layer.variable_dtype) == ("bfloat16", "bfloat16")
        elif isinstance(layer, layers.Dense | layers.Rescaling | layers.GlobalAveragePooling2D):
            assert (layer.compute_dtype, layer.variable_dtype) == ("float32", "float32")
    outputs, expected = found.network(PIXELS), exact.network(PIXELS)
    assert outputs["probabilities"].dtype == outputs["features"].dtype == "float32"
    error = np.linalg.norm(outputs["features"] - expected["features"])
    assert 0 < error < 2**-6 * np.linalg.norm(expected["features"])
    np.testing.assert_array_equal(found.dense.kernel, exact.dense.kernel)


@pytest.mark.parametrize("name", ["augmentation", "caffe", "normalization"])
def test_onnx_takes_what_the_fine_tuning_guide_builds(name, tmp_path):
    try:
        other_runtimes.require(["onnx"])
    except ValueError as error:
        pytest.skip(str(error))
    original = MODELS[name]()
    network = inference_network(image_classifier(original)).network
    probabilities = keras.Model(network.input, network.output["probabilities"])
    other_runtimes.export(probabilities, "onnx", tmp_path / "model.onnx")
    found = other_runtimes.load("onnx", tmp_path / "model.onnx")(PIXELS)
    np.testing.assert_allclose(found, original(PIXELS, training=False), rtol=1e-4, atol=1e-5)

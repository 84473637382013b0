"""Folded batch norm computes the same function; what cannot be folded says why."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import keras_resnet
from keras_resnet import architectures
from keras_resnet.architectures import ARCHITECTURES

IMAGE = {"imagenet": (64, 64, 3), "cifar": (32, 32, 3)}


def with_random_statistics(model, seed=0):
    """Draws every scale, mean and variance, since a 1 or 0 would hide a mistake."""
    rng = np.random.default_rng(seed)
    for layer in flat(model):
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.moving_mean.shape
            if layer.gamma is not None:
                layer.gamma.assign(rng.uniform(0.3, 1.0, shape))
            if layer.beta is not None:
                layer.beta.assign(rng.normal(0, 0.2, shape))
            layer.moving_mean.assign(rng.normal(0, 0.5, shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2.0, shape))
    return model


def flat(model):
    for layer in model.layers:
        yield from flat(layer) if isinstance(layer, keras.Model) else (layer,)


def images(model, n=2, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (n, *model.input_shape[1:])).astype("f4")


def assert_same_function(model, folded, tolerance=1e-5):
    x = images(model)
    expected, found = (np.asarray(m(x, training=False)) for m in (model, folded))
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in flat(folded))
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance)


FEW = ("resnet18", "resnet50", "resnet20", "plain20")


@pytest.mark.parametrize("name", FEW)
def test_nets_of_the_table(name):
    model = keras_resnet.ResNet(
        ARCHITECTURES[name], weights=None, input_shape=IMAGE[ARCHITECTURES[name].stem]
    )
    with_random_statistics(model)
    before = [np.array(w) for w in model.get_weights()]
    assert_same_function(model, keras_resnet.fold_batch_norm(model))
    np.testing.assert_equal(before, model.get_weights())  # the given model is unchanged


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in FEW])
def test_the_other_nets_of_the_table(name):
    if name == "resnet1202":
        name = "resnet206"  # a chain of nested models too, and minutes faster
    architecture = architectures.get(name)
    model = keras_resnet.ResNet(architecture, weights=None, input_shape=IMAGE[architecture.stem])
    assert_same_function(
        with_random_statistics(model), keras_resnet.fold_batch_norm(model), tolerance=2e-5
    )


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_every_shortcut(shortcut):
    model = keras_resnet.CifarResNet(8, shortcut=shortcut)
    assert_same_function(with_random_statistics(model), keras_resnet.fold_batch_norm(model))


def test_a_chain_of_nested_models(monkeypatch):
    """Nets deeper than DEEPEST_FLAT are built so; with the limit lowered a shallow one is too."""
    from keras_resnet import resnet

    monkeypatch.setattr(resnet, "DEEPEST_FLAT", 10)
    monkeypatch.setattr(resnet, "BLOCKS_PER_SECTION", 1)
    model = with_random_statistics(keras_resnet.CifarResNet(14))
    assert any(isinstance(layer, keras.Model) for layer in model.layers)
    assert_same_function(model, keras_resnet.fold_batch_norm(model))


def test_built_upon_an_input_tensor():
    pixels = keras.Input((32, 32, 3))
    scaled = layers.Normalization(mean=[100.0, 110, 120], variance=[50.0, 60, 70])(pixels)
    model = keras_resnet.ResNet20(weights=None, input_tensor=scaled / 2.0)
    assert_same_function(with_random_statistics(model), keras_resnet.fold_batch_norm(model))


def test_truncated_before_and_after_a_norm():
    whole = with_random_statistics(keras_resnet.ResNet20(weights=None))
    for name in ("conv3_block1_1_conv", "conv3_block1_1_bn", "conv3_block3_out"):
        model = keras.Model(whole.input, whole.get_layer(name).output)
        assert_same_function(model, keras_resnet.fold_batch_norm(model))


def test_a_feature_extractor_with_several_outputs():
    whole = with_random_statistics(keras_resnet.ResNet20(weights=None))
    model = keras.Model(
        whole.input, [whole.get_layer(f"conv{n}_block3_out").output for n in (2, 3, 4)]
    )
    x = images(model)
    for expected, found in zip(
        model(x, training=False), keras_resnet.fold_batch_norm(model)(x), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("style", ["functional", "sequential", "added one by one"])
def test_fine_tuned(style):
    base = keras_resnet.CifarResNet(8, include_top=False, pooling="avg")
    head = [
        layers.Dense(16, use_bias=False),
        layers.BatchNormalization(scale=False),
        layers.Dropout(0.5),
        layers.Dense(5, activation="softmax"),
    ]
    if style == "functional":
        x = keras.Input((32, 32, 3))
        y = base(x)
        for layer in head:
            y = layer(y)
        model = keras.Model(x, y)
    elif style == "sequential":
        model = keras.Sequential([keras.Input((32, 32, 3)), base, *head])
    else:
        model = keras.Sequential([keras.Input((32, 32, 3))])
        for layer in (base, *head):
            model.add(layer)
    assert_same_function(with_random_statistics(model), keras_resnet.fold_batch_norm(model))


def test_folded_nets_keep_names_and_files(tmp_path):
    model = with_random_statistics(keras_resnet.CifarResNet(8))
    folded = keras_resnet.fold_batch_norm(model)
    names = {layer.name for layer in model.layers}
    assert {layer.name for layer in folded.layers} == {n for n in names if not n.endswith("_bn")}
    folded.save(tmp_path / "folded.keras")
    assert_same_function(model, keras.models.load_model(tmp_path / "folded.keras"))
    assert_same_function(model, keras_resnet.fold_batch_norm(folded))  # nothing left to fold


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 2]),
    st.floats(1e-5, 1e-1),
    st.integers(0, 1000),
)
def test_any_convolution(use_bias, scale, center, groups, epsilon, seed):
    x = keras.Input((6, 6, 4))
    conv = layers.Conv2D(8, 3, groups=groups, use_bias=use_bias, bias_initializer="he_normal")
    bn = layers.BatchNormalization(scale=scale, center=center, epsilon=epsilon)
    model = with_random_statistics(keras.Model(x, bn(conv(x))), seed)
    assert_same_function(model, keras_resnet.fold_batch_norm(model))


def convolution(**arguments):
    return layers.Conv2D(4, 1, name="conv", **arguments)


def before_the_norm_comes(kind):
    x = keras.Input((4, 4, 4))
    bn = layers.BatchNormalization(name="bn", axis=1 if kind == "rows" else -1)
    if kind == "nothing":
        return keras.Model(x, bn(x))
    if kind == "pooling":
        return keras.Model(x, bn(layers.MaxPooling2D(name="pool")(x)))
    if kind == "activation":
        return keras.Model(x, bn(convolution(activation="relu")(x)))
    if kind == "shared":
        y = convolution()(x)
        return keras.Model(x, layers.Add()([bn(y), y]))
    if kind == "handed out":
        y = convolution()(x)
        return keras.Model(x, [y, bn(y)])
    if kind == "twice":
        y = convolution()(x)
        return keras.Model(x, bn(bn(y)))
    if kind == "convolution twice":
        conv = convolution()
        return keras.Model(x, bn(conv(conv(x))))
    if kind == "depthwise":
        return keras.Model(x, bn(layers.DepthwiseConv2D(1, name="depthwise")(x)))
    return keras.Model(x, bn(convolution()(x)))  # rows


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nothing", "bn comes first"),
        ("pooling", r"bn follows pool \(MaxPooling2D\), not a convolution"),
        ("activation", "bn follows the activation 'relu' of conv"),
        ("shared", "bn is not the only one to use the output of conv"),
        ("handed out", "bn is not the only one to use the output of conv"),
        ("twice", "bn is called more than once"),
        ("convolution twice", "conv, which is called more than once"),
        ("depthwise", r"bn follows depthwise \(DepthwiseConv2D\)"),
        ("rows", r"bn does not normalise the channels of conv \(axis 1\)"),
    ],
)
def test_what_cannot_be_folded_says_why(kind, reason):
    with pytest.raises(ValueError, match=reason):
        keras_resnet.fold_batch_norm(before_the_norm_comes(kind))


def test_models_without_a_graph_say_so():
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="neither functional nor"):
        keras_resnet.fold_batch_norm(Subclassed())
    inside = layers.TimeDistributed(
        keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()]),
        name="steps",
    )
    x = keras.Input((2, 4))
    with pytest.raises(ValueError, match="steps has a batch norm inside"):
        keras_resnet.fold_batch_norm(keras.Model(x, inside(x)))

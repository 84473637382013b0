"""The values of `weights=`, the files that fit a network, and nets with other ends."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from weight_samples import images, outputs, randomize

import keras_resnet
from keras_resnet import CifarPlain, CifarResNet, ResNet, ResNet18, ResNet50, weights


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "imagnet"}, r"'imagenet-torchvision-v2' \(v1.5\).*'imagnet'"),
        ({"weights": "net.onnx"}, r"\.safetensors.*'net.onnx'"),
        ({"weights": "imagenet", "classes": 10}, "1000 classes; given classes=10"),
        ({"weights": "imagenet", "version": "v1.5"}, "need version='v1'.*given 'v1.5'"),
        ({"weights": "imagenet-torchvision-v2", "version": "v1"}, "need version='v1.5'"),
        ({"weights": "imagenet", "shortcut": "C"}, "no weights 'imagenet'.*none published"),
        ({"weights": "imagenet", "classifier_activation": "sigmoid"}, "softmax.*'sigmoid'"),
    ],
)
def test_what_does_not_fit_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet50(**arguments)


def test_rows_of_other_networks_are_refused():
    with pytest.raises(ValueError, match=r"'imagenet-torchvision-v2'.*'imagenet' \(v1\)"):
        ResNet18(weights="imagenet-torchvision-v2")
    with pytest.raises(ValueError, match="none published"):
        CifarResNet(26, weights="imagenet")
    with pytest.raises(ValueError, match=r"no weights 'imagenet'.*'cifar10' \(v1\)"):
        CifarResNet(20, weights="imagenet")
    wide = replace(keras_resnet.ARCHITECTURES["resnet50"], filters=(128, 256, 512, 1024))
    with pytest.raises(ValueError, match="none published"):
        ResNet(wide, weights="imagenet")
    v1_5 = replace(keras_resnet.ARCHITECTURES["resnet50"], version="v1.5")
    with pytest.raises(ValueError, match="need version='v1'"):
        ResNet(v1_5, weights="imagenet")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        CifarResNet(8, weights=tmp_path / "nowhere.pth")
    pointer = tmp_path / "pointer.h5"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n")
    with pytest.raises(ValueError, match=r"pointer\.h5 is a pointer of Git LFS.*git lfs pull"):
        CifarResNet(8, weights=pointer)


def test_a_wrong_network_is_named(tmp_path):
    path = tmp_path / "deeper.weights.h5"
    CifarResNet(14).save_weights(path)
    with pytest.raises(
        ValueError, match=r"deeper\.weights\.h5 does not fit resnet8.*no place for .conv"
    ):
        CifarResNet(8, weights=path)
    with pytest.raises(ValueError, match=r"deeper\.weights\.h5 does not fit resnet20.*is missing"):
        CifarResNet(20, weights=path)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize(("saved", "built"), [(CifarPlain, CifarResNet), (CifarResNet, CifarPlain)])
def test_a_plain_net_is_not_taken_for_the_residual_net_of_the_same_arrays(
    saved, built, ending, tmp_path
):
    net = saved(8)
    head = keras.layers.Dense(3, name="head")(net(net.input))
    for model in (net, keras.Model(net.input, head)):  # alone, and inside another model
        model.save(tmp_path / f"net.{ending}")
        np.testing.assert_equal(
            saved(8, weights=tmp_path / f"net.{ending}").get_weights(), net.get_weights()
        )
        with pytest.raises(
            ValueError, match=rf"net\.{ending} holds a .* net; (plain|resnet)8 is a"
        ):
            built(8, weights=tmp_path / f"net.{ending}")


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths_are_of_any_kind_and_may_begin_at_home(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    written = randomize(CifarResNet(8))
    written.save_weights(tmp_path / "net.weights.h5")
    for path in (kind(tmp_path / "net.weights.h5"), kind(Path("~/net.weights.h5"))):
        assert len(weights.read(path)) == len(written.weights)
        loaded = CifarResNet(8)
        weights.load(loaded, path, keras_resnet.cifar_architecture(8))
        for net in (loaded, CifarResNet(8, weights=path)):
            np.testing.assert_equal(net.get_weights(), written.get_weights())
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        CifarResNet(8, weights=kind(Path("~/other.h5")))


# ---- transfer


@pytest.fixture
def rgb(tmp_path) -> tuple[keras.Model, Path]:
    model = randomize(CifarResNet(8))
    model.save_weights(tmp_path / "rgb.weights.h5")
    return model, tmp_path / "rgb.weights.h5"


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_features_are_those_of_the_full_net(rgb, pooling):
    model, path = rgb
    features = CifarResNet(8, weights=path, include_top=False, pooling=pooling)
    maps = keras.Model(model.input, model.get_layer("conv4_block1_out").output)
    x = images((2, 32, 32, 3))
    expected = outputs(maps, x)  # (2, 8, 8, 64)
    if pooling:
        expected = {"avg": np.mean, "max": np.max}[pooling](expected, axis=(1, 2))
    np.testing.assert_allclose(outputs(features, x), expected, rtol=1e-5, atol=1e-6)


def test_another_number_of_classes_skips_the_top_and_says_so(rgb, caplog):
    model, path = rgb
    with caplog.at_level(logging.WARNING, "keras_resnet"):
        other = CifarResNet(8, weights=path, classes=7)
    assert "top of" in caplog.text
    assert "10 classes and the model 7" in caplog.text
    assert not other.get_layer("predictions").bias.numpy().any()  # as initialised
    x = images((2, 32, 32, 3))
    pooled = [keras.Model(m.input, m.get_layer("avg_pool").output) for m in (model, other)]
    np.testing.assert_array_equal(outputs(pooled[1], x), outputs(pooled[0], x))


def test_the_number_of_classes_is_the_nets_where_a_model_ends_otherwise(rgb, caplog):
    model, path = rgb
    inner = CifarResNet(8, classes=7)
    model = keras.Model(inner.input, keras.layers.Dense(3, name="mine")(inner.output))
    weights.load(model, path, keras_resnet.cifar_architecture(8))
    assert "10 classes and the model 7" in caplog.text


def test_a_file_without_a_top_says_what_to_do(tmp_path):
    CifarResNet(8, include_top=False).save_weights(tmp_path / "notop.weights.h5")
    with pytest.raises(ValueError, match=r"predictions.*include_top=False"):
        CifarResNet(8, weights=tmp_path / "notop.weights.h5")


def test_grey_input_gives_what_three_equal_channels_give(rgb):
    model, path = rgb
    grey = CifarResNet(8, weights=path, input_shape=(32, 32, 1))
    x = images((2, 32, 32, 1))
    np.testing.assert_allclose(
        outputs(grey, x), outputs(model, np.repeat(x, 3, axis=-1)), rtol=1e-4, atol=1e-6
    )


def test_alpha_has_no_influence_before_training(rgb):
    model, path = rgb
    rgba = CifarResNet(8, weights=path, input_shape=(32, 32, 4))
    x = images((2, 32, 32, 4))
    np.testing.assert_allclose(outputs(rgba, x), outputs(model, x[..., :3]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("channels", [2, 5, 13])
def test_other_numbers_of_equal_channels_give_what_three_give(rgb, channels):
    model, path = rgb
    other = CifarResNet(8, weights=path, input_shape=(32, 32, channels))
    x = images((2, 32, 32, 1))
    np.testing.assert_allclose(
        outputs(other, np.repeat(x, channels, axis=-1)),
        outputs(model, np.repeat(x, 3, axis=-1)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_users_own_layers_in_front_are_left_alone(rgb):
    model, path = rgb
    pixels = keras.Input((32, 32, 3))
    normalized = keras.layers.Normalization(mean=0.5, variance=4.0)(pixels)
    behind = CifarResNet(8, weights=path, input_tensor=normalized)
    x = images((2, 32, 32, 3))
    np.testing.assert_allclose(
        outputs(behind, x), outputs(model, (x - 0.5) / 2), rtol=1e-4, atol=1e-6
    )

"""A net loads from the file of a user's model around it; the user's own layers are left out."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from weight_samples import randomize

import keras_resnet
from keras_resnet import CifarResNet, ResNet, weights
from keras_resnet.weights import porting
from keras_resnet.weights.transfer import arrays_of

TINY = keras_resnet.Architecture("tiny", "imagenet", "bottleneck", (1, 1), (8, 16), "B")
SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def body() -> keras.Model:
    return randomize(CifarResNet(8, include_top=False, input_shape=SHAPE))


def own_head(body: keras.Model) -> keras.Model:
    x = layers.Dense(7, name="hidden")(layers.GlobalAveragePooling2D()(body.output))
    return keras.Model(body.input, layers.Dense(5, name="head")(layers.LayerNormalization()(x)))


def nested(body: keras.Model) -> keras.Model:
    pixels = keras.Input(SHAPE)
    augmentation = keras.Sequential([layers.RandomFlip(), layers.Normalization(mean=1, variance=4)])
    x = body(augmentation(pixels), training=False)
    model = keras.Model(pixels, layers.Dense(5, name="head")(layers.Flatten()(x)))
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model


def sequential(body: keras.Model) -> keras.Model:
    before = layers.Conv2D(3, 1, name="conv2d")
    after = [layers.GlobalAveragePooling2D(), layers.Dropout(0.5), layers.Dense(5, name="head")]
    return keras.Sequential([keras.Input(SHAPE), before, body, *after])


class Subclassed(keras.Model):
    def __init__(self, body: keras.Model) -> None:
        super().__init__()
        self.body = body
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(5, name="head")

    def call(self, images):
        return self.head(self.pool(self.body(images)))


def subclassed(body: keras.Model) -> keras.Model:
    model = Subclassed(body)
    model(np.zeros((1, *SHAPE)))
    return model


@pytest.mark.parametrize(
    ("build", "ending"),
    [
        *itertools.product((own_head, nested, sequential), ("keras", "weights.h5", "h5")),
        (subclassed, "weights.h5"),
    ],
)
def test_the_nets_layers_load_and_the_others_are_said(body, build, ending, tmp_path, caplog):
    path = tmp_path / f"tuned.{ending}"
    model = build(body)
    (model.save_weights if ending == "weights.h5" else model.save)(path)
    found = weights.read(str(path))
    for key, array in arrays_of(body).items():
        np.testing.assert_array_equal(found[key], array)
    with caplog.at_level(logging.WARNING, "keras_resnet"):
        weights.load(
            CifarResNet(8, include_top=False), str(path), keras_resnet.cifar_architecture(8)
        )
    assert "tuned" in caplog.text
    assert "left out" in caplog.text
    assert "'head'" in caplog.text
    assert "damaged" not in caplog.text


def test_a_top_that_is_not_the_networks_is_not_taken_for_it(body, tmp_path):
    own_head(body).save(tmp_path / "tuned.keras")
    with pytest.raises(ValueError, match=r"'predictions/kernel' is missing.*'head'.*include_top=F"):
        CifarResNet(8, weights=tmp_path / "tuned.keras")
    layers_alone = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="mine")])
    layers_alone.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match=r"does not fit resnet8: no layer in it is .* has 'mine'"):
        CifarResNet(8, weights=tmp_path / "other.weights.h5")


def test_a_file_of_several_networks_is_refused(body, tmp_path):
    left, right = keras.Input(SHAPE), keras.Input(SHAPE)
    other = CifarResNet(8, include_top=False, input_shape=SHAPE, name="other")
    keras.Model([left, right], [body(left), other(right)]).save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match="cannot be loaded: it holds several networks"):
        weights.read(str(tmp_path / "two.keras"))


def test_a_model_of_several_networks_or_of_none_is_refused(body, tmp_path):
    pixels = keras.Input(SHAPE)
    other = CifarResNet(8, include_top=False, input_shape=SHAPE, name="other")
    two = keras.Model(pixels, [body(pixels), other(pixels)])
    before = two.get_weights()
    none = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    for model, said in (
        (two, "several networks.*'conv1_conv'.*one of them"),
        (none, "no layers of"),
    ):
        for refused in (
            lambda model=model: keras_resnet.copy_weights(model, body),
            lambda model=model: keras_resnet.copy_weights(body, model),
            lambda model=model: porting.save_safetensors(model, tmp_path / "net.safetensors"),
        ):
            with pytest.raises(ValueError, match=said):
                refused()
    np.testing.assert_equal(two.get_weights(), before)
    assert not list(tmp_path.iterdir())
    twice = keras.Model(pixels, [body(pixels), body(pixels[:, ::-1])])  # one network, called twice
    keras_resnet.copy_weights(twice, other)
    np.testing.assert_equal(other.get_weights(), body.get_weights())


def test_what_an_export_leaves_out_is_said(body, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = own_head(body)
    porting.save_safetensors(model, "~/net.safetensors")
    assert "left out 'hidden'" in caplog.text
    assert "'head'" in caplog.text
    found = weights.read("~/net.safetensors")
    np.testing.assert_equal(found, arrays_of(body))
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.*net\.safetensors"):
        porting.save_safetensors(model, tmp_path / "nowhere" / "net.safetensors")


def write_folded(path: Path) -> None:
    keras_resnet.fold_batch_norm(CifarResNet(8)).save_weights(path)


def write_scanned(path: Path) -> None:
    CifarResNet(14, scan=True).save_weights(path)


def write_without_scale(path: Path) -> None:
    images = keras.Input(SHAPE)
    norm = layers.BatchNormalization(scale=False, name="conv1_bn")
    keras.Model(images, norm(images)).save_weights(path)


def write_preactivated(path: Path) -> None:
    images = keras.Input(SHAPE)
    norm = layers.BatchNormalization(name="conv2_block1_preact_bn")
    keras.Model(images, norm(images)).save_weights(path)


def write_without_names(path: Path) -> None:
    """Writes weights as Keras did before it kept the layers' names."""
    CifarResNet(8).save_weights(path)
    with h5py.File(path, "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_folded, "'conv1_conv/bias' has no batch norm behind it"),
        (write_scanned, "'conv2_blocks2to2' holds the stacked weights.*copy_weights"),
        (write_without_scale, "'conv1_bn' has 3 arrays; that of a ResNet has"),
        (write_preactivated, "'conv2_block1_preact_bn' has no place in a ResNet"),
        (write_without_names, "layers have no names; load it with Keras >= 3.15 and save it again"),
    ],
)
def test_relatives_are_refused_for_the_true_reason(
    write: Callable[[Path], None], message: str, tmp_path
):
    path = tmp_path / "net.weights.h5"
    write(path)
    with pytest.raises(ValueError, match=message) as caught:
        weights.read(str(path))
    assert "net.weights.h5 cannot be loaded: " in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_names_in_several_attributes_are_read(tmp_path):
    """HDF5 bounds an attribute to 64 KB, so that Keras divides the names of very deep nets."""
    model = randomize(CifarResNet(8))
    path = tmp_path / "net.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names = group.attrs["layer_names"]
        del group.attrs["layer_names"]
        for number, part in enumerate(np.array_split(names, 3)):
            group.attrs[f"layer_names{number}"] = part
    found = weights.read(str(path))
    for key, array in arrays_of(model).items():
        np.testing.assert_array_equal(found[key], array)


def test_groups_that_are_linked_in_a_web_do_not_take_for_ever(tmp_path):
    path = tmp_path / "net.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        for _ in range(60):  # 2 ** 60 ways through them
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
    with pytest.raises(ValueError, match="linked twice"):
        weights.read(str(path))


@pytest.mark.parametrize("version", ["v1", "v1.5"])
@pytest.mark.parametrize("nest", [False, True])
def test_a_tuned_models_file_keeps_the_version(version, nest, tmp_path):
    """A `.h5` of a whole model has its configuration, as a `.keras` file has."""
    body = ResNet(TINY, include_top=False, version=version, input_shape=(64, 64, 3))
    images = keras.Input((64, 64, 3))
    x = body(images) if nest else body.output
    top = layers.Dense(5)(layers.GlobalAveragePooling2D()(x))
    keras.Model(images if nest else body.input, top).save(tmp_path / "tuned.h5")
    again = ResNet(TINY, include_top=False, weights=tmp_path / "tuned.h5")
    assert porting.version(again) == version

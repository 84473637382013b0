"""Files give the same network back, even a very deep one, even without this package."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import Architecture, analysis, blocks, resnet

# Keras's .keras reader alone; the package is not even on the path.
READER = """
import sys
import keras
import numpy as np

model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict_on_batch(np.load(sys.argv[2])))
assert not any(name.startswith("keras_resnet") for name in sys.modules)
"""


def tiny(block: str, shortcut: str | None, count: int = 1, **fields) -> Architecture:
    filters = {"basic": (4, 6, 9), "bottleneck": (2, 3, 5)}[block]
    return Architecture("tiny", "cifar", block, (count,) * 3, filters, shortcut, **fields)


def build(architecture: Architecture, **arguments) -> keras.Model:
    """A network whose every weight is random, moving statistics too."""
    options = {"weights": None, "input_shape": (8, 8, 3), **arguments}
    model = keras_resnet.ResNet(architecture, **options)
    random = np.random.default_rng(0)
    for weight in model.weights:
        low, high = (0.5, 1) if weight.path.endswith("moving_variance") else (-0.5, 0.5)
        weight.assign(random.uniform(low, high, size=weight.shape))
    return model


def images(number: int = 2) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(number, 8, 8, 3)).astype("float32")


def assert_equal(actual, expected) -> None:
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (actual, expected)))


def assert_same(loaded: keras.Model, model: keras.Model) -> None:
    assert [w.path for w in loaded.weights] == [w.path for w in model.weights]
    np.testing.assert_equal(loaded.get_weights(), model.get_weights())
    x = images()
    outputs = model(x, training=False)
    assert np.isfinite(keras.ops.convert_to_numpy(outputs)).all()
    assert_equal(loaded(x, training=False), outputs)


NETS = [
    *(("basic", shortcut, True) for shortcut in ("A", "B", "C", None)),
    *(("bottleneck", shortcut, False) for shortcut in ("A", "B", "C", None)),
]


@pytest.mark.parametrize(("block", "shortcut", "top"), NETS)
def test_keras_files_round_trip(tmp_path, block, shortcut, top):
    model = build(tiny(block, shortcut, stem_filters=4), include_top=top, pooling="avg")
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    assert loaded.name == model.name
    assert_same(loaded, model)


@pytest.mark.parametrize(("block", "shortcut", "top"), NETS)
def test_h5_files_round_trip(tmp_path, block, shortcut, top):
    """As `keras.callbacks.ModelCheckpoint("best.h5")` writes them."""
    model = build(tiny(block, shortcut, stem_filters=4), include_top=top)
    model.save(tmp_path / "net.h5")
    assert_same(keras.models.load_model(tmp_path / "net.h5"), model)


def pad_by_operation(x, channels: int, name: str):
    """Option A's padding in the files of version 0.1.0 and before."""
    return keras.ops.pad(x, [[0, 0]] * 3 + [[channels // 2, channels - channels // 2]])


def test_files_whose_option_a_is_an_operation_still_open(tmp_path, monkeypatch):
    architecture = tiny("basic", "A", stem_filters=3)  # channels grow by odd numbers
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "zero_pad_channels", pad_by_operation)
        older = build(architecture)
    assert "Pad" in {type(operation).__name__ for operation in older.operations}
    files = [tmp_path / name for name in ("net.keras", "net.weights.h5", "net.h5")]
    older.save(files[0])
    older.save_weights(files[1])
    older.save(files[2])
    assert_same(keras.models.load_model(files[0]), older)
    for file in files:
        fresh = keras_resnet.ResNet(architecture, weights=file, input_shape=(8, 8, 3))
        assert "Pad" not in {type(operation).__name__ for operation in fresh.operations}
        assert_same(fresh, older)


@pytest.mark.parametrize(("block", "shortcut", "top"), NETS)
def test_weights_files_round_trip(tmp_path, block, shortcut, top):
    architecture = tiny(block, shortcut, stem_filters=4)
    model = build(architecture, include_top=top)
    model.save_weights(tmp_path / "net.weights.h5")
    fresh = keras_resnet.ResNet(architecture, weights=None, include_top=top, input_shape=(8, 8, 3))
    fresh.load_weights(tmp_path / "net.weights.h5")
    assert_same(fresh, model)


@pytest.mark.slow
def test_a_keras_file_opens_without_this_package(tmp_path):
    model = build(tiny("bottleneck", "A", stem_filters=4), classes=7)
    model.save(tmp_path / "net.keras")
    np.save(tmp_path / "x.npy", images())
    arguments = [tmp_path / name for name in ("net.keras", "x.npy", "y.npy")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-c", READER, *arguments], check=True, cwd=tmp_path, env=environment
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), model.predict_on_batch(images()), rtol=1e-6
    )


def test_a_net_of_nested_sections_round_trips(tmp_path, monkeypatch):
    """Stages are chains of nested models, as in nets deeper than Keras can walk in one piece."""
    monkeypatch.setattr(resnet, "DEEPEST_FLAT", 10)
    monkeypatch.setattr(resnet, "BLOCKS_PER_SECTION", 2)
    model = build(tiny("basic", "A", count=3, stem_filters=3))
    assert len([layer for layer in model.layers if isinstance(layer, keras.Model)]) == 3 * 2
    assert len([layer for layer in analysis.walk(model) if "_add" in layer.name]) == 3 * 3
    model.save(tmp_path / "net.keras")
    assert_same(keras.models.load_model(tmp_path / "net.keras"), model)


@pytest.mark.nightly
def test_resnet1202_round_trips_at_the_default_recursion_limit(tmp_path):
    assert sys.getrecursionlimit() == 1000
    model = keras_resnet.ResNet1202(weights=None)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_equal(loaded.get_weights(), model.get_weights())

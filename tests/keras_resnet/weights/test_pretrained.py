"""The weights that come with the package: files, mean, classes, and the error they claim."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import decode_predictions, preprocess_input, weights
from keras_resnet.files import PRETRAINED
from keras_resnet.preprocessing import CONVENTIONS

# The order of the labels 0..9 in the data set's own batches.meta.
CLASSES = ["airplane", "automobile", "bird", "cat", "deer"]
CLASSES += ["dog", "frog", "horse", "ship", "truck"]
SHIPPED = [published for published in weights.list_published() if published.origin.url is None]
SHALLOW = [published for published in SHIPPED if published.network.endswith("20")]


def test_every_packaged_file_is_one_of_the_table_and_small():
    files = {path.name for path in PRETRAINED.glob("*.weights.h5")}
    assert files == {published.file for published in SHIPPED} != set()
    assert all(path.stat().st_size < 8_000_000 for path in PRETRAINED.iterdir())


@pytest.mark.parametrize("published", SHIPPED, ids=lambda published: published.network)
def test_the_facts_beside_a_file_are_the_published_ones(published):
    file = PRETRAINED / published.file
    facts = json.loads((PRETRAINED / published.file.replace(".weights.h5", ".json")).read_text())
    assert facts["sha256"] == published.hash == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (round(facts["top1_error"], 2), round(facts["top5_error"], 2)) == (
        published.top1,
        published.top5,
    )
    assert facts["test_examples"] == 10_000
    assert facts["train_examples"] == 50_000
    assert facts["network"] == published.network
    for key in ("recipe", "command", "hardware", "finished"):
        assert facts[key]


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda published: published.network)
def loaded(request):
    """A row of the table and its network, whose weights were loaded without a cache of Keras."""
    published = request.param
    architecture = keras_resnet.ARCHITECTURES[published.network]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", "/nowhere")
        return published, keras_resnet.ResNet(architecture, weights=published.name)


def test_the_weights_load_by_name_without_the_network(loaded, monkeypatch):
    published, full = loaded
    monkeypatch.setenv("KERAS_HOME", "/nowhere")
    architecture = keras_resnet.ARCHITECTURES[published.network]
    features = keras_resnet.ResNet(architecture, weights=published.name, include_top=False)
    kernel = full.get_layer("conv1_conv").kernel
    np.testing.assert_array_equal(kernel, features.get_layer("conv1_conv").kernel)
    assert full.output_shape == (None, 10)


def test_a_damaged_packaged_file_is_refused(tmp_path, monkeypatch):
    published = SHIPPED[0]
    content = bytearray((PRETRAINED / published.file).read_bytes())
    content[-1] ^= 1
    (tmp_path / published.file).write_bytes(content)
    monkeypatch.setattr(keras_resnet.weights.published, "PRETRAINED", tmp_path)
    with pytest.raises(OSError, match="missing or damaged: install"):
        weights.fetch(published)
    with pytest.raises(OSError, match="missing or damaged"):
        weights.fetch(replace(published, file="other.weights.h5"))


# ---- the mean per pixel


def test_the_mean_is_subtracted_pixel_by_pixel_in_both_data_formats():
    mean = np.load(PRETRAINED / "cifar10_mean.npy")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    expected = np.empty(pixels.shape, "float32")
    for place in np.ndindex(32, 32, 3):
        expected[(slice(None), *place)] = pixels[(slice(None), *place)] - mean[place]
    before = pixels.copy()
    for data_format, axes in (("channels_last", (0, 1, 2, 3)), ("channels_first", (0, 3, 1, 2))):
        x = np.transpose(pixels, axes)
        for given in (x, keras.ops.convert_to_tensor(x)):
            found = keras.ops.convert_to_numpy(preprocess_input(given, "cifar10", data_format))
            np.testing.assert_array_equal(found, np.transpose(expected, axes))
        one = preprocess_input(x[0], "cifar10", data_format)
        np.testing.assert_array_equal(one, np.transpose(expected, axes)[0])
    np.testing.assert_array_equal(pixels, before)


def test_images_of_another_size_have_no_mean():
    with pytest.raises(ValueError, match="32x32 images; given 224x32"):
        preprocess_input(np.zeros((1, 224, 32, 3)), "cifar10")
    with pytest.raises(ValueError, match="given 31x32"):
        preprocess_input(np.zeros((3, 31, 32)), "cifar10", "channels_first")


def test_the_mean_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        CONVENTIONS["cifar10"].means[0, 0, 0] = 1.0


def test_decoding_names_the_ten_classes():
    scores = np.full((1, 10), 0.01)
    scores[0, [3, 5]] = 0.5, 0.4
    assert decode_predictions(scores, top=2, data_set="cifar10") == [
        [("3", CLASSES[3], 0.5), ("5", CLASSES[5], 0.4)]
    ]
    with pytest.raises(ValueError, match=r"\(N, 10\)"):
        decode_predictions(np.zeros((1, 1000)), data_set="cifar10")
    with pytest.raises(ValueError, match="'cifar10'"):
        decode_predictions(scores, data_set="mnist")


# ---- on the data themselves


@pytest.fixture(scope="module")
def cifar10(shared_data: Path):
    datasets = pytest.importorskip("training.data.datasets")
    return datasets.load("cifar10", str(shared_data / "tensorflow_datasets"))


@pytest.mark.slow
def test_the_mean_is_that_of_the_training_images(cifar10):
    total = np.zeros((32, 32, 3), np.int64)
    for image in cifar10.train.images:
        total += image
    np.testing.assert_array_equal(
        np.load(PRETRAINED / "cifar10_mean.npy"), (total / 50_000).astype("float32")
    )
    assert list(cifar10.class_names) == CLASSES


@pytest.mark.slow
@pytest.mark.parametrize("loaded", SHALLOW, indirect=True, ids=lambda published: published.network)
def test_the_error_is_the_published_one(loaded, cifar10):
    """The first 400 test images give it within three standard errors.

    A nightly test measures every network over all test images.
    """
    published, model = loaded
    images, labels = cifar10.test.images[:400], cifar10.test.labels[:400]
    scores = np.asarray(model(preprocess_input(images, published.preprocessing)))  # not traced
    error = 100 * np.mean(scores.argmax(axis=1) != labels)
    assert abs(error - published.top1) < 3 * (published.top1 * (100 - published.top1) / 400) ** 0.5
    best = decode_predictions(scores[:20], top=1, data_set="cifar10")
    right = [name == CLASSES[label] for [(_, name, _)], label in zip(best, labels, strict=False)]
    assert sum(right) >= 15


@pytest.mark.nightly
def test_the_error_is_exactly_the_published_one_over_all_test_images(loaded, cifar10):
    published, model = loaded
    scores = model.predict(
        preprocess_input(cifar10.test.images, published.preprocessing), verbose=0
    )
    error = 100 * np.mean(scores.argmax(axis=1) != cifar10.test.labels)
    assert error == pytest.approx(published.top1, abs=0.011)

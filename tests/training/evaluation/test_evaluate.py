"""The protocols against a slow, obvious version in NumPy, on real photographs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_resnet
from keras_resnet import resnet
from keras_resnet.fully_convolutional import fully_convolutional
from training.data import datasets
from training.data.decoding import image_decoding
from training.data.splits import Dataset, FileSplit
from training.evaluation import test_crops
from training.evaluation.evaluate import PROTOCOLS, evaluate, probabilities

SIZE = 32  # of the small nets' images; the protocols' numbers are for 224
# Its last map has one position for 8 pixels.
TINY = keras_resnet.Architecture("tiny", "imagenet", "basic", (1, 1), (4, 6), "B", stem_filters=4)
CLASSES = 7
MEAN = np.random.default_rng(5).uniform(80, 160, (SIZE, SIZE, 3)).astype(np.float32)
# Sections 3.4 of the paper; the corners: Krizhevsky et al. 2012.
SHORTER_SIDES = {"center": (256,), "ten_crop": (256,), "multi_scale": (224, 256, 384, 480, 640)}


# The slow version


def interpolation(start: float, count: int, scale: float, extent: int) -> np.ndarray:
    """The bilinear weights (count, extent) of the old pixels in each new one from `start` on.

    The triangle is as wide as an old pixel's distance, or a new one's when that is larger.
    """
    rows = np.zeros((count, extent))
    for i in range(count):
        centre = (start + i + 0.5) / scale
        for j in range(extent):
            rows[i, j] = max(0.0, 1 - abs(j + 0.5 - centre) * min(1.0, scale))
    return rows / rows.sum(axis=1, keepdims=True)


def slow_crop(image: np.ndarray, side: float, top: float, left: float) -> np.ndarray:
    height, width, _ = image.shape
    scale = side / min(height, width)
    rows = interpolation(top, SIZE, scale, height)
    columns = interpolation(left, SIZE, scale, width)
    return np.einsum("ih,jw,hwc->ijc", rows, columns, image, optimize=True)


def slow_views(path: Path, protocol: str) -> list[np.ndarray]:
    """Every view of a photograph, scale by scale."""
    image = np.asarray(Image.open(path).convert("RGB"), np.float64)
    height, width, _ = image.shape
    found = []
    for side in SHORTER_SIDES[protocol]:
        side = side * SIZE / 224
        if protocol == "multi_scale":
            scale = round(side) / min(height, width)
            new_height, new_width = round(height * scale), round(width * scale)
            rows = interpolation(0, new_height, new_height / height, height)
            columns = interpolation(0, new_width, new_width / width, width)
            scaled = np.einsum("ih,jw,hwc->ijc", rows, columns, image, optimize=True)
            assert min(scaled.shape[:2]) == round(side)
            found += [scaled, scaled[:, ::-1]]
            continue
        scale = side / min(height, width)
        bottom, right = height * scale - SIZE, width * scale - SIZE
        places = [(bottom / 2, right / 2)]
        if protocol == "ten_crop":
            places = [(0, 0), (0, right), (bottom, 0), (bottom, right), *places]
        crops = [slow_crop(image, side, *place) for place in places]
        found += crops
        if protocol == "ten_crop":
            found += [crop[:, ::-1] for crop in crops]
    return found


def net(seed: int) -> keras.Model:
    """A net on raw pixels whose probabilities are neither alike nor certain."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((SIZE, SIZE, 3))
    centred = keras.layers.Normalization(
        axis=(1, 2, 3), mean=MEAN, variance=np.ones_like(MEAN), name="mean_subtraction"
    )(pixels)
    model = keras_resnet.ResNet(TINY, input_tensor=centred, classes=CLASSES)
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([kernel * 0.003, bias + 0.1 * np.arange(CLASSES)])
    return model


@functools.cache
def features_of(model: keras.Model, shape: tuple[int, int, int]) -> keras.Model:
    """The net without mean and classifier, built for images of another size."""
    body = keras_resnet.ResNet(TINY, include_top=False, input_shape=shape)
    for layer in body.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights() if layer.weights else [])
    return body


def slow_scores(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """The mean of the net's scores at every position of an image of any size: (classes,)."""
    mean = MEAN if image.shape == MEAN.shape else MEAN.mean(axis=(0, 1))
    body = features_of(model, image.shape)
    (features,) = body.predict_on_batch((image - mean)[np.newaxis].astype(np.float32))
    kernel, bias = model.get_layer("predictions").get_weights()
    window = SIZE // TINY.total_stride
    found = []
    for top in range(features.shape[0] - window + 1):
        for left in range(features.shape[1] - window + 1):
            seen = features[top : top + window, left : left + window].mean(axis=(0, 1))
            scores = np.exp(seen @ kernel + bias)
            found.append(scores / scores.sum())
    return np.mean(found, axis=0)


# Photographs


@pytest.fixture(scope="module")
def chosen(photographs: list[Path]) -> list[Path]:
    """Five photographs, wide and high ones among them."""
    shapes = {path: Image.open(path).size for path in photographs[:60]}
    wide = [path for path, (width, height) in shapes.items() if width > height][:3]
    high = [path for path, (width, height) in shapes.items() if width < height][:2]
    assert len(wide) == 3
    assert len(high) == 2
    return wide + high


def data_set(paths: Sequence[Path], classes: int = CLASSES) -> Dataset:
    labels = np.arange(len(paths), dtype=np.int32) % classes
    split = FileSplit(np.array([str(path) for path in paths], object), labels)
    return Dataset("folder", tuple(map(str, range(classes))), None, split, None, split)


@pytest.mark.parametrize("name", SHORTER_SIDES)
def test_views_are_those_of_the_slow_version(name: str, chosen: list[Path]) -> None:
    for path in (chosen[0], chosen[-1]):
        image = image_decoding.decode(tf.io.read_file(str(path)))
        assert image.dtype == tf.uint8
        found = [one for scale in test_crops.views(image, PROTOCOLS[name], SIZE) for one in scale]
        expected = slow_views(path, name)
        assert len(found) == len(expected) == {"center": 1, "ten_crop": 10, "multi_scale": 10}[name]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1.0)  # of 255: decoders round
            assert np.abs(one - other).mean() < 0.1


@pytest.mark.parametrize("name", SHORTER_SIDES)
def test_scores_are_those_of_the_slow_version(name: str, chosen: list[Path]) -> None:
    models = [net(0), net(1)] if name == "ten_crop" else [net(0)]
    dataset = data_set(chosen)
    batches = list(probabilities(models, dataset, name, batch_size=20))
    sizes = [len(labels) for _, labels in batches]
    assert sizes == {"center": [5], "ten_crop": [2, 2, 1], "multi_scale": [1] * 5}[name]
    scores, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    np.testing.assert_array_equal(labels, dataset.test.labels)
    # A net for every size of view is slow to build: one high photograph, elsewhere a wide one too.
    for place in (4,) if name == "multi_scale" else (0, 4):
        seen = slow_views(chosen[place], name)
        expected = np.mean([[slow_scores(m, view) for view in seen] for m in models], axis=(0, 1))
        np.testing.assert_allclose(scores[place], expected, atol=2e-3)
    assert np.ptp(scores, axis=1).min() > 0.05  # they tell the classes apart
    assert np.ptp(scores, axis=0).max() > 0.02  # and the photographs


def test_records_are_all_seen(tiny_imagenet: tuple[Path, list[Path]]) -> None:
    dataset = datasets.load("imagenet2012", str(tiny_imagenet[0]))
    model = keras_resnet.ResNet(TINY, input_shape=(SIZE, SIZE, 3), classes=1000)
    found = evaluate([model], dataset, "center", batch_size=4)
    assert found.examples == dataset.test.examples == 6
    assert found.confusion.shape == (1000, 1000)
    assert np.isnan(found.class_errors).sum() == 1000 - len({*np.nonzero(found.confusion)[0]})


def test_a_damaged_photograph_is_named(chosen: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    dataset = data_set([*chosen[:1], tmp_path / "bad.jpg"])
    with pytest.raises(OSError, match=r"bad\.jpg is not JPEG"):
        evaluate([net(0)], dataset, "ten_crop")


# The fully convolutional form


@pytest.mark.parametrize("nested", [False, True])
def test_the_fully_convolutional_net_is_the_net_at_each_position(
    nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if nested:
        monkeypatch.setattr(resnet, "DEEPEST_FLAT", 2)
        monkeypatch.setattr(resnet, "BLOCKS_PER_SECTION", 1)
    keras.utils.set_random_seed(0)
    model = keras_resnet.CifarResNet(8, weights=None, input_shape=(16, 16, 3), classes=4)
    assert any(isinstance(layer, keras.Model) for layer in model.layers) == nested
    weights = [weight.copy() for weight in model.get_weights()]
    everywhere = fully_convolutional(model)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    at_once = everywhere.predict_on_batch(images)
    assert at_once.shape == (2, 1, 1, 4)
    np.testing.assert_allclose(at_once[:, 0, 0], model.predict_on_batch(images), atol=1e-6)
    # Far from the borders, moving the image by the total stride moves the scores by a position.
    large = np.zeros((1, 96, 96, 3), np.float32)
    large[:, 40:56, 40:56] = images[:1]
    moved = np.roll(large, 4, axis=2)
    one, other = everywhere.predict_on_batch(large), everywhere.predict_on_batch(moved)
    np.testing.assert_allclose(one[:, 6:14, 6:13], other[:, 6:14, 7:14], atol=1e-5)
    assert np.abs(one[:, 6:14, 6:13] - other[:, 6:14, 6:13]).max() > 1e-3
    keras_resnet.analysis.multiply_adds(model)  # the model is as it was
    np.testing.assert_equal(weights, model.get_weights())


def test_other_nets_have_no_fully_convolutional_form() -> None:
    pixels = keras.Input((8, 8, 3))
    flat = keras.layers.Dense(2)(keras.layers.Flatten()(pixels))
    with pytest.raises(ValueError, match="global average pooling"):
        fully_convolutional(keras.Model(pixels, flat))
    with pytest.raises(ValueError, match="fixed size"):
        fully_convolutional(keras_resnet.ResNet(TINY, input_shape=(None, None, 3)))

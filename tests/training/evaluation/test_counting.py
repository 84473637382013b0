"""The counts of an evaluation against plain loops over drawn scores, and its refusals."""

from __future__ import annotations

import dataclasses
import functools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.splits import ArraySplit, Dataset
from training.evaluation.evaluate import evaluate, probabilities


@functools.cache
def reads_scores(classes: int) -> keras.Model:
    """Takes an image of one pixel with a channel per class, its value / 32 the class's logit."""
    layers = [keras.layers.Rescaling(1 / 32), keras.layers.Flatten(), keras.layers.Softmax()]
    return keras.Sequential([keras.Input((1, 1, classes)), *layers])


def scored(images: np.ndarray, labels: np.ndarray) -> Dataset:
    split = ArraySplit(images, labels)
    names = tuple(f"class {i}" for i in range(images.shape[-1]))
    return Dataset("scores", names, images.shape[1:], split, None, split)


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 17), st.sampled_from([3, 5, 6, 9]), st.integers(0, 999))
def test_every_image_counts_once(n: int, batch: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 4, (n, 1, 1, classes), dtype=np.uint8) * 60  # some are equal
    labels = rng.integers(0, classes, n).astype(np.int32)
    found = evaluate([reads_scores(classes)], scored(images, labels), "single", batch_size=batch)

    wrong, wrong_of_five = 0, 0
    confusion = np.zeros((classes, classes), int)
    for image, label in zip(images, labels, strict=True):
        best = sorted(range(classes), key=lambda i: (-int(image[0, 0, i]), i))
        confusion[label, best[0]] += 1
        wrong += best[0] != label
        wrong_of_five += label not in best[:5]
    assert found.examples == n
    np.testing.assert_array_equal(found.confusion, confusion)
    assert found.top1_error == pytest.approx(100 * wrong / n)
    if classes <= 5:
        assert found.top5_error is None
    else:
        assert found.top5_error == pytest.approx(100 * wrong_of_five / n)
    for label, error in enumerate(found.class_errors):
        of_class = int((labels == label).sum())
        if of_class:
            right = confusion[label, label]
            assert error == pytest.approx(100 * (of_class - right) / of_class)
        else:
            assert np.isnan(error)
    present = [label for label in range(classes) if label in labels]
    each = [100 * np.mean(found.answers.classes[labels == label] != label) for label in present]
    assert found.balanced_error == pytest.approx(np.mean(each))


def test_an_ensemble_averages_probabilities_not_votes() -> None:
    model = reads_scores(3)
    pixels = keras.Input((1, 1, 3))
    mirrored = keras.Model(pixels, model(keras.ops.flip(pixels, axis=-1)))
    images = np.array([[[[200, 0, 0]]], [[[0, 90, 0]]], [[[32, 0, 200]]]], np.uint8)
    dataset = scored(images, np.array([0, 1, 2], np.int32))
    ((scores, _),) = probabilities([model, mirrored, model], dataset, "single")
    for image, score in zip(images.reshape(3, 3), scores, strict=True):
        logits = np.array([image, image[::-1], image]) / 32
        each = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(score, each.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "protocol", "message"),
    [
        ({}, "center", "for photographs.*single"),
        ({}, "twelve_crop", "'twelve_crop'.*ten_crop"),
        ({"image_shape": None}, "single", "small images.*center, ten_crop, multi_scale"),
        ({"class_names": ("a", "b")}, "single", "has 2 classes"),
        ({"image_shape": (2, 2, 3)}, "single", r"needs \(2, 2, 3\)"),
    ],
)
def test_what_does_not_fit_is_an_error(change: dict, protocol: str, message: str) -> None:
    dataset = scored(np.zeros((2, 1, 1, 3), np.uint8), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match=message):
        evaluate([reads_scores(3)], dataclasses.replace(dataset, **change), protocol)


def test_nets_that_give_no_probabilities_or_do_not_agree_are_errors() -> None:
    dataset = scored(np.full((2, 1, 1, 3), 9, np.uint8), np.zeros(2, np.int32))
    logits = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="no probabilities"):
        evaluate([logits], dataset, "single")
    undefined = keras.Sequential([logits, keras.layers.Rescaling(np.nan)])
    with pytest.raises(ValueError, match="no probabilities"):
        evaluate([undefined], dataset, "single")
    with pytest.raises(ValueError, match="same views"):
        evaluate([reads_scores(3), reads_scores(5)], dataset, "single")
    with pytest.raises(ValueError, match="0 models"):
        evaluate([], dataset, "single")

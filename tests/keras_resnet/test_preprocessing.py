"""Preprocessing is keras.applications' and torchvision's arithmetic on every path."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_resnet import decode_predictions, preprocess_input, weights
from keras_resnet.preprocessing import CLASS_INDEX, CONVENTIONS

# Transcribed: keras.applications' imagenet_utils, torchvision's transforms (RGB).
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)
PIXELS = hnp.arrays(
    st.sampled_from(["uint8", "float32"]),
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.just(3)),
    elements=st.integers(0, 255),
)


def one_by_one(x: np.ndarray, convention: str) -> np.ndarray:
    """Channel by channel as the papers' code has it; x is (..., 3)."""
    x = x.astype("float64")
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    if convention == "caffe":
        channels = (blue, green, red)
        return np.stack([c - m for c, m in zip(channels, CAFFE_MEAN_BGR, strict=True)], -1)
    channels = (red, green, blue)
    rows = zip(channels, TORCH_MEAN, TORCH_STD, strict=True)
    return np.stack([(c / 255 - mean) / std for c, mean, std in rows], -1)


@pytest.mark.parametrize("convention", ["caffe", "torch"])
@settings(max_examples=25)
@given(pixels=PIXELS)
def test_numpy_and_tensors_agree_in_both_data_formats(convention, pixels):
    expected = one_by_one(pixels, convention)
    given_before = pixels.copy()
    for data_format in ("channels_last", "channels_first"):
        first = data_format == "channels_first"
        x = np.moveaxis(pixels, -1, 1) if first else pixels
        tensor = keras.ops.convert_to_tensor(x)
        results = [
            preprocess_input(x, convention, data_format),
            preprocess_input(tensor, convention, data_format),
            preprocess_input(x[0], convention, data_format)[None],
        ]
        assert isinstance(results[0], np.ndarray)
        for result in results:
            found = keras.ops.convert_to_numpy(result)
            assert found.dtype == "float32"
            found = np.moveaxis(found, 1, -1) if first else found
            np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(pixels, given_before)


@pytest.mark.parametrize("convention", ["caffe", "torch"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_symbolic_tensors_agree(convention, data_format):
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype("uint8")
    x = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    symbolic = keras.Input(x.shape[1:], dtype="uint8")
    model = keras.Model(symbolic, preprocess_input(symbolic, convention, data_format))
    found = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(found, preprocess_input(x, convention, data_format), atol=1e-5)


@pytest.mark.parametrize("convention", ["caffe", "torch"])
def test_it_is_keras_applications_without_changing_the_input(convention):
    x = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    x.flags.writeable = False
    expected = keras.applications.imagenet_utils.preprocess_input(x.copy(), mode=convention)
    np.testing.assert_allclose(preprocess_input(x, convention), expected, rtol=1e-5, atol=1e-5)


def test_the_global_data_format_is_the_default():
    before = keras.config.image_data_format()
    try:
        keras.config.set_image_data_format("channels_first")
        assert preprocess_input(np.zeros((3, 4, 5)), "torch").shape == (3, 4, 5)
    finally:
        keras.config.set_image_data_format(before)


def test_float_types_are_kept():
    for dtype in ("float16", "float64"):
        assert preprocess_input(np.zeros((2, 2, 3), dtype), "caffe").dtype == dtype
    x = keras.ops.cast(np.zeros((2, 2, 3)), "bfloat16")
    assert keras.backend.standardize_dtype(preprocess_input(x, "torch").dtype) == "bfloat16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 4, 3)), "tf"), "'caffe'.*'torch'.*'cifar10'.*; given 'tf'"),
        ((np.zeros((4, 4, 3)),), "'caffe' .weights='imagenet' of resnet50.*; given None"),
        ((np.zeros((4, 4, 1)), "torch"), r"3 channels on axis -1.*\(4, 4, 1\).*[Rr]epeat"),
        ((np.zeros((4, 3)), "torch"), "3 channels"),
        ((np.zeros((4, 4, 3)), "torch", "channels_first"), "axis -3"),
        ((np.zeros((4, 4, 3)), "torch", "NHWC"), "'channels_last' or 'channels_first'"),
        (([[[1, 2, 3]]], "torch"), "array or a tensor"),
    ],
)
def test_what_cannot_be_preprocessed_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        preprocess_input(*arguments)


def test_decoding_gives_names_best_first(monkeypatch):
    names = {str(i): [f"n{i:08}", f"class{i}"] for i in range(1000)}
    # Keras's helper would fetch the list of names, and keeps it in its module.
    helper = sys.modules[keras.applications.imagenet_utils.decode_predictions.__module__]
    monkeypatch.setattr(helper, "CLASS_INDEX", names)
    scores = np.zeros((1, 1000), "float32")
    scores[0, [7, 3]] = [0.7, 0.2]
    assert decode_predictions(scores, top=2) == [
        [("n00000007", "class7", np.float32(0.7)), ("n00000003", "class3", np.float32(0.2))]
    ]
    with pytest.raises(ValueError, match="1000"):
        decode_predictions(np.zeros((1, 10)))


def test_predictions_are_arrays_tensors_or_lists():
    scores = np.eye(10, dtype="float32")[[3, 9]]
    expected = decode_predictions(scores, top=1, data_set="cifar10")
    assert [best[0][1] for best in expected] == ["cat", "truck"]
    for other in (keras.ops.convert_to_tensor(scores), scores.tolist()):
        assert decode_predictions(other, top=1, data_set="cifar10") == expected


@pytest.mark.parametrize("top", [0, 2.0, "5", None])
@pytest.mark.parametrize(("data_set", "classes"), [("imagenet", 1000), ("cifar10", 10)])
def test_the_number_of_classes_is_a_whole_number_of_at_least_one(data_set, classes, top):
    with pytest.raises(ValueError, match=f"at least 1; given {top!r}"):
        decode_predictions(np.zeros((1, classes)), top, data_set)


def test_class_names_that_cannot_be_fetched_are_an_os_error(monkeypatch, tmp_path):
    """Keras raises a bare `Exception`; a server that refuses stands for no network."""
    helper = sys.modules[keras.applications.imagenet_utils.decode_predictions.__module__]
    monkeypatch.setattr(helper, "CLASS_INDEX", None)
    monkeypatch.setattr(helper, "CLASS_INDEX_PATH", "http://127.0.0.1:9/imagenet_class_index.json")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(helper.file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(OSError, match="could not be fetched") as error:
        decode_predictions(np.zeros((1, 1000)))
    assert CLASS_INDEX in str(error.value)
    assert str(tmp_path / "models" / "imagenet_class_index.json") in str(error.value)


def test_the_address_of_the_class_names_is_kerass():
    helper = sys.modules[keras.applications.imagenet_utils.decode_predictions.__module__]
    assert helper.CLASS_INDEX_PATH == CLASS_INDEX


def test_the_convention_of_every_published_weights_is_named():
    for published in weights.list_published():
        named = CONVENTIONS[published.preprocessing].used_by
        if published.name == "imagenet":
            assert (published.network in named) == (published.preprocessing == "caffe")
        elif "imagenet" not in published.name:
            assert published.name in named

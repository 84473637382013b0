"""Layer responses against a direct computation."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from analysis_samples import KINDS, net, pixels
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_resnet
from keras_resnet import analysis
from keras_resnet.analysis.responses import _merged


@pytest.mark.parametrize("kind", KINDS)
def test_responses_are_those_after_each_3x3_and_its_batch_norm(kind: str) -> None:
    model, images = net(kind), pixels(7)
    names, stds = analysis.layer_responses(model, images, batch_size=3)
    # Section 4.2: every layer but the classifier; Table 1: one in three of a bottleneck's.
    assert len(names) == len(stds) == {"plain": 7, "basic": 7, "bottleneck": 3}[kind]
    assert stds.dtype == np.float64
    assert names == tuple(sorted(names, key=lambda name: name.replace("conv1_conv", "")))
    for name, std in zip(names, stds, strict=True):
        norm = model.get_layer(name.replace("_conv", "_bn")).output
        response = keras.Model(model.input, norm).predict_on_batch(images)
        np.testing.assert_allclose(std, response.astype(np.float64).std(), rtol=1e-5)


def test_a_folded_net_responds_as_the_net() -> None:
    model, images = net(), pixels(4)
    expected = analysis.layer_responses(model, images)
    found = analysis.layer_responses(keras_resnet.fold_batch_norm(model), images)
    assert found.names == expected.names
    np.testing.assert_allclose(found.stds, expected.stds, rtol=1e-4)


def test_images_may_come_in_any_iterable() -> None:
    class Loader(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return images[4 * index : 4 * index + 4], np.zeros(4)

    model, images = net(), pixels(6)
    expected = analysis.layer_responses(model, images).stds
    tensor = keras.ops.convert_to_tensor(images)
    pieces = (images[i : i + 2] for i in range(0, 6, 2))
    pairs = [(images[:1], np.zeros(1)), (images[1:], np.zeros(5))]
    for given_ in (tensor, pieces, pairs, Loader()):
        np.testing.assert_allclose(
            analysis.layer_responses(model, given_).stds, expected, rtol=1e-6
        )


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.floats(-1e6, 1e6), st.integers())
def test_moments_are_merged_soundly(sizes: list[int], mean: float, seed: int) -> None:
    """Far from zero a sum of squares would lose every digit of the deviation."""
    rng = np.random.default_rng(abs(seed))
    parts = [rng.normal(mean, 1e-2, size) for size in sizes]
    moments = (0, 0.0, 0.0)
    for part in parts:
        moments = _merged(moments, part)
    every = np.concatenate(parts)
    assert moments[0] == every.size
    assert moments[1] == pytest.approx(every.mean(), rel=1e-12)
    np.testing.assert_allclose(np.sqrt(moments[2] / every.size), every.std(), atol=1e-9)


def test_what_has_no_such_responses_is_an_error() -> None:
    relu = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, activation="relu", name="a")]
    )
    with pytest.raises(ValueError, match="'relu' inside"):
        analysis.layer_responses(keras.Model(relu.inputs, relu.outputs), pixels(1))
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="no 3x3"):
        analysis.layer_responses(keras.Model(dense.inputs, dense.outputs), pixels(1))
    with pytest.raises(ValueError, match="no images"):
        analysis.layer_responses(net(), pixels(0))
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"batch_size.*at least 1; given {size}"):
            analysis.layer_responses(net(), pixels(1), batch_size=size)
    with pytest.raises(ValueError, match=r"\(32, 32, 3\)"):
        analysis.layer_responses(net(), [pixels(1)[0]])

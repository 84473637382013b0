"""Features and their nearest neighbours, against scikit-learn's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from analysis_samples import net, pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from keras_resnet import analysis


def test_features_are_what_the_classifier_sees() -> None:
    model, images = net(), pixels(5)
    found = analysis.features(model, images, batch_size=2)
    expected = keras.Model(model.input, model.get_layer("avg_pool").output).predict_on_batch(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=20)
@given(st.integers(1, 30), st.integers(1, 600), st.integers(1, 6), st.integers(0, 99))
def test_nearest_are_scikit_learns(gallery: int, queries: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(gallery, width + 1)), rng.normal(size=(queries, width + 1))
    k = 1 + seed % gallery
    found = analysis.nearest(vectors[1], vectors[0], k)
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(vectors[0])
    distances, indices = search.kneighbors(vectors[1])
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.similarities, 1 - distances, atol=1e-9)


def test_zero_vectors_are_like_nothing_and_ks_are_checked() -> None:
    found = analysis.nearest(np.zeros((1, 2)), np.eye(2), 2)
    np.testing.assert_array_equal(found.indices, [[0, 1]])
    np.testing.assert_array_equal(found.similarities, [[0, 0]])
    for k in (3, 0, 1.0):
        with pytest.raises(ValueError, match=f"from 1 to the gallery's 2; given {k}"):
            analysis.nearest(np.eye(2), np.eye(2), k)
    with pytest.raises(ValueError, match="as many columns"):
        analysis.nearest(np.eye(2), np.eye(3), 1)

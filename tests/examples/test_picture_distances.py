"""Distances of pictures: of what can be told beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from examples import picture_distances


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth in one half, rough in the other, (48, 64, 3)."""
    random = np.random.default_rng(0)
    rough = np.linspace(0, 60, 64)[:, None] + random.uniform(60, 190, (48, 64, 3))
    rough[:, :32] = rough[:, :32].mean(axis=(0, 1))
    return rough


def test_a_picture_is_like_itself(picture):
    assert picture_distances.patches(picture, picture) == 0
    assert picture_distances.edges(picture, picture) == pytest.approx(0, abs=1e-6)


def test_patches_do_not_ask_where_and_edges_do(picture):
    mirrored = picture[:, ::-1]
    recoloured = picture[..., ::-1] * [1.0, 0.7, 0.3]
    assert picture_distances.patches(mirrored, picture) < 0.2 * picture_distances.patches(
        recoloured, picture
    )
    assert picture_distances.edges(mirrored, picture) > 0.5


def test_edges_do_not_ask_which_side_is_brighter(picture):
    assert picture_distances.edges(255 - picture, picture) == pytest.approx(0, abs=1e-6)


def test_patches_tell_a_blurred_picture(picture):
    blurred = (picture + np.roll(picture, 1, axis=1)) / 2
    smoother = sum(np.roll(picture, n, axis=1) for n in range(4)) / 4
    little, much = (picture_distances.patches(p, picture) for p in (blurred, smoother))
    assert 0 < little < much

"""The generated pictures: what is drawn is what boxes and masks say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from examples import shapes


def test_scenes_are_the_same_for_the_same_seed():
    first, again, other = (list(shapes.scenes(3, seed)) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert not np.array_equal(a.image, c.image)


def test_boxes_and_labels_are_those_of_the_mask():
    background = np.full((64, 64, 3), 7, "uint8")
    kinds = set()
    for scene in shapes.scenes(40, 0, size=64, backgrounds=[background]):
        assert 1 <= len(scene.labels) == len(scene.boxes) <= shapes.MOST
        drawn = (scene.image != 7).any(axis=-1)
        np.testing.assert_array_equal(drawn, scene.mask != shapes.BACKGROUND)
        boxed = np.zeros((64, 64), bool)
        for (y1, x1, y2, x2), label in zip(scene.boxes.astype(int), scene.labels, strict=True):
            inside = scene.mask[y1:y2, x1:x2] == label
            edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            assert all(edge.any() for edge in edges)
            boxed[y1:y2, x1:x2] = True
            kinds.add(int(label))
        assert not (drawn & ~boxed).any()
    assert kinds == {0, 1, 2}


def test_batches_are_filled_with_minus_one():
    scenes = list(shapes.scenes(10, 0, size=48))
    images, boxes, labels = shapes.padded(scenes)
    assert images.shape == (10, 48, 48, 3)
    assert -1 <= images.min() < -0.9
    assert 0.9 < images.max() <= 1
    for scene, filled, classes in zip(scenes, boxes, labels, strict=True):
        number = len(scene.labels)
        np.testing.assert_array_equal(filled[:number], scene.boxes)
        assert (filled[number:] == -1).all()
        assert (classes[number:] == -1).all()


def test_photographs_are_squares_from_the_middle(tmp_path):
    pixels = np.zeros((20, 40, 3), "uint8")
    pixels[:, 10:30] = 200
    (tmp_path / "class").mkdir()
    Image.fromarray(pixels).save(tmp_path / "class" / "wide.png")
    (picture,) = shapes.photographs(tmp_path, 8)
    np.testing.assert_array_equal(picture, np.full((8, 8, 3), 200))
    assert shapes.photographs(None, 8) == []


def test_a_folder_without_photographs_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"no \.jpeg"):
        shapes.photographs(tmp_path, 8)

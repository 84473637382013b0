"""MixUp, CutMix and random resized crops against NumPy and the papers' definitions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from training.config import recipes
from training.data import random_order
from training.data.augmentation import photograph_augmentation
from training.data.augmentation.batch_augmentation import augmented, mixed
from training.data.draws import Draws
from training.data.mixing import Mixing

IMAGES = np.random.default_rng(0).normal(size=(4, 6, 8, 3)).astype(np.float32)
LABELS = np.array([0, 2, 1, 2], np.int32)
NEIGHBOURS = [1, 0, 3, 2]


def step_of(mixing: Mixing, step: int, batch_size: int = 4):
    return mixing.draw(random_order.generator(0, random_order.MIX, step), batch_size)


@pytest.mark.parametrize("alphas", [(0.2, 0.0), (0.0, 1.0), (0.2, 1.0)])
def test_pixels_and_labels_have_the_same_shares(alphas):
    mixing = Mixing(*alphas, classes=3)
    kinds = set()
    for step in range(20):
        draw = step_of(mixing, step)
        images, shares = (np.asarray(part) for part in mixed(IMAGES, LABELS, draw, 3))
        top, left, bottom, right = draw.box[0]
        partner, own = IMAGES[NEIGHBOURS], np.full((6, 8), draw.share[0])
        for y in range(6):
            for x in range(8):
                if top <= (y + 0.5) / 6 < bottom and left <= (x + 0.5) / 8 < right:
                    own[y, x] = 0
        own = own[..., None]
        np.testing.assert_allclose(images, own * IMAGES + (1 - own) * partner, rtol=1e-5, atol=1e-6)
        one_hot = np.eye(3)[LABELS]
        expected = own.mean() * one_hot + (1 - own.mean()) * one_hot[NEIGHBOURS]
        np.testing.assert_allclose(shares, expected, atol=1e-6)
        kinds.add(bool(draw.share[0] == 1))
    assert kinds == {alphas != (0.2, 0.0)} | ({False} if alphas[0] else set())


def test_a_batch_does_not_depend_on_the_number_of_replicas():
    draw = step_of(Mixing(mixup=0.4, classes=3), 0)
    whole = mixed(IMAGES, LABELS, draw, 3)
    halves = [
        mixed(IMAGES[own], LABELS[own], type(draw)(*(part[own] for part in draw)), 3)
        for own in (slice(0, 2), slice(2, 4))
    ]
    for all_of_it, *parts in zip(whole, *halves, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), all_of_it)
    with pytest.raises(ValueError, match=r"must be even.*given 3 images"):
        mixed(IMAGES[:3], LABELS[:3], draw, 3)


def test_cut_areas_are_uniform_for_alpha_1():
    """A patch that the border does not clip has the area 1 - share, uniform in [0, 1]."""
    mixing = Mixing(cutmix=1.0, classes=3)
    sides = np.array([step_of(mixing, step).box[0] for step in range(2000)])
    inside = (sides[:, :2] > 0).all(1) & (sides[:, 2:] < 1).all(1)
    assert 0.05 < inside.mean() < 0.5
    assert (sides[:, 2:] >= sides[:, :2]).all()
    heights, widths = (sides[inside, 2:] - sides[inside, :2]).T
    np.testing.assert_allclose(heights, widths, atol=1e-6)


def test_nothing_is_mixed_unless_asked_for():
    draws = Draws(10, 4, "none", 0)
    images, labels = augmented(IMAGES, LABELS, draws.batch(0), draws)
    assert images is IMAGES
    assert labels is LABELS


def test_a_step_s_numbers_depend_on_seed_and_step_alone():
    recipe = recipes.override(recipes.load("cifar10"), ["mixup=0.2", "cutmix=1.0", "batch_size=4"])
    one, other = (Draws.of(recipe, 10, 3, seed) for seed in (1, 2))
    np.testing.assert_equal(Draws.of(recipe, 10, 3, 1).batch(7), one.batch(7))
    assert not np.array_equal(one.batch(7).mix_share, other.batch(7).mix_share) or not (
        np.array_equal(one.batch(7).mix_box, other.batch(7).mix_box)
    )


def test_a_random_resized_crop_is_the_part_that_it_says():
    """The picture holds its own coordinates, so that each pixel says where it is from."""
    height, width, size = 90, 120, 16
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([y * 2, x * 2, np.zeros_like(y)], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    shares = []
    for step in range(40):
        drawn = Draws(1, 1, "random_resized_crop", 0).photographs(step)
        one = type(drawn)(*(values[0] for values in drawn))
        found = photograph_augmentation.random_resized(
            file.getvalue(), one, (0.2, 0.6), False, size
        ).numpy()
        rows, columns = found[:, 0, 0] / 2, found[0, :, 1] / 2
        tall, wide = ((line[-1] - line[0]) * size / (size - 1) for line in (rows, columns))
        shares.append(tall * wide / (height * width))
        assert 0 <= rows[0] < rows[-1] <= height - 0.4
        assert 0 <= columns[0] < columns[-1] <= width - 0.4
        assert 0.7 < wide / tall < 1.4
    assert 0.17 < min(shares) < 0.28
    assert 0.5 < max(shares) < 0.65

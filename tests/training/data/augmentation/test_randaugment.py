"""RandAugment's operations, against Pillow's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from training.config import recipes
from training.data import draws
from training.data.augmentation import randaugment
from training.data.draws import Draws


@pytest.fixture(scope="module")
def picture(photographs: list[Path]) -> Image.Image:
    return Image.open(photographs[0]).convert("RGB").resize((60, 40))


# At strength 0.5 or -0.5; the tolerance is of grey levels, of which Pillow rounds each.
PILLOW = {
    "identity": (0.5, lambda image: image),
    "autocontrast": (0.5, ImageOps.autocontrast),
    "equalize": (0.5, ImageOps.equalize),
    "solarize": (0.5, lambda image: ImageOps.solarize(image, 128)),
    "posterize": (0.5, lambda image: ImageOps.posterize(image, 6)),
    "colour": (-0.5, lambda image: ImageEnhance.Color(image).enhance(0.55)),
    "contrast": (-0.5, lambda image: ImageEnhance.Contrast(image).enhance(0.55)),
    "brightness": (-0.5, lambda image: ImageEnhance.Brightness(image).enhance(0.55)),
    "sharpness": (0.5, lambda image: ImageEnhance.Sharpness(image).enhance(1.45)),
    "rotate": (
        0.5,
        lambda image: image.rotate(15, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)),
    ),
    "translate_x": (
        0.5,
        lambda image: image.transform(
            image.size,
            Image.Transform.AFFINE,
            (1, 0, 75 / 331 * 60, 0, 1, 0),
            Image.Resampling.BILINEAR,
            fillcolor=(128, 128, 128),
        ),
    ),
}


@pytest.mark.parametrize("name", PILLOW)
def test_operations_are_pillows(picture: Image.Image, name: str) -> None:
    strength, expected = PILLOW[name]
    operation = getattr(randaugment, name)
    found = operation(tf.cast(np.asarray(picture), tf.float32), tf.constant(strength)).numpy()
    difference = np.abs(np.clip(found, 0, 255) - np.asarray(expected(picture), np.float32))
    assert np.quantile(difference[1:-1, 1:-1], 0.97) <= 2  # rims of moved pictures differ


def test_shears_keep_the_middle(picture: Image.Image) -> None:
    image = tf.cast(np.asarray(picture.crop((0, 0, 41, 41))), tf.float32)
    np.testing.assert_allclose(
        randaugment.shear_x(image, tf.constant(0.5))[20], image[20], atol=1e-2
    )
    np.testing.assert_allclose(
        randaugment.shear_y(image, tf.constant(0.5))[:, 20], image[:, 20], atol=1e-2
    )


@pytest.mark.slow
def test_operations_follow_each_other_inside_tf_data(picture: Image.Image) -> None:
    assert len(randaugment.OPERATIONS) == draws.OPERATIONS == 14
    image = tf.cast(np.asarray(picture), tf.float32)
    numbers = np.array([8, 3], np.int32)  # brighter or darker, then turned
    negative = np.array([True, False])
    stream = tf.data.Dataset.from_tensors((numbers, negative)).map(
        lambda *drawn: randaugment.randaugment(image, *drawn, magnitude=5.0)
    )
    darker = randaugment.brightness(image, tf.constant(-0.5))
    expected = tf.clip_by_value(randaugment.rotate(darker, tf.constant(0.5)), 0, 255)
    np.testing.assert_allclose(stream.get_single_element(), expected, atol=1e-3)


def test_the_operations_are_functions_of_seed_and_step() -> None:
    recipe = recipes.RECIPES["imagenet-modern"]
    planned = Draws.of(recipe, examples=2048, classes=5, seed=1)
    drawn = planned.photographs(7)
    assert drawn.operations.shape == drawn.negative.shape == (recipe.batch_size, 2)
    assert set(np.unique(drawn.operations)) == set(range(len(randaugment.OPERATIONS)))
    assert 0.4 < drawn.negative.mean() < 0.6
    np.testing.assert_array_equal(drawn.operations, planned.photographs(7).operations)
    assert (drawn.operations != planned.photographs(8).operations).any()

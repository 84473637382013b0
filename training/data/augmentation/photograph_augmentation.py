"""The augmentation of one photograph: a function of its file's bytes and of drawn numbers."""

from __future__ import annotations

import math

import tensorflow as tf

from training.data.decoding.cropping import CROP, Window, decode_cut
from training.data.draws import PhotographDraw

# Pixels, for crops of 224 (section 3.4 of the paper); other crops scale these along.
SHORTER_SIDES = (256, 480)

# Principal components of ImageNet's RGB pixels, channels 0..255, an eigenvector per column.
# Krizhevsky et al. 2012 (section 4.1) define the augmentation and give its sigma, not these
# numbers; they are the ones published with Facebook's Torch ResNets, there for channels 0..1.
EIGENVALUES = (255 * 0.2175, 255 * 0.0188, 255 * 0.0045)
EIGENVECTORS = (
    (-0.5675, +0.7192, +0.4009),  # red
    (-0.5808, -0.0045, -0.8140),  # green
    (-0.5836, -0.6948, +0.4203),  # blue
)
LIGHTING_SIGMA = 0.1


def random_window(shape: tf.Tensor, drawn: tf.Tensor, size: int = CROP) -> Window:
    """Returns a square whose place and scale are drawn (section 3.4 of the paper).

    The photograph's shorter side is drawn from [256, 480], the place among all places.

    Args:
        shape: (2,) or more: height and width of the photograph.
        drawn: float32 (3,) in [0, 1): for the shorter side, the top and the left.
        size: Side of the square; the range of the shorter side is meant for 224.
    """
    shorter, longer = (round(side * size / CROP) for side in SHORTER_SIDES)
    side = shorter + tf.floor(drawn[0] * (longer + 1 - shorter))
    extent = tf.cast(shape[:2], tf.float32)
    scale = side / tf.reduce_min(extent)
    # The shorter side must not come out as 255.99.
    places = tf.floor(extent * scale + 1e-3) - size + 1  # (2,) how many there are
    place = tf.floor(drawn[1:] * places)
    return Window(scale, place[0], place[1])


def imagenet(
    encoded: tf.Tensor, drawn: PhotographDraw, size: int = CROP, mirrors: bool = True
) -> tf.Tensor:
    """Returns a random crop of an image file's picture or its mirror image, recoloured.

    Section 3.4 of the paper.

    Args:
        encoded: The bytes of an image file, a scalar string.
        drawn: The photograph's random numbers.
        size: Side of the crop.
        mirrors: Whether half of the photographs are mirrored, left to right.

    Returns:
        float32 (size, size, 3), around 0..255.
    """
    image = decode_cut(encoded, lambda shape: random_window(shape, drawn.window, size), size)
    return light(mirror(image, drawn.mirrored) if mirrors else image, drawn.lighting)


def random_resized_window(
    shape: tf.Tensor, drawn: PhotographDraw, area: tuple[float, ...], size: int = CROP
) -> Window:
    """Returns a rectangle whose area and aspect ratio are drawn, to be scaled to a square.

    Szegedy et al. 2015 (arXiv 1409.4842, section 6): the area uniformly, the ratio of the sides
    between 3/4 and 4/3, here uniformly in its logarithm. A side that would be longer than the
    photograph's is the photograph's.

    Args:
        shape: (2,) or more: height and width of the photograph.
        drawn: The photograph's random numbers.
        area: The least and the largest share of the photograph's area.
        size: Side of the square.
    """
    extent = tf.cast(shape[:2], tf.float32)
    pixels = (area[0] + drawn.window[0] * (area[1] - area[0])) * extent[0] * extent[1]
    ratio = tf.exp((2 * drawn.aspect - 1) * math.log(4 / 3))  # of width to height
    sides = tf.minimum(tf.sqrt(pixels * tf.stack((1 / ratio, ratio))), extent)
    scale = size / sides
    top, left = tf.unstack(drawn.window[1:] * (extent - sides) * scale)
    return Window(scale, top, left)


def random_resized(
    encoded: tf.Tensor,
    drawn: PhotographDraw,
    area: tuple[float, ...],
    mirrors: bool = True,
    size: int = CROP,
) -> tf.Tensor:
    """Returns a random part of an image file's picture, scaled: float32 (size, size, 3), 0..255.

    Args:
        encoded: The bytes of an image file, a scalar string.
        drawn: The photograph's random numbers.
        area: The least and the largest share of the photograph's area.
        mirrors: Whether half of the photographs are mirrored, left to right.
        size: Side of the square.
    """
    image = decode_cut(encoded, lambda shape: random_resized_window(shape, drawn, area, size), size)
    return mirror(image, drawn.mirrored) if mirrors else image


def mirror(image: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    """Returns the image (H, W, C), mirrored left to right where `mirrored`, bool (), says so."""
    # Not tf.where, which takes three times as long where one flag is for all pixels.
    return tf.cond(mirrored, lambda: tf.reverse(image, (1,)), lambda: image)


def light(image: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
    """Adds one colour to all pixels (Krizhevsky et al. 2012, section 4.1).

    Args:
        image: float32 (H, W, 3) RGB, 0..255.
        strengths: float32 (3,): of each principal component, in units of `LIGHTING_SIGMA`.

    Returns:
        float32 (H, W, 3).
    """
    colour = tf.linalg.matvec(
        EIGENVECTORS, LIGHTING_SIGMA * tf.cast(strengths, tf.float32) * EIGENVALUES
    )
    # Row by row: TensorFlow adds three numbers at a time twice as slowly.
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.reshape(image, (height, 3 * width)) + tf.tile(colour, (width,))
    return tf.reshape(rows, tf.shape(image))

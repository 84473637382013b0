"""The paper's augmentation as pure functions: the same seed gives the same images, everywhere.

A seed is two whole numbers, as TensorFlow's stateless random functions take it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# Section 3.4 of the paper, for crops of 224 pixels; other crops scale these along.
CROP = 224
SHORTER_SIDES = (256, 480)
TEST_SHORTER_SIDE = 256  # Krizhevsky et al. 2012, section 2

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

DCT_METHOD = "INTEGER_ACCURATE"  # as other programs decode JPEG; the fast one differs by a few bits


def _split(seed: tf.Tensor, parts: int) -> list[tf.Tensor]:
    """Seeds (2,) for the random numbers that one seed decides."""
    # TensorFlow draws other numbers from the same seed of another type.
    return tf.unstack(tf.random.split(tf.cast(seed, tf.int64), parts))


# Small images, a batch at a time


def pad_crop(images: tf.Tensor, seed: tf.Tensor, padding: int, mirror: bool = False) -> tf.Tensor:
    """Pads by zeros and crops at random to the old size; mirrors every other image or so.

    Section 4.2 of the paper has padding 4 and mirrors. Zero is the mean once that is subtracted.

    Args:
        images: (N, H, W, C). Each image has an offset and a mirror flag of its own.
        seed: (2,).
        padding: Pixels on each side.
        mirror: Whether images are mirrored, with probability 1/2.

    Returns:
        (N, H, W, C), of the same type.
    """
    n, height, width = tf.unstack(tf.shape(images)[:3])
    row_seed, column_seed, mirror_seed = _split(seed, 3)
    top, left = (
        tf.random.stateless_uniform((n, 1), s, 0, 2 * padding + 1, tf.int32)
        for s in (row_seed, column_seed)
    )
    columns = tf.tile(tf.range(width)[tf.newaxis], (n, 1))  # (N, W)
    if mirror:
        flipped = tf.random.stateless_uniform((n, 1), mirror_seed, 0, 2, tf.int32) == 1
        columns = tf.where(flipped, width - 1 - columns, columns)
    rows = top + tf.range(height)  # (N, H) in the padded image
    columns += left  # (N, W)

    padded = tf.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)  # (N, H, W + 2 padding, C)
    cropped = tf.gather(cropped, columns, axis=2, batch_dims=1)  # (N, H, W, C)
    return tf.ensure_shape(cropped, images.shape)


# Photographs, one at a time


class Window(NamedTuple):
    """A square to cut out of a photograph after scaling it."""

    scale: tf.Tensor  # of the photograph, float32
    top: tf.Tensor  # in pixels of the scaled photograph, float32
    left: tf.Tensor


def random_window(shape: tf.Tensor, seed: tf.Tensor, size: int = CROP) -> Window:
    """Shorter side drawn from [256, 480], place drawn among all (section 3.4 of the paper).

    Args:
        shape: (2,) or more: height and width of the photograph.
        seed: (2,).
        size: Side of the square; the range of the shorter side is meant for 224.
    """
    shorter, longer = (round(side * size / CROP) for side in SHORTER_SIDES)
    side_seed, place_seed = _split(seed, 2)
    side = tf.random.stateless_uniform((), side_seed, shorter, longer + 1, tf.int32)
    extent = tf.cast(shape[:2], tf.float32)
    scale = tf.cast(side, tf.float32) / tf.reduce_min(extent)
    # The shorter side must not come out as 255.99.
    places = tf.floor(extent * scale + 1e-3) - size + 1  # (2,) how many there are
    place = tf.floor(tf.random.stateless_uniform((2,), place_seed) * places)
    return Window(scale, place[0], place[1])


def central_window(shape: tf.Tensor, size: int = CROP) -> Window:
    """Shorter side 256 (for squares of 224), the square in the middle."""
    extent = tf.cast(shape[:2], tf.float32)
    scale = TEST_SHORTER_SIDE * size / CROP / tf.reduce_min(extent)
    place = (extent * scale - size) / 2
    return Window(scale, place[0], place[1])


def cut(image: tf.Tensor, window: Window, size: int = CROP, kernel: str = "triangle") -> tf.Tensor:
    """Scales a photograph (antialiased) and cuts the window out, in one step.

    Args:
        image: (H, W, C), any numeric type.
        window: Where.
        size: Side of the square.
        kernel: Of the interpolation: `"triangle"` (bilinear) or `"keyscubic"` (bicubic).

    Returns:
        float32 (size, size, C).
    """
    scaled = tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=(size, size),
        scale=tf.stack((window.scale, window.scale)),
        translation=-tf.stack((window.top, window.left)),
        kernel_type=kernel,
        antialias=True,
    )
    return tf.ensure_shape(scaled[0], (size, size, image.shape[-1]))


def decode_cut(
    encoded: tf.Tensor,
    choose: Callable[[tf.Tensor], Window],
    size: int = CROP,
    channels: int = 3,
    kernel: str = "triangle",
) -> tf.Tensor:
    """What `cut` gives of the decoded photograph, decoding no more of a JPEG than that takes.

    Args:
        encoded: The bytes of an image file, a scalar string.
        choose: From the photograph's shape to the window.
        size: Side of the square.
        channels: 3, or 1 for grey.
        kernel: As of `cut`.

    Returns:
        float32 (size, size, channels), 0..255.
    """

    def from_jpeg() -> tf.Tensor:
        shape = tf.image.extract_jpeg_shape(encoded)
        window = choose(shape)
        box = _source_box(shape, window, size)
        region = tf.image.decode_and_crop_jpeg(
            encoded, box, channels=channels, dct_method=DCT_METHOD
        )
        top, left = tf.unstack(tf.cast(box[:2], tf.float32) * window.scale)
        return cut(region, Window(window.scale, window.top - top, window.left - left), size, kernel)

    def from_other() -> tf.Tensor:
        image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
        image = tf.ensure_shape(image, (None, None, channels))
        return cut(image, choose(tf.shape(image)), size, kernel)

    return tf.cond(tf.io.is_jpeg(encoded), from_jpeg, from_other)


def _source_box(shape: tf.Tensor, window: Window, size: int) -> tf.Tensor:
    """(4,) int32: top, left, height and width of the pixels that the window is computed from."""
    extent = shape[:2]
    reach = 2 * tf.maximum(1.0, 1 / window.scale) + 1  # of the wider, cubic kernel, and rounding
    start = tf.stack((window.top, window.left)) / window.scale
    stop = start + size / window.scale
    first = tf.clip_by_value(tf.cast(tf.floor(start - reach), tf.int32), 0, extent - 1)
    last = tf.clip_by_value(tf.cast(tf.math.ceil(stop + reach), tf.int32), first + 1, extent)
    return tf.concat((first, last - first), axis=0)


def random_mirror(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """(H, W, C), mirrored left to right with probability 1/2."""
    flipped = tf.random.stateless_uniform((), seed, 0, 2, tf.int32) == 1
    # Not tf.where, which takes three times as long where one flag is for all pixels.
    return tf.cond(flipped, lambda: tf.reverse(image, (1,)), lambda: image)


def random_lighting(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """(H, W, 3) float32 RGB 0..255 plus one random colour (Krizhevsky et al. 2012, section 4.1)."""
    strengths = tf.random.stateless_normal((3,), seed, stddev=LIGHTING_SIGMA)
    colour = tf.linalg.matvec(EIGENVECTORS, strengths * EIGENVALUES)
    # Row by row: TensorFlow adds three numbers at a time twice as slowly.
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.reshape(image, (height, 3 * width)) + tf.tile(colour, (width,))
    return tf.reshape(rows, tf.shape(image))


def imagenet(encoded: tf.Tensor, seed: tf.Tensor, size: int = CROP) -> tf.Tensor:
    """Image file bytes -> a random crop of image or mirror, recoloured (section 3.4).

    Returns:
        float32 (size, size, 3), around 0..255.
    """
    window_seed, mirror_seed, lighting_seed = _split(seed, 3)
    image = decode_cut(encoded, lambda shape: random_window(shape, window_seed, size), size)
    return random_lighting(random_mirror(image, mirror_seed), lighting_seed)


def central(encoded: tf.Tensor, size: int = CROP) -> tf.Tensor:
    """Image file bytes -> the central crop that tests see: float32 (size, size, 3), 0..255."""
    return decode_cut(encoded, lambda shape: central_window(shape, size), size)

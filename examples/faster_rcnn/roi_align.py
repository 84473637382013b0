"""RoIAlign (He et al. 2017, arXiv 1703.06870, section 3): a fixed grid of features for each box."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SAMPLES = 2  # per cell and direction, averaged


def roi_align(features: Any, boxes: Any, stride: int, size: int) -> Any:
    """Samples each box's features bilinearly at SAMPLES x SAMPLES points of every cell.

    Args:
        features: (N, H, W, C); the centre of pixel (i, j) lies at (i + 0.5, j + 0.5) * stride.
        boxes: (N, R, 4), y1, x1, y2, x2 in pixels of the image.
        stride: Pixels of the image between two positions of the features.
        size: Cells in each direction.

    Returns:
        (N * R, size, size, C). Points outside the map have the values of its border.
    """
    number, rois = tf.shape(boxes)[0], tf.shape(boxes)[1]
    # A border around the map, because crop_and_resize has zeros outside, and samples lie up to half
    # a pixel of the map beyond the outermost centres.
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    last = tf.cast(tf.shape(padded)[1:3] - 1, "float32")

    corners = tf.reshape(boxes, (-1, 2, 2)) / stride  # (N * R, low and high, y and x)
    low, high = corners[:, 0], corners[:, 1]
    points = size * SAMPLES
    step = (high - low) / points
    # From box edges to the first and last sample; pixel centres at whole numbers, 1 for the border.
    first = low + step / 2 - 0.5 + 1
    end = high - step / 2 - 0.5 + 1
    sampled = tf.image.crop_and_resize(
        padded,
        tf.concat([first / last, end / last], axis=1),
        tf.repeat(tf.range(number), rois),
        (points, points),
    )  # (N * R, points, points, C)
    return tf.nn.avg_pool2d(sampled, SAMPLES, SAMPLES, "VALID")

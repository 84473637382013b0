"""The mean that is subtracted from every image. No TensorFlow here."""

from __future__ import annotations

import numpy as np

from training.data.splits import ArraySplit, Split

# ImageNet's mean RGB, 0..255, of the published VGG nets (Simonyan and Zisserman 2015).
IMAGENET_MEAN = (123.68, 116.779, 103.939)


def pixel_mean(split: Split) -> np.ndarray:
    """Returns the mean of the pixels 0..255, float32.

    Arrays give the mean of each pixel, (H, W, C); photographs get ImageNet's, (1, 1, 3).
    """
    if not isinstance(split, ArraySplit):
        return np.array(IMAGENET_MEAN, np.float32).reshape(1, 1, 3)
    total = np.zeros(split.images.shape[1:], np.float64)
    for start in range(0, split.examples, 1000):  # in parts, since float64 takes 8 times as much
        total += split.images[start : start + 1000].sum(axis=0, dtype=np.float64)
    return (total / split.examples).astype(np.float32)

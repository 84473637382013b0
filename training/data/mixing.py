"""MixUp and CutMix: training images made of two, with shares of two classes. On any Keras backend.

MixUp: Zhang et al. 2018, arXiv 1710.09412. CutMix: Yun et al. 2019, arXiv 1905.04899.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from keras import ops


class MixDraw(NamedTuple):
    """One step's random numbers, the same for all of its images; of a batch with an axis before."""

    share: np.ndarray  # (N,) float32: of an image itself, the rest is its partner's
    box: np.ndarray  # (N, 4) float32: top, left, bottom, right of the partner's patch, of 1


@dataclass(frozen=True)
class Mixing:
    """The strength of mixup and cutmix; with both, each has half of the steps.

    Args:
        mixup: Parameter alpha of the Beta distribution of the images' shares; 0: none.
        cutmix: Parameter alpha of the Beta distribution of the image's area; 0: none.
        classes: Number of classes.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    classes: int = 0

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def draw(self, random: np.random.Generator, batch_size: int) -> MixDraw:
        """Returns a step's random numbers."""
        cuts = random.random() < 0.5 if self.mixup and self.cutmix else self.cutmix > 0
        alpha = self.cutmix if cuts else self.mixup
        share = random.beta(alpha, alpha)
        middle, half = random.random(2), np.sqrt(1 - share) / 2
        box = np.concatenate((middle - half, middle + half)).clip(0, 1) if cuts else np.zeros(4)
        return MixDraw(
            np.full(batch_size, 1 if cuts else share, np.float32),
            np.tile(box.astype(np.float32), (batch_size, 1)),
        )

    def nothing(self, batch_size: int) -> MixDraw:
        """Returns the numbers with which images stay as they are."""
        return MixDraw(np.ones(batch_size, np.float32), np.zeros((batch_size, 4), np.float32))


def mixed(images: Any, labels: Any, draw: MixDraw, classes: int) -> tuple[Any, Any]:
    """Mixes each image with its neighbour: the first with the second, the third with the fourth.

    Neighbours are of the same replica, so that the batch does not depend on the replicas' number.

    Args:
        images: float32 (N, H, W, C); N is even.
        labels: int32 (N,).
        draw: The random numbers.
        classes: Number of classes K.

    Returns:
        The images, and the share of each class in them, float32 (N, K).

    Raises:
        ValueError: If N is odd.
    """
    n, height, width, _ = images.shape
    if n % 2:
        raise ValueError(
            "MixUp and CutMix mix images in pairs: batch_size must be even, and so must each "
            f"device's part of it; given {n} images."
        )
    top, left, bottom, right = (draw.box[:, i, None] for i in range(4))
    rows, columns = ((ops.arange(n, dtype="float32") + 0.5)[None] / n for n in (height, width))
    in_rows = ops.logical_and(rows >= top, rows < bottom)  # (N, H)
    in_columns = ops.logical_and(columns >= left, columns < right)  # (N, W)
    in_box = ops.logical_and(in_rows[:, :, None], in_columns[:, None, :])  # (N, H, W)
    own = ops.where(in_box, 0.0, draw.share[:, None, None])[..., None]  # (N, H, W, 1)
    images = own * images + (1 - own) * _neighbours(images)
    share = ops.mean(own, axis=(1, 2))  # (N, 1)
    of_class = ops.one_hot(labels, classes, dtype="float32")  # (N, K)
    return images, share * of_class + (1 - share) * _neighbours(of_class)


def _neighbours(values: Any) -> Any:
    """Returns (N, ...) with 0 and 1, 2 and 3, ... in each other's places."""
    pairs = ops.reshape(values, (-1, 2, *values.shape[1:]))
    return ops.reshape(ops.flip(pairs, axis=1), values.shape)

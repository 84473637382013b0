"""MixUp and CutMix: their strengths and random numbers. NumPy only.

MixUp: Zhang et al. 2018, arXiv 1710.09412. CutMix: Yun et al. 2019, arXiv 1905.04899.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class MixDraw(NamedTuple):
    """The random numbers of a step's N images: N times the same."""

    share: np.ndarray  # (N,) float32: the image's own share; the rest is its partner's
    box: np.ndarray  # (N, 4) float32: top, left, bottom and right of the partner's patch, in [0, 1]


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

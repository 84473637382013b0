"""How an image of any size becomes the square that a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from training.data import augmentation as augment


@dataclass(frozen=True)
class Resizing:
    """From an image of any size to the network's: scale the shorter side, take the centre."""

    shorter_side: int  # pixels, after scaling
    crop: int  # pixels, side of the square in the middle
    method: str = "bilinear"  # or "bicubic"; antialiased

    @property
    def kernel(self) -> str:
        """The method, as `augmentation.cut` takes it."""
        return {"bilinear": "triangle", "bicubic": "keyscubic"}[self.method]

    def window(self, shape: tf.Tensor) -> augment.Window:
        extent = tf.cast(shape[:2], tf.float32)
        scale = self.shorter_side / tf.reduce_min(extent)
        place = (extent * scale - self.crop) / 2
        return augment.Window(scale, place[0], place[1])

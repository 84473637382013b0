"""The resizing of an image of any size to the square that a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from training.data.decoding import cropping


@dataclass(frozen=True)
class Resizing:
    """Scales the shorter side of an image of any size, and takes the square in the middle."""

    shorter_side: int  # pixels, after scaling
    crop: int  # pixels, side of the square in the middle
    method: str = "bilinear"  # or "bicubic"; antialiased

    @property
    def kernel(self) -> str:
        """The name of the method in `cropping.cut`."""
        return {"bilinear": "triangle", "bicubic": "keyscubic"}[self.method]

    def window(self, shape: tf.Tensor) -> cropping.Window:
        return cropping.central_window(shape, self.shorter_side, self.crop)

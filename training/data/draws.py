"""The random numbers of each training step: a function of seed and step. NumPy only.

Few numbers are drawn, on the host; the pixels stay on the device. They are the same on TensorFlow,
JAX and PyTorch, so that a run that began on one of them continues on another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.config.recipe_fields import AUGMENTATIONS, Recipe
from training.data import random_order
from training.data.mixing import Mixing
from training.data.splits import ArraySplit, Split

# Photographs are augmented one by one, as they are decoded, and not again as a batch.
OF_PHOTOGRAPHS = ("imagenet", "random_resized_crop")
DIGITS_PADDING = 2  # of "crop"
UNMIXED = Mixing()
OPERATIONS = 14  # of `training.data.augmentation.randaugment`


class BatchDraw(NamedTuple):
    """The random numbers of one step, for each image of its batch."""

    places: np.ndarray  # (batch_size,) int32: the image's number in the split
    top: np.ndarray  # (batch_size,) int32: the crop's first row in the padded image
    left: np.ndarray  # (batch_size,) int32: its first column
    mirrored: np.ndarray  # (batch_size,) bool
    mix_share: np.ndarray  # (batch_size,) and
    mix_box: np.ndarray  # (batch_size, 4): see `training.data.mixing.MixDraw`


class PhotographDraw(NamedTuple):
    """The random numbers of one photograph; of a step's photographs with an axis in front."""

    window: np.ndarray  # (3,) float32 in [0, 1): the scale, the top and the left of the crop
    mirrored: np.ndarray  # () bool
    lighting: np.ndarray  # (3,) float32, normal: of each principal component of the colours
    aspect: np.ndarray  # () float32 in [0, 1): the crop's width over its height
    operations: np.ndarray  # (layers,) int32: of RandAugment
    negative: np.ndarray  # (layers,) bool: whether each acts the other way


@dataclass(frozen=True)
class Draws:
    """The random numbers of every step.

    Args:
        examples: Number of training images.
        batch_size: Images in a step's batch. Batches cross the borders of epochs.
        augmentation: One of `AUGMENTATIONS`.
        seed: The run's seed.
        crop_padding: Of cifar: zeros that are padded on each side of an image before it is cropped.
        alternate_mirror: Of cifar: whether an image that one epoch mirrors is not mirrored in the
            next one (Jordan 2024, arXiv 2404.00498). Otherwise each epoch draws for itself.
        crop_area: Of random_resized_crop: the least and the largest share of a photograph's area.
        mirror: Whether half of the images are mirrored; under none and crop no image is.
        mixing: Of two images into one.
        randaugment: Of random_resized_crop: RandAugment's magnitude, 0 to 10; 0 leaves it out.
        randaugment_layers: Its operations per photograph.

    Raises:
        ValueError: If the augmentation is unknown, or a number is not positive.
    """

    examples: int
    batch_size: int
    augmentation: str
    seed: int
    crop_padding: int = 4
    alternate_mirror: bool = False
    crop_area: tuple[float, ...] = (0.08, 1.0)
    mirror: bool = True
    mixing: Mixing = UNMIXED
    randaugment: float = 0.0
    randaugment_layers: int = 2

    @classmethod
    def of(cls, recipe: Recipe, examples: int, classes: int, seed: int) -> Draws:
        """Returns what a recipe asks for."""
        return cls(
            examples,
            recipe.batch_size,
            recipe.augmentation,
            seed,
            crop_padding=recipe.crop_padding,
            alternate_mirror=recipe.alternate_mirror,
            crop_area=recipe.crop_area,
            mirror=recipe.mirror,
            mixing=Mixing(recipe.mixup, recipe.cutmix, classes),
            randaugment=recipe.randaugment,
            randaugment_layers=recipe.randaugment_layers,
        )

    def __post_init__(self) -> None:
        if self.augmentation not in AUGMENTATIONS:
            raise ValueError(
                f"There is no augmentation {self.augmentation!r}; there are "
                f"{', '.join(AUGMENTATIONS)}."
            )
        if self.examples < 1:
            raise ValueError("There are no images in this split.")
        if self.batch_size < 1:
            raise ValueError(f"A batch has at least one image; given batch_size={self.batch_size}.")

    @property
    def padding(self) -> int:
        """Zeros that are padded on each side of an image before it is cropped."""
        return {"cifar": self.crop_padding, "crop": DIGITS_PADDING}.get(self.augmentation, 0)

    @property
    def mirrors(self) -> bool:
        """Whether half of a batch's images are mirrored."""
        return self.augmentation == "cifar" and self.mirror

    def check(self, split: Split) -> None:
        """Raises a ValueError if the augmentation cannot be applied to the split's images."""
        if self.augmentation in OF_PHOTOGRAPHS and isinstance(split, ArraySplit):
            raise ValueError(
                f"The augmentation {self.augmentation!r} is for photographs, and these images are "
                f"all of shape {split.images.shape[1:]}: take 'cifar', 'crop' or 'none'."
            )

    def batch(self, step: int) -> BatchDraw:
        """Returns which images the step sees, and how they are cropped and mirrored."""
        n = self.batch_size
        random = random_order.generator(self.seed, random_order.CROP, step)
        top, left = random.integers(2 * self.padding + 1, size=(2, n), dtype=np.int32)
        mirrored = random.integers(1 + self.mirrors, size=n, dtype=np.int32) == 1
        places = self.places(step)
        if self.mirrors and self.alternate_mirror:
            epochs = np.arange(step * n, (step + 1) * n) // self.examples
            mirrored = random_order.first_mirrored(self.examples, self.seed)[places] ^ (
                epochs % 2 == 1
            )
        mix = self.mixing.nothing(n)
        if self.mixing.mixes:
            mix = self.mixing.draw(random_order.generator(self.seed, random_order.MIX, step), n)
        return BatchDraw(places, top, left, mirrored, *mix)

    def places(self, step: int) -> np.ndarray:
        """Returns the numbers in the split of the step's images, (batch_size,) int32."""
        n = self.batch_size
        return random_order.places(self.examples, self.seed, step * n, n)

    def photographs(self, step: int) -> PhotographDraw:
        """Returns how each of the step's photographs is cropped, mirrored and coloured."""
        n, layers = self.batch_size, self.randaugment_layers
        random = random_order.generator(self.seed, random_order.PHOTOGRAPH, step)
        return PhotographDraw(
            window=random.random((n, 3), np.float32),
            mirrored=random.integers(2, size=n) == 1,
            lighting=random.standard_normal((n, 3), np.float32),
            aspect=random.random(n, np.float32),
            operations=random.integers(OPERATIONS, size=(n, layers), dtype=np.int32),
            negative=random.integers(2, size=(n, layers)) == 1,
        )

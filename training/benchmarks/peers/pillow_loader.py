"""A PyTorch DataLoader of two processes, with the same augmentation by Pillow and NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from training.benchmarks.data import files, timed_batches
from training.data.augmentation.photograph_augmentation import (
    EIGENVALUES,
    EIGENVECTORS,
    LIGHTING_SIGMA,
    SHORTER_SIDES,
)
from training.data.decoding.cropping import CROP
from training.data.pixel_mean import IMAGENET_MEAN

COLOURS = np.array(EIGENVECTORS, np.float32) * np.array(EIGENVALUES, np.float32)
MEAN = np.array(IMAGENET_MEAN, np.float32)
ENDLESS = 10**7


class Photographs(Dataset):
    """Section 3.4 of the paper: shorter side in [256, 480], a random crop, mirrored, recoloured."""

    def __init__(self, folder: str) -> None:
        self.files = files(folder)

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        rng = np.random.default_rng(i)
        image = Image.open(self.files[i % len(self.files)]).convert("RGB")
        scale = rng.integers(SHORTER_SIDES[0], SHORTER_SIDES[1] + 1) / min(image.size)
        image = image.resize(
            [round(side * scale) for side in image.size], Image.Resampling.BILINEAR
        )
        left, top = (int(rng.integers(0, side - CROP + 1)) for side in image.size)
        image = image.crop((left, top, left + CROP, top + CROP))
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        lighting = COLOURS @ rng.normal(0, LIGHTING_SIGMA, 3).astype(np.float32)
        return np.asarray(image, np.float32) + (lighting - MEAN), 0


def loading(folder: str, batch: int, batches: int) -> Callable[[], float]:
    """Measures the images per second, (N, 224, 224, 3) float32."""
    return timed_batches(DataLoader(Photographs(folder), batch, num_workers=2), batch, batches)

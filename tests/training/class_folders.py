"""Folders of small pictures, a folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def class_folders(root: Path, *names: str, images: int = 6) -> Path:
    """Writes `root/<name>/<number>.png`, 36x36 pixels of noise; returns `root`."""
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(images):
            pixels = np.random.default_rng(number).integers(0, 255, (36, 36, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root

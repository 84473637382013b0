"""Generates a folder of images to learn from: bright shapes on pieces of real photographs."""

from __future__ import annotations

import colorsys
import itertools
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

SIZE = 32  # height and width of a piece, pixels
SIDES = (12, 22)  # height and width of a shape, pixels
TILT = np.radians(20)  # of a shape, at most, to either side
FINE = 4  # a shape is drawn so many times as large, for smooth edges

# The number of points of each shape, and the distance of its outline from the centre half-way
# between two points, as a share of a point's distance: cos(180 degrees / n) makes a straight side.
SHAPES = {
    "cross": (4, 0.3),
    "diamond": (4, 0.71),
    "disc": (48, 1.0),
    "propeller": (3, 0.2),
    "star": (5, 0.4),
    "triangle": (3, 0.5),
}


def write(folder: Path) -> None:
    """Writes `folder/<shape>/<number>.png`: 520 images, the same ones every time.

    No pixel of a photograph is in two images.
    """
    random = np.random.default_rng(0)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True, exist_ok=True)
    shapes = itertools.cycle(SHAPES)
    for number, piece in enumerate(random.permutation(pieces())):
        shape = next(shapes)
        _stuck(piece, shape, random).save(folder / shape / f"{number:03}.png")


def pieces() -> np.ndarray:
    """Cuts the two photographs that come with scikit-learn into squares: (520, 32, 32, 3).

    A temple in China by danielbuechele, a flower by vultilion, both CC BY 2.0.
    """
    squares = []
    for photograph in load_sample_images().images:  # (427, 640, 3)
        rows, columns = (side // SIZE for side in photograph.shape[:2])
        whole = photograph[: rows * SIZE, : columns * SIZE]
        grid = whole.reshape(rows, SIZE, columns, SIZE, 3).swapaxes(1, 2)
        squares.append(grid.reshape(-1, SIZE, SIZE, 3))
    return np.concatenate(squares)


def _stuck(piece: np.ndarray, shape: str, random: np.random.Generator) -> Image.Image:
    """Draws the shape on the piece, in a random hue at a random place."""
    picture = Image.fromarray(piece)
    colour = colorsys.hsv_to_rgb(random.random(), 1, 1)
    side = random.uniform(*SIDES)
    middle = random.uniform(side / 2, SIZE - side / 2, 2)
    stencil = _stencil(shape, middle, side / 2, tilt=random.uniform(-TILT, TILT))
    picture.paste(tuple(round(255 * part) for part in colour), mask=stencil)
    return picture


def _stencil(shape: str, middle: np.ndarray, radius: float, tilt: float) -> Image.Image:
    """Returns the share of each pixel that the shape covers, 0 to 255."""
    points, waist = SHAPES[shape]
    angles = tilt + np.pi * np.arange(2 * points) / points
    radii = radius * np.tile([1, waist], points)
    outline = middle + radii[:, None] * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    fine = Image.new("L", (FINE * SIZE, FINE * SIZE))
    ImageDraw.Draw(fine).polygon([tuple(point) for point in FINE * outline], fill=255)
    return fine.reduce(FINE)

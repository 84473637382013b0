"""Generated pictures of shapes on textures or photographs, with boxes and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("disc", "square", "triangle")
MOST = 3  # shapes in one picture
BACKGROUND = len(CLASSES)  # its class in masks, after the shapes' classes


@dataclass(frozen=True)
class Scene:
    """One picture, and the right answers to all tasks."""

    image: np.ndarray  # (size, size, 3), uint8
    boxes: np.ndarray  # (shapes, 4): y1, x1, y2, x2 in pixels, around what is visible
    labels: np.ndarray  # (shapes,): indices of CLASSES
    mask: np.ndarray  # (size, size): class of each pixel, BACKGROUND where there is no shape


@dataclass(frozen=True)
class Scenes:
    """The scenes of one task, all of one size."""

    training: list[Scene]
    test: list[Scene]

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return len(self.test[0].image)


def photographs(folder: Path | None, size: int) -> list[np.ndarray]:
    """Returns the folder's pictures as squares (size, size, 3), or none without a folder.

    Raises:
        OSError: If the folder has no JPEG or PNG files.
    """
    if folder is None:
        return []
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpeg", ".jpg", ".png"))
    if not files:
        raise FileNotFoundError(f"There are no .jpeg, .jpg or .png files under {folder}.")
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            side = min(picture.size)
            left, top = ((n - side) // 2 for n in picture.size)
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
            pictures.append(np.asarray(square.resize((size, size), Image.Resampling.BOX)))
    return pictures


def scenes(
    number: int, seed: int, size: int = 96, backgrounds: Sequence[np.ndarray] = ()
) -> Iterator[Scene]:
    """Draws `number` scenes of one to three shapes, the same ones for the same arguments.

    Args:
        number: How many.
        seed: Of all random numbers.
        size: Height and width in pixels; shapes take a quarter to a half of it.
        backgrounds: Pictures (size, size, 3) to draw on. Default: smooth random textures.
    """
    random = np.random.default_rng(seed)
    for _ in range(number):
        if len(backgrounds):
            background = backgrounds[int(random.integers(len(backgrounds)))]
        else:
            background = _texture(random, size)
        yield _scene(random, background, size)


def _texture(random: np.random.Generator, size: int) -> np.ndarray:
    """Returns colours that change slowly, with noise."""
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), "uint8"))
    smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), "float32")
    return np.clip(smooth + random.normal(0, 12, smooth.shape), 0, 255).astype("uint8")


def _scene(random: np.random.Generator, background: np.ndarray, size: int) -> Scene:
    """Draws shapes over each other, so that two thirds of each stay visible at least."""
    picture = Image.fromarray(background)
    owner = np.full((size, size), -1)  # of each pixel: the shape's number
    areas: list[int] = []
    labels: list[int] = []
    for _ in range(random.integers(1, MOST + 1)):
        label = int(random.integers(len(CLASSES)))
        side = int(random.integers(size // 4, size // 2))
        left, top = random.integers(0, size - side, 2)
        stencil = Image.new("1", (size, size))
        _draw(ImageDraw.Draw(stencil), CLASSES[label], int(left), int(top), side)
        covered = np.asarray(stencil)
        after = np.where(covered, len(labels), owner)
        if any((after == i).sum() < 2 * area / 3 for i, area in enumerate(areas)):
            continue
        picture.paste(tuple(int(c) for c in random.integers(0, 256, 3)), mask=stencil)
        owner = after
        areas.append(int(covered.sum()))
        labels.append(label)
    boxes = [_box(owner == i) for i in range(len(labels))]
    mask = np.append(labels, BACKGROUND)[owner]
    return Scene(np.asarray(picture), np.array(boxes, "float32"), np.array(labels), mask)


def _draw(draw: ImageDraw.ImageDraw, shape: str, left: int, top: int, side: int) -> None:
    right, bottom = left + side - 1, top + side - 1
    if shape == "disc":
        draw.ellipse((left, top, right, bottom), fill=1)
    elif shape == "square":
        draw.rectangle((left, top, right, bottom), fill=1)
    else:
        draw.polygon([((left + right) // 2, top), (right, bottom), (left, bottom)], fill=1)


def _box(visible: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def normalized(images: Sequence[np.ndarray]) -> np.ndarray:
    """Returns pixels as the examples' nets take them: (N, H, W, 3), from -1 to 1."""
    return np.stack(images).astype("float32") / 127.5 - 1


def padded(found: Sequence[Scene]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns images, boxes and labels as arrays, filled with -1 where a scene has fewer than MOST.

    Returns:
        (N, H, W, 3) normalised, (N, MOST, 4), (N, MOST).
    """
    boxes = np.full((len(found), MOST, 4), -1.0, "float32")
    labels = np.full((len(found), MOST), -1, "int32")
    for i, scene in enumerate(found):
        boxes[i, : len(scene.labels)] = scene.boxes
        labels[i, : len(scene.labels)] = scene.labels
    return normalized([scene.image for scene in found]), boxes, labels

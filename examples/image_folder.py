"""A folder of class folders: its images, which of them train, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data import augmentation
from training.data.image_folder import IMAGE_SUFFIXES
from training.data.resizing import Resizing
from training.data.splits import FileSplit


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The images in `<class>/*`, in alphabetical order."""

    classes: tuple[str, ...]
    files: FileSplit


def find(root: Path) -> ImageFolder:
    """The images of `root/<class>/`.

    Raises:
        ValueError: If there are not two classes, or a class has no images.
        OSError: If the folder is missing or cannot be read.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir())
    if len(folders) < 2:
        raise ValueError(f"{root} is to have a folder for each class, two at least.")
    paths: list[str] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise ValueError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)}).")
        paths += map(str, found)
        labels += [label] * len(found)
    files = FileSplit(np.array(paths, dtype=object), np.array(labels, np.int32))
    return ImageFolder(tuple(folder.name for folder in folders), files)


def split(folder: ImageFolder, labelled: int | None, seed: int) -> np.ndarray:
    """Which images train; the others test: bool (images,).

    Args:
        folder: The images.
        labelled: So many of each class train. Default: four fifths of it.
        seed: Of the draw.

    Raises:
        ValueError: If that leaves a class without images to train on or to test.
    """
    random = np.random.default_rng(seed)
    training = np.zeros(folder.files.examples, bool)
    for label, name in enumerate(folder.classes):
        images = np.flatnonzero(folder.files.labels == label)
        number = 4 * len(images) // 5 if labelled is None else labelled
        if not 0 < number < len(images):
            raise ValueError(
                f"The class {name} has {len(images)} images, so that {number} of them cannot train "
                "and the others test: at least one is to do either."
            )
        training[random.permutation(images)[:number]] = True
    return training


def read(files: FileSplit, size: int) -> np.ndarray:
    """The pixels, scaled and cut as an exported model does it: uint8 (images, size, size, 3).

    Raises:
        ValueError: If a file is no image.
        OSError: If a file cannot be read.
    """
    window = Resizing(shorter_side=size, crop=size).window
    pixels = np.empty((files.examples, size, size, 3), np.uint8)
    for number, path in enumerate(files.paths):
        try:
            image = augmentation.decode_cut(Path(path).read_bytes(), window, size)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{path} is damaged, or neither JPEG nor PNG.") from error
        pixels[number] = np.clip(np.round(image), 0, 255)
    return pixels

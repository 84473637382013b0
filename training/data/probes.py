"""Reads some images of a split as arrays, for inspection and for pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.data.splits import ArraySplit, FileSplit, RecordSplit, Split


def images(split: Split, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns up to `count` images with their labels, evenly spaced over the split.

    Records, which TFDS has shuffled, give their first images.

    Args:
        split: The images.
        count: How many.
        size: Side of the central crops of photographs; arrays keep their size.

    Returns:
        float32 (N, H, W, C), 0..255, and labels (N,).

    Raises:
        ValueError: If the split has no images, or `count` is not positive.
        OSError: If an image cannot be read.
    """
    if count < 1 or split.examples < 1:
        raise ValueError(f"At least one image is needed; given {count} of {split.examples}.")
    count = min(count, split.examples)
    if isinstance(split, RecordSplit):
        return _photographs(split, count, size)
    return at(split, np.linspace(0, split.examples - 1, count).round().astype(int), size)


def at(
    split: ArraySplit | FileSplit, places: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images at some places of a split with their labels, in the order of `places`.

    Args:
        split: The images.
        places: (N,) integers from 0.
        size: Side of the central crops of photographs; arrays keep their size.

    Returns:
        float32 (N, H, W, C), 0..255, and labels (N,).

    Raises:
        OSError: If an image cannot be read.
    """
    if isinstance(split, ArraySplit):
        return split.images[places].astype(np.float32), split.labels[places]
    chosen = replace(split, paths=split.paths[places], labels=split.labels[places])
    return _photographs(chosen, len(places), size)


def _photographs(split: Split, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    from training.data.batches import eval_batches
    from training.data.decoding.reading_errors import readable_errors

    found: list[np.ndarray] = []
    labels: list[int] = []
    with readable_errors("folder" if isinstance(split, FileSplit) else "the data set"):
        for images, of_images in eval_batches(split, batch_size=32, image_size=size):
            found.extend(np.asarray(images))
            labels.extend(np.asarray(of_images))
            if len(labels) >= count:
                break
    return np.stack(found[:count]), np.array(labels[:count])

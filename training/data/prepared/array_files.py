"""Small data sets as .npz files, for machines without TensorFlow Datasets, in parts that travel.

`cifar10-00000-of-00003.npz` and so on: each holds its stretch of the images, `x_train`, `y_train`,
`x_test`, `y_test`, all uint8, and the `class_names`.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from pathlib import Path

import numpy as np

from training.common.files import atomic_write
from training.config.catalogue import SMALL_IMAGES
from training.data.splits import ArraySplit, Dataset

NAMES = SMALL_IMAGES  # the data sets that are arrays
FIELDS = ("x_train", "y_train", "x_test", "y_test")
MIB = 2**20


def write(dataset: Dataset, directory: Path, max_mib: float = 60.0) -> list[Path]:
    """Writes the parts, none of them larger than `max_mib`.

    Args:
        dataset: Of images of one size; nothing held out.
        directory: Where the files go.
        max_mib: Size of a part before compression, MiB.

    Raises:
        ValueError: If these are photographs, or a part would hold no image.
        OSError: If there are such files already, or they cannot be written.
    """
    splits = {role: s for role, s in dataset.splits.items() if isinstance(s, ArraySplit)}
    if splits.keys() != {"train", "test"}:
        raise ValueError(f"Only {' and '.join(NAMES)}, whole, can be arrays; not {dataset.name}.")
    if old := paths(dataset.name, str(directory)):
        raise FileExistsError(f"{old[0]} exists; remove all parts before writing others.")
    arrays = {
        f"{letter}_{role}": array.astype(np.uint8)
        for role, split in splits.items()
        for letter, array in (("x", split.images), ("y", split.labels))
    }
    parts = math.ceil(sum(array.nbytes for array in arrays.values()) / (max_mib * MIB))
    if not 1 <= parts <= dataset.test.examples:
        raise ValueError(f"A part cannot be as small as {max_mib} MiB: it would hold no image.")
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for part, stretches in enumerate(
        zip(*(np.array_split(array, parts) for array in arrays.values()), strict=True)
    ):
        path = directory / f"{dataset.name}-{part:05d}-of-{parts:05d}.npz"
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                class_names=np.array(dataset.class_names),
                **dict(zip(arrays, stretches, strict=True)),
            )
        written.append(path)
    return written


def paths(name: str, data_dir: str | None) -> list[Path]:
    """The files of that data set in `data_dir` (default: TFDS_DATA_DIR), in order."""
    directory = data_dir or os.environ.get("TFDS_DATA_DIR")
    if not directory:
        return []
    return sorted(Path(directory).expanduser().glob(f"{name}-?????-of-?????.npz"))


def read(name: str, data_dir: str | None) -> Dataset:
    """Puts the parts together.

    Raises:
        OSError: If a part is missing or damaged.
    """
    found = paths(name, data_dir)
    of = {match[1] for path in found if (match := re.search(r"-of-(\d{5})\.npz", path.name))}
    expected = [f"{name}-{i:05d}-of-{number}.npz" for number in of for i in range(int(number))]
    if len(of) != 1 or [path.name for path in found] != expected:
        raise FileNotFoundError(
            f"{found[0].parent} holds {', '.join(path.name for path in found)}; one whole set of "
            "parts is needed, and nothing of another."
        )
    parts = [_read_part(path) for path in found]
    x_train, y_train, x_test, y_test = (
        np.concatenate([part[field] for part in parts]) for field in FIELDS
    )
    return Dataset(
        name=name,
        class_names=tuple(str(class_name) for class_name in parts[0]["class_names"]),
        image_shape=x_train.shape[1:],
        train=ArraySplit(x_train, y_train.astype(np.int32)),
        validation=None,
        test=ArraySplit(x_test, y_test.astype(np.int32)),
    )


def _read_part(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:  # the zip's CRCs are checked as it is read
            part = {field: file[field] for field in (*FIELDS, "class_names")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise OSError(f"{path} is damaged or holds something else ({error}).") from error
    for x, y in (FIELDS[:2], FIELDS[2:]):
        if (part[x].dtype, part[x].ndim, len(part[x])) != (np.uint8, 4, len(part[y])):
            raise OSError(
                f"{path}: {x} must be uint8 (N, H, W, C), a label in {y} for each; it holds "
                f"{part[x].dtype} {part[x].shape} and {part[y].shape}."
            )
    return part

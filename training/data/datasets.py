"""The data sets by name: digits, CIFAR-10, ImageNet 2012, or a folder of class folders.

`training.config.catalogue` has facts about each before it is read. No TensorFlow here, unless
the data lie as TensorFlow Datasets prepares them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from training.config.catalogue import NAMES
from training.data.folder import image_folder
from training.data.prepared import array_files
from training.data.splits import ArraySplit, Dataset, FileSplit, RecordSplit, subset


def load(
    name: str,
    data_dir: str | None = None,
    held_out: int = 0,
    seed: int = 0,
    split_file: Path | None = None,
) -> Dataset:
    """Loads small data sets into memory and locates large ones.

    Args:
        name: A key of `training.config.catalogue.DATASETS`.
        data_dir: TFDS's data directory (default: the environment variable TFDS_DATA_DIR, else
            TFDS's own), or the folder of class folders. Digits need none. Where it holds the files
            that `training.data.prepared.array_files` writes, those are read, without TFDS.
        held_out: Number of training images kept for validation; see `hold_out`.
        seed: Of that draw alone; the test images are always the same.
        split_file: Of a folder: which of its images train, validate and test, as
            `training.data.folder.split_file` describes it. Default: the folder's own division.

    Raises:
        ValueError: If there is no such data set, too few images to hold out that many, or a split
            file that does not fit.
        OSError: If the data are missing or unreadable.
    """
    if name not in NAMES:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(NAMES)}.")
    if split_file is not None and name != "folder":
        raise ValueError(
            f"A split file is for the data set `folder`; {name} has splits of its own."
        )
    return hold_out(_load(name, data_dir, split_file), held_out, seed)


def _load(name: str, data_dir: str | None, split_file: Path | None) -> Dataset:
    if name == "folder":
        return image_folder.load(data_dir, split_file)
    if name in array_files.NAMES and array_files.paths(name, data_dir):
        return array_files.read(name, data_dir)
    try:
        if name == "digits":
            return _digits()
        from training.data.prepared import tfds_datasets

        return tfds_datasets.load(name, data_dir)
    except ModuleNotFoundError as error:
        raise FileNotFoundError(
            f"{name} cannot be read without {error.name}, which is not installed. Install it; "
            f"{' and '.join(array_files.NAMES)} can also be files that --data-dir names, as "
            "`python -m training arrays` writes them where it is installed."
        ) from error


def hold_out(dataset: Dataset, held_out: int, seed: int = 0) -> Dataset:
    """Keeps some of the training images for validation (section 4.2 of the paper: 5000).

    Files are drawn from each class in proportion to its images, and at least one of each still
    trains. Validation images that the data set already has stay as they are, and nothing is drawn.

    Args:
        dataset: The data set.
        held_out: How many; 0 draws none.
        seed: Of the draw.

    Raises:
        ValueError: If there are too few training images.
    """
    if held_out == 0 or dataset.validation is not None:
        return dataset
    split = dataset.train
    if not 0 < held_out < split.examples:
        raise ValueError(
            f"{dataset.name} has {split.examples} training images: held_out is at least 0 and "
            f"smaller than that; given {held_out}."
        )
    rng = np.random.default_rng(seed)
    if isinstance(split, RecordSplit):
        rest, chosen = _stretch(split, held_out, rng)
        return replace(dataset, train=rest, validation=chosen)
    if isinstance(split, FileSplit):
        drawn = _drawn_per_class(split, len(dataset.class_names), held_out, rng)
    else:
        drawn = np.zeros(split.examples, bool)
        drawn[rng.permutation(split.examples)[:held_out]] = True
    return replace(dataset, train=subset(split, ~drawn), validation=subset(split, drawn))


def _drawn_per_class(
    split: FileSplit, classes: int, held_out: int, rng: np.random.Generator
) -> np.ndarray:
    """The validation images: bool (N,), by largest remainders of each class's proportion."""
    counts = np.bincount(split.labels, minlength=classes)
    available = np.maximum(counts - 1, 0)
    if held_out > available.sum():
        raise ValueError(
            f"Of {split.examples} images of {classes} classes at most {available.sum()} can be "
            f"held out, since each class keeps one to train on; given held_out={held_out}."
        )
    quotas = held_out * available / available.sum()  # none above what is available
    numbers = np.floor(quotas).astype(int)
    largest = np.argsort(numbers - quotas, kind="stable")
    numbers[largest[: held_out - numbers.sum()]] += 1
    drawn = np.zeros(split.examples, bool)
    for label, number in enumerate(numbers):
        drawn[rng.permutation(np.flatnonzero(split.labels == label))[:number]] = True
    return drawn


def _stretch(
    split: RecordSplit, held_out: int, rng: np.random.Generator
) -> tuple[RecordSplit, RecordSplit]:
    """The rest, and a stretch of the records: they are read in sequence, and TFDS shuffled them."""
    name = split.instruction
    start = int(rng.integers(split.examples - held_out + 1))
    stop = start + held_out
    rest = "+".join(
        f"{name}[{first}:{last}]"
        for first, last in ((0, start), (stop, split.examples))
        if first < last
    )
    return RecordSplit(split.builder, rest), RecordSplit(split.builder, f"{name}[{start}:{stop}]")


def _digits() -> Dataset:
    """scikit-learn's 1797 handwritten digits, 8x8 with values 0..16, scaled to 32x32x1, 0..255."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(_enlarged(digits.images * (255 / 16), 32))
    images = images.astype(np.uint8)[..., np.newaxis]  # (1797, 32, 32, 1)
    labels = digits.target.astype(np.int32)
    # The same test images in every run: this seed is not the run's.
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    return Dataset(
        name="digits",
        class_names=tuple(str(name) for name in digits.target_names),
        image_shape=(32, 32, 1),
        train=ArraySplit(images[rest], labels[rest]),
        validation=None,
        test=ArraySplit(images[test], labels[test]),
    )


def _enlarged(images: np.ndarray, size: int) -> np.ndarray:
    """(N, n, n) -> float32 (N, size, size), bilinear between the pixels' centres."""
    n = images.shape[1]
    place = (np.arange(size, dtype=np.float32) + 0.5) * (n / size) - 0.5  # in the small image
    before = np.floor(place).astype(int)
    share = (place - before).astype(np.float32)  # of the pixel after
    before, after = np.clip(before, 0, n - 1), np.clip(before + 1, 0, n - 1)
    small = images.astype(np.float32)
    wide = small[:, :, before] + (small[:, :, after] - small[:, :, before]) * share
    return wide[:, before] + (wide[:, after] - wide[:, before]) * share[:, np.newaxis]

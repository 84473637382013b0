"""The data sets by name: digits, CIFAR-10, ImageNet 2012, or a folder of class folders.

No TensorFlow here, unless the data lie as TensorFlow Datasets prepares them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.data import array_files
from training.data.splits import ArraySplit, Dataset, RecordSplit, Split, subset

NAMES = ("digits", "cifar10", "imagenet2012", "folder")


def load(name: str, data_dir: str | None = None, held_out: int = 0, seed: int = 0) -> Dataset:
    """Loads small data sets into memory and locates large ones.

    Args:
        name: One of `NAMES`.
        data_dir: TFDS's data directory (default: the environment variable TFDS_DATA_DIR, else
            TFDS's own), or the folder of class folders. Digits need none. Where it holds the data
            set as `training.data.array_files` writes it, those files are read, without TFDS.
        held_out: Number of training images kept for validation (section 4.2 of the paper: 5000),
            drawn by `seed`.
        seed: Of that draw alone; the test images are always the same.

    Raises:
        ValueError: If there is no such data set, or too few images to hold out that many.
        OSError: If the data are missing or unreadable.
    """
    if name not in NAMES:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(NAMES)}.")
    dataset = _load(name, data_dir)
    if held_out == 0:
        return dataset
    if not 0 < held_out < dataset.train.examples:
        raise ValueError(
            f"{name} has {dataset.train.examples} training images: held_out is at least 0 and "
            f"smaller than that; given {held_out}."
        )
    train, validation = _hold_out(dataset.train, held_out, seed)
    return replace(dataset, train=train, validation=validation)


def _load(name: str, data_dir: str | None) -> Dataset:
    if name in array_files.NAMES and array_files.paths(name, data_dir):
        return array_files.read(name, data_dir)
    try:
        if name == "digits":
            return _digits()
        if name == "folder":
            from training.data import image_folder

            return image_folder.load(data_dir)
        from training.data import tfds_datasets

        return tfds_datasets.load(name, data_dir)
    except ModuleNotFoundError as error:
        raise FileNotFoundError(
            f"{name} cannot be read without {error.name}, which is not installed. Install it; "
            f"{' and '.join(array_files.NAMES)} can also be files that --data-dir names, as "
            "`python -m training arrays` writes them where it is installed."
        ) from error


def _hold_out(split: Split, held_out: int, seed: int) -> tuple[Split, Split]:
    """The rest and `held_out` of its images, each in the split's order."""
    rng = np.random.default_rng(seed)
    if isinstance(split, RecordSplit):
        # Records are read in sequence, so a stretch of them; TFDS has shuffled them beforehand.
        name = split.instruction
        start = int(rng.integers(split.examples - held_out + 1))
        stop = start + held_out
        rest = "+".join(
            f"{name}[{first}:{last}]"
            for first, last in ((0, start), (stop, split.examples))
            if first < last
        )
        stretch = f"{name}[{start}:{stop}]"
        return RecordSplit(split.builder, rest), RecordSplit(split.builder, stretch)
    chosen = np.zeros(split.examples, bool)
    chosen[rng.permutation(split.examples)[:held_out]] = True
    return subset(split, ~chosen), subset(split, chosen)


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

"""Data sets that several tests of the input share."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

TINY_TRAIN, TINY_VALIDATION = 20, 6


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with some of the digits at their own 8x8 pixels, 510 to train, 217 to test,
    in two files."""
    from sklearn.datasets import load_digits

    from training.data.prepared import array_files
    from training.data.splits import ArraySplit, Dataset

    digits = load_digits()
    images = np.round(digits.images * 255 / 16).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int32)
    train, test = (ArraySplit(images[part], labels[part]) for part in (np.s_[:510], np.s_[510:727]))
    directory = tmp_path_factory.mktemp("digits")
    dataset = Dataset("digits", tuple("0123456789"), (8, 8, 1), train, None, test)
    assert len(array_files.write(dataset, directory, 0.03)) == 2
    return directory


@pytest.fixture(scope="module")
def digits_are_few(few_digits: Path) -> Iterator[None]:
    """Runs on `digits` that name no data directory, in this process and in others, take these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(few_digits))
        yield


@pytest.fixture(scope="session")
def photographs(shared_data: Path) -> list[Path]:
    """Real JPEG photographs, each in a folder named by its ImageNet synset."""
    return sorted((shared_data / "imagenet_sample").glob("*/*.JPEG"))


@pytest.fixture(scope="session")
def tiny_imagenet(
    photographs: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Path]]:
    """A data directory that TFDS itself prepared from archives shaped like ImageNet's, and the
    training photographs in it, no two of one class."""
    import tensorflow_datasets as tfds

    data_dir = tmp_path_factory.mktemp("imagenet")
    manual_dir = data_dir / "downloads" / "manual"
    manual_dir.mkdir(parents=True)
    train, rest = photographs[:TINY_TRAIN], photographs[TINY_TRAIN:]
    with tarfile.open(manual_dir / "ILSVRC2012_img_train.tar", "w") as archive:
        for path in train:
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as of_class:
                of_class.add(path, path.name)
            member = tarfile.TarInfo(f"{path.parent.name}.tar")
            member.size = len(inner.getvalue())
            archive.addfile(member, io.BytesIO(inner.getvalue()))
    with tarfile.open(manual_dir / "ILSVRC2012_img_val.tar", "w") as archive:
        for number, path in enumerate(rest[:TINY_VALIDATION], start=1):
            archive.add(path, f"ILSVRC2012_val_{number:08}.JPEG")
    config = tfds.download.DownloadConfig(num_shards=3)
    tfds.builder("imagenet2012", data_dir=data_dir).download_and_prepare(download_config=config)
    return data_dir, train

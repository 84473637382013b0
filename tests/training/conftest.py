"""Data sets that several tests of the input share."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

TINY_TRAIN, TINY_VALIDATION = 20, 6


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

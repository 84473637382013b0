"""Facts about each data set from other sources, and every way in which data can be missing."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from launch import free_ports
from sklearn.datasets import load_digits

from training.data import datasets, pixel_mean
from training.data.batches import train_batches
from training.data.draws import Draws
from training.data.prepared import download
from training.data.splits import ArraySplit, Dataset, RecordSplit


def test_names() -> None:
    with pytest.raises(ValueError, match=r"'mnist'.*cifar10, digits, imagenet2012, folder"):
        datasets.load("mnist")


# Digits


def by_hand(digit: np.ndarray) -> np.ndarray:
    """8x8 values 0..16 to 32x32 values 0..255, bilinear between the pixels' centres."""
    out = np.zeros((32, 32))
    for row in range(32):
        for column in range(32):
            y = min(max((row + 0.5) / 4 - 0.5, 0), 7)
            x = min(max((column + 0.5) / 4 - 0.5, 0), 7)
            top, left = min(int(y), 6), min(int(x), 6)
            for i, wy in ((top, 1 - (y - top)), (top + 1, y - top)):
                for j, wx in ((left, 1 - (x - left)), (left + 1, x - left)):
                    out[row, column] += wy * wx * digit[i, j] * 255 / 16
    return out


def test_digits() -> None:
    dataset = datasets.load("digits", seed=1)
    source = load_digits()
    assert dataset.class_names == tuple("0123456789")
    assert dataset.image_shape == (32, 32, 1)
    assert dataset.validation is None
    assert (dataset.train.examples, dataset.test.examples) == (1437, 360)
    images = np.concatenate([dataset.train.images, dataset.test.images])
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    assert (images.dtype, images.min(), images.max()) == (np.uint8, 0, 255)
    assert labels.dtype == np.int32
    for split in (dataset.train, dataset.test):  # stratified
        shares = np.bincount(split.labels) / split.examples
        np.testing.assert_allclose(shares, np.bincount(source.target) / 1797, atol=0.003)
    scaled = np.stack([by_hand(digit) for digit in source.images[:30]])
    for image, label in zip(scaled, source.target[:30], strict=True):
        distances = np.abs(images[..., 0] - image).max(axis=(1, 2))
        assert (distances <= 0.51).sum() == 1
        assert labels[distances.argmin()] == label


@settings(max_examples=10)
@given(held_out=st.integers(1, 1436), seed=st.integers(0, 2**32))
def test_held_out_images_are_the_rest(held_out: int, seed: int) -> None:
    whole, dataset, again = (
        datasets.load("digits", held_out=count, seed=seed) for count in (0, held_out, held_out)
    )
    assert dataset.validation.examples == held_out
    assert dataset.train.examples == 1437 - held_out
    np.testing.assert_array_equal(dataset.validation.images, again.validation.images)
    np.testing.assert_array_equal(dataset.test.images, whole.test.images)

    def rows(split: ArraySplit) -> list[bytes]:
        pairs = zip(split.images, split.labels, strict=True)
        return [image.tobytes() + bytes([label]) for image, label in pairs]

    assert sorted(rows(dataset.train) + rows(dataset.validation)) == sorted(rows(whole.train))


def test_held_out_images_differ_between_seeds() -> None:
    one, other = (datasets.load("digits", held_out=300, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one.validation.images, other.validation.images)


@pytest.mark.parametrize("held_out", [-1, 1437, 10_000])
def test_too_many_held_out(held_out: int) -> None:
    with pytest.raises(ValueError, match=f"1437 training images.*given {held_out}"):
        datasets.load("digits", held_out=held_out)


# CIFAR-10


@pytest.fixture(scope="module")
def cifar10(shared_data: Path) -> Dataset:
    return datasets.load("cifar10", str(shared_data / "tensorflow_datasets"), held_out=5000)


@pytest.mark.slow
def test_cifar10(cifar10: Dataset) -> None:
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    assert cifar10.class_names == tuple(names.split())
    assert cifar10.image_shape == (32, 32, 3)
    splits = (cifar10.train, cifar10.validation, cifar10.test)
    assert [split.examples for split in splits] == [45_000, 5_000, 10_000]
    assert np.bincount(cifar10.test.labels).tolist() == [1000] * 10
    both = np.concatenate([cifar10.train.labels, cifar10.validation.labels])
    assert np.bincount(both).tolist() == [5000] * 10
    # The training images' mean colour, as it is published with many CIFAR nets.
    colours = [pixel_mean.pixel_mean(split).mean(axis=(0, 1)) for split in splits[:2]]
    mean = 0.9 * colours[0] + 0.1 * colours[1]
    np.testing.assert_allclose(mean / 255, (0.4914, 0.4822, 0.4465), atol=5e-5)


@pytest.mark.slow
def test_cifar10_batches_are_its_images(cifar10: Dataset) -> None:
    mean = pixel_mean.pixel_mean(cifar10.train)
    draws = Draws(cifar10.train.examples, 128, "cifar", seed=0)
    batches = train_batches(cifar10.train, draws, mean=mean, image_size=32)
    images, labels = next(batches.as_numpy_iterator())
    assert images.shape == (128, 32, 32, 3)
    assert np.bincount(labels, minlength=10).max() < 30  # shuffled
    assert abs(images.mean()) < 8  # 120 without the subtraction


def test_tfds_data_dir_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "elsewhere")):
        datasets.load("imagenet2012")
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "given")):
        datasets.load("imagenet2012", str(tmp_path / "given"))


def test_truncated_records_are_an_os_error(shared_data: Path, tmp_path: Path) -> None:
    (source,) = (shared_data / "tensorflow_datasets" / "cifar10").iterdir()
    copy = tmp_path / "cifar10" / source.name
    copy.mkdir(parents=True)
    for path in source.iterdir():
        (copy / path.name).write_bytes(path.open("rb").read(100_000))
    with pytest.raises(OSError, match=f"train images of cifar10 in {copy} are damaged"):
        datasets.load("cifar10", str(tmp_path))
    for path in copy.glob("*tfrecord*"):
        path.unlink()
    with pytest.raises(OSError, match=f"train images of cifar10 in {copy} are damaged"):
        datasets.load("cifar10", str(tmp_path))


# Missing data


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy that is down, so that the tests download nothing wherever they run."""
    for variable in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{free_ports(1)[0]}")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("offline")
def test_missing_data_offline_names_the_ways_out(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    with pytest.raises(FileNotFoundError, match="cannot be reached") as raised:
        datasets.load("cifar10", str(empty))
    message = str(raised.value)
    for part in (str(empty), "--data-dir", "TFDS_DATA_DIR", "network", "--dataset digits"):
        assert part in message
    assert "\n" not in message
    assert not empty.exists()


def test_missing_imagenet_says_that_it_is_got_by_hand(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="may not download it") as raised:
        datasets.load("imagenet2012", str(tmp_path))
    for part in (str(tmp_path / "downloads" / "manual"), "tfds build", "--data-dir"):
        assert part in str(raised.value)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real host that has nothing to download."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/data.tar"
        httpd.shutdown()


def test_reachable(server: str) -> None:
    assert download.reachable(server)
    assert not download.reachable(f"http://127.0.0.1:{free_ports(1)[0]}/data.tar")
    assert not download.reachable("http://host.invalid/data.tar")


def test_a_download_that_fails(server: str, tmp_path: Path) -> None:
    with tfds.core.registered.skip_registration():

        class Remote(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")
            url_infos = {server: tfds.core.download.checksums.UrlInfo(1, "0" * 64, "data.tar")}  # noqa: RUF012

            def _info(self) -> tfds.core.DatasetInfo:
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict({"label": np.int64})
                )

            def _split_generators(self, dl_manager):  # type: ignore[no-untyped-def]
                return {"train": self._generate_examples(dl_manager.download(server))}

            def _generate_examples(self, path):  # type: ignore[no-untyped-def]
                yield 0, {"label": 0}

    with pytest.raises(FileNotFoundError, match=r"download failed.*--data-dir"):
        download.prepare(Remote(data_dir=tmp_path), str(tmp_path))


# ImageNet


def test_imagenet2012(tiny_imagenet: tuple[Path, list[Path]]) -> None:
    data_dir, paths = tiny_imagenet
    dataset = datasets.load("imagenet2012", str(data_dir))
    assert len(dataset.class_names) == 1000
    assert dataset.class_names[0] == "n01440764"
    assert dataset.image_shape is None
    assert isinstance(dataset.train, RecordSplit)
    assert (dataset.train.examples, dataset.test.examples) == (len(paths), 6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("held_out", [1, 8, 19])
def test_records_held_out(tiny_imagenet: tuple[Path, list[Path]], held_out: int, seed: int) -> None:
    dataset = datasets.load("imagenet2012", str(tiny_imagenet[0]), held_out, seed)
    assert dataset.validation.examples == held_out
    assert dataset.train.examples == 20 - held_out
    parts = []
    for split in (dataset.train, dataset.validation):
        examples = split.builder.as_dataset(split=split.instruction)
        parts.append({name for name in (e["file_name"] for e in tfds.as_numpy(examples))})
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 20

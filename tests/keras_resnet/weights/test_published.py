"""The table of published weights, and fetching their files."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import inspect
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from large_nets import undrawn
from weight_samples import images, outputs, randomize, write_published_h5

import keras_resnet
from keras_resnet import CifarResNet, ResNet, ResNet18, ResNet50, weights
from keras_resnet.weights import loading, porting, published

# Transcribed from keras/src/applications/resnet.py: MD5 of the files with and without a top.
KERAS_HASHES = {
    "resnet50": ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
}


@pytest.mark.parametrize("network", KERAS_HASHES)
def test_imagenet_rows_are_keras_applications_files(network):
    (entry,) = [entry for entry in weights.list_published(network) if entry.name == "imagenet"]
    assert (entry.hash, entry.hash_without_top) == KERAS_HASHES[network]
    assert (entry.version, entry.preprocessing) == ("v1", "caffe")
    address = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    name = f"{network}_weights_tf_dim_ordering_tf_kernels"
    assert entry.origin.url + entry.file == f"{address}{name}.h5"
    assert entry.file_without_top == f"{name}_notop.h5"


@pytest.mark.parametrize(
    "entry", weights.list_published(), ids=lambda entry: f"{entry.name}-{entry.network}"
)
def test_entries_are_complete(entry):
    architecture = keras_resnet.ARCHITECTURES[entry.network]
    assert weights.find(entry.name, architecture) is entry
    assert weights.fitting_version(entry, architecture) == entry.version
    assert entry.preprocessing in keras_resnet.preprocessing.CONVENTIONS
    assert entry.origin.licence
    assert entry.origin.protocol.size <= entry.origin.protocol.shorter_side
    assert 0 < entry.top5 < entry.top1 < 100
    assert entry.file in str(entry)
    if entry.file.endswith(".pth"):
        assert entry.file.endswith(f"-{entry.hash}.pth")
        assert len(entry.hash) == 8
        assert entry.version == ("v1.5" if architecture.block == "bottleneck" else "v1")


def test_every_network_of_table_1_has_a_choice():
    for depth in (18, 34, 50, 101, 152):
        names = [entry.name for entry in weights.list_published(f"resnet{depth}")]
        assert {"imagenet", "imagenet-torchvision-v1", "imagenet-timm-a1"} <= set(names)
        assert len(names) == len(set(names))
    assert set(weights.list_published()) == {
        entry for n in keras_resnet.ARCHITECTURES for entry in weights.list_published(n)
    }


def test_defaults_are_keras_applications():
    def default(function):
        return inspect.signature(function).parameters["weights"].default

    for name in ("ResNet50", "ResNet101", "ResNet152"):
        theirs = default(getattr(keras.applications, name))
        assert default(getattr(keras_resnet, name)) == theirs == "imagenet"
    assert default(ResNet18) == "imagenet"
    for function in (keras_resnet.Plain18, keras_resnet.ResNet20, ResNet):
        assert default(function) is None


def test_a_misspelt_network_is_told_the_nearest():
    with pytest.raises(ValueError, match=r"no network 'resnet-50'.*mean 'resnet50'\?"):
        weights.list_published("resnet-50")
    with pytest.raises(ValueError, match=r"mean 'resnet101'\?"):
        weights.list_published("ResNet_101")
    assert weights.list_published("plain18") == weights.list_published("resnet26") == ()


def test_how_an_error_was_measured_stands_in_fields():
    """torchvision's documentation of IMAGENET1K_V2: resize_size=[232], bilinear; timm's: 235."""
    protocols = {one.name: one.origin.protocol for one in weights.list_published("resnet50")}
    assert protocols["imagenet-torchvision-v2"] == published.CropProtocol(224, 232, "bilinear")
    assert protocols["imagenet-timm-a1"] == published.CropProtocol(224, 235, "bicubic")
    assert str(protocols["imagenet"]) == "centre 224x224 of shorter side 256, bilinear"
    (small,) = weights.list_published("resnet20")
    assert str(small.origin.protocol) == "whole 32x32"


# ---- fetching, from a server of these tests


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@contextlib.contextmanager
def server(folder: Path, truncate: bool = False) -> Iterator[tuple[str, list[str]]]:
    """A loopback HTTP server of a folder; yields its URL and the paths asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def do_GET(self):
            asked.append(self.path)
            if not truncate:
                return super().do_GET()
            body = (folder / self.path.lstrip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])  # and the connection closes

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}/", asked
        running.shutdown()


def tiny_entry(url: str, file: Path, algorithm: str = "md5") -> published.PublishedWeights:
    digest = hashlib.new(algorithm, file.read_bytes()).hexdigest()
    return published.PublishedWeights(
        name="test",
        network="resnet20",
        origin=replace(published.CAFFE, url=url, classes=10),
        file=file.name,
        hash=digest if algorithm == "md5" else digest[:8],
        top1=9.0,
        top5=1.0,
    )


@pytest.fixture
def shelf(tmp_path) -> Path:
    (tmp_path / "shelf").mkdir()
    randomize(CifarResNet(20)).save_weights(tmp_path / "shelf" / "net.weights.h5")
    return tmp_path / "shelf"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_row_is_fetched_once_checked_and_loaded(shelf, cache, algorithm):
    with server(shelf) as (url, asked):
        entry = tiny_entry(url, shelf / "net.weights.h5", algorithm)
        model = CifarResNet(20)
        for _ in range(2):
            weights.load(model, entry, keras_resnet.ARCHITECTURES["resnet20"])
    assert asked == ["/net.weights.h5"]
    assert [path.name for path in cache.iterdir()] == ["net.weights.h5"]
    expected = CifarResNet(20, weights=shelf / "net.weights.h5")
    np.testing.assert_equal(model.get_weights(), expected.get_weights())


@pytest.mark.parametrize("fault", ["truncated", "tampered", "absent", "no server"])
def test_a_failed_fetch_leaves_no_file_and_says_what_to_do(shelf, cache, fault):
    with server(shelf, truncate=fault == "truncated") as (url, _):
        entry = tiny_entry(url, shelf / "net.weights.h5")
        if fault == "tampered":
            content = bytearray((shelf / "net.weights.h5").read_bytes())
            content[len(content) // 2] ^= 1
            (shelf / "net.weights.h5").write_bytes(content)
        if fault == "absent":
            (shelf / "net.weights.h5").unlink()
        if fault == "no server":
            entry = replace(entry, origin=replace(entry.origin, url="http://127.0.0.1:9/"))
        with pytest.raises(OSError, match=r"by hand and put it at .*cache.models.net\.weights\.h5"):
            weights.fetch(entry)
    assert list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_replaced_only_by_a_good_one(shelf, cache):
    cache.mkdir(parents=True)
    (cache / "net.weights.h5").write_bytes(b"damaged")
    with server(shelf) as (url, _):
        entry = tiny_entry(url, shelf / "net.weights.h5")
        with pytest.raises(OSError, match="could not be fetched"):
            weights.fetch(replace(entry, origin=replace(entry.origin, url="http://127.0.0.1:9/")))
        assert (cache / "net.weights.h5").read_bytes() == b"damaged"
        path = Path(weights.fetch(entry))
    assert path.read_bytes() == (shelf / "net.weights.h5").read_bytes()


@pytest.mark.slow
@undrawn()
def test_imagenet_means_the_published_file_and_its_preprocessing(tmp_path, cache, monkeypatch):
    """The whole way of `ResNet50(weights="imagenet")`, to a server of our own."""
    theirs = randomize(keras.applications.ResNet50(weights=None, include_top=False))
    (entry,) = [entry for entry in weights.list_published("resnet50") if entry.name == "imagenet"]
    (tmp_path / "shelf").mkdir()
    file = tmp_path / "shelf" / entry.file_without_top
    write_published_h5(theirs, file)
    digest = hashlib.md5(file.read_bytes()).hexdigest()
    with server(tmp_path / "shelf") as (url, asked):
        moved = replace(entry, origin=replace(entry.origin, url=url), hash_without_top=digest)
        monkeypatch.setattr(loading, "of_network", lambda name: (moved,))
        ours = ResNet50(include_top=False, input_shape=(64, 64, 3))
    assert asked == [f"/{entry.file_without_top}"]
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    expected = outputs(theirs, keras.applications.resnet.preprocess_input(pixels.copy()))
    found = outputs(ours, keras_resnet.preprocess_input(pixels, entry.preprocessing))
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


def test_torchvision_rows_build_v1_5(tmp_path, cache, monkeypatch):
    """The version that published weights need is built; on a table with a small network."""
    torch = pytest.importorskip("torch")
    tiny = keras_resnet.Architecture("tiny", "imagenet", "bottleneck", (1, 1), (8, 16), "B")
    model = randomize(ResNet(tiny, version="v1.5", classes=1000, input_shape=(64, 64, 3)))
    arrays = porting.to_torchvision(model)
    torch.save({name: torch.tensor(a) for name, a in arrays.items()}, tmp_path / "tiny.pth")
    entry = replace(
        tiny_entry(tmp_path.as_uri() + "/", tmp_path / "tiny.pth", "sha256"),
        network="tiny",
        origin=replace(published.TORCHVISION_V2, url=tmp_path.as_uri() + "/"),
    )
    for module in (loading, published):
        monkeypatch.setattr(module, "ARCHITECTURES", {"tiny": tiny})
        monkeypatch.setattr(module, "PUBLISHED_WEIGHTS", (entry,))
    loaded = ResNet(tiny, weights="test", input_shape=(64, 64, 3))
    assert porting.version(loaded) == "v1.5"
    x = images((1, 64, 64, 3))
    np.testing.assert_array_equal(outputs(loaded, x), outputs(model, x))
    with pytest.raises(ValueError, match="need version='v1"):
        ResNet(tiny, weights="test", version="v1")

"""Style transfer: Gram matrices, distances, and the picture that is painted."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pages
import pytest
from PIL import Image

import keras_resnet
from examples import common, style
from keras_resnet import ARCHITECTURES, Architecture

OWN = "style, own features, %"
SMALL = ["--size", "64", "--steps", "20"]


@pytest.fixture(scope="module")
def photographs() -> tuple[np.ndarray, np.ndarray]:
    options = style.argparse.Namespace(content=None, style=None, size=64)
    return style.photographs(options)


def test_gram_matrices_are_products_of_channels_averaged_over_places():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    expected = np.zeros((2, 5, 5))
    for image in range(2):
        for y in range(3):
            for x in range(4):
                expected[image] += np.outer(maps[image, y, x], maps[image, y, x]) / 12
    found = keras.ops.convert_to_numpy(style.gram(keras.ops.convert_to_tensor(maps)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_cifar10s_mean_is_taken_by_channel_and_imagenets_as_published():
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 40, 48, 3)).astype("float32")
    mean = pixels - style.normalized(pixels, "cifar10")
    # CIFAR-10's, at every place
    np.testing.assert_allclose(mean, np.broadcast_to([125.3, 123.0, 113.9], mean.shape), atol=0.1)
    expected = keras.applications.resnet.preprocess_input(pixels.copy())
    np.testing.assert_allclose(style.normalized(pixels, "caffe"), expected, atol=1e-3)


def test_the_viewer_sees_what_the_network_computes(photographs):
    content, _ = photographs
    *grams, seen = style.viewer(ARCHITECTURES["resnet20"], content.shape)(content[None])
    assert [gram.shape[-1] for gram in grams] == [3, 16, *[16] * 3, *[32] * 3, *[64] * 3]
    net = keras_resnet.backbone("resnet20", weights="cifar10")
    maps = net(style.normalized(content[None], "cifar10"))
    np.testing.assert_allclose(seen, maps["C3"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(grams[-1], style.gram(maps["C4"]), rtol=1e-3, atol=1e-3)


def test_painting_starts_at_the_photograph_and_stays_in_range(photographs, monkeypatch):
    monkeypatch.setattr(style, "NOISE", 0.0)
    photograph, _ = photographs
    layer = style.Repainting(seed=0)
    start = keras.ops.convert_to_numpy(layer(photograph[None]))[0]
    bounds = 255 * style.DARKEST, 255 * style.BRIGHTEST
    np.testing.assert_allclose(start, photograph.clip(*bounds), atol=0.1)
    for level in layer.weights:
        level.assign(np.full(level.shape, 50.0))
    white = keras.ops.convert_to_numpy(layer(photograph[None]))
    assert white.max() <= 255
    assert white.min() > 254


@dataclass(frozen=True)
class Command:
    """What a run of the command left and painted."""

    out: Path
    printed: str
    outcomes: Mapping[str, style.Outcome]  # by network


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> Command:
    out, printed, outcomes = tmp_path_factory.mktemp("style") / "out", io.StringIO(), {}

    def paint(architecture: Architecture, *arguments: Any) -> style.Outcome:
        outcomes[architecture.name] = outcome = original(architecture, *arguments)
        return outcome

    original = style.paint
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(style, "paint", paint)
        assert style.main([*SMALL, "--out", str(out)]) == 0
    return Command(out, printed.getvalue(), outcomes)


@pytest.fixture(scope="module")
def painted(command) -> style.Outcome:
    return command.outcomes["resnet20"]


@pytest.mark.slow
def test_steps_lower_the_loss_and_leave_the_network_as_it_is(photographs, painted):
    content, _ = photographs
    assert len(painted.losses) == 20  # one of each step
    assert painted.losses[-1] < 0.5 * painted.losses[0]
    assert painted.picture.shape == content.shape
    model = style.viewer(ARCHITECTURES["resnet20"], content.shape)
    assert model.trainable_weights == []


def test_the_seed_is_the_noise_at_the_start(photographs):
    def first(seed: int) -> np.ndarray:
        return keras.ops.convert_to_numpy(style.Repainting(seed)(photographs[0][None]))

    np.testing.assert_array_equal(first(1), first(1))
    assert np.abs(first(1) - first(2)).max() > 1


def test_nothing_is_painted_where_nothing_differs(photographs):
    content, _ = photographs
    with pytest.raises(ValueError, match="same picture"):
        style.paint(ARCHITECTURES["resnet20"], content, content, seed=0, steps=1)


def test_twins_are_those_with_published_weights():
    assert list(style.nets("resnet20")) == ["residual", "plain"]
    assert list(style.nets("resnet50")) == ["residual"]
    for name in style.NETWORKS:
        for net, architecture in style.nets(name).items():
            assert (architecture.shortcut is None) == (net == "plain")
            assert keras_resnet.weights.list_published(architecture.name)


@pytest.mark.slow
def test_the_command_in_small(command):
    results = json.loads((command.out / common.RESULT).read_text())["results"]
    assert set(results) == {"residual", "plain"}
    for net, (row,) in results.items():
        assert row[OWN] < 40  # of the content photograph's own
        assert row["style, patches, %"] < 90
        assert row["content, own features, %"] < 100
        assert row["content, edges, %"] < 90
        with Image.open(command.out / f"{net}.png") as picture:
            assert picture.size == (64, 43)
    assert (command.out / common.FIGURE).read_bytes().startswith(b"\x89PNG")
    assert "residual" in command.printed


@pytest.fixture
def own(tmp_path) -> list[str]:
    """The options for a grey content and a style with transparency, of other sides."""
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (90, 70), "uint8")).save(tmp_path / "grey.png")
    clear = Image.fromarray(random.integers(0, 256, (50, 300, 4), "uint8"))
    clear.save(tmp_path / "clear.png")
    return [f"--content={tmp_path / 'grey.png'}", f"--style={tmp_path / 'clear.png'}"]


def test_own_pictures_of_any_size_and_kind(own):
    files = dict(option.removeprefix("--").split("=") for option in own)
    content, other = style.photographs(style.argparse.Namespace(**files, size=64))
    assert content.shape == other.shape == (64, 50, 3)
    np.testing.assert_array_equal(content[..., 0], content[..., 1])


def test_a_photograph_lies_as_its_camera_says(tmp_path):
    picture = Image.new("RGB", (80, 60))
    turned = picture.getexif()
    turned[0x0112] = 6  # orientation: a quarter turn
    picture.save(tmp_path / "turned.jpg", exif=turned)
    options = style.argparse.Namespace(content=tmp_path / "turned.jpg", style=None, size=80)
    content, other = style.photographs(options)
    assert content.shape == other.shape == (80, 60, 3)


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "torn"])
def test_files_that_are_no_pictures_are_said(damage, tmp_path, capsys):
    file = tmp_path / "picture.png"
    if damage == "text":
        file.write_text("no picture")
    elif damage != "missing":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), "uint8")).save(file)
        content = file.read_bytes()
        torn = content[:3000] + bytes(500) + content[3500:]
        file.write_bytes(content[:3000] if damage == "cut" else torn)
    assert style.main(["--style", str(file), *SMALL, "--out", str(tmp_path / "out")]) == 1
    assert f"{file} cannot be read as a picture" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["40", "0", "-5"])
def test_pictures_too_small_are_refused(size, tmp_path, capsys):
    arguments = ["--size", size, "--out", str(tmp_path / "out")]
    if int(size) < 1:
        with pytest.raises(SystemExit, match="2"):
            style.main(arguments)
        assert "at least 1" in capsys.readouterr().err
    else:
        assert style.main(arguments) == 1
        assert "larger --size" in capsys.readouterr().err


def test_a_negative_weight_is_refused(tmp_path, capsys):
    assert style.main(["--content-weight", "-1", "--out", str(tmp_path / "out")]) == 1
    assert "--content-weight is at least 0" in capsys.readouterr().err


@pytest.mark.nightly
def test_the_more_the_content_weighs_the_nearer_it_stays(photographs, painted):
    heavy = style.paint(
        ARCHITECTURES["resnet20"], *photographs, seed=0, steps=20, content_weight=10.0
    )
    assert heavy.numbers["content, edges, %"] < painted.numbers["content, edges, %"]
    assert heavy.numbers[OWN] > painted.numbers[OWN]


@pytest.mark.nightly
def test_the_code_of_the_page(photographs):
    content, other = photographs
    given = {"content": content[None], "style": other[None]}
    exec(pages.code("style"), given)
    assert given["picture"].shape == (43, 64, 3)
    assert given["loss"] < 0.3  # 1 at the start


@pytest.mark.nightly
def test_the_whole_command(tmp_path):
    assert style.main(["--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / common.RESULT).read_text())["results"]
    for (row,) in results.values():
        assert row[OWN] < 5
        assert row["style, patches, %"] < 15
        assert row["content, edges, %"] < 60


@pytest.mark.nightly
def test_own_pictures_are_painted(own, tmp_path):
    assert style.main([*own, "--size=64", "--steps=2", f"--out={tmp_path / 'out'}"]) == 0
    with Image.open(tmp_path / "out" / "residual.png") as picture:
        assert picture.size == (50, 64)


@pytest.mark.nightly
def test_an_imagenet_net_paints_too(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_resnet.weights, "load", lambda *args, **kwargs: None)
    arguments = ["--network", "resnet50", *SMALL, "--out", str(tmp_path)]
    assert style.main(arguments) == 0
    results = json.loads((tmp_path / common.RESULT).read_text())["results"]
    assert list(results) == ["residual"]
    assert results["residual"][0][OWN] < 80

"""Fine-tuning: the split is honest, what is frozen stays, and the saved net is the one measured."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pages
import pytest
from PIL import Image

import keras_resnet
from examples import finetune, stickers
from keras_resnet import ARCHITECTURES
from training.data.folder import split_file

RESNET20 = keras_resnet.weights.list_published("resnet20")[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The directory that the command writes with one net, one way, few steps and few images."""
    out = tmp_path_factory.mktemp("finetune")
    pieces = stickers.pieces()[::5]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stickers, "pieces", lambda: pieces)
        patch.setattr(finetune, "WAYS", {finetune.TUNED: finetune.WAYS[finetune.TUNED]})
        patch.setattr(finetune, "twins", lambda _: {"residual": ARCHITECTURES["resnet20"]})
        assert finetune.main(["--steps", "60", "--out", str(out)]) == 0
    return out


@pytest.fixture
def own(tmp_path) -> Path:
    """A user's folder: bright and dark images of many sizes, grey and in colour."""
    random = np.random.default_rng(0)
    for name, low in (("bright", 180), ("dark", 0)):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(5):
            shape = (20 + 30 * i, 70) if i % 2 else (50, 30 + 20 * i, 3)
            pixels = random.integers(low, low + 70, shape, np.uint8)
            ending = "JPG" if i < 3 else "png"
            Image.fromarray(pixels).save(tmp_path / "own" / name / f"{i}.{ending}")
        (tmp_path / "own" / name / "notes.txt").write_text("no image")
    return tmp_path / "own"


def arguments(own: Path, *more: str) -> list[str]:
    return ["--images", str(own), "--out", str(own.parent / "out"), "--steps", "2", *more]


def test_stickers_are_the_same_every_time_and_no_piece_is_in_two(tmp_path):
    for name in ("once", "again"):
        stickers.write(tmp_path / name)
    files = sorted((tmp_path / "once").rglob("*.png"))
    assert len(files) == 520
    for file in files:
        again = tmp_path / "again" / file.relative_to(tmp_path / "once")
        assert again.read_bytes() == file.read_bytes()
    pieces = stickers.pieces()
    assert pieces.shape == (520, 32, 32, 3)
    images = [np.asarray(Image.open(file))[::2, ::2] for file in files]
    few = pieces[:, ::2, ::2]  # pixels
    below = [int((few == image).all(axis=-1).sum(axis=(1, 2)).argmax()) for image in images]
    assert sorted(below) == list(range(520))


def test_the_split_is_by_class_and_by_seed(own, tmp_path):
    roles = []
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        rows = split_file.read(finetune.split(own, 3, seed, tmp_path / f"{name}.csv"))
        assert len({row.file for row in rows}) == 10
        for class_name in ("bright", "dark"):
            mine = [row for row in rows if row.class_name == class_name]
            assert {Path(row.file).parts[0] for row in mine} == {class_name}
            assert [row.role for row in mine].count("train") == 3
        roles.append({row.file: row.role for row in rows})
    assert roles[0] == roles[1] != roles[2]


def test_each_way_is_a_recipe_that_trains():
    for way in finetune.WAYS.values():
        job = finetune.job("resnet20", "cifar10", way, 100, 0, data_dir="somewhere")
        job.check()
        assert (job.weights is None) == (not way.pretrained)
    # All else is the recipe's.
    assert set(finetune.WAYS[finetune.TUNED].changes) == {"top_fraction", "learning_rate"}


@pytest.mark.slow
def test_the_command_in_small(finished):
    results = json.loads((finished / "result.json").read_text())["results"]
    assert results["residual"][0][f"{finetune.TUNED}, error, %"] < 60  # chance: 83
    assert (finished / "labels.txt").read_text().split() == sorted(stickers.SHAPES)
    assert (finished / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_saved_model_has_the_error_that_was_measured_and_needs_keras_alone(finished):
    with zipfile.ZipFile(finished / "model.keras") as archive:
        assert b"keras_resnet" not in archive.read("config.json")
    model = keras.models.load_model(finished / "model.keras")
    classes = (finished / "labels.txt").read_text().split()
    rows = split_file.read(finished / "split-0.csv")
    test = [finished / "stickers" / row.file for row in rows if row.role == "test"]
    images = np.stack([keras.utils.img_to_array(keras.utils.load_img(file)) for file in test])
    probabilities = model.predict(images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
    truth = [classes.index(file.parent.name) for file in test]
    results = json.loads((finished / "result.json").read_text())["results"]
    measured = results["residual"][0][f"{finetune.TUNED}, error, %"]
    found = 100 * np.mean(probabilities.argmax(axis=1) != truth)
    # The images come here by another reader and in another batch, and a few may turn.
    assert found == pytest.approx(measured, abs=300 / len(test))


@pytest.mark.slow
def test_a_folder_of_ones_own(own, monkeypatch, eagerly):
    monkeypatch.setattr(finetune, "WAYS", {finetune.TUNED: finetune.WAYS[finetune.TUNED]})
    monkeypatch.setattr(finetune, "twins", lambda _: {"residual": ARCHITECTURES["resnet20"]})
    assert finetune.main(arguments(own)) == 0
    result = json.loads((own.parent / "out" / "result.json").read_text())
    assert result["title"].startswith("Test error: 2 classes")
    assert (own.parent / "out" / "labels.txt").read_text() == "bright\ndark\n"
    assert not (own.parent / "out" / "stickers").exists()


def test_what_is_wrong_with_a_folder_is_said(own, capsys):
    def refused(*more: str) -> str:
        assert finetune.main(arguments(own, *more)) == 1
        return capsys.readouterr().err

    assert "bright has 5 images, so that 5 of them" in refused("--labelled", "5")
    with pytest.raises(SystemExit, match="2"):
        refused("--labelled", "-1")
    assert "at least 1; given -1" in capsys.readouterr().err
    assert "missing is not a directory" in refused("--images", str(own / "missing"))


def test_a_net_without_a_published_twin_is_alone(capsys):
    published = keras_resnet.weights.list_published("resnet50")[0]
    assert finetune.twins(published) == {"residual": ARCHITECTURES["resnet50"]}
    assert "twin of resnet50 is left out" in capsys.readouterr().out
    assert set(finetune.twins(RESNET20)) == {"residual", "plain"}


@pytest.mark.slow
def test_the_code_of_the_page(own, monkeypatch, eagerly):
    own.rename(own.with_name("images"))
    monkeypatch.chdir(own.parent)
    block = pages.code("finetune")
    assert block.count("epochs=30") == 2
    exec(block.replace("epochs=30", "epochs=1"), {})
    model = keras.models.load_model("model.keras")
    published = keras_resnet.ResNet20(weights="cifar10")
    for layer in published.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            np.testing.assert_equal(model.get_layer(layer.name).get_weights(), layer.get_weights())


@pytest.mark.nightly
def test_imagenet_nets_take_photographs(own, monkeypatch, capsys):
    """All but the weights, which the tests have no network to fetch."""
    monkeypatch.setattr(keras_resnet.weights, "load", lambda *args, **kwargs: None)
    assert finetune.main(arguments(own, "--network", "resnet18")) == 0
    model = keras.models.load_model(own.parent / "out" / "model.keras")
    assert model.input_shape == (None, 224, 224, 3)
    assert "plain twin of resnet18 is left out" in capsys.readouterr().out


@pytest.mark.nightly
def test_the_command(tmp_path):
    assert finetune.main(["--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    for net in ("residual", "plain"):
        scratch, frozen, tuned = (
            results[net][0][f"{way}, error, %"]
            for way in (finetune.SCRATCH, finetune.FROZEN, finetune.TUNED)
        )
        assert tuned + 15 < frozen < scratch - 5

"""Fine-tuning: the split is honest, what is frozen stays, and the saved net is the one measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pages
import pytest
from PIL import Image

import keras_resnet
from examples import common, finetune, image_folder, stickers
from keras_resnet import ARCHITECTURES

ROW = keras_resnet.weights.list_published("resnet20")[0]
OPEN = """
import sys
import keras, numpy as np

model = keras.models.load_model(sys.argv[1])
classes = open(sys.argv[2]).read().split()
images = np.stack([keras.utils.img_to_array(keras.utils.load_img(f)) for f in sys.argv[3:]])
truth = [classes.index(file.split("/")[-2]) for file in sys.argv[3:]]
probabilities = model.predict(images, verbose=0)
np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
assert not any(name.startswith("keras_resnet") for name in sys.modules)
print(100 * np.mean(probabilities.argmax(axis=1) != truth))
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """What the command leaves, of one way and few steps."""
    out = tmp_path_factory.mktemp("finetune")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "WAYS", {finetune.TUNED: finetune.WAYS[finetune.TUNED]})
        patch.setattr(finetune, "EVERY", common.ROWS)
        assert finetune.main(["--steps", "80", "--out", str(out)]) == 0
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
    images = [np.asarray(Image.open(file)) for file in files]
    below = [int((pieces == image).all(axis=-1).sum(axis=(1, 2)).argmax()) for image in images]
    assert sorted(below) == list(range(520))


@pytest.mark.parametrize("labelled", [3, None])
def test_the_split_is_by_class_and_by_seed(labelled, tmp_path):
    sizes = {"ants": 30, "bees": 7, "cats": 12}
    for name, size in sizes.items():
        (tmp_path / name).mkdir()
        for i in range(size):
            (tmp_path / name / f"{i}.png").touch()
    folder = image_folder.find(tmp_path)
    assert folder.classes == tuple(sizes)
    assert len(set(folder.files.paths)) == folder.files.examples == sum(sizes.values())
    training = image_folder.split(folder, labelled, seed=0)
    assert training.shape == folder.files.labels.shape  # a file is in one half
    for label, (name, size) in enumerate(sizes.items()):
        members = folder.files.labels == label
        assert {Path(path).parent.name for path in folder.files.paths[members]} == {name}
        assert training[members].sum() == (labelled or 4 * size // 5)
    np.testing.assert_array_equal(image_folder.split(folder, labelled, seed=0), training)
    assert not np.array_equal(image_folder.split(folder, labelled, seed=1), training)


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    """Kinds of the weights that are not bit for bit the same: `kernel`, `top`, ..."""
    return {
        "top" if path.startswith("predictions") else path.rpartition("/")[2]
        for path in before
        if not np.array_equal(before[path], after[path])
    }


def test_what_is_frozen_stays():
    net = keras_resnet.cifar_architecture(8)
    model = finetune.build(net, ROW, pretrained=False, classes=3)
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (8, 32, 32, 3), np.uint8), np.arange(8) % 3
    moved = []
    with_batch_norm = finetune.Phase(0.5, 1e-3, batch_norm=True)
    for phase in (*finetune.WAYS[finetune.TUNED].phases, with_batch_norm):
        before = weights(model)
        finetune.prepare(model, net, phase, steps=3)
        common.fit(model, common.batches(images, labels, 4, seed=0), 3, "test")
        moved.append(changed(before, weights(model)))
    head, whole, thawed = moved
    assert head == {"top"}
    assert whole == {"top", "kernel"}
    assert thawed == whole | {"gamma", "beta", "moving_mean", "moving_variance"}


def test_every_kernel_trains_once_unfrozen():
    net = keras_resnet.cifar_architecture(8)
    model = finetune.build(net, ROW, pretrained=False, classes=3)
    finetune.prepare(model, net, finetune.WAYS[finetune.TUNED].phases[-1], steps=1)
    kernels = {weight.path for weight in model.weights if weight.path.endswith("kernel")}
    assert kernels == {w.path for w in model.trainable_weights} - {"predictions/bias"}
    assert len(kernels) == net.depth


def test_the_command_in_small(finished):
    results = json.loads((finished / "result.json").read_text())["results"]
    assert set(results) == {"residual", "plain"}
    assert results["residual"][0][f"{finetune.TUNED}, error, %"] < 60  # chance: 83
    assert (finished / "labels.txt").read_text().split() == sorted(stickers.SHAPES)
    assert (finished / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_saved_model_has_the_error_that_was_measured(finished):
    folder = image_folder.find(finished / "stickers")
    test = folder.files.paths[~image_folder.split(folder, finetune.LABELLED, seed=0)]
    found = subprocess.run(
        [sys.executable, "-c", OPEN, finished / "model.keras", finished / "labels.txt", *test],
        check=True,
        capture_output=True,
        text=True,
    )
    results = json.loads((finished / "result.json").read_text())["results"]
    measured = results["residual"][0][f"{finetune.TUNED}, error, %"]
    one_image = 100 / len(test)  # what rounding may turn
    assert float(found.stdout) == pytest.approx(measured, abs=one_image)


def test_a_folder_of_ones_own(own, monkeypatch):
    monkeypatch.setattr(finetune, "WAYS", {finetune.TUNED: finetune.WAYS[finetune.TUNED]})
    assert finetune.main(arguments(own)) == 0
    result = json.loads((own.parent / "out" / "result.json").read_text())
    assert "2 classes, 8 images to train on, 2 to test" in result["title"]
    assert (own.parent / "out" / "labels.txt").read_text() == "bright\ndark\n"
    assert not (own.parent / "out" / "stickers").exists()


def test_images_of_any_size_are_scaled_and_cut_to_the_middle(tmp_path):
    pixels = np.zeros((64, 192, 3), np.uint8)
    pixels[:, 64:128] = (10, 100, 200)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "wide.png")
    read = image_folder.read(image_folder.find(tmp_path).files, 32)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read[:, :, 2:-2], np.full((2, 32, 28, 3), (10, 100, 200)))


def test_what_is_wrong_with_a_folder_is_said(own, capsys):
    def refused(*more: str) -> str:
        assert finetune.main(arguments(own, *more)) == 1
        return capsys.readouterr().err

    assert "bright has 5 images, so that 5 of them" in refused("--labelled", "5")
    assert "bright has 5 images, so that -1 of them" in refused("--labelled", "-1")
    (own / "dark" / "5.png").write_text("no image")
    assert f"{own / 'dark' / '5.png'} is damaged, or neither JPEG nor PNG" in refused()
    (own / "empty").mkdir()
    assert f"{own / 'empty'} has no images (.jpg, .jpeg, .png)" in refused()
    assert "a folder for each class, two at least" in refused("--images", str(own / "dark"))
    assert f"There is no folder {own / 'missing'}" in refused("--images", str(own / "missing"))


def test_a_net_without_a_published_twin_is_alone(capsys):
    row = keras_resnet.weights.list_published("resnet50")[0]
    assert finetune.twins(row) == {"residual": ARCHITECTURES["resnet50"]}
    assert "resnet50 alone" in capsys.readouterr().out
    assert set(finetune.twins(ROW)) == {"residual", "plain"}


def test_the_code_of_the_page(own, monkeypatch):
    own.rename(own.with_name("images"))
    monkeypatch.chdir(own.parent)
    block = pages.code("finetune")
    assert block.count("epochs=30") == 2
    exec(block.replace("epochs=30", "epochs=1"), {})
    model = keras.models.load_model("model.keras")
    published = keras_resnet.ResNet20(weights="cifar10")
    for layer in published.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for ours, theirs in zip(
                layer.weights, model.get_layer(layer.name).weights, strict=True
            ):
                np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))


@pytest.mark.slow
def test_imagenet_nets_take_photographs(own, monkeypatch, capsys):
    """All but the weights, which the tests have no network to fetch."""
    monkeypatch.setattr(keras_resnet.weights, "load", lambda *args, **kwargs: None)
    assert finetune.main(arguments(own, "--network", "resnet18")) == 0
    model = keras.models.load_model(own.parent / "out" / "model.keras")
    assert model.input_shape == (None, 224, 224, 3)
    assert "resnet18 alone" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command(tmp_path):
    assert finetune.main(["--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    for net in ("residual", "plain"):
        scratch, frozen, tuned = (
            results[net][0][f"{way}, error, %"]
            for way in (finetune.SCRATCH, finetune.FROZEN, finetune.TUNED)
        )
        assert tuned + 15 < frozen < scratch - 5

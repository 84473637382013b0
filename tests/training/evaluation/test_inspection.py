"""The commands `evaluate` and `inspect`, and gradients recorded over a run."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from csv_files import rows
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import keras_resnet
from keras_resnet import analysis
from training.cli import main
from training.config import recipes
from training.config.jobs import Job
from training.data import datasets, probes
from training.data.splits import ArraySplit, Dataset, FileSplit
from training.evaluation import confusion, inspection_figures
from training.evaluation.evaluate import evaluate
from training.models import model_files
from training.trainer.callbacks import gradient_record
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.train import Options, train

TINY = keras_resnet.Architecture("tiny", "imagenet", "basic", (1, 1), (4, 6), "B", stem_filters=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Four steps of a small net on the digits, with its gradients recorded."""
    workdir = tmp_path_factory.mktemp("run")
    recipe = recipes.override(recipes.load("digits"), ["iterations=4"])
    job = Job(network="resnet8", dataset="digits", recipe=recipe)
    train(job, workdir, options=Options(record_gradients=True))
    return workdir


# evaluate


def test_evaluate_writes_what_it_found(run: Path, tmp_path: Path, capsys) -> None:
    arguments = ["evaluate", "--model", str(run / "model.keras"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    trained = json.loads((run / "result.json").read_text())
    assert summary["top1_error"] == pytest.approx(trained["test_error"], abs=1e-4)
    assert summary["examples"] == trained["test_examples"] == 360
    assert (summary["protocol"], summary["dataset"]) == ("single", "digits")
    assert f"{summary['top1_error']:.2f} %" in printed
    classes = rows(tmp_path / "out" / "classes.csv")
    counts = rows(tmp_path / "out" / "confusion.csv")
    assert [row["class"] for row in classes] == [str(i) for i in range(10)]
    for row, of_class in zip(counts, classes, strict=True):
        taken = {name: int(count) for name, count in row.items() if name != "true class"}
        assert sum(taken.values()) == int(of_class["images"])
        right = taken[of_class["class"]] / int(of_class["images"])
        assert float(of_class["error"]) == pytest.approx(100 * (1 - right), abs=1e-3)
    with Image.open(tmp_path / "out" / "confusion.png") as picture:
        assert min(picture.size) > 400
    assert main(arguments) == 1  # nothing is overwritten
    assert "another --out" in capsys.readouterr().err


def test_what_evaluate_cannot_do_is_said(run: Path, tmp_path: Path, capsys) -> None:
    model = str(run / "model.keras")
    for arguments, words, code in (
        ([], ["--model FILE.keras", "--network"], 2),
        (["--model", model, "--protocol=ten_crop"], ["ten_crop", "single"], 2),
        (["--model", str(tmp_path / "none.keras")], ["none.keras"], 1),
        (["--network=resnet8", "--weights", model], ["--preprocessing"], 1),
    ):
        assert main(["evaluate", *arguments]) == code
        message = capsys.readouterr().err
        for word in words:
            assert word in message


def test_a_folder_of_some_of_the_nets_classes_is_renumbered(
    photographs: list[Path], tmp_path: Path
) -> None:
    names = sorted({path.parent.name for path in photographs[:12]})
    for part in ("train", "test"):
        for path in photographs[:12]:
            (tmp_path / part / path.parent.name).mkdir(parents=True, exist_ok=True)
            (tmp_path / part / path.parent.name / path.name).symlink_to(path)
    labels = ["n00000001", *reversed(names), "n99999999"]
    dataset = model_files.with_classes(datasets.load("folder", str(tmp_path)), labels)
    assert dataset.class_names == tuple(labels)
    for path, label in zip(dataset.test.paths, dataset.test.labels, strict=True):
        assert labels[label] == Path(path).parent.name
    model = keras_resnet.ResNet(TINY, input_shape=(32, 32, 3), classes=len(labels))
    found = evaluate([model], dataset, "center")
    assert found.examples == 12
    assert np.isnan(found.class_errors[[0, -1]]).all()
    with pytest.raises(ValueError, match=names[3]):
        model_files.with_classes(datasets.load("folder", str(tmp_path)), [*names[:3], *names[4:]])
    with pytest.raises(ValueError, match="Two of the net's classes are called"):
        model_files.with_classes(datasets.load("folder", str(tmp_path)), [*names, names[0]])


def test_the_most_frequent_confusions() -> None:
    matrix = np.array([[9, 2, 0], [5, 0, 2], [0, 1, 3]])
    assert confusion.most_frequent(matrix, 3) == [(1, 0, 5), (0, 1, 2), (1, 2, 2)]
    assert confusion.most_frequent(np.eye(4, dtype=int), 3) == []


@pytest.mark.parametrize("classes", [2, 20, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_cell_of_the_picture_can_be_seen(classes: int, tmp_path: Path) -> None:
    matrix = np.eye(classes, dtype=int) * 50
    matrix[0, 1] = 1
    confusion.draw(matrix, [f"class {i}, US$ $x_$" for i in range(classes)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) >= classes
        assert (tmp_path / "c.png").stat().st_size < 500_000


# inspect


@pytest.mark.slow
def test_responses_and_gradients_are_drawn_and_written(run: Path, tmp_path: Path) -> None:
    file = str(run / "model.keras")
    model = keras.models.load_model(file, compile=False)
    test = datasets.load("digits").test
    for what, count, column in (("responses", 30, "std"), ("gradients", 40, "norm")):
        out = ["--images", str(count), "--out", str(tmp_path)]
        assert main(["inspect", what, "--model", file, file, *out]) == 0
        assert (tmp_path / f"{what}.png").stat().st_size > 5000
        images, labels = probes.images(test, count, 32)
        if what == "responses":
            names, expected = analysis.layer_responses(model, images)
        else:
            names, expected = analysis.gradient_norms(model, images, labels)
        found = rows(tmp_path / f"{what}.csv")
        assert [row["net"] for row in found[:: len(names)]] == ["resnet8 (1)", "resnet8 (2)"]
        assert [row["layer"] for row in found] == [*names, *names]
        np.testing.assert_allclose([float(row[column]) for row in found[: len(names)]], expected)


@pytest.mark.slow
def test_gradcam_and_neighbours_are_drawn_and_written(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file, out = str(run / "model.keras"), ["--out", str(tmp_path)]
    assert main(["inspect", "gradcam", "--model", file, "--images=5", *out]) == 0
    maps = rows(tmp_path / "gradcam.csv")
    assert len(maps) == 5 * 8
    assert max(float(row["column 3"]) for row in maps) <= 1
    arguments = ["--images=30", "--queries=3", "--nearest=4"]
    assert main(["inspect", "neighbours", "--model", file, *arguments, *out]) == 0
    found = rows(tmp_path / "neighbours.csv")
    assert len(found) == 3 * 4
    assert all(row["image"] != row["neighbour"] for row in found)
    cosines = [float(row["cosine"]) for row in found[:4]]
    assert cosines == sorted(cosines, reverse=True)
    assert main(["inspect", "gradcam", "--model", file, *out]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["inspect", "neighbours", "--model", file, file, "--out", str(tmp_path / "b")]) == 2
    assert "one net" in capsys.readouterr().err
    wrong = ["--layer=nosuch", "--out", str(tmp_path / "b")]
    assert main(["inspect", "gradcam", "--model", file, "--images=5", *wrong]) == 2
    assert "nosuch" in capsys.readouterr().err


def test_gradcam_takes_ones_own_photographs(
    run: Path, photographs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    keras.utils.set_random_seed(0)
    keras_resnet.ResNet(TINY, input_shape=(32, 32, 3), classes=4).save(tmp_path / "net.keras")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photographs[0].read_bytes()[:200])
    given = [str(photographs[0]), str(photographs[1].parent), str(broken)]
    net = [f"--model={tmp_path / 'net.keras'}", f"--out={tmp_path / 'out'}"]
    assert main(["inspect", "gradcam", *net, "--photographs", *given]) == 1
    message = capsys.readouterr().err
    assert "broken.jpg: cannot be read" in message
    assert "1 of 3 files" in message
    found = rows(tmp_path / "out" / "gradcam.csv")
    images = list(dict.fromkeys(row["image"] for row in found))
    assert images == [str(photographs[0]), str(photographs[1])]
    assert {row["seen"] for row in found} <= {"0", "1", "2", "3"}
    assert (tmp_path / "out" / "gradcam.png").stat().st_size > 5000
    assert main(["inspect", "neighbours", *net, "--photographs", *given]) == 2


def test_an_overlay_is_half_the_image_and_half_the_map() -> None:
    image = np.full((8, 6, 1), 100.0)
    heat = np.array([[0.0, 0.0], [1.0, 1.0]])
    figure = Figure(figsize=(0.6, 0.8), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    inspection_figures.overlay(axes, image, heat)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # (80, 60, 3), ten for each of the image
    for row, end in ((0, 0.0), (-1, 1.0)):
        expected = 50 + 255 * np.array(colormaps["viridis"](end)[:3]) / 2
        np.testing.assert_allclose(pixels[row], np.tile(expected, (60, 1)), atol=2)


@pytest.mark.parametrize(("largest", "scale"), [(2.0, "linear"), (50.0, "log")])
def test_no_net_of_a_picture_hides_the_others(largest: float, scale: str) -> None:
    stds = {"plain-20": np.array([1.0, 0.5]), "ResNet-20": np.array([largest, 0.5])}
    assert inspection_figures.y_axis(stds).get("yscale", "linear") == scale


def test_probes_are_spread_over_a_split() -> None:
    split = ArraySplit(np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1), np.arange(20))
    images, labels = probes.images(split, 4, size=1)
    assert labels.tolist() == images.reshape(-1).tolist() == [0, 6, 13, 19]
    assert len(probes.images(split, 50, size=1)[1]) == 20
    with pytest.raises(ValueError, match="given 0 of 20"):
        probes.images(split, 0, size=1)


def test_photographs_are_probed_on_their_central_crops(photographs: list[Path]) -> None:
    paths = np.array([str(path) for path in photographs[:9]], object)
    split = FileSplit(paths, np.arange(9, dtype=np.int32))
    images, labels = probes.images(split, 3, size=32)
    assert labels.tolist() == [0, 4, 8]
    assert images.shape == (3, 32, 32, 3)
    dataset = Dataset("folder", tuple(map(str, range(9))), None, split, None, split)
    assert dataset.image_shape is None


# Gradients over a run


def test_a_run_records_its_gradients(run: Path, tmp_path: Path) -> None:
    steps, names, norms = gradient_record.read(run / "gradients.csv")
    assert steps == [0, 4]  # before the first step, and at the end of the one, cut epoch
    assert names[0] == "conv1_conv"
    assert names[-1] == "predictions"
    assert norms.shape == (2, 8)
    assert (norms > 0).all()
    # model.keras has the last weights; the record's images are training images less the mean.
    model = keras.models.load_model(run / "model.keras", compile=False)
    split = datasets.load("digits").train
    images, labels = probes.images(split, gradient_record.IMAGES, 32)
    _, expected = analysis.gradient_norms(model, images, labels)
    np.testing.assert_allclose(norms[-1], expected, rtol=1e-2)
    assert main(["inspect", "course", "--run", str(run), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "course.png").stat().st_size > 5000


def test_a_resumed_run_keeps_the_rows_before_it(tmp_path: Path) -> None:
    counter = StepCounter(total_steps=10, epoch_steps=5)
    model = keras_resnet.CifarResNet(8, weights=None, input_shape=(8, 8, 3), classes=3)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    for step in (0, 5, 10, 5, 10):  # killed after step 10, whose checkpoint was that of 5
        record = gradient_record.GradientRecord(tmp_path, counter, images, np.array([0, 1, 2, 0]))
        record.set_model(model)
        counter.step = step
        record.on_train_begin()
        if step:
            record.on_epoch_end(0)
    steps, _, norms = gradient_record.read(tmp_path / "gradients.csv")
    assert steps == [0, 5, 10]
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-4)  # nothing was trained


def test_without_a_record_there_is_no_course(tmp_path: Path, capsys) -> None:
    assert main(["inspect", "course", "--run", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    assert "--record-gradients" in capsys.readouterr().err
    (tmp_path / "gradients.csv").write_text("step,a\n1,2,3\n")
    assert main(["inspect", "course", "--run", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    assert "no record of gradients" in capsys.readouterr().err
    assert main(["inspect", "course", "--out", str(tmp_path / "o")]) == 2
    assert "--run DIR" in capsys.readouterr().err

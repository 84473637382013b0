"""`evaluate` on a folder: every answer, the classes' mean, and the net's training images."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from csv_files import rows
from PIL import Image

import keras_resnet
from training.cli import main
from training.data import datasets
from training.data.folder import split_file
from training.evaluation.answers import worst
from training.evaluation.evaluate import Answers, Evaluation

TINY = keras_resnet.Architecture("tiny", "imagenet", "basic", (1, 1), (4, 6), "B", stem_filters=4)
CLASSES, IMAGES = ("cat", "dog", "eel"), 7


@pytest.fixture(scope="module")
def folder(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folder")
    for i, photograph in enumerate(photographs[: len(CLASSES) * IMAGES]):
        (root / CLASSES[i % 3]).mkdir(exist_ok=True)
        shutil.copy(photograph, root / CLASSES[i % 3])
    return root


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net's directory as `train` leaves it: model, classes, division of the folder."""
    directory = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(1)
    model = keras_resnet.ResNet(TINY, input_shape=(32, 32, 3), classes=len(CLASSES))
    model.save(directory / "model.keras")
    (directory / "result.json").write_text(json.dumps({"class_names": CLASSES}))
    (directory / "job.json").write_text(json.dumps({"job": {"dataset": "folder"}}))
    split_file.write(datasets.load("folder", str(folder)), directory / "split.csv")
    return directory


def evaluated(run: Path, folder: Path, out: Path, *arguments: str) -> dict:
    files = [f"--model={run / 'model.keras'}", f"--data-dir={folder}", f"--out={out}"]
    assert main(["evaluate", "--dataset=folder", *files, *arguments]) == 0
    return json.loads((out / "evaluation.json").read_text())


def test_every_image_has_its_answer(run, folder, tmp_path, capsys):
    summary = evaluated(run, folder, tmp_path / "out")
    found = rows(tmp_path / "out" / "answers.csv")
    recorded = rows(run / "split.csv")
    tested = [folder / row["file"] for row in recorded if row["role"] == "test"]
    assert sorted(row["image"] for row in found) == sorted(map(str, tested))
    for row in found:
        assert Path(row["image"]).parent.name == row["true_class"]
        right = row["answer"] == row["true_class"]
        assert (row["probability"] == row["true_class_probability"]) is right
        assert float(row["probability"]) >= 1 / 3 - 1e-6
    errors = {
        name: np.mean([row["answer"] != name for row in found if row["true_class"] == name])
        for name in CLASSES
    }
    assert summary["balanced_error"] == pytest.approx(100 * np.mean(list(errors.values())))
    wrong = np.mean([row["answer"] != row["true_class"] for row in found])
    assert summary["top1_error"] == pytest.approx(100 * wrong)
    with Image.open(tmp_path / "out" / "worst.png") as picture:
        assert min(picture.size) > 100
    printed = capsys.readouterr()
    assert f"{summary['balanced_error']:.2f} %" in printed.out
    assert summary["images_trained_on"] == 0
    assert "none of the" in printed.err


def test_a_net_is_never_tested_on_its_training_images_without_a_word(run, folder, tmp_path, capsys):
    copied = tmp_path / "elsewhere"
    shutil.copytree(folder, copied)
    summary = evaluated(run, copied, tmp_path / "out", "--part=all")
    trained = sum(row["role"] == "train" for row in rows(run / "split.csv"))
    assert summary["images_trained_on"] == trained
    assert summary["examples"] == len(CLASSES) * IMAGES
    assert f"WARNING: {trained} of the 21 images" in capsys.readouterr().err


def test_the_runs_own_division_is_taken(run, folder, tmp_path, capsys):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    names = {"train": "test", "test": "train"}
    swapped = [{**row, "role": names[row["role"]]} for row in rows(run / "split.csv")]
    with (other / "split.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, swapped[0])
        writer.writeheader()
        writer.writerows(swapped)
    summary = evaluated(other, folder, tmp_path / "out")
    assert summary["examples"] == sum(row["role"] == "test" for row in swapped)
    assert summary["images_trained_on"] == 0
    assert str(other / "split.csv") in capsys.readouterr().err


def test_without_a_record_that_is_said(run, folder, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    for name in ("model.keras", "result.json", "job.json"):
        shutil.copy(run / name, tmp_path / "run")
    assert evaluated(tmp_path / "run", folder, tmp_path / "out")["images_trained_on"] is None
    assert "is not known" in capsys.readouterr().err


def test_a_class_without_images_has_no_error():
    errors = np.array([50.0, np.nan, 0.0])
    nothing = Answers(*np.zeros((4, 0)))
    found = Evaluation("single", 4, 25.0, None, errors, np.diag([1, 0, 2]), nothing)
    assert found.balanced_error == 25.0


def test_the_worst_answers_give_the_true_class_least():
    own = np.array([0.9, 0.2, 0.1, 0.3])
    answers = Answers(np.zeros(4), np.array([0, 1, 1, 1]), np.array([0.9, 0.8, 0.9, 0.7]), own)
    assert worst(answers).tolist() == [2, 1, 3]
    assert worst(answers, 1).tolist() == [2]


@pytest.mark.parametrize("command", [["evaluate"], ["inspect", "gradcam"]])
def test_a_damaged_photograph_is_one_line_with_its_file(command, run, folder, tmp_path, capsys):
    broken = tmp_path / "photos"
    shutil.copytree(folder, broken)
    files = sorted(broken.glob("*/*"))
    for file in files:
        file.write_bytes(file.read_bytes()[:300])
    given = [f"--model={run / 'model.keras'}", f"--data-dir={broken}", "--dataset=folder"]
    assert main([*command, *given, f"--out={tmp_path / 'out'}"]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "The image " in line]
    assert len(said) == 1
    assert any(str(file) in said[0] for file in files)
    assert "{{" not in said[0]
    assert len(said[0]) < 400

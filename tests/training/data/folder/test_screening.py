"""Damaged photographs: an error by name, or skipped and counted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from training.cli import main
from training.config import recipes
from training.data import datasets
from training.data.folder import screening
from training.data.folder.screening import screened
from training.data.shares import Turn


@pytest.fixture
def folder(photographs, tmp_path):
    """Two classes of three real photographs for training and one for test; one file is damaged."""
    for i, path in enumerate(photographs[:8]):
        target = tmp_path / "data" / ("train" if i < 6 else "test") / f"class{i % 2}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    damaged = sorted((tmp_path / "data" / "train" / "class1").iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:600])
    return tmp_path / "data", damaged


def test_the_damaged_image_is_left_out_and_named(folder):
    root, damaged = folder
    dataset, skipped = screened(datasets.load("folder", str(root)))
    assert skipped == [str(damaged)]
    assert (dataset.train.examples, dataset.test.examples) == (5, 2)
    assert str(damaged) not in list(dataset.train.paths)


def test_of_two_processes_each_decodes_its_own_and_learns_of_the_others(folder, monkeypatch):
    root, damaged = folder
    data = datasets.load("folder", str(root))
    paths = [path for split in data.splits.values() for path in split.paths]
    decoded: list[str] = []
    reason = screening._reason
    monkeypatch.setattr(screening, "_reason", lambda path: decoded.append(path) or reason(path))
    found: list[list[np.ndarray]] = [[], []]
    for own, turn in zip(found, (Turn(0, 2), Turn(1, 2)), strict=True):
        screened(data, turn, lambda array, own=own: own.append(array) or array)
    assert sorted(decoded) == sorted(paths)  # each file once
    others = iter(found[1])
    dataset, skipped = screened(data, Turn(0, 2), lambda array: array + next(others))
    assert (skipped, dataset.train.examples) == ([str(damaged)], 5)
    assert len(decoded) == len(paths) + len(paths) // 2


def test_nothing_is_left_out_of_a_good_folder(folder):
    root, damaged = folder
    damaged.unlink()
    dataset, skipped = screened(datasets.load("folder", str(root)))
    assert (skipped, dataset.train.examples) == ([], 5)


def test_a_class_or_a_role_of_damaged_images_only_is_refused_by_name(folder):
    root, damaged = folder
    for path in damaged.parent.iterdir():
        path.write_bytes(damaged.read_bytes())
    with pytest.raises(ValueError, match="None can be decoded of the training images of class1:"):
        screened(datasets.load("folder", str(root)))
    for path in (root / "test").rglob("*.JPEG"):
        path.write_bytes(damaged.read_bytes())
    with pytest.raises(ValueError, match="the test images, training images of class1:"):
        screened(datasets.load("folder", str(root)))


def test_arrays_cannot_be_screened():
    with pytest.raises(ValueError, match="folders of image files; digits"):
        screened(datasets.load("digits"))


def train(root, workdir, *more):
    arguments = ["train", "--network=resnet8", "--dataset=folder", f"--data-dir={root}"]
    recipe = ["--set=iterations=4", "--set=batch_size=4", "--set=schedule=constant"]
    return main([*arguments, f"--workdir={workdir}", *recipe, *more])


@pytest.mark.slow
def test_on_the_command_line(folder, tmp_path, capsys, eagerly):
    root, damaged = folder
    assert recipes.load("imagenet").augmentation == "imagenet"  # what a folder trains with
    assert train(root, tmp_path / "one") == 1
    assert f"The image {damaged} is damaged" in capsys.readouterr().err
    assert train(root, tmp_path / "two", "--skip-bad-images") == 0
    assert json.loads((tmp_path / "two" / "result.json").read_text())["skipped_images"] == 1


@pytest.mark.slow
def test_a_truncated_record_file_ends_the_run_and_says_where(tiny_imagenet, tmp_path, capsys):
    data_dir = shutil.copytree(tiny_imagenet[0], tmp_path / "data")
    for record in data_dir.rglob("*train.tfrecord*"):
        record.write_bytes(record.read_bytes()[:-100])
    command = ["train", "--network=resnet8", "--dataset=imagenet2012", f"--data-dir={data_dir}"]
    recipe = ["--set=iterations=8", "--set=batch_size=2", "--set=schedule=constant"]
    assert main([*command, f"--workdir={tmp_path / 'run'}", *recipe]) == 1
    message = capsys.readouterr().err
    assert f"imagenet2012 ({data_dir}) cannot be read" in message
    assert "truncated record" in message

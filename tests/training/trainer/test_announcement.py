"""The lines that a run prints before its first step."""

from __future__ import annotations

import dataclasses
import logging
import re

import pytest
from class_folders import class_folders
from PIL import Image

from training.config import recipes
from training.config.jobs import Job
from training.data.folder import split_file
from training.trainer import announcement, run
from training.trainer.backends import running
from training.trainer.run import Options


def said(job: Job, caplog) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        announcement.announce(run.load(job, running(), Options()))
    return caplog.text


def test_classes_length_and_a_warning_where_images_are_few(tmp_path, caplog):
    root = class_folders(tmp_path / "animals", "cat", "dog", images=20)
    job = Job("resnet20", "folder", recipes.load("folder"), data_dir=str(root))
    text = said(job, caplog)
    assert "2 classes" in text
    rows = re.findall(r"  (cat|dog) +(\d+) +(\d+) +(\d+)$", text, re.MULTILINE)
    assert [name for name, *_ in rows] == ["cat", "dog"]
    assert all(sum(map(int, counts)) == 20 for _, *counts in rows)
    assert "random weights" in text
    assert "--weights cifar10" in text  # the way out
    tuned = Job(
        "resnet20", "folder", recipes.load("finetune"), data_dir=str(root), weights="cifar10"
    )
    text = said(tuned, caplog)
    assert "train the top alone; then all but batch_norm" in text
    assert "will learn little" not in text
    recipe = dataclasses.replace(tuned.recipe, freeze=("conv2", "batch_norm"))
    text = said(dataclasses.replace(tuned, recipe=recipe), caplog)
    assert "then all but conv1..conv2, batch_norm" in text


def test_the_length_follows_from_the_number_of_images(tmp_path, caplog):
    root = class_folders(tmp_path / "animals", "cat", "dog", images=20)
    recipe = recipes.load("finetune")
    job = Job("resnet20", "folder", recipe, data_dir=str(root), weights="cifar10")
    this = run.load(job, running(), Options())
    trained = this.dataset.train.examples
    assert this.total_steps == 20 * (trained // this.recipe.batch_size)
    assert 0 < this.top_steps < this.total_steps
    assert this.top_steps % this.epoch_steps == 0
    assert this.evaluated_role == "validation"


def test_a_run_on_the_split_of_another_run_is_as_long(tmp_path):
    root = class_folders(tmp_path / "animals", "cat", "dog", images=20)
    job = Job("resnet8", "folder", recipes.load("folder"), data_dir=str(root))
    first = run.load(job, running(), Options())
    split_file.write(first.dataset, tmp_path / "split.csv")
    again = dataclasses.replace(job, split=str(tmp_path / "split.csv"))
    assert run.load(again, running(), Options()).recipe == first.recipe


def test_a_smaller_batch_is_divided_among_the_devices_too(tmp_path):
    root = class_folders(tmp_path / "animals", "cat", "dog", images=20)
    recipe = dataclasses.replace(recipes.load("folder"), batch_size=36)
    job = Job("resnet8", "folder", recipe, data_dir=str(root))
    backend = running()
    backend.replicas = 12
    backend.check(job)
    with pytest.raises(ValueError, match="18 cannot be divided by 12"):
        run.load(job, backend, Options())


def test_test_images_that_are_training_images_too_are_counted(tmp_path, caplog):
    """The pictures of both folders are the same noise, file by file."""
    root = tmp_path / "animals"
    class_folders(root / "train", "cat", "dog", images=6)
    class_folders(root / "test", "cat", "dog", images=2)
    job = Job("resnet20", "folder", recipes.load("folder"), data_dir=str(root))
    assert "4 of the 4 test images are copies of training images" in said(job, caplog)
    for number, file in enumerate(sorted((root / "test").glob("*/*.png"))):
        file.rename(file.with_name("renamed.png") if number == 0 else file)
        if number > 1:
            Image.new("RGB", (36, 36), (number, 0, 0)).save(file)
    assert "2 of the 4 test images are copies of training images" in said(job, caplog)
    for file in (root / "test").glob("cat/*.png"):
        Image.new("RGB", (36, 36), (9, 9, 9)).save(file)
    assert "copies" not in said(job, caplog)

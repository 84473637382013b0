"""A run's directory holds one run on one data set; anything else is refused by name."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import pytest
from class_folders import class_folders

from training.config.jobs import Job
from training.config.recipes import Recipe
from training.data.folder import split_file
from training.trainer.train import train

pytestmark = pytest.mark.usefixtures("module_eagerly")

RECIPE = Recipe(iterations=4, batch_size=4, schedule="constant", augmentation="none")


def job(root: Path, **changes: object) -> Job:
    this = Job("resnet8", "folder", RECIPE, data_dir=str(root), width=0.25)
    return dataclasses.replace(this, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data, and a run on them, where another run had been begun and had made no step."""
    root = class_folders(tmp_path_factory.mktemp("data") / "animals", "cat", "dog")
    workdir = tmp_path_factory.mktemp("run")
    (workdir / "job.json").write_text(json.dumps({"job": {"network": "resnet20"}}))
    train(job(root), workdir)
    return root, workdir


def test_other_classes_are_refused_and_the_result_stays(finished, tmp_path):
    workdir = finished[1]
    before = (workdir / "result.json").read_bytes()
    vehicles = class_folders(tmp_path / "vehicles", "bus", "car")
    with pytest.raises(ValueError, match=r"other data: the class cat is gone.*car is new"):
        train(job(vehicles), workdir)
    assert (workdir / "result.json").read_bytes() == before


def test_another_image_is_refused(finished, tmp_path):
    more = class_folders(tmp_path / "animals", "cat", "dog", images=7)
    with pytest.raises(
        ValueError, match=r"other data: train: .* then, .* now.*new files: cat/6.png.*--split"
    ):
        train(job(more), finished[1])
    split = str(finished[1] / "split.csv")
    assert train(job(more, split=split), finished[1]).rows[-1]["step"] == 4
    (more / "cat" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"gone: cat/0.png.*or the data that this run was begun"):
        train(job(more), finished[1])


def test_a_finished_run_without_its_checkpoints_is_left_as_it_is(finished, tmp_path, caplog):
    root, workdir = finished[0], shutil.copytree(finished[1], tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints")
    before = {path: path.read_bytes() for path in workdir.iterdir() if path.is_file()}
    caplog.set_level(logging.INFO)
    found, outcome = (train(job(root), directory) for directory in (workdir, finished[1]))
    assert "holds a finished run" in caplog.text
    assert (found.rows, found.test_error) == (outcome.rows, outcome.test_error)
    assert before == {path: path.read_bytes() for path in workdir.iterdir() if path.is_file()}


def test_the_same_data_elsewhere_are_the_same_run(finished, tmp_path):
    moved = class_folders(tmp_path / "moved", "cat", "dog")
    assert train(job(moved), finished[1]).rows[-1]["step"] == 4


def test_the_split_is_recorded_and_taken_again(finished, tmp_path):
    root, workdir = finished
    recorded = split_file.read(workdir / "split.csv")
    assert {row.class_name for row in recorded} == {"cat", "dog"}
    assert sum(row.role == "test" for row in recorded) > 0
    split = str(workdir / "split.csv")
    assert train(job(root, split=split), workdir).rows[-1]["step"] == 4


@pytest.mark.slow
def test_a_run_that_a_bad_image_stopped_continues_without_it(tmp_path):
    root, workdir = class_folders(tmp_path / "data", "cat", "dog"), tmp_path / "run"
    bad = next(Path(path) for path in (root / "cat").iterdir())
    bad.write_bytes(bad.read_bytes()[:200])
    with pytest.raises((OSError, ValueError), match=bad.name):
        train(job(root), workdir)
    assert train(job(root, skip_bad_images=True), workdir).skipped_images == 1
    assert train(job(root, skip_bad_images=True), workdir).rows[-1]["step"] == 4


@pytest.mark.slow
def test_a_directory_without_recorded_data_opens(finished, tmp_path):
    root, workdir = finished[0], shutil.copytree(finished[1], tmp_path / "run")
    described = json.loads((workdir / "job.json").read_text())
    del described["data"]
    for field in ("weights", "preprocessing"):
        del described["job"][field]
    for field in ("freeze", "mixup", "class_weights"):
        del described["job"]["recipe"][field]
    (workdir / "job.json").write_text(json.dumps(described))
    vehicles = class_folders(tmp_path / "vehicles", "bus", "car")
    with pytest.raises(ValueError, match="the class cat is gone"):
        train(job(vehicles), workdir)
    assert train(job(root), workdir).rows[-1]["step"] == 4
    assert "data" in json.loads((workdir / "job.json").read_text())


def test_a_run_that_made_no_step_may_become_another(finished):
    recorded = json.loads((finished[1] / "job.json").read_text())
    assert recorded["job"]["network"] == "resnet8"
    assert (finished[1] / "checkpoints" / "step-000000004.npz").is_file()

"""From a finished run to a weights file of the package, and what is refused."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import keras_resnet
from training.cli import main
from training.config import recipes
from training.data import datasets
from training.paper.release import release
from training.trainer.train import Job, train


def test_what_is_no_finished_run_of_cifar10_is_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match="no finished run"):
        release(tmp_path, None, tmp_path)
    job = {"network": "resnet8", "dataset": "digits", "recipe": {"iterations": 2}}
    (tmp_path / "job.json").write_text(json.dumps({"job": job}))
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match="has dataset=digits;"):
        release(tmp_path, None, tmp_path)
    job = {**job, "dataset": "cifar10", "recipe": {"iterations": 2, "held_out": 5000}}
    job |= {"width": 2.0, "weights": "cifar10"}  # its command would not say so
    (tmp_path / "job.json").write_text(json.dumps({"job": job}))
    assert main(["release", str(tmp_path)]) == 1
    assert "has width=2.0, weights=cifar10, held_out=5000;" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_run_of_one_step_becomes_a_weights_file(shared_data, tmp_path):
    data_dir = str(shared_data / "tensorflow_datasets")
    recipe = recipes.override(recipes.load("cifar10"), ["iterations=1", "batch_size=32"])
    outcome = train(Job("resnet20", "cifar10", recipe, data_dir=data_dir), tmp_path / "run")
    released = release(tmp_path / "run", data_dir, tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "resnet20_cifar10.json").read_text())
    assert facts["top1_error"] == pytest.approx(outcome.test_error, abs=0.011)
    assert facts["sha256"] in released.row
    images = datasets.load("cifar10", data_dir).test.images[:64]
    found = keras_resnet.ResNet20(weights=released.file)(
        keras_resnet.preprocess_input(images, "cifar10")
    )
    expected = keras.models.load_model(tmp_path / "run" / "model.keras")(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(FileExistsError, match="remove it first"):
        release(tmp_path / "run", data_dir, tmp_path / "out")

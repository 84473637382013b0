"""TensorFlow's environment variables make answers quicker and do not change them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import served
import tensorflow as tf

from training.cli import main
from training.common import environment
from training.config import recipes
from training.config.jobs import Job
from training.trainer.train import train

ANSWER = """
import sys
import numpy as np
import tensorflow as tf
default = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
pixels = np.load(sys.argv[2])
answers = [default(pixels=pixels[:n])["probabilities"].numpy() for n in map(int, sys.argv[4:])]
np.save(sys.argv[3], np.concatenate(answers))
"""


@pytest.mark.nightly
def test_frozen_weights_answer_as_before_at_every_batch_size(tmp_path):
    model = served.tiny()
    version = served.exported()
    sizes = (2, 1, 16, 3, 16, 1)  # kernels are kept in the layout of the first
    pixels = np.random.default_rng(0).uniform(0, 255, (16, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "pixels.npy", pixels)
    subprocess.run(
        [
            *(sys.executable, "-c", ANSWER),
            *(version, tmp_path / "pixels.npy", tmp_path / "answers.npy"),
            *map(str, sizes),
        ],
        check=True,
        env={**os.environ, **environment.SERVING, "TF_ENABLE_ONEDNN_OPTS": "1"},
    )
    expected = model.model(tf.constant(pixels), training=False).numpy()
    np.testing.assert_allclose(
        np.load(tmp_path / "answers.npy"),
        np.concatenate([expected[:n] for n in sizes]),
        atol=1e-5,
    )


def test_a_command_gets_its_own_and_keeps_what_the_user_set(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    environment.begin("serve")
    assert environment.SERVING.items() <= os.environ.items()
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    environment.begin("train")
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_a_command_called_within_another_process_leaves_its_environment_alone(capsys):
    before = dict(os.environ)
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    assert {**before, "TF_CPP_MIN_LOG_LEVEL": ""} == {**os.environ, "TF_CPP_MIN_LOG_LEVEL": ""}


def test_no_training_with_weights_assumed_frozen(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
    job = Job("resnet8", "digits", recipes.load("digits"))
    with pytest.raises(ValueError, match="Unset it"):
        train(job, tmp_path)

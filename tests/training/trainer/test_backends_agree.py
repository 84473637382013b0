"""One run of photographs on TensorFlow, JAX and PyTorch, on one device and on two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import other_backends
import pytest
from launch import last_checkpoint
from PIL import Image

from training.config import recipes
from training.config.jobs import Job
from training.trainer.train import Options, train

pytestmark = pytest.mark.slow

RECIPE = (
    "iterations=10",  # 31 images to train on: seven steps in the first epoch
    "batch_size=4",
    "schedule=constant",
    "learning_rate=0.005",  # a net at its start multiplies the last digits' differences
)

# Each run continues a copy of a directory, without the checkpoint of the run's last step.
CONTINUED = """
import json, shutil, sys
from training.cli import main
sys.stderr = sys.stdout  # where the log says what is resumed
for source, workdir, arguments in json.loads(sys.argv[1]):
    shutil.copytree(source, workdir, ignore=shutil.ignore_patterns("step-000000010.npz"))
    assert main([*arguments, f"--workdir={workdir}"]) == 0
"""


@pytest.fixture(scope="module")
def folder(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 small photographs in three classes."""
    directory = tmp_path_factory.mktemp("photographs")
    for number, path in enumerate(photographs[:36]):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((80, 80))
        (directory / f"class{number % 3}").mkdir(exist_ok=True)
        picture.save(directory / f"class{number % 3}" / f"{path.stem}.jpg")
    return directory


def job(folder: Path) -> Job:
    recipe = recipes.override(recipes.RECIPES["imagenet"], RECIPE)
    return Job("resnet8", "folder", recipe, seed=2, data_dir=str(folder), width=0.25)


@pytest.fixture(scope="module")
def begun(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that paused on TensorFlow after its first epoch."""
    workdir = tmp_path_factory.mktemp("run") / "begun"
    train(job(folder), workdir, options=Options(pause_after=1))
    assert last_checkpoint(workdir)["file"] == "step-000000007.npz"
    return workdir


@pytest.fixture(scope="module")
def on_tensorflow(folder: Path, begun: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The last checkpoint of the run, ended on TensorFlow."""
    workdir = shutil.copytree(begun, tmp_path_factory.mktemp("tensorflow") / "run")
    train(job(folder), workdir)
    return last_checkpoint(workdir)


def continued(folder: Path, backend: str, *runs: Sequence[Path | str]) -> str:
    """Ends runs on a backend, by the command line; returns what they printed.

    Each run is the directory to continue, a directory for the copy of it, and further arguments.
    One process makes all of them, since its start takes longer than they do.
    """
    common = ["train", "--network=resnet8", "--width=0.25", "--dataset=folder"]
    common += [f"--data-dir={folder}", "--recipe=imagenet", "--seed=2", "--checkpoint-steps=1"]
    common += [f"--set={assignment}" for assignment in RECIPE]
    runs = [(str(source), str(workdir), [*common, *more]) for source, workdir, *more in runs]
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    return other_backends.run(backend, "-c", CONTINUED, json.dumps(runs), **flags)


def assert_close(found: dict, expected: dict) -> None:
    assert found["file"] == expected["file"] == "step-000000010.npz"
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if name.startswith(("weights/", "optimizer/")):
            # float32 sums in another order; the moving variances are some 1e4, hence rtol
            np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.fixture(scope="module")
def on_jax(
    folder: Path, begun: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict, dict, dict]:
    """The last checkpoints of the run, ended on JAX: on one device, on two, and cut after step 9.

    The third is the first as it would be if it had been killed.
    """
    base = tmp_path_factory.mktemp("jax")
    one, two, cut = (base / name for name in ("one", "two", "cut"))
    runs = ((begun, one, "--deterministic"), (begun, two, "--strategy=mirrored"))
    printed = continued(folder, "jax", *runs, (one, cut, "--deterministic"))
    assert printed.count("resumed at step 7") == 2
    assert printed.count("resumed at step 9") == 1
    return last_checkpoint(one), last_checkpoint(two), last_checkpoint(cut)


def test_a_run_continues_on_jax_on_one_device_and_on_two(
    on_jax: tuple[dict, dict, dict], on_tensorflow: dict
) -> None:
    one, two, _ = on_jax
    assert_close(one, on_tensorflow)
    assert_close(two, on_tensorflow)


def test_a_run_that_was_killed_on_jax_is_resumed_bit_for_bit(
    on_jax: tuple[dict, dict, dict],
) -> None:
    whole, _, cut = on_jax
    for name, array in cut.items():
        np.testing.assert_array_equal(array, whole[name], err_msg=name)


@pytest.mark.nightly
def test_a_run_continues_on_pytorch(
    folder: Path, begun: Path, on_tensorflow: dict, tmp_path: Path
) -> None:
    continued(folder, "torch", (begun, tmp_path / "run"))
    assert_close(last_checkpoint(tmp_path / "run"), on_tensorflow)

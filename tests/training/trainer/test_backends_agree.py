"""One run of photographs on TensorFlow, JAX and PyTorch, on one device and on two."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from launch import CHECKOUT, last_checkpoint
from PIL import Image

from training.config import recipes
from training.config.jobs import Job
from training.trainer.train import Options, train

RECIPE = (
    "iterations=10",  # 31 images to train on: seven steps in the first epoch
    "batch_size=4",
    "schedule=constant",
    "learning_rate=0.005",  # a net at its start multiplies the last digits' differences
)

COMMANDS = """
import json, sys
from training.cli import main
sys.exit(any(main(arguments) for arguments in json.loads(sys.argv[1])))
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
    return Job("resnet8", "folder", recipe, seed=2, data_dir=str(folder))


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


def continued(folder: Path, backend: str, *runs: Sequence[str | Path]) -> str:
    """Ends runs on a backend, by the command line; returns what they printed.

    Each run is its directory and further arguments. One process makes all of them, since its start
    takes longer than they do.
    """
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    common = ["train", "--network=resnet8", "--dataset=folder", f"--data-dir={folder}"]
    common += ["--recipe=imagenet", "--seed=2", "--checkpoint-steps=1"]
    common += [f"--set={assignment}" for assignment in RECIPE]
    commands = [[*common, f"--workdir={workdir}", *more] for workdir, *more in runs]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(CHECKOUT)}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


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
) -> Iterator[tuple[Path, Path]]:
    """The run, ended on JAX: on one device, and on two."""
    base = tmp_path_factory.mktemp("jax")
    one, two = (shutil.copytree(begun, base / name) for name in ("one", "two"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(base / "programs"))
        printed = continued(folder, "jax", (one, "--deterministic"), (two, "--strategy=mirrored"))
        assert printed.count("resumed at step 7") == 2
        yield one, two


def test_a_run_continues_on_jax_on_one_device_and_on_two(
    on_jax: tuple[Path, Path], on_tensorflow: dict
) -> None:
    for workdir in on_jax:
        assert_close(last_checkpoint(workdir), on_tensorflow)


def test_a_run_that_was_killed_on_jax_is_resumed_bit_for_bit(
    folder: Path, on_jax: tuple[Path, Path], tmp_path: Path
) -> None:
    whole, workdir = last_checkpoint(on_jax[0]), shutil.copytree(on_jax[0], tmp_path / "run")
    (workdir / "checkpoints" / "step-000000010.npz").unlink()  # as if killed after step 9
    assert "resumed at step 9" in continued(folder, "jax", (workdir, "--deterministic"))
    for name, array in last_checkpoint(workdir).items():
        np.testing.assert_array_equal(array, whole[name], err_msg=name)


def test_a_run_continues_on_pytorch(
    folder: Path, begun: Path, on_tensorflow: dict, tmp_path: Path
) -> None:
    workdir = shutil.copytree(begun, tmp_path / "run")
    continued(folder, "torch", (workdir,))
    assert_close(last_checkpoint(workdir), on_tensorflow)

"""A finished CIFAR-10 run as weights of the package: `keras_resnet.ResNet20(weights="cifar10")`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_resnet
from keras_resnet import architectures
from keras_resnet.files import PRETRAINED
from keras_resnet.preprocessing import CLASS_NAMES, CONVENTIONS
from training.common.files import atomic_write, sha256, write_json
from training.config.jobs import Job
from training.data import datasets
from training.data.pixel_mean import pixel_mean
from training.data.splits import ArraySplit, Dataset
from training.evaluation.evaluate import evaluate
from training.models.opened_model import opened_model
from training.paper import runs
from training.paper.recipe_descriptions import describe
from training.paper.runs import Run

DATA_SET = "cifar10"
LARGEST = 8_000_000  # bytes of one net in the package; of 110 layers 7 MB
TOLERANCE = 1e-5  # of probabilities: the same numbers, added up in other programs


@dataclass(frozen=True)
class Released:
    """The weights file, and its line for `keras_resnet/weights/published.py`."""

    file: Path
    row: str


def release(directory: Path, data_dir: str | None, out: Path = PRETRAINED) -> Released:
    """Writes the weights of a run's network, without the layers that preprocess its input.

    Writes `<network>_cifar10.weights.h5`, `<network>_cifar10.json` with the facts of the run and,
    if it does not exist yet, the mean of the training images into `out`. Checks that the written
    weights give the probabilities of the run's model on all test images, which `preprocess_input`
    prepares.

    Args:
        directory: A finished work directory of `train`.
        data_dir: Where CIFAR-10 lies.
        out: The package's folder of weights.

    Raises:
        ValueError: If the run is not one to release.
        OSError: If a file is missing, or exists that would be written over.
    """
    run, name = _checked(directory)
    file, facts_file = out / f"{name}.weights.h5", out / f"{name}.json"
    for path in (file, facts_file):
        if path.exists():
            raise FileExistsError(f"{path} exists; remove it first.")
    dataset = datasets.load(DATA_SET, data_dir)
    if tuple(dataset.class_names) != CLASS_NAMES[DATA_SET]:
        raise ValueError(f"{data_dir} has other classes: {', '.join(dataset.class_names)}.")
    test = dataset.test
    if not isinstance(test, ArraySplit):
        raise ValueError(f"{data_dir} has no images of one size, which {DATA_SET} has.")
    mean = _mean(dataset, out)

    finished = opened_model(run.directory / "model.keras")
    architecture = architectures.get(run.job.network)
    network = keras_resnet.ResNet(architecture, weights=run.directory / "model.keras")
    with atomic_write(file) as temporary:
        network.save_weights(temporary)
        size = temporary.stat().st_size
        if size > LARGEST:
            raise ValueError(f"{name} takes {size:,} bytes, more than {LARGEST:,}.")
        again = keras_resnet.ResNet(architecture, weights=temporary)
        _compare(again, finished, test.images, mean)
    found = evaluate([finished], dataset, "single")
    digest = sha256(file)
    write_json(facts_file, _facts(run, found.top1_error, found.top5_error, found.examples, digest))
    row = (
        f'_cifar10("{run.job.network}", {found.top1_error:.2f}, {found.top5_error:.2f}, "{digest}")'
    )
    return Released(file, f"{row},")


def _checked(directory: Path) -> tuple[Run, str]:
    job = runs.read_job(directory)
    if job is None or not (directory / "result.json").is_file():
        raise ValueError(f"{directory} holds no finished run.")
    paper_s = runs.normal(Job(job.network, DATA_SET, job.recipe, job.seed))
    other = [
        f"{field.name}={value}"
        for field in fields(Job)
        if (value := getattr(job, field.name)) != getattr(paper_s, field.name)
    ]
    other += [f"held_out={job.recipe.held_out}"] if job.recipe.held_out else []
    if other:
        raise ValueError(
            f"{directory} has {', '.join(other)}; only the paper's nets are released, trained from "
            f"random weights on all 50,000 images of {DATA_SET}, whose mean the package has."
        )
    if job.network not in architectures.ARCHITECTURES:
        raise ValueError(f"{job.network} is no network of the paper's table.")
    return Run(job, directory), f"{job.network}_{DATA_SET}"


def _mean(dataset: Dataset, out: Path) -> np.ndarray:
    """Returns the mean of the training images; writes it once, then checks that it is the same."""
    mean = pixel_mean(dataset.train)
    path = out / str(CONVENTIONS[DATA_SET].mean)
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, mean)
    elif not np.array_equal(np.load(path), mean):
        raise ValueError(f"{path} is not the mean of these training images.")
    return mean


def _compare(
    network: keras.Model, finished: keras.Model, images: np.ndarray, mean: np.ndarray
) -> None:
    expected = finished.predict(images.astype(np.float32), verbose=0)
    found = network.predict(images.astype(np.float32) - mean, verbose=0)
    difference = float(np.abs(found - expected).max())
    if not difference < TOLERANCE:  # NaN too
        raise ValueError(f"The weights alone differ from the run's model by {difference:g}.")


def _facts(run: Run, top1: float, top5: float | None, examples: int, digest: str) -> dict[str, Any]:
    return {
        "network": run.job.network,
        "recipe": str(describe(run.job.recipe)),
        "command": runs.command(run.job),
        "runs": 1,
        "seed": run.job.seed,
        "top1_error": top1,
        "top5_error": top5,
        "test_examples": examples,
        **{key: run.result[key] for key in ("train_examples", "hardware", "finished")},
        "versions": json.loads((run.directory / "job.json").read_text()).get("versions"),
        "sha256": digest,
    }

"""The numbers of finished runs: errors by the paper's protocols, layer responses; kept in files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import analysis
from training.common import machine
from training.common.files import sha256, write_json
from training.data import datasets
from training.data.splits import ArraySplit, Dataset
from training.evaluation import report
from training.evaluation.evaluate import evaluate
from training.models.opened_model import opened_model
from training.paper.experiments import Net
from training.paper.runs import Run

RESPONSES = "responses.json"
MODEL = "model.keras"


@dataclass(frozen=True)
class Score:
    """The error of one run, or of several as an ensemble, in per cent."""

    top1: float
    top5: float | None
    examples: int  # test images


@dataclass(frozen=True)
class Measured:
    """The runs of a network that have a score, and why others have none."""

    net: Net
    runs: tuple[Run, ...]
    scores: tuple[Score, ...]  # one for each run
    missing: tuple[str, ...] = ()


class LazyDataset:
    """A data set that is read when first needed: scores of finished runs may not need it."""

    def __init__(self, name: str, data_dir: str | None) -> None:
        self.name = name
        self.data_dir = data_dir

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data set; an OSError if the data are missing."""
        return datasets.load(self.name, self.data_dir)


def measure(net: Net, runs: Sequence[Run], score: Callable[[Run], Score]) -> Measured:
    """Scores a network's finished runs; a run whose score fails is missing, with the reason."""
    good, scores, missing = [], [], []
    for run in runs:
        if run.state != "finished":
            begun = f"not finished, at step {run.step:,}" if run.state == "begun" else "not trained"
            reason = run.failure or run.recorded_failure or begun
            missing.append(f"{net.label}, seed {run.job.seed}: {reason}")
            continue
        try:
            scores.append(score(run))
            good.append(run)
        except (ValueError, OSError) as error:
            missing.append(f"{net.label}, seed {run.job.seed}: {error}")
    return Measured(net, tuple(good), tuple(scores), tuple(missing))


def recorded_score(run: Run) -> Score:
    """Returns the single-view test error that the run itself recorded in `result.json`."""
    result = run.result
    return Score(result["test_error"], None, result["test_examples"])


def score(protocol: str, data: LazyDataset, run: Run) -> Score:
    """Returns the error of one run by a protocol, evaluated once and then read from its files."""
    if protocol == "single":
        return recorded_score(run)
    return ensemble_score((run,), protocol, data, run.directory / f"evaluation-{protocol}")


def ensemble_score(runs: Sequence[Run], protocol: str, data: LazyDataset, directory: Path) -> Score:
    """Returns the error of the averaged probabilities of several runs.

    Args:
        runs: One or more finished runs.
        protocol: A name of `training.evaluation.protocols`.
        data: Whose test images are evaluated.
        directory: Where the evaluation is written, or was by an earlier call.

    Raises:
        ValueError: If a run's classes are not the data set's.
        OSError: If the data or a model cannot be read.
    """
    files = [run.directory / MODEL for run in runs]
    hashes = [sha256(file) for file in files]
    summary = directory / report.SUMMARY
    if summary.is_file():
        known = json.loads(summary.read_text())
        if known.get("models") == hashes and known.get("dataset") == data.name:
            return Score(known["top1_error"], known["top5_error"], known["examples"])
    dataset = data.dataset
    for run in runs:
        if tuple(run.result["class_names"]) != tuple(dataset.class_names):
            raise ValueError(
                f"{run.directory} was trained on other classes than the data set has: it is the "
                "run of another folder. Give another --workdir."
            )
    models = [opened_model(file) for file in files]
    found = evaluate(models, dataset, protocol, progress=True)
    directory.mkdir(parents=True, exist_ok=True)
    facts = {"dataset": data.name, "models": hashes, "hardware": machine.hardware()}
    report.write(found, dataset, models[0].input_shape[1], facts, directory)
    return Score(found.top1_error, found.top5_error, found.examples)


def responses(run: Run, data: LazyDataset) -> Mapping[str, Any]:
    """Returns Fig. 7's numbers of one run over all test images, computed once and kept in a file.

    Returns:
        "layers" and "stds", the names and standard deviations in layer order; "examples".
    """
    file, model_file = run.directory / RESPONSES, run.directory / MODEL
    digest = sha256(model_file)
    if file.is_file():
        known: Mapping[str, Any] = json.loads(file.read_text())
        if known["model"] == digest and known["dataset"] == data.name:
            return known
    test = data.dataset.test
    if not isinstance(test, ArraySplit):
        raise ValueError(f"Responses are of images of one size, which {data.name} has not.")
    model = opened_model(model_file)
    found = analysis.layer_responses(model, test.images.astype(np.float32))
    values = {
        "dataset": data.name,
        "model": digest,
        "examples": test.examples,
        "layers": list(found.names),
        "stds": [float(std) for std in found.stds],
    }
    write_json(file, values)
    return values

"""What runs came to: errors by the paper's protocols, ensembles, layer responses; kept in files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.common import machine
from training.common.files import sha256, write_json
from training.data import datasets
from training.data.splits import Dataset
from training.evaluation import report
from training.evaluation.evaluate import evaluate
from training.paper.experiments import Net
from training.paper.runs import Run

RESPONSES = "responses.json"


@dataclass(frozen=True)
class Score:
    """One number of one run, or of several together. Errors are in per cent."""

    top1: float
    top5: float | None
    examples: int  # test images


@dataclass(frozen=True)
class Measured:
    """A net's runs that have a number, and why others have none."""

    net: Net
    runs: tuple[Run, ...]
    scores: tuple[Score, ...]  # one for each run
    missing: tuple[str, ...] = ()


class Data:
    """The data set, read when it is first needed: tables of finished runs may not need it."""

    def __init__(self, name: str, data_dir: str | None) -> None:
        self.name = name
        self.data_dir = data_dir

    @functools.cached_property
    def dataset(self) -> Dataset:
        """Raises an OSError if the data are missing."""
        return datasets.load(self.name, self.data_dir)


def measured(
    net: Net, runs: Sequence[Run], score: Callable[[Run], Score], unasked: str = ""
) -> Measured:
    """The scores of a net's finished runs; a run whose score fails is missing, with the reason."""
    good, scores, missing = [], [], []
    for run in runs:
        if run.state != "finished":
            reason = run.failure or run.recorded_failure or unasked or "not trained"
            missing.append(f"{net.label}, seed {run.job.seed}: {reason}")
            continue
        try:
            scores.append(score(run))
            good.append(run)
        except (ValueError, OSError) as error:
            missing.append(f"{net.label}, seed {run.job.seed}: {error}")
    return Measured(net, tuple(good), tuple(scores), tuple(missing))


def score(protocol: str, data: Data, run: Run) -> Score:
    """The error of one run by a protocol: `result.json`'s, or an evaluation, made once."""
    if protocol == "single":  # what every run of small images ends with
        result = run.result
        return Score(result["test_error"], None, result["test_examples"])
    return together((run,), protocol, data, run.directory / f"evaluation-{protocol}")


def together(runs: Sequence[Run], protocol: str, data: Data, directory: Path) -> Score:
    """The error of several runs' nets together, as `directory` has it or evaluated into it.

    Raises:
        ValueError: If a run's classes are not the data set's.
        OSError: If the data or a model cannot be read.
    """
    files = [run.directory / "model.keras" for run in runs]
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
                f"{run.directory} was trained on other classes than the data set's: it is of "
                "another folder. Give another --workdir."
            )
    models = [keras.models.load_model(file, compile=False) for file in files]
    found = evaluate(models, dataset, protocol, progress=True)
    directory.mkdir(parents=True, exist_ok=True)
    facts = {"dataset": data.name, "models": hashes, "hardware": machine.hardware()}
    report.write(found, dataset.class_names, facts, directory)
    return Score(found.top1_error, found.top5_error, found.examples)


def responses(run: Run, data: Data) -> Mapping[str, Any]:
    """Fig. 7 of one run over all test images: layers, standard deviations; computed once."""
    model_file = run.directory / "model.keras"
    digest = sha256(model_file)
    file = run.directory / RESPONSES
    if file.is_file():
        known = json.loads(file.read_text())
        if known["model"] == digest and known["dataset"] == data.name:
            return known
    from keras_resnet import analysis

    images = data.dataset.test.images.astype(np.float32)
    model = keras.models.load_model(model_file, compile=False)
    found = analysis.layer_responses(model, images)
    values = {
        "dataset": data.name,
        "model": digest,
        "examples": len(images),
        "layers": list(found.names),
        "stds": [float(std) for std in found.stds],
    }
    write_json(file, values)
    return values

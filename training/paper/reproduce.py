"""One table or figure: plan its runs, train the missing ones, measure, draw, write."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import architectures
from training.config import recipes
from training.config.jobs import Job
from training.evaluation import inspection_figures
from training.paper import (
    costs,
    experiments,
    figures,
    measurements,
    plots,
    published_numbers,
    report,
    runs,
    tables,
)
from training.paper.experiments import EXPERIMENTS, Experiment, Net
from training.paper.measurements import LazyDataset, Measured, Score
from training.paper.recipe_descriptions import with_budget
from training.paper.results import Result
from training.paper.runs import Run
from training.paper.train_missing import train_missing


@dataclass(frozen=True)
class Request:
    """What `reproduce` was asked for: runs, their recipe and data, and where the files go."""

    workdir: Path
    out: Path
    dataset: str | None = None  # None: each experiment's own
    data_dir: str | None = None
    depths: tuple[int, ...] | None = None  # None: the paper's
    seeds: tuple[int, ...] | None = None  # None: the paper's
    recipe: str | None = None  # None: by network and data set
    overrides: tuple[str, ...] = ()
    budget: int | None = None  # iterations
    adopted: tuple[Path, ...] = ()
    train: bool = True

    def dataset_of(self, experiment: Experiment) -> str | None:
        """Returns the data set of an experiment; `None` if it needs none.

        Raises:
            ValueError: If the experiment is not made on the data set that was asked for.
        """
        if not experiment.datasets:
            return None
        if self.dataset is not None and self.dataset not in experiment.datasets:
            raise ValueError(
                f"{experiment.name} is made on {' or '.join(experiment.datasets)}; given "
                f"--dataset {self.dataset}."
            )
        return self.dataset or experiment.datasets[0]

    def selection(self, experiment: Experiment) -> dict[str, Any]:
        """Returns what the numbers depend on: only those of the same selection are overwritten."""
        if not experiment.datasets:
            return {"dataset": None}
        return {
            "dataset": self.dataset_of(experiment),
            "recipe": self.recipe,
            "budget": self.budget,
            "set": list(self.overrides),
        }

    def nets(self, experiment: Experiment) -> tuple[Net, ...]:
        """Returns the experiment's networks of the depths that were asked for.

        Raises:
            ValueError: If the experiment has no network of those depths.
        """
        nets = experiments.chosen(experiment, self.dataset_of(experiment), self.depths)
        if not nets:
            raise ValueError(
                f"{experiment.name} has no network of depth "
                f"{' or '.join(str(depth) for depth in self.depths or ())}."
            )
        return nets

    def job(self, net: Net, dataset: str, seed: int) -> Job:
        """Returns the job of one run.

        Raises:
            ValueError: If the recipe or an override is unknown, or the recipe has no length.
        """
        like = "imagenet2012" if dataset == "folder" else dataset  # the paper's recipe
        recipe = recipes.load(self.recipe or recipes.default(net.network, like))
        recipe = with_budget(recipes.override(recipe, self.overrides), self.budget)
        if recipe.iterations is None and recipe.epochs is None:
            raise ValueError(
                f"The length of the recipe {self.recipe} depends on the number of images: give "
                "--budget, or --set epochs=NUMBER."
            )
        return runs.normal(Job(net.network, dataset, recipe, seed, net.shortcut))

    def runs(self, experiment: Experiment) -> list[tuple[Net, Run]]:
        """Returns the runs that an experiment needs, with the network of each.

        Raises:
            ValueError: If the experiment, the recipe or an override cannot be.
            OSError: If a directory to adopt runs from does not exist.
        """
        dataset = self.dataset_of(experiment)
        if dataset is None:
            return []
        seeds = self.seeds
        if experiment.kind == "ensemble":
            seeds = (seeds or (0,))[:1]  # one run of each
        places = experiments.places(self.nets(experiment), seeds)
        wanted = [(net, self.job(net, dataset, seed)) for net, seed in places]
        planned = runs.plan([job for _, job in wanted], self.workdir, self.adopted)
        by_job = {run.job: run for run in planned}
        return [(net, by_job[job]) for net, job in wanted]


@dataclass(frozen=True)
class Making:
    """One experiment with its runs, when the training is over."""

    experiment: Experiment
    request: Request
    data: LazyDataset
    runs: Sequence[tuple[Net, Run]]
    selection: Mapping[str, Any]

    @property
    def picture(self) -> Path:
        return self.request.out / f"{self.experiment.name}.png"

    def measure(self, score: Callable[[Run], Score]) -> list[Measured]:
        """Returns the scores of every network.

        Raises:
            ValueError: If no run has a score; the message has the reasons.
        """
        found = [
            measurements.measure(net, [run for other, run in self.runs if other == net], score)
            for net in dict.fromkeys(net for net, _ in self.runs)
        ]
        if not any(one.scores for one in found):
            reasons = "; ".join(reason for one in found for reason in one.missing)
            raise ValueError(f"{self.experiment.name} has no number: {reasons}")
        return found

    @property
    def finished(self) -> list[tuple[Net, Run]]:
        """The finished runs; raises a ValueError if no run is finished."""
        found = [(net, run) for net, run in self.runs if run.state == "finished"]
        if not found:
            raise ValueError(f"{self.experiment.name} has no number: none of its runs is finished")
        return found


def of(name: str) -> tuple[Experiment, ...]:
    """Returns the experiment of that name, or all of them for "all"."""
    return tuple(EXPERIMENTS.values()) if name == "all" else (EXPERIMENTS[name],)


def make(experiment: Experiment, request: Request) -> Result:
    """Trains what an experiment lacks and writes its files into the request's `out`.

    Raises:
        ValueError: If it cannot be made, or no number of it could be measured.
        OSError: If the data are missing or files cannot be written.
        training.common.errors.PreemptedError: If the process was asked to stop.
    """
    selection = request.selection(experiment)
    report.claim(request.out, experiment.name, selection)
    data = LazyDataset(request.dataset_of(experiment) or "", request.data_dir)
    planned = request.runs(experiment)
    if request.train:
        planned = _train(planned, data)
    result = MAKERS[experiment.kind](Making(experiment, request, data, planned, selection))
    report.write(result, request.out)
    report.write_report(request.out)
    return result


def _train(planned: Sequence[tuple[Net, Run]], data: LazyDataset) -> list[tuple[Net, Run]]:
    distinct = list(dict.fromkeys(run for _, run in planned))
    examples = None
    if any(run.state in ("begun", "missing") for run in distinct):
        examples = data.dataset.train.examples  # missing data are reported once, not by every run
    after = dict(zip(distinct, train_missing(distinct, data.data_dir, examples), strict=True))
    return [(net, after[run]) for net, run in planned]


def _errors(making: Making) -> Result:
    experiment = making.experiment
    score = functools.partial(measurements.score, experiment.protocol or "single", making.data)
    rows = tables.error_rows(experiment, making.measure(score))
    result = tables.errors(experiment, rows, making.selection)
    printed = [row.published.top1.split()[:1] for row in rows]  # `6.43 (6.61 ± 0.16)`
    published = [float(number[0]) if number else None for number in printed]
    measured = [row.values("top1") for row in rows]
    plots.dots(result, published, measured, "top-1 error (%)", making.picture)
    return result


def _ensemble(making: Making) -> Result:
    experiment, members = making.experiment, making.finished
    commands = " ".join(runs.command(run.job) for _, run in members)
    digest = hashlib.sha256(commands.encode()).hexdigest()[:8]
    directory = making.request.workdir / f"ensemble-{len(members)}-{digest}"
    score = measurements.ensemble_score(
        [run for _, run in members], experiment.protocol or "single", making.data, directory
    )
    result = tables.ensemble(experiment, members, score, making.selection)
    (published,) = published_numbers.ERRORS[experiment.name]
    measured = [] if score.top5 is None else [score.top5]
    plots.dots(result, [float(published.top5)], [measured], "top-5 error (%)", making.picture)
    return result


def _curves(making: Making) -> Result:
    measured = making.measure(measurements.recorded_score)
    result = figures.learning_curves(making.experiment, measured, making.selection)
    plots.learning_curves(measured, result, making.picture)
    return result


def _responses(making: Making) -> Result:
    first: dict[Net, Run] = {}
    for net, run in making.finished:
        first.setdefault(net, run)
    nets = dict.fromkeys(net for net, _ in making.runs)
    missing = [f"Missing: {net.label}: no finished run" for net in nets if net not in first]
    found = [(net, run, measurements.responses(run, making.data)) for net, run in first.items()]
    result = figures.responses(making.experiment, found, missing, making.selection)
    stds = {net.label: np.asarray(values["stds"]) for net, _, values in found}
    inspection_figures.responses(stds, making.picture)
    return result


def _costs(making: Making) -> Result:
    experiment, request = making.experiment, making.request
    rows = [costs.row(architectures.get(net.network)) for net in request.nets(experiment)]
    rows += [] if request.depths else list(costs.vgg())
    result = tables.table_1(experiment, rows)
    printed = [row.paper_thousand_millions for row in rows]
    published = [float(number) if number else None for number in printed]
    measured = [[row.multiply_adds / 1e9] for row in rows]
    plots.dots(result, published, measured, "thousand millions of multiply-adds", making.picture)
    return result


MAKERS: Mapping[str, Callable[[Making], Result]] = {
    "costs": _costs,
    "errors": _errors,
    "ensemble": _ensemble,
    "curves": _curves,
    "responses": _responses,
}

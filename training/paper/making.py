"""One experiment from its runs to its files, or all of them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet import architectures
from training.paper import (
    costs,
    experiments,
    figures,
    jobs,
    measures,
    published_numbers,
    report,
    results,
    runs,
)
from training.paper.execution import train_missing
from training.paper.experiments import EXPERIMENTS, Experiment, Net
from training.paper.measures import Data, Measured, Score
from training.paper.results import Result
from training.paper.runs import Run


@dataclass(frozen=True)
class Request:
    """What was asked for: which runs, by which recipe, on which data, and where things go."""

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
        """The data set an experiment is made on.

        Raises:
            ValueError: If it is not for the data set that was asked for.
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
        """What decides the numbers' meaning, and must agree where they are written anew."""
        if not experiment.datasets:
            return {"dataset": None}
        return {
            "dataset": self.dataset_of(experiment),
            "recipe": self.recipe,
            "budget": self.budget,
            "set": list(self.overrides),
        }

    def nets(self, experiment: Experiment) -> tuple[Net, ...]:
        """The experiment's nets of the depths that were asked for.

        Raises:
            ValueError: If there are none.
        """
        nets = experiments.chosen(experiment, self.dataset_of(experiment), self.depths)
        if not nets:
            raise ValueError(
                f"{experiment.name} has no network of depth "
                f"{' or '.join(str(depth) for depth in self.depths or ())}."
            )
        return nets

    def runs(self, experiment: Experiment) -> list[tuple[Net, Run]]:
        """The runs an experiment needs, each net's by seed.

        Raises:
            ValueError: If the experiment, the recipe or an override cannot be.
            OSError: If a directory to adopt runs from is not there.
        """
        if not experiment.datasets:
            return []
        dataset = self.dataset_of(experiment)
        asked = self.seeds
        if experiment.kind == "ensemble":
            asked = (asked or (0,))[:1]  # one run of each
        places = experiments.places(self.nets(experiment), asked)
        wanted = [
            jobs.wanted(
                net.network,
                net.shortcut,
                dataset,
                seed,
                recipe=self.recipe,
                overrides=self.overrides,
                budget=self.budget,
            )
            for net, seed in places
        ]
        by_job = {run.job: run for run in runs.planned(wanted, self.workdir, self.adopted)}
        return [
            (net, by_job[jobs.normal(job)]) for (net, _), job in zip(places, wanted, strict=True)
        ]


def make(experiment: Experiment, request: Request) -> Result:
    """Trains what an experiment lacks and writes its files into the request's `out`.

    Raises:
        ValueError: If it cannot be made, or no number of it could be measured.
        OSError: If the data are missing or files cannot be written.
        training.common.errors.PreemptedError: If the process was asked to stop.
    """
    selection = request.selection(experiment)
    report.claim(request.out, experiment.name, selection)
    picture = request.out / f"{experiment.name}.png"
    if experiment.kind == "costs":
        result = _costs(experiment, request, picture)
    else:
        data = Data(request.dataset_of(experiment), request.data_dir)
        places = request.runs(experiment)
        if request.train:
            places = _trained(places, data)
        makers = {"errors": _errors, "ensemble": _ensemble, "curves": _curves}
        maker = makers.get(experiment.kind, _responses)
        result = maker(experiment, places, data, selection, picture, request)
    report.write(result, request.out)
    report.write_report(request.out)
    return result


def _trained(places: Sequence[tuple[Net, Run]], data: Data) -> list[tuple[Net, Run]]:
    once = list(dict.fromkeys(run for _, run in places))
    examples = None
    if any(run.state in ("begun", "missing") for run in once):
        examples = data.dataset.train.examples  # missing data are said once, not by every run
    after = dict(zip(once, train_missing(once, data.data_dir, examples), strict=True))
    return [(net, after[run]) for net, run in places]


def _measured(
    places: Sequence[tuple[Net, Run]], score: Any, experiment: Experiment
) -> list[Measured]:
    found = [
        measures.measured(net, [run for other, run in places if other == net], score)
        for net in dict.fromkeys(net for net, _ in places)
    ]
    if not any(one.scores for one in found):
        reasons = "; ".join(reason for one in found for reason in one.missing)
        raise ValueError(f"{experiment.name} has no number: {reasons}")
    return found


def _errors(experiment, places, data, selection, picture, request) -> Result:
    score = functools.partial(measures.score, experiment.protocol, data)
    found = _measured(places, score, experiment)
    result = results.errors(experiment, found, selection)
    by_label = {one.net.label: one for one in found}
    rows = [
        (row.top1, by_label.get(_label(row))) for row in published_numbers.ERRORS[experiment.name]
    ]
    known = {_label(row) for row in published_numbers.ERRORS[experiment.name]}
    rows += [("", one) for label, one in by_label.items() if label not in known]
    figures.dots(
        result,
        [float(top1.split()[0]) if top1 else None for top1, _ in rows],
        [[score.top1 for score in one.scores] if one else [] for _, one in rows],
        "top-1 error (%)",
        picture,
    )
    return result


def _label(row: published_numbers.Error) -> str | None:
    return Net(row.network, row.shortcut).label if row.network else None


def _ensemble(experiment, places, data, selection, picture, request) -> Result:
    ready = [(net, run) for net, run in places if run.state == "finished"]
    if not ready:
        raise ValueError(f"{experiment.name} has no number: none of its runs is finished")
    nets, members = zip(*ready, strict=True)
    name = hashlib.sha256(" ".join(jobs.command(run.job) for run in members).encode())
    directory = request.workdir / f"ensemble-{len(members)}-{name.hexdigest()[:8]}"
    found: Score = measures.together(members, experiment.protocol, data, directory)
    result = results.ensemble(experiment, nets, members, found, selection)
    (row,) = published_numbers.ERRORS[experiment.name]
    ours = [] if found.top5 is None else [found.top5]
    figures.dots(result, [float(row.top5)], [ours], "top-5 error (%)", picture)
    return result


def _curves(experiment, places, data, selection, picture, request) -> Result:
    def ended(run: Run) -> Score:
        return Score(run.result["test_error"], None, run.result["test_examples"])

    found = _measured(places, ended, experiment)
    result = results.curves(experiment, found, selection)
    figures.courses(experiment, found, result, picture)
    return result


def _responses(experiment, places, data, selection, picture, request) -> Result:
    first: dict[Net, Run] = {}
    for net, run in places:
        if run.state == "finished":
            first.setdefault(net, run)
    nets = dict.fromkeys(net for net, _ in places)
    missing = [f"Missing: {net.label}: no finished run" for net in nets if net not in first]
    if not first:
        raise ValueError(f"{experiment.name} has no number: none of its runs is finished")
    found = [(net, run, measures.responses(run, data)) for net, run in first.items()]
    result = results.responses(experiment, found, missing, selection)
    figures.responses({net.label: values["stds"] for net, _, values in found}, picture)
    return result


def _costs(experiment: Experiment, request: Request, picture: Path) -> Result:
    nets = request.nets(experiment)
    rows = [costs.row(architectures.get(net.network)) for net in nets]
    if request.depths is None:
        rows += list(costs.vgg())
    result = results.table_1(experiment, rows, request.selection(experiment))
    figures.dots(
        result,
        [float(row[6]) if row[6] else None for row in rows],
        [[row[5] / 1e9] for row in rows],
        "thousand millions of multiply-adds",
        picture,
    )
    return result


def of(name: str) -> tuple[Experiment, ...]:
    """The experiment of that name, or all of them."""
    return tuple(EXPERIMENTS.values()) if name == "all" else (EXPERIMENTS[name],)

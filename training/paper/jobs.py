"""What a job is called, and the command that runs it: both follow from the job alone."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from keras_resnet import architectures
from training.config import recipes
from training.config.catalogue import DATASETS
from training.config.recipes import RECIPES, Recipe
from training.trainer.train import Job

LENGTHS = ("iterations", "epochs")


@dataclass(frozen=True)
class Description:
    """A recipe as a named one and what differs from it."""

    base: str  # a key of RECIPES
    length: tuple[str, int] | None  # ("iterations", 1500), where the base has another
    changes: tuple[str, ...]  # key=value, as --set takes them

    def __str__(self) -> str:
        """Such as `cifar10-fast, budget 1,500 of 16,000 iterations`."""
        base = RECIPES[self.base]
        unit = "iterations" if base.iterations else "epochs"
        own = getattr(base, unit)
        if self.length is None:
            said = f"all {own:,} {unit}"
        elif self.length[0] != unit:
            said = f"budget {self.length[1]:,} {self.length[0]} instead of {own:,} {unit}"
        elif self.length[1] < own:
            said = f"budget {self.length[1]:,} of {own:,} {unit}"
        else:
            said = f"{self.length[1]:,} instead of {own:,} {unit}"
        return ", ".join((self.base, said, *self.changes))


def describe(recipe: Recipe) -> Description:
    """The nearest named recipe, and the differences."""
    candidates = []
    for name, base in RECIPES.items():
        if base.iterations is None and base.epochs is None:  # of one's own photographs
            continue
        changes = tuple(
            f"{field.name}={json.dumps(getattr(recipe, field.name))}"
            for field in fields(Recipe)
            if field.name not in LENGTHS
            and getattr(recipe, field.name) != getattr(base, field.name)
        )
        length = None
        if any(getattr(recipe, unit) != getattr(base, unit) for unit in LENGTHS):
            unit = "iterations" if recipe.iterations else "epochs"
            length = (unit, getattr(recipe, unit))
        candidates.append(Description(name, length, changes))
    return min(candidates, key=lambda found: (len(found.changes), found.length is not None))


def with_budget(recipe: Recipe, iterations: int | None) -> Recipe:
    """`recipe` cut to so many iterations; the schedule is in fractions of the run.

    Raises:
        ValueError: If the budget is not positive.
    """
    if iterations is None:
        return recipe
    return replace(recipe, iterations=iterations, epochs=None)


def normal(job: Job) -> Job:
    """The same job with one way to write it: the network's own shortcut is `None`, no data path."""
    own = job.shortcut == architectures.get(job.network).shortcut
    return replace(job, shortcut=None if own else job.shortcut, data_dir=None)


def read(directory: Path) -> Job | None:
    """The job of a work directory; `None` if there is none, or none that can be run here."""
    try:
        values = dict(json.loads((directory / "job.json").read_text())["job"])
        recipe = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.pop("recipe").items()
        }
        return normal(Job(recipe=Recipe(**recipe), **values))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def directory_name(job: Job) -> str:
    """Such as `resnet20-cifar10-fast-budget1500-0`; a fingerprint stands for further changes."""
    described = describe(job.recipe)
    named = described.base.removeprefix(job.dataset).strip("-")
    parts = [job.network, job.shortcut, job.dataset, named]
    if described.length is not None:
        unit, number = described.length
        parts.append(f"budget{number}" if unit == "iterations" else f"epochs{number}")
    if described.changes or job.skip_bad_images:
        text = json.dumps(asdict(normal(job)), sort_keys=True, default=str)
        parts.append(hashlib.sha256(text.encode()).hexdigest()[:8])
    return "-".join(part for part in (*parts, str(job.seed)) if part)


def arguments(job: Job) -> list[str]:
    """Of `python -m training train`, without the directories."""
    described = describe(job.recipe)
    given = ["--network", job.network]
    if job.shortcut is not None:
        given += ["--shortcut", job.shortcut]
    given += ["--dataset", job.dataset, "--recipe", described.base]
    overrides = list(described.changes)
    if described.length is not None:
        overrides.insert(0, f"{described.length[0]}={described.length[1]}")
    for override in overrides:
        given += ["--set", override]
    given += ["--skip-bad-images"] if job.skip_bad_images else []
    return [*given, "--seed", str(job.seed)]


def command(job: Job) -> str:
    """The command that makes this run anywhere; `--data-dir` says where the data lie there."""
    return shlex.join(["python", "-m", "training", "train", *arguments(job)])


def steps(job: Job, train_examples: int | None = None) -> int | None:
    """The steps of the whole run; `None` if it is in epochs of a folder that was not read."""
    if job.recipe.iterations:
        return job.recipe.iterations
    examples = train_examples or DATASETS[job.dataset].train_images
    if examples is None:
        return None
    return job.recipe.epochs * max(1, (examples - job.recipe.held_out) // job.recipe.batch_size)


def wanted(
    network: str,
    shortcut: str | None,
    dataset: str,
    seed: int,
    *,
    recipe: str | None = None,
    overrides: tuple[str, ...] = (),
    budget: int | None = None,
    data_dir: str | None = None,
) -> Job:
    """The job of one run of an experiment.

    Raises:
        ValueError: If the recipe or an override is unknown.
    """
    chosen = recipes.load(recipe or recipes.default(network, dataset))
    chosen = with_budget(recipes.override(chosen, overrides), budget)
    return Job(network, dataset, chosen, seed, shortcut, data_dir)


def as_record(job: Job) -> Mapping[str, Any]:
    """What a table's machine-readable row says of a job."""
    return {
        "network": job.network,
        "shortcut": job.shortcut or architectures.get(job.network).shortcut or "",
        "dataset": job.dataset,
        "recipe": str(describe(job.recipe)),
    }

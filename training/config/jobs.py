"""What is trained on what, as data: a run's `job.json`. No TensorFlow here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from keras_resnet import architectures
from keras_resnet.architectures import Architecture
from training.config import recipes
from training.config.recipes import Recipe


@dataclass(frozen=True)
class Job:
    """What is trained on what; with the recipe and the seed it determines the outcome."""

    network: str
    dataset: str
    recipe: Recipe
    seed: int = 0
    shortcut: str | None = None  # None: the network's own
    data_dir: str | None = None
    skip_bad_images: bool = False  # leave out photographs that cannot be decoded
    width: float | None = None  # of all filters, as a multiple; None: the network's own
    zero_init_residual: bool | None = None  # None: the network's own

    @property
    def architecture(self) -> Architecture:
        """The network's row, with the job's options.

        Raises:
            ValueError: If there is no such network, or it cannot have such options.
        """
        return architectures.with_options(
            architectures.get(self.network),
            self.shortcut,
            zero_init_residual=self.zero_init_residual,
            width=self.width or 1,
        )


def described(name_or_file: str | None) -> dict[str, Any]:
    """The job's fields, without its recipe, that a `job.json` holds; none of any other recipe.

    Raises:
        ValueError: If the file holds a field that no job has.
    """
    values = recipes.read(name_or_file) if name_or_file not in (None, *recipes.RECIPES) else {}
    found = dict(values.get("job", {}))
    found.pop("recipe", None)
    unknown = found.keys() - {field.name for field in fields(Job)}
    if unknown:
        raise ValueError(f"{name_or_file} is no job: it has {', '.join(sorted(unknown))}.")
    return found


def values(job: Job) -> dict[str, Any]:
    """The job as plain JSON values, without the directory of its data, which may move."""
    return json.loads(json.dumps({k: v for k, v in asdict(job).items() if k != "data_dir"}))


def load(path: Path) -> Job:
    """The job of a file that holds `{"job": {...}}`."""
    return of_values(json.loads(path.read_text())["job"])


def of_values(job: Mapping[str, Any]) -> Job:
    """What `values` came from."""
    return Job(**{**job, "recipe": recipes.of_values(job["recipe"])})

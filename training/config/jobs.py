"""The network, the data and the recipe of a run: its `job.json`. No TensorFlow here."""

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

PATHS = ("data_dir", "split")  # fields that say where the data lie, not what they are


@dataclass(frozen=True)
class Job:
    """Everything that determines the outcome of a run."""

    network: str
    dataset: str
    recipe: Recipe
    seed: int = 0
    shortcut: str | None = None  # None: the network's own
    data_dir: str | None = None
    skip_bad_images: bool = False  # leave out photographs that cannot be decoded
    width: float | None = None  # of all filters, as a multiple; None: the network's own
    zero_init_residual: bool | None = None  # None: the network's own
    weights: str | None = None  # to start from, as `keras_resnet.ResNet(weights=)` takes them
    preprocessing: str | None = None  # the convention of such weights, where they do not say it
    split: str | None = None  # a split file of a folder, as training.data.folder.split_file has it

    def check(self) -> None:
        """Checks what can be checked before the data and the weights are looked at.

        Raises:
            ValueError: If there is no such network, or fields contradict each other.
        """
        self.architecture  # noqa: B018  # raises
        if self.weights is None and (self.recipe.freeze or self.recipe.top_fraction):
            raise ValueError(
                "freeze and top_fraction are for weights from elsewhere: give --weights, or take "
                "another --recipe."
            )
        if self.recipe.randaugment and self.recipe.augmentation != "random_resized_crop":
            raise ValueError(
                "randaugment goes with augmentation=random_resized_crop; given augmentation="
                f"{self.recipe.augmentation}."
            )
        if self.recipe.alternate_mirror and self.recipe.augmentation != "cifar":
            raise ValueError(
                "alternate_mirror goes with augmentation=cifar; given augmentation="
                f"{self.recipe.augmentation}."
            )
        if self.weights is None and self.preprocessing is not None:
            raise ValueError("--preprocessing says what --weights need: give both, or neither.")
        if self.dataset == "folder" and self.data_dir is None:
            raise ValueError("The data set folder needs --data-dir, the folder of class folders.")
        if self.dataset != "folder" and (self.split is not None or self.skip_bad_images):
            raise ValueError(
                f"--split and --skip-bad-images are for --dataset folder; {self.dataset} has "
                "splits of its own, and its files were checked when they were prepared."
            )

    @property
    def architecture(self) -> Architecture:
        """The network, with the job's options.

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
    """Returns the fields of the job in a `job.json`, without its recipe; of a recipe, nothing.

    Args:
        name_or_file: What `--recipe` takes: a recipe's name, a recipe file, or a `job.json`.

    Raises:
        ValueError: If the file holds a field that no job has.
    """
    if name_or_file is None or name_or_file in recipes.RECIPES:
        return {}
    found = dict(recipes.read(name_or_file).get("job", {}))
    found.pop("recipe", None)
    unknown = found.keys() - {field.name for field in fields(Job)}
    if unknown:
        raise ValueError(f"{name_or_file} is no job: it has {', '.join(sorted(unknown))}.")
    return found


def values(job: Job) -> dict[str, Any]:
    """The job as plain JSON values, without the paths of its data, which may move."""
    kept = {name: value for name, value in asdict(job).items() if name not in PATHS}
    return dict(json.loads(json.dumps(kept)))


def load(path: Path) -> Job:
    """Reads the job of a file that holds `{"job": {...}}`."""
    return of_values(json.loads(path.read_text(encoding="utf-8-sig"))["job"])


def of_values(job: Mapping[str, Any]) -> Job:
    """Returns the job whose `values` these are; fields left out keep their defaults."""
    return Job(**{**job, "recipe": recipes.of_values(job["recipe"])})

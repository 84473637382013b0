"""The data sets that commands take by name, and facts about each before it is read.

`training.data.datasets` has the loader of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class DatasetFacts:
    """Facts about a data set for commands, recipes and the paper's experiments."""

    photographs: bool  # of any size, decoded as they are read; else arrays of one size
    recipe: str  # the default one, a key of `training.config.recipes.RECIPES`
    deep_recipe: str  # the default one of CIFAR nets of 110 layers or more
    train_images: int | None  # None: counted when the folder is read
    source: str  # where the images come from, for the help texts


DATASETS: Mapping[str, DatasetFacts] = MappingProxyType(
    {
        "cifar10": DatasetFacts(
            photographs=False,
            recipe="cifar10",
            deep_recipe="cifar10-warmup",
            train_images=50_000,
            source="TensorFlow Datasets, or the files that `python -m training arrays` writes",
        ),
        "digits": DatasetFacts(
            photographs=False,
            recipe="digits",
            deep_recipe="digits",
            train_images=1_437,
            source="scikit-learn, or the files that `python -m training arrays` writes",
        ),
        "imagenet2012": DatasetFacts(
            photographs=True,
            recipe="imagenet",
            deep_recipe="imagenet",
            train_images=1_281_167,
            source="TensorFlow Datasets, from archives that you download by hand",
        ),
        "folder": DatasetFacts(
            photographs=True,
            recipe="folder",
            deep_recipe="folder",
            train_images=None,
            source="your own photographs in --data-dir, a folder for each class",
        ),
    }
)
NAMES = tuple(DATASETS)
# The first of each is a data set of the paper.
PHOTOGRAPHS = tuple(name for name, facts in DATASETS.items() if facts.photographs)
SMALL_IMAGES = tuple(name for name, facts in DATASETS.items() if not facts.photographs)

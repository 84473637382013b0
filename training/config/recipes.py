"""The named recipes, the paper's and others, and recipe files. No TensorFlow here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from training.common.files import write_json
from training.config.catalogue import DATASETS
from training.config.recipe_fields import (
    FREEZABLE,
    PRECISIONS,
    SCHEDULES,
    Recipe,
    override,
    parse,
    with_values,
)

__all__ = ["FREEZABLE", "PRECISIONS", "SCHEDULES", "Recipe", "override", "parse"]

# Paper: section 4.2 for CIFAR-10, section 3.4 for ImageNet. "We start with 0.01 to warm up until
# the training error is below 80%" (section 4.2) for depth 110, and 1202 as 110.
_CIFAR = Recipe()
# Not the paper's: a quarter of its iterations, on one rise and fall of the rate (Smith and Topin
# 2017, arXiv 1708.07120).
_FAST = replace(
    _CIFAR,
    iterations=16_000,
    schedule="one_cycle",
    learning_rate=0.4,
    warmup_fraction=0.2,
    nesterov=True,
    weight_decay=2e-4,
)
# Of six variants of `_FAST` cut to 30 epochs the one with the lowest error on 5,000 held-out
# training images, for ResNet-20 and two seeds: docs/results has them all. So small a net underfits
# in so few epochs, and takes less decay, smaller shifts (Jordan 2024, arXiv 2404.00498, shifts by 2
# pixels as well) and a higher rate.
_SHORT = replace(
    _FAST,
    iterations=None,
    epochs=30,
    learning_rate=0.8,
    weight_decay=1e-4,
    crop_padding=2,
    alternate_mirror=True,
)
# `_SHORT` in fewer epochs, with kernels moved by Muon. 0.01 is about the angle by which `_SHORT`
# turns a kernel at its highest rate: sqrt(2 * 0.8 * 1e-4 / 1.9) = 0.009 (Kosson et al. 2023, arXiv
# 2305.17212, for SGD with momentum).
_MUON = replace(_SHORT, epochs=25, muon=0.01)
_IMAGENET = Recipe(
    iterations=600_000,
    batch_size=256,
    schedule="plateau",
    augmentation="imagenet",
)
# Facts of torchvision's recipe of 2021 for its second ResNet-50 (references/classification, "New
# Recipe"): rate 0.5 at batch 1,024, 5 of 600 epochs of warm-up, cosine, label smoothing 0.1, MixUp
# 0.2, CutMix 1.0, weight decay 2e-5, an average of the weights (there 0.99998 every 32 steps).
# RandAugment with two operations of magnitude 9 stands for TrivialAugment: Cubuk et al. 2020, arXiv
# 1909.13719, section 4.3, and timm's `rand-m9`. Crops of 8 % of the area or more: Szegedy et al.
# 2015, arXiv 1409.4842, section 6.
_IMAGENET_MODERN = Recipe(
    iterations=None,
    epochs=600,
    batch_size=1024,
    learning_rate=0.5,
    schedule="cosine",
    warmup_fraction=5 / 600,
    weight_decay=2e-5,
    label_smoothing=0.1,
    augmentation="random_resized_crop",
    randaugment=9,
    mixup=0.2,
    cutmix=1.0,
    ema=0.9999,
)
# Few images: as many epochs as `sized` says. Kornblith et al. 2019 (arXiv 1805.08974, appendix A)
# fine-tune by SGD with Nesterov's momentum of 0.9 and a cosine; the rates are found by trial. With
# frozen batch norm, batches of 4 need a quarter of the rate (docs/finetune.md). Crops are of at
# least a quarter of the area, so that the object mostly stays in the image.
_FINETUNE = Recipe(
    iterations=None,
    batch_size=32,
    held_out=0.1,
    early_stopping=8,
    learning_rate=0.01,
    schedule="cosine",
    warmup_fraction=0.05,
    nesterov=True,
    top_fraction=0.3,
    top_learning_rate=0.05,
    freeze=("batch_norm",),
    augmentation="random_resized_crop",
    crop_area=(0.25, 1.0),
)
# The same images from random weights. The rate is the paper's for batches of 256, cut for 64.
_FOLDER = Recipe(
    iterations=None,
    batch_size=64,
    held_out=0.1,
    learning_rate=0.05,
    schedule="cosine",
    warmup_fraction=0.05,
    label_smoothing=0.1,
    augmentation="random_resized_crop",
    crop_area=(0.25, 1.0),
)
# Found by trial: small batches, for enough steps on 1,437 images that ResNet-56 learns them in some
# minutes on two cores.
_DIGITS = Recipe(
    iterations=None,
    epochs=8,
    batch_size=16,
    learning_rate=0.05,
    drops=(0.6, 0.85),
    augmentation="crop",
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "cifar10": _CIFAR,
        "cifar10-warmup": replace(_CIFAR, warmup_learning_rate=0.01),
        "cifar10-fast": _FAST,
        "cifar10-short": _SHORT,
        "cifar10-muon": _MUON,
        "imagenet": _IMAGENET,
        "imagenet-modern": _IMAGENET_MODERN,
        "folder": _FOLDER,
        "finetune": _FINETUNE,
        "digits": _DIGITS,
    }
)


# What a recipe without a length sees in all: images, and at least and at most so many epochs.
SEEN, SEEN_FINETUNING = (1_000_000, 60, 200), (40_000, 5, 20)
STEPS_PER_EPOCH, LEAST_BATCH = 8, 8  # smaller batches say too little to batch norm


def default(network: str, dataset: str, weights: str | None = None) -> str:
    """Returns the name of the recipe for a network on a data set.

    Args:
        network: The network's name.
        dataset: The data set's name.
        weights: What the network starts from; `None`: random weights.
    """
    if weights is not None:
        return "finetune"
    from keras_resnet import architectures  # imports Keras, for which no --help waits

    architecture = architectures.get(network)
    facts = DATASETS[dataset]
    deep = architecture.stem == "cifar" and architecture.depth >= 110
    return facts.deep_recipe if deep else facts.recipe


def sized(recipe: Recipe, train_images: int) -> Recipe:
    """Fills in what a recipe leaves to the number of training images; others stay as they are.

    A share of held-out images becomes their number. A recipe without a length gets its epochs. Its
    batch is halved, to an even number of at least `LEAST_BATCH`, while an epoch has less than
    `STEPS_PER_EPOCH` steps.

    Args:
        recipe: The recipe.
        train_images: Training images, the held-out ones among them.
    """
    if 0 < recipe.held_out < 1:
        recipe = replace(recipe, held_out=round(recipe.held_out * train_images))
        if recipe.held_out == 0:
            recipe = replace(recipe, early_stopping=None)
    if recipe.iterations is not None or recipe.epochs is not None:
        return recipe
    trained_on = max(1, train_images - int(recipe.held_out))
    images, least, most = SEEN_FINETUNING if recipe.top_fraction else SEEN
    batch_size = recipe.batch_size
    while trained_on // batch_size < STEPS_PER_EPOCH:
        half, odd = divmod(batch_size, 2)
        if odd or half % 2 or half < LEAST_BATCH:  # MixUp takes images in pairs
            break
        batch_size = half
    epochs = min(max(round(images / trained_on), least), most)
    return replace(recipe, epochs=epochs, batch_size=batch_size)


def load(name_or_file: str) -> Recipe:
    """A recipe by name, or from a JSON file; fields left out keep their defaults.

    The file holds the fields themselves, or is a run's `job.json`, which holds them in its job.

    Raises:
        ValueError: If it is neither a name nor a file, or a field is unknown or of a wrong type.
    """
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    values = read(name_or_file)
    return of_values(values["job"]["recipe"] if "job" in values else values)


def read(file: str) -> dict[str, Any]:
    """Returns the fields of a recipe file.

    Raises:
        ValueError: If it is no file, or no JSON object.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(
            f"There is no recipe and no file called {file!r}. "
            f"Recipes: {', '.join(RECIPES)}; a file holds the fields of one as JSON."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"The recipe file {path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"The recipe file {path} holds no JSON object of fields.")
    job = values.get("job", {"recipe": {}})
    if not isinstance(job, dict) or not isinstance(job.get("recipe"), dict):
        raise ValueError(f"The job in {path} holds no recipe.")
    return values


def of_values(values: Mapping[str, Any]) -> Recipe:
    """The recipe of these fields; those left out keep their defaults."""
    return with_values(Recipe(), values)


def save(recipe: Recipe, path: Path) -> None:
    """Writes the fields as JSON; `load` reads them back."""
    write_json(path, asdict(recipe))

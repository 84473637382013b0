"""Training recipes as data: the paper's, and short ones for small budgets. No TensorFlow here."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from keras_resnet import architectures
from training.common.files import write_json
from training.config.catalogue import DATASETS

SCHEDULES = ("constant", "step", "plateau", "cosine", "one_cycle")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
BATCH_NORMS = ("synchronized", "per_replica")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are the paper's for CIFAR-10, section 4.2."""

    # How long. One of the two; setting one by name clears the other.
    iterations: int | None = 64_000  # steps of one batch
    epochs: int | None = None  # passes over the training images
    batch_size: int = 128  # images per step, over all devices together
    held_out: int = 0  # training images kept for validation; the paper's 45k/5k split is 5000
    early_stopping: int | None = None  # epochs without a lower validation error that end the run

    # The learning rate.
    learning_rate: float = 0.1  # the highest, per step of one whole batch; never scaled by itself
    schedule: str = "step"  # one of SCHEDULES
    drops: tuple[float, ...] = (0.5, 0.75)  # step: fractions of the run; 32k and 48k of 64k
    drop_factor: float = 0.1  # step, plateau: times the rate so far
    patience: int = 10  # plateau: epochs without a lower validation error before a drop
    warmup_learning_rate: float | None = None  # held until the training error ...
    warmup_error: float = 0.8  # ... falls below this fraction
    warmup_fraction: float = 0.0  # cosine, one_cycle: of the run, rising linearly from zero

    # The gradient step.
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4  # coupled L2: gradient + weight_decay * weight, on every weight
    label_smoothing: float = 0.0  # fraction of the target spread evenly over all classes
    accumulation: int = 1  # batches whose gradients are averaged into one update
    ema: float = 0.0  # momentum of the weights' moving average, handed on instead; 0: none
    exact_batch_norm: bool = False  # statistics over the training images at the end; ema implies it

    # The images.
    augmentation: str = "cifar"  # one of training.data.batches.AUGMENTATIONS

    # The machine's arithmetic.
    precision: str = "float32"  # one of PRECISIONS
    jit: bool = False  # compile the step by XLA
    rematerialize: bool = False  # recompute activations in the backward pass, to save memory
    scan: bool | None = None  # a stage's blocks as a loop; None: beyond 200 layers, without jit
    batch_norm: str = "synchronized"  # one of BATCH_NORMS: statistics over all replicas, or each's

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.epochs is None):
            raise ValueError(
                "A recipe runs for iterations or for epochs, exactly one of them; given "
                f"iterations={self.iterations}, epochs={self.epochs}."
            )
        for field, allowed in (
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("batch_norm", BATCH_NORMS),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(
                    f"{field} is one of {', '.join(allowed)}; given {getattr(self, field)!r}."
                )
        for_how_long = ("iterations", "epochs", "early_stopping", "patience")
        for field in (*for_how_long, "batch_size", "accumulation"):
            number = getattr(self, field)
            if number is not None and number < 1:
                raise ValueError(f"{field} takes a whole number of at least 1; given {number}.")
        for field in ("learning_rate", "momentum", "weight_decay", "held_out", "drop_factor"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} is not negative; given {getattr(self, field)}.")
        for field in ("label_smoothing", "ema", "warmup_fraction"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} lies in [0, 1); given {getattr(self, field)}.")
        if list(self.drops) != sorted(self.drops) or not all(0 < drop < 1 for drop in self.drops):
            raise ValueError(f"drops are rising fractions of the run; given {self.drops}.")


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
_IMAGENET = Recipe(
    iterations=600_000,
    batch_size=256,
    schedule="plateau",
    augmentation="imagenet",
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
        "imagenet": _IMAGENET,
        "digits": _DIGITS,
    }
)


def default(network: str, dataset: str) -> str:
    """The name of the recipe for a network on a data set, when none is asked for."""
    architecture = architectures.get(network)
    facts = DATASETS[dataset]
    deep = architecture.stem == "cifar" and architecture.depth >= 110
    return facts.deep_recipe if deep else facts.recipe


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
    """What a recipe file holds.

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
        values = json.loads(path.read_text())
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
    return _with_values(Recipe(), values)


def save(recipe: Recipe, path: Path) -> None:
    """Writes the fields as JSON; `load` reads them back."""
    write_json(path, asdict(recipe))


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """`recipe` with `key=value` assignments, as `--set` takes them.

    Raises:
        ValueError: If a key is unknown (the nearest one is named) or a value has a wrong type.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"An override is key=value, such as epochs=3; given {assignment!r}.")
        values[key.strip()] = parse(text.strip())
    return _with_values(recipe, values)


def _with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    types_of = typing.get_type_hints(Recipe)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in types_of:
            nearest = difflib.get_close_matches(key, types_of, n=1, cutoff=0)[0]
            raise ValueError(
                f"A recipe has no field {key!r}; did you mean {nearest!r}? "
                f"Fields: {', '.join(field.name for field in fields(Recipe))}."
            )
        checked[key] = _typed(key, value, types_of[key])
    for one, other in (("iterations", "epochs"), ("epochs", "iterations")):
        if checked.get(one) is not None and checked.get(other) is None:
            checked[other] = None
    return replace(recipe, **checked)


def parse(text: str) -> Any:
    """A command line's text as JSON where it is JSON (3, 0.1, true, null, [1, 2]), else itself."""
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except ValueError:
        return text


def _typed(key: str, value: Any, kind: Any) -> Any:
    """`value` as the field's type, or a ValueError that names both."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    for option in options:
        if option is type(None) and value is None:
            return None
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if option is int and whole and not isinstance(value, bool):  # 6.4e4 is whole too
            return int(value)
        if option in (bool, str) and isinstance(value, option):
            return value
        if typing.get_origin(option) is tuple and isinstance(value, (list, tuple)):
            return tuple(_typed(key, item, typing.get_args(option)[0]) for item in value)
    names = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    raise ValueError(f"{key} takes {names}; given {value!r}.")

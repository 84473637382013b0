"""The fields of a training recipe: their units, defaults and limits. No TensorFlow here."""

from __future__ import annotations

import difflib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

SCHEDULES = ("constant", "step", "plateau", "cosine", "one_cycle")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
BATCH_NORMS = ("synchronized", "per_replica")
CLASS_WEIGHTS = ("none", "balanced")
# "cifar" is section 4.2 of the paper: pad, crop, mirror; "crop" is for digits, which mirroring
# would change. "imagenet" is section 3.4. Both it and "random_resized_crop" are of photographs.
AUGMENTATIONS = ("none", "crop", "cifar", "imagenet", "random_resized_crop")
FREEZABLE = ("conv1", "conv2", "conv3", "conv4", "conv5", "batch_norm")


@dataclass(frozen=True)
class Recipe:
    """The fields of a training. The defaults are the paper's for CIFAR-10, section 4.2."""

    # How long: one of the two, and setting one by name clears the other. Neither: as long as the
    # number of training images asks for; see `sized`.
    iterations: int | None = 64_000  # steps of one batch
    epochs: int | None = None  # passes over the training images
    batch_size: int = 128  # images per step, over all devices together
    held_out: int | float = 0  # training images kept for validation, as a number or, below 1, a
    # share of them; the paper's 45k/5k split is 5000
    early_stopping: int | None = None  # epochs without a gain on held-out images that end the run

    # The learning rate.
    learning_rate: float = 0.1  # the highest, per step of one whole batch; never scaled by itself
    schedule: str = "step"  # one of SCHEDULES
    drops: tuple[float, ...] = (0.5, 0.75)  # step: fractions of the run; 32k and 48k of 64k
    drop_factor: float = 0.1  # step, plateau: times the rate so far
    patience: int = 10  # plateau: epochs without a lower validation error before a drop
    warmup_learning_rate: float | None = None  # held until the training error ...
    warmup_error: float = 0.8  # ... falls below this fraction
    warmup_fraction: float = 0.0  # cosine, one_cycle: of the run, rising linearly from zero

    # Weights from elsewhere: the new top is trained alone first, then the network with it.
    top_fraction: float = 0.0  # of the run, in whole epochs, for the top alone; 1: all of it
    top_learning_rate: float = 0.1  # of these epochs, falling along a cosine
    freeze: tuple[str, ...] = ()  # of FREEZABLE; conv3 freezes conv1, conv2_x and conv3_x

    # The gradient step.
    momentum: float = 0.9
    nesterov: bool = False
    muon: float = 0.0  # Muon's highest step, as a share of a kernel's norm; 0: kernels move by SGD
    weight_decay: float = 1e-4  # coupled L2: gradient + weight_decay * weight, on every weight
    label_smoothing: float = 0.0  # fraction of the target spread evenly over all classes
    class_weights: str = "none"  # one of CLASS_WEIGHTS: balanced lets each class weigh the same
    accumulation: int = 1  # batches whose gradients are averaged into one update
    ema: float = 0.0  # momentum of the weights' moving average, handed on instead; 0: none
    exact_batch_norm: bool = False  # statistics over the training images at the end; ema implies it

    # The images.
    augmentation: str = "cifar"  # one of AUGMENTATIONS
    crop_area: tuple[float, ...] = (0.08, 1.0)  # random_resized_crop: shares of a photograph's area
    crop_padding: int = 4  # cifar: zeros on each side of an image before it is cropped
    alternate_mirror: bool = False  # cifar: what one epoch mirrors, the next one does not
    mirror: bool = True  # half of the images, left to right; none and crop never mirror
    randaugment: float = 0.0  # magnitude, 0 to 10, of RandAugment's operations; 0: none
    randaugment_layers: int = 2  # its operations per photograph
    mixup: float = 0.0  # alpha of the Beta distribution of the shares of two images; 0: none
    cutmix: float = 0.0  # as mixup, for the area of a patch; with both, each has half of the steps

    # The machine's arithmetic.
    precision: str = "float32"  # one of PRECISIONS
    jit: bool = False  # compile the step by XLA
    rematerialize: bool = False  # recompute activations in the backward pass, to save memory
    scan: bool | None = None  # a stage's blocks as a loop; None: beyond 200 layers, without jit
    batch_norm: str = "synchronized"  # one of BATCH_NORMS: statistics over all replicas, or each's

    def __post_init__(self) -> None:
        if self.iterations is not None and self.epochs is not None:
            raise ValueError(
                "A recipe runs for iterations or for epochs, not both; given "
                f"iterations={self.iterations}, epochs={self.epochs}."
            )
        choices: dict[str, tuple[str, ...]] = {
            "schedule": SCHEDULES,
            "augmentation": AUGMENTATIONS,
            "precision": PRECISIONS,
            "batch_norm": BATCH_NORMS,
            "class_weights": CLASS_WEIGHTS,
            "freeze": FREEZABLE,
        }
        for field, allowed in choices.items():
            given = getattr(self, field)
            if not set((given,) if isinstance(given, str) else given) <= set(allowed):
                raise ValueError(f"{field} takes {', '.join(allowed)}; given {given!r}.")
        for_how_long = ("iterations", "epochs", "early_stopping", "patience")
        for field in (*for_how_long, "batch_size", "accumulation", "randaugment_layers"):
            number = getattr(self, field)
            if number is not None and number < 1:
                raise ValueError(f"{field} takes a whole number of at least 1; given {number}.")
        rates = ("learning_rate", "top_learning_rate", "warmup_learning_rate", "drop_factor")
        step = ("muon", "weight_decay", "warmup_error", "held_out")
        for field in (*rates, *step, "crop_padding", "randaugment", "mixup", "cutmix"):
            number = getattr(self, field)
            if number is not None and number < 0:
                raise ValueError(f"{field} is not negative; given {number}.")
        if not 0 <= self.top_fraction <= 1:
            raise ValueError(f"top_fraction lies in [0, 1]; given {self.top_fraction}.")
        for field in ("momentum", "label_smoothing", "ema", "warmup_fraction"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} lies in [0, 1); given {getattr(self, field)}.")
        if self.held_out >= 1 and self.held_out != int(self.held_out):
            raise ValueError(
                "held_out is a whole number of images, or a share of them below 1; given "
                f"{self.held_out}."
            )
        if self.randaugment > 10:
            raise ValueError(f"randaugment is a magnitude of at most 10; given {self.randaugment}.")
        if list(self.drops) != sorted(self.drops) or not all(0 < drop < 1 for drop in self.drops):
            raise ValueError(f"drops are rising fractions of the run; given {self.drops}.")
        if len(self.crop_area) != 2 or not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise ValueError(
                f"crop_area is the least and the largest share, in (0, 1]; given {self.crop_area}."
            )


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
    return with_values(recipe, values)


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
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


_WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a word",
    tuple: "a list",
    type(None): "null",
}


def _typed(key: str, value: Any, kind: Any) -> Any:
    """`value` as the field's type, or a ValueError that names both."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    finite = not isinstance(value, float) or math.isfinite(value)
    for option in options:
        if option is type(None) and value is None:
            return None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if option is float and number and finite:
            return float(value)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if option is int and whole and not isinstance(value, bool):  # 6.4e4 is whole too
            return int(value)
        if option in (bool, str) and isinstance(value, option):
            return value
        if typing.get_origin(option) is tuple and isinstance(value, (list, tuple)):
            return tuple(_typed(key, item, typing.get_args(option)[0]) for item in value)
    names = " or ".join(_WORDS[typing.get_origin(option) or option] for option in options)
    raise ValueError(f"{key} takes {names}; given {value!r}.")

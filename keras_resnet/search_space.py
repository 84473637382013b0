"""What a search may choose around the paper's question, as one table of rows; pure Python.

The question is the shortcut, options A, B and C of section 3.3; the rows below it are what a fair
answer depends on, and the plain net is the control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet import architectures
from keras_resnet.architectures import Architecture

PLAIN = "none"  # the shortcut of a plain net, in words: search libraries know no None
FINDS_NETWORK = ("shortcut", "n", "width", "zero_init_residual")  # the others are of the training


@dataclass(frozen=True)
class Choice:
    """One of several values; the first is where a search begins.

    Args:
        name: The field's.
        values: All of one type. A search may take other numbers instead, but no other words.
        meaning: What it is, with its unit and its source.
    """

    name: str
    values: tuple[Any, ...]
    meaning: str

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


@dataclass(frozen=True)
class Range:
    """A number in [low, high], drawn evenly, or evenly on a logarithmic scale.

    Raises:
        ValueError: If the interval is empty, or logarithmic and not positive.
    """

    name: str
    low: float
    high: float
    log: bool
    meaning: str

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"{self.name} takes an interval that rises{', above 0' if self.log else ''}; "
                f"given {self.low:g} to {self.high:g}."
            )

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log scale' if self.log else ''}"


Field = Choice | Range

# fmt: off
SEARCH_SPACE: tuple[Field, ...] = (
    #      name                  values                          meaning, block, source
    Choice("shortcut",           ("A", "B", "C", PLAIN),         "section 3.3; none: the control"),
    Choice("n",                  (3, 5, 7, 9),                   "blocks per stage, depth 6n+2"),
    Choice("width",              (1.0, 0.5, 2.0),                "filters, times the network's"),
    Choice("zero_init_residual", (False, True),                  "last batch norms start at 0"),
    Range("learning_rate",       0.01, 0.5, True,                "the highest of the run"),
    Range("weight_decay",        1e-5, 1e-3, True,               "coupled L2, section 3.4"),
    Choice("schedule",           ("step", "cosine", "one_cycle"), "of the learning rate"),
    Choice("batch_size",         (128, 64, 256),                 "images per step"),
    Choice("seed",               (0,),                           "weights, order, held-out images"),
)
# fmt: on


def fields(network: str) -> tuple[Field, ...]:
    """The rows that fit a network: for CIFAR nets its own n leads, ImageNet's have no n.

    Raises:
        ValueError: If there is no such network, or it is a plain one.
    """
    row = architectures.get(network)
    if not row.residual:
        raise ValueError(
            f"A search over shortcuts begins at a residual net; given {network!r}. Take "
            f"{network.replace('plain', 'resnet')!r}: shortcut={PLAIN} is the plain net."
        )
    found: list[Field] = []
    for field in SEARCH_SPACE:
        if field.name == "n" and isinstance(field, Choice):
            if row.stem == "cifar":
                own = row.blocks[0]
                others = tuple(n for n in field.values if n != own)
                found.append(Choice("n", (own, *others), field.meaning))
        elif field.name == "shortcut" and _plain(row) is None:
            found.append(Choice("shortcut", ("A", "B", "C"), "section 3.3"))
        else:
            found.append(field)
    return tuple(found)


def fixed(space: Sequence[Field], values: Mapping[str, Any]) -> tuple[Field, ...]:
    """`space` with each field of `values` left with that one value.

    Raises:
        ValueError: If a field is unknown, or a value is none of its own.
    """
    return narrowed(space, {name: (value,) for name, value in values.items()})


def narrowed(space: Sequence[Field], choices: Mapping[str, tuple[Any, ...]]) -> tuple[Field, ...]:
    """`space` with each field of `choices` left with those values.

    Raises:
        ValueError: If a field is unknown, or a value is none of its own.
    """
    for name in choices:
        find(space, name)
    return tuple(
        _narrowed(field, choices[field.name]) if field.name in choices else field for field in space
    )


def find(space: Sequence[Field], name: str) -> Field:
    """The field of that name.

    Raises:
        ValueError: If there is none.
    """
    for field in space:
        if field.name == name:
            return field
    raise ValueError(
        f"The search space has no field {name!r}; it has {', '.join(f.name for f in space)}."
    )


def _narrowed(field: Field, values: tuple[Any, ...]) -> Choice:
    allowed = field.values if isinstance(field, Choice) else (field.low,)
    kind = type(allowed[0])
    for value in values:
        number = kind is float and isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number and type(value) is not kind:
            raise ValueError(f"{field.name} takes {kind.__name__}; given {value!r}.")
        if kind in (str, bool) and value not in allowed:
            raise ValueError(f"{field.name} is one of {field}; given {value!r}.")
    return Choice(field.name, tuple(kind(value) for value in values), field.meaning)


def network(base: str, values: Mapping[str, Any]) -> str:
    """The network that `values` choose, by name: `base` at another depth, or its plain twin."""
    row = architectures.get(base)
    if "n" in values:
        row = architectures.cifar_architecture(6 * values["n"] + 2)
    if values.get("shortcut") == PLAIN:
        plain = _plain(row)
        if plain is None:
            raise ValueError(f"{row.name} has no plain twin; shortcut={PLAIN} cannot be searched.")
        return plain
    return row.name


def options(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `architectures.with_options` makes of `network`: shortcut, width, zero_init_residual."""
    shortcut = values.get("shortcut")
    return {
        "shortcut": None if shortcut == PLAIN else shortcut,
        "width": values.get("width", 1.0),
        "zero_init_residual": shortcut != PLAIN and values.get("zero_init_residual", False),
    }


def architecture(base: str, values: Mapping[str, Any]) -> Architecture:
    """The row that `values` choose around the network `base`."""
    return architectures.with_options(architectures.get(network(base, values)), **options(values))


def _plain(row: Architecture) -> str | None:
    """The name of the same net without shortcuts, if there is one."""
    name = row.name.replace("resnet", "plain")
    return name if row.stem == "cifar" or name in architectures.ARCHITECTURES else None

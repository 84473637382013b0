"""The search space around the paper's question, as one table, `SEARCH_SPACE`. Pure Python.

The question is the shortcut, options A, B and C of section 3.3, with the plain net as the control.
A fair answer depends on the table's other fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet import architectures
from keras_resnet.architectures import Architecture

PLAIN = "none"  # the shortcut of a plain net; search libraries do not take None as a value
FINDS_NETWORK = ("shortcut", "n", "width", "zero_init_residual")  # other fields concern training


@dataclass(frozen=True)
class Choice:
    """One of several values; the first is where a search begins.

    Args:
        name: The name of the field.
        values: Values of one type. A search may replace numbers by others, but not words.
        meaning: What the field is, with its unit and its source.
    """

    name: str
    values: tuple[Any, ...]
    meaning: str

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


@dataclass(frozen=True)
class Range:
    """A number in [low, high], drawn uniformly on a linear or a logarithmic scale.

    Raises:
        ValueError: If the interval is empty, or begins at 0 or below on a logarithmic scale.
    """

    name: str
    low: float
    high: float
    log: bool
    meaning: str

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"{self.name} takes low < high{', both above 0' if self.log else ''}; "
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
    """The fields that fit a network. A CIFAR net's own n comes first; ImageNet nets have no n.

    Raises:
        ValueError: If there is no such network, or it is a plain one.
    """
    net = architectures.get(network)
    if not net.residual:
        raise ValueError(
            f"A search over shortcuts begins at a residual net; given {network!r}. Take "
            f"{network.replace('plain', 'resnet')!r}: shortcut={PLAIN} is the plain net."
        )
    found: list[Field] = []
    for field in SEARCH_SPACE:
        if field.name == "n" and isinstance(field, Choice):
            if net.stem == "cifar":
                own = net.blocks[0]
                others = tuple(n for n in field.values if n != own)
                found.append(Choice("n", (own, *others), field.meaning))
        elif field.name == "shortcut" and _plain(net) is None:
            found.append(Choice("shortcut", ("A", "B", "C"), "section 3.3"))
        else:
            found.append(field)
    return tuple(found)


def fixed(space: Sequence[Field], values: Mapping[str, Any]) -> tuple[Field, ...]:
    """`space`, in which each field of `values` has that one value.

    Raises:
        ValueError: If a field is unknown, or does not take the value.
    """
    return narrowed(space, {name: (value,) for name, value in values.items()})


def narrowed(space: Sequence[Field], choices: Mapping[str, tuple[Any, ...]]) -> tuple[Field, ...]:
    """`space`, in which each field of `choices` has those values.

    Raises:
        ValueError: If a field is unknown, or does not take one of the values.
    """
    for name in choices:
        find(space, name)
    return tuple(
        _narrowed(field, choices[field.name]) if field.name in choices else field for field in space
    )


def find(space: Sequence[Field], name: str) -> Field:
    """The field of that name.

    Raises:
        ValueError: If there is no such field.
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
    distinct = tuple(dict.fromkeys(kind(value) for value in values))
    return Choice(field.name, distinct, field.meaning)


def network(base: str, values: Mapping[str, Any]) -> str:
    """The name of the network that `values` choose: `base`, at another depth, or its plain twin.

    Raises:
        ValueError: If the values ask for n of an ImageNet net, or for a plain net that is unknown.
    """
    net = architectures.get(base)
    if "n" in values:
        if net.stem != "cifar":
            raise ValueError(f"{base} has no n, blocks per stage, which only CIFAR nets have.")
        net = architectures.cifar_architecture(6 * values["n"] + 2)
    if values.get("shortcut") == PLAIN:
        plain = _plain(net)
        if plain is None:
            raise ValueError(f"{net.name} has no plain twin; shortcut={PLAIN} cannot be searched.")
        return plain
    return net.name


def options(values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `architectures.with_options` that `values` choose."""
    shortcut = values.get("shortcut")
    return {
        "shortcut": None if shortcut == PLAIN else shortcut,
        "width": values.get("width", 1.0),
        "zero_init_residual": shortcut != PLAIN and values.get("zero_init_residual", False),
    }


def architecture(base: str, values: Mapping[str, Any]) -> Architecture:
    """The network that `values` choose around the network `base`."""
    return architectures.with_options(architectures.get(network(base, values)), **options(values))


def _plain(net: Architecture) -> str | None:
    """The name of the same net without shortcuts, or `None`."""
    name = net.name.replace("resnet", "plain")
    return name if net.stem == "cifar" or name in architectures.ARCHITECTURES else None

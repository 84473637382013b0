"""The search space of a command line, and the job that a trial's values make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any

from keras_resnet import search_space
from keras_resnet.search_space import FINDS_NETWORK, Choice, Field, Range
from training.config.jobs import Job
from training.config.recipes import Recipe, parse


def narrowed(space: Sequence[Field], fixes: Sequence[str], ranges: Sequence[str]) -> list[Field]:
    """Returns the space as `--fix` and `--range` change it.

    Args:
        space: What `search_space.fields` returned.
        fixes: Such as `"shortcut=B"`.
        ranges: Such as `"learning_rate=0.01:0.3:log"`, an interval, or `"n=3,5"`, a list.

    Raises:
        ValueError: If a text cannot be read, or there is no such field or value.
    """
    found = list(space)
    for text in fixes:
        name, value = _assignment(text, "shortcut=B")
        found = list(search_space.fixed(found, {name: _number_or_word(value)}))
    for text in ranges:
        name, value = _assignment(text, "learning_rate=0.01:0.3:log")
        if ":" in value:
            interval = _interval(search_space.find(found, name), value)
            found = [interval if field.name == name else field for field in found]
        else:
            values = tuple(_number_or_word(word) for word in value.split(","))
            found = list(search_space.narrowed(found, {name: values}))
    return found


def _assignment(text: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ValueError(f"A field of the search is given as {example}; given {text!r}.")
    return name.strip(), value.strip()


def _number_or_word(text: str) -> Any:
    """Reads a JSON value, or a word; `none` is the shortcut of that name."""
    return parse(text) if text.lower() != "none" else text.lower()


def _interval(field: Field, text: str) -> Range:
    """Reads `LOW:HIGH` or `LOW:HIGH:log` for a field of real numbers."""
    low, high, *scale = text.split(":")
    if isinstance(field, Choice) and not isinstance(field.values[0], float):
        raise ValueError(
            f"{field.name} takes no interval, since not every number between is one of its "
            f"values: list them, {field.name}={','.join(map(str, field.values))}."
        )
    try:
        if scale not in ([], ["log"]):
            raise ValueError(f"{':'.join(scale)} is no scale.")
        return Range(field.name, float(low), float(high), scale == ["log"], field.meaning)
    except ValueError as error:
        raise ValueError(
            f"An interval is LOW:HIGH or LOW:HIGH:log; given {field.name}={text}: {error}"
        ) from error


def job_of(base: Job, values: Mapping[str, Any]) -> Job:
    """Returns the job of a trial: `base` with the values in their places.

    Raises:
        ValueError: If the values make no network or no recipe, or the job contradicts itself.
    """
    options = search_space.options(values)
    of_recipe = {key: value for key, value in values.items() if key in _RECIPE}
    job = replace(
        base,
        network=search_space.network(base.network, values),
        shortcut=options["shortcut"],
        width=options["width"],
        zero_init_residual=options["zero_init_residual"],
        seed=values.get("seed", base.seed),
        recipe=replace(base.recipe, **of_recipe),
    )
    job.check()
    return job


_RECIPE = {field.name for field in fields(Recipe)}


def check(base: Job, space: Sequence[Field]) -> None:
    """Checks every network and, field by field, every recipe of the space.

    Raises:
        ValueError: If one of them is impossible.
    """
    values = {
        field.name: field.values if isinstance(field, Choice) else (field.low, field.high)
        for field in space
    }
    of_network = {name: found for name, found in values.items() if name in FINDS_NETWORK}
    for row in product(*of_network.values()):
        job_of(base, dict(zip(of_network, row, strict=True)))
    for name in values.keys() - of_network.keys():
        for value in values[name]:
            job_of(base, {name: value})


def as_text(space: Sequence[Field]) -> dict[str, str]:
    """Returns the values of each field, for people and for the description of the search."""
    return {field.name: str(field) for field in space}

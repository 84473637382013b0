"""A recipe in a few words: the nearest named one, and what differs from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace

from training.config.recipes import RECIPES, Recipe

LENGTHS = ("iterations", "epochs")


@dataclass(frozen=True)
class Description:
    """A named recipe and the differences from it."""

    base: str  # a key of RECIPES
    length: tuple[str, int] | None  # such as ("iterations", 1500); None: the base's own length
    changes: tuple[str, ...]  # key=value, as --set takes them

    def __str__(self) -> str:
        """Returns the description in words: `cifar10-fast, budget 1,500 of 16,000 iterations`."""
        base = RECIPES[self.base]
        unit = "iterations" if base.iterations else "epochs"
        own = getattr(base, unit)
        if own is None:  # the base's length depends on the number of images
            length = "its own length" if self.length is None else "{1:,} {0}".format(*self.length)
        elif self.length is None:
            length = f"all {own:,} {unit}"
        elif self.length[0] != unit:
            length = f"budget {self.length[1]:,} {self.length[0]} instead of {own:,} {unit}"
        elif self.length[1] < own:
            length = f"budget {self.length[1]:,} of {own:,} {unit}"
        else:
            length = f"{self.length[1]:,} instead of {own:,} {unit}"
        return ", ".join((self.base, length, *self.changes))

    @property
    def overrides(self) -> tuple[str, ...]:
        """All differences from the named recipe, as `train --set` takes them."""
        length = () if self.length is None else (f"{self.length[0]}={self.length[1]}",)
        return (*length, *self.changes)


def describe(recipe: Recipe) -> Description:
    """Describes a recipe by the named one with the fewest differences."""
    candidates = []
    for name, base in RECIPES.items():
        if _has_length(base) and not _has_length(recipe):
            continue  # --set gives a length, but does not take one away
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


def _has_length(recipe: Recipe) -> bool:
    return recipe.iterations is not None or recipe.epochs is not None


def with_budget(recipe: Recipe, iterations: int | None) -> Recipe:
    """Returns the recipe cut to so many iterations; schedules are in fractions of the run.

    Args:
        recipe: Any recipe.
        iterations: The budget; `None` leaves the recipe as it is.

    Raises:
        ValueError: If the budget is not positive.
    """
    if iterations is None:
        return recipe
    return replace(recipe, iterations=iterations, epochs=None)

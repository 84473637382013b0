"""The learning rate of each step, as the recipe says. Pure Python."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.config.recipes import Recipe


def rate(recipe: Recipe, step: int, total_steps: int, top_steps: int = 0) -> float:
    """Returns the rate of a step, for the schedules without memory.

    Plateau and warm-up by error depend on what happened: see `Controller`.

    Args:
        recipe: The recipe.
        step: The step, from 0.
        total_steps: Steps of the whole run.
        top_steps: Steps at its beginning that train the top alone, at rates of their own.
    """
    if step < top_steps:
        return recipe.top_learning_rate * (1 + math.cos(math.pi * step / top_steps)) / 2
    step, total_steps = step - top_steps, total_steps - top_steps
    progress = step / total_steps
    peak = recipe.learning_rate
    if recipe.schedule == "step":
        drops = sum(step >= round(drop * total_steps) for drop in recipe.drops)
        return peak * recipe.drop_factor**drops
    if recipe.schedule in ("cosine", "one_cycle"):
        rise = recipe.warmup_fraction
        if progress < rise:
            return peak * (step + 1) / math.ceil(rise * total_steps)
        left = (1 - progress) / (1 - rise)
        if recipe.schedule == "one_cycle":  # down in a straight line (Page 2018's CIFAR-10 nets)
            return peak * left
        return peak * (1 - math.cos(math.pi * left)) / 2
    return peak


@dataclass
class Controller:
    """Decides the rate of each step; remembers what plateau and warm-up need.

    Paper, section 4.2: warm up at 0.01 "until the training error is below 80%", about 400
    iterations, "and then go back to 0.1". Section 3.4: divide by 10 "when the error plateaus".
    """

    recipe: Recipe
    total_steps: int
    top_steps: int = 0
    warm: bool = False  # whether the warm-up is over
    lowest: float = math.inf  # validation error so far, per cent
    waited: int = 0  # epochs since the lowest validation error, or the latest drop
    plateaus: int = 0  # drops so far

    @property
    def warming_up(self) -> bool:
        """Whether the next step's rate depends on the training error."""
        return self.recipe.warmup_learning_rate is not None and not self.warm

    def rate(self, step: int) -> float:
        if self.recipe.warmup_learning_rate is not None and not self.warm:
            return self.recipe.warmup_learning_rate
        scheduled = rate(self.recipe, step, self.total_steps, self.top_steps)
        return scheduled * self.recipe.drop_factor**self.plateaus

    def after_step(self, training_error: float) -> None:
        """Ends the warm-up if `training_error`, a fraction of this epoch so far, is low enough."""
        self.warm = self.warm or training_error < self.recipe.warmup_error

    def after_epoch(self, validation_error: float) -> None:
        if self.recipe.schedule != "plateau":
            return
        if validation_error < self.lowest:
            self.lowest, self.waited = validation_error, 0
            return
        self.waited += 1
        if self.waited >= self.recipe.patience:
            self.plateaus, self.waited = self.plateaus + 1, 0

    @property
    def state(self) -> dict[str, float]:
        return {
            "warm": self.warm,
            "lowest": self.lowest,
            "waited": self.waited,
            "plateaus": self.plateaus,
        }

    @state.setter
    def state(self, state: dict[str, float]) -> None:
        self.warm = bool(state["warm"])
        self.lowest = float(state["lowest"])
        self.waited = int(state["waited"])
        self.plateaus = int(state["plateaus"])

"""The paper's comparison in small: plain and residual nets of two depths, trained the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.common import figures
from training.config.jobs import Job
from training.config.recipes import Recipe
from training.trainer.train import Outcome, train

FAMILIES = ("plain", "resnet")


@dataclass(frozen=True)
class Comparison:
    """Outcomes of runs by (family, depth), one for each seed."""

    outcomes: dict[tuple[str, int], list[Outcome]]

    def test_errors(self, family: str, depth: int) -> list[float]:
        """Returns the test errors of all seeds, in per cent."""
        outcomes = self.outcomes[family, depth]
        return [outcome.test_error for outcome in outcomes if outcome.test_error is not None]

    def training_errors(self, family: str, depth: int) -> list[float]:
        """Returns the training errors of the last epoch, in per cent."""
        return [outcome.rows[-1]["error"] for outcome in self.outcomes[family, depth]]


def compare(
    depths: Sequence[int], seeds: Sequence[int], dataset: str, recipe: Recipe, workdir: Path
) -> Comparison:
    """Trains every family at every depth with every seed, each in its own work directory.

    Called again, it continues unfinished runs and does not repeat finished ones.
    """
    outcomes: dict[tuple[str, int], list[Outcome]] = {}
    for seed in seeds:
        for depth in depths:
            for family in FAMILIES:
                job = Job(f"{family}{depth}", dataset, recipe, seed)
                outcome = train(job, workdir / f"{family}{depth}-{seed}")
                outcomes.setdefault((family, depth), []).append(outcome)
    return Comparison(outcomes)


def draw(comparison: Comparison, path: Path) -> None:
    """Draws the first seed's learning curves as Fig. 6 does: plain nets left, residual right."""
    panels: dict[str, dict[str, Sequence[figures.Row]]] = {"plain nets": {}, "residual nets": {}}
    for (family, depth), outcomes in comparison.outcomes.items():
        plain = family == "plain"
        title, name = ("plain nets", "plain") if plain else ("residual nets", "ResNet")
        panels[title][f"{name}-{depth}"] = outcomes[0].rows
    first = next(iter(comparison.outcomes.values()))[0]
    held_out: figures.HeldOut = "test" if first.validation_error is None else "validation"
    figures.save_learning_curves(panels, held_out, path)

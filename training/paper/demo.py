"""The paper's claim in small: nets of two depths, plain and residual, trained the same way."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.common import figures
from training.config.recipes import Recipe
from training.trainer.train import Job, Outcome, train

FAMILIES = ("plain", "resnet")


@dataclass(frozen=True)
class Comparison:
    """Outcomes by (family, depth), one per seed."""

    outcomes: dict[tuple[str, int], list[Outcome]]

    def test_errors(self, family: str, depth: int) -> list[float]:
        return [outcome.test_error for outcome in self.outcomes[family, depth]]

    def training_errors(self, family: str, depth: int) -> list[float]:
        """Of the last epoch."""
        return [outcome.rows[-1]["error"] for outcome in self.outcomes[family, depth]]


def compare(
    depths: Sequence[int], seeds: Sequence[int], dataset: str, recipe: Recipe, workdir: Path
) -> Comparison:
    """Trains every family at every depth with every seed, each in its own work directory.

    Rerun, it goes on where it was.
    """
    outcomes: dict[tuple[str, int], list[Outcome]] = {}
    for seed in seeds:
        for depth in depths:
            for family in FAMILIES:
                job = Job(f"{family}{depth}", dataset, recipe, seed)
                outcome = train(job, workdir / f"{family}{depth}-{seed}")
                outcomes.setdefault((family, depth), []).append(outcome)
    return Comparison(outcomes)


def spread(values: Sequence[float]) -> str:
    """`8.9`, or `8.9 ± 0.4` (mean and sample standard deviation) of several."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def draw(comparison: Comparison, path: Path) -> None:
    """Fig. 6 in small: plain nets left, residual nets right; the first seed's curves."""
    titles = {"plain": "plain nets", "resnet": "residual nets"}
    panels = {
        titles[family]: {
            f"{family}-{depth}": outcomes[0].rows
            for (other, depth), outcomes in comparison.outcomes.items()
            if other == family
        }
        for family in FAMILIES
    }
    figures.panels(panels, path)

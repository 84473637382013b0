"""A search as one picture: how the error fell, and what each shortcut came to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.figure import Figure

from training.common import figures
from training.tuning.comparison import SHORTCUTS, Group
from training.tuning.records import Record


def draw(ended: Sequence[Record], groups: Sequence[Group], path: Path) -> None:
    """Writes the PNG of two panels: error over time with the best so far; error by shortcut.

    Args:
        ended: All trials that have ended; those that failed are crosses at the top.
        groups: As of `comparison.compare`.
        path: The file.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _over_time(left, sorted(ended, key=lambda record: record.finished))
    _by_shortcut(right, groups)
    figures.save(figure, path)


def _colour(shortcut: object) -> str:
    return figures.COLOURS[SHORTCUTS.index(shortcut) + 1 if shortcut in SHORTCUTS else 0]


def _over_time(axes, ended: Sequence[Record]) -> None:
    places = range(1, len(ended) + 1)
    completed = [(i, r) for i, r in zip(places, ended, strict=True) if r.completed]
    failed = [i for i, r in zip(places, ended, strict=True) if not r.completed]
    for i, record in completed:
        axes.plot(i, record.validation_error, "o", color=_colour(record.values.get("shortcut")))
    best = accumulate((record.validation_error for _, record in completed), min)
    axes.step([i for i, _ in completed], list(best), where="post", color="#555555", label="best")
    for i in failed:
        axes.plot(i, 0.97, "x", color="#555555", transform=axes.get_xaxis_transform())
    if failed:
        axes.plot([], [], "x", color="#555555", label="failed")
    axes.set(title="over time", xlabel="trials ended", ylabel="validation error (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _by_shortcut(axes, groups: Sequence[Group]) -> None:
    for place, group in enumerate(groups):
        colour = _colour(group.shortcut)
        axes.plot([place] * group.trials, group.errors, "o", color=colour, alpha=0.6)
        if group.mean is not None:
            axes.errorbar(
                place + 0.2, group.mean, yerr=group.spread, fmt="s", color=colour, capsize=4
            )
    labels = [f"{group.shortcut}\nn = {group.trials}" for group in groups]
    axes.set_xticks(range(len(groups)), labels)
    axes.set(title="by shortcut: trials, mean ± std", xlabel="shortcut")
    axes.set_xlim(-0.6, len(groups) - 0.2)
    axes.grid(alpha=0.25, axis="y")

"""The picture of a search: how the validation error fell, and the error of each shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_resnet.search_space import PLAIN
from training.common.figures import GREY, Colour, finish_axes, net_colours, save
from training.tuning.comparison import SHORTCUTS, Group
from training.tuning.records import Record

NAMES = ["plain" if shortcut == PLAIN else shortcut for shortcut in SHORTCUTS]
COLOURS = dict(zip(SHORTCUTS, net_colours(NAMES).values(), strict=True))


def draw(ended: Sequence[Record], groups: Sequence[Group], path: Path) -> None:
    """Writes the PNG of two panels: error over time with the best so far; error by shortcut.

    Args:
        ended: All trials that have ended; those that failed are crosses at the top.
        groups: What `comparison.compare` returned.
        path: The PNG.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _over_time(left, sorted(ended, key=lambda record: record.finished))
    _by_shortcut(right, groups)
    save(figure, path)


def _colour(record: Record) -> Colour | str:
    return COLOURS.get(record.values.get("shortcut", ""), GREY)


def _over_time(axes: Axes, ended: Sequence[Record]) -> None:
    places = range(1, len(ended) + 1)
    completed = [(i, r) for i, r in zip(places, ended, strict=True) if r.completed]
    failed = [i for i, r in zip(places, ended, strict=True) if not r.completed]
    for i, record in completed:
        axes.plot(i, record.validation_error, "o", color=_colour(record))
    best = accumulate((record.validation_error for _, record in completed), min)
    axes.step([i for i, _ in completed], list(best), where="post", color=GREY, label="best")
    for i in failed:
        axes.plot(i, 0.97, "x", color=GREY, transform=axes.get_xaxis_transform())
    if failed:
        axes.plot([], [], "x", color=GREY, label="failed")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    labels = {"xlabel": "trials ended", "ylabel": "validation error (%)"}
    finish_axes(axes, title="over time", **labels)


def _by_shortcut(axes: Axes, groups: Sequence[Group]) -> None:
    for place, group in enumerate(groups):
        colour = COLOURS[group.shortcut]
        axes.plot([place] * group.trials, group.errors, "o", color=colour, alpha=0.6)
        if group.mean is not None:
            axes.errorbar(
                place + 0.2, group.mean, yerr=group.spread, fmt="s", color=colour, capsize=4
            )
    labels = [f"{group.shortcut}\nn = {group.trials}" for group in groups]
    axes.set_xticks(range(len(groups)), labels)
    title = "by shortcut: trials, and mean ± standard deviation"
    finish_axes(axes, title=title, xlabel="shortcut", xlim=(-0.6, len(groups) - 0.2))

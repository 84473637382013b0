"""The paper's question, asked of a search: how low does the error get with each shortcut?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from keras_resnet import search_space
from keras_resnet.architectures import Architecture
from keras_resnet.search_space import PLAIN
from keras_resnet.stages import stages
from training.tuning.records import Record, best_first

SHORTCUTS = ("A", "B", "C", PLAIN)


@dataclass(frozen=True)
class Group:
    """The trials of one shortcut. Errors are in per cent of the held-out images."""

    shortcut: str
    trials: int  # that completed
    failed: int
    errors: tuple[float, ...]  # best first
    best: Record | None
    extra: tuple[int, ...]  # parameters beyond those with A, of each different network

    @property
    def mean(self) -> float | None:
        return statistics.mean(self.errors) if self.errors else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation, if there are two trials at least."""
        return statistics.stdev(self.errors) if len(self.errors) > 1 else None


def compare(records: Sequence[Record], network: str) -> list[Group]:
    """Returns a group for every shortcut that was tried.

    Of a run that several trials continued, only the last trial counts.

    Args:
        records: All trials of the search that have ended, in the order of their beginning.
        network: The network that the search started from.
    """
    found = []
    last = {record.run: record for record in records if record.completed}  # in their order
    for shortcut in SHORTCUTS:
        mine = [r for r in records if r.values.get("shortcut") == shortcut]
        if not mine:
            continue
        completed = best_first(r for r in last.values() if r.values["shortcut"] == shortcut)
        rows = [search_space.architecture(network, record.values) for record in completed]
        found.append(
            Group(
                shortcut=shortcut,
                trials=len(completed),
                failed=sum(not record.completed for record in mine),
                errors=tuple(sorted(record.validation_error for record in completed)),
                best=completed[0] if completed else None,
                extra=tuple(sorted({shortcut_parameters(row) for row in rows})),
            )
        )
    return found


def shortcut_parameters(architecture: Architecture) -> int:
    """Returns the trainable parameters of a network's shortcuts, section 3.3: the cost of B and C.

    A projection from c to d channels has c * d weights and its batch norm 2 * d.
    """
    total, channels = 0, architecture.first_filters
    for block in chain.from_iterable(stages(architecture)):
        if block.shortcut is not None and block.shortcut.projection is not None:
            total += channels * block.filters + 2 * block.filters
        channels = block.filters
    return total

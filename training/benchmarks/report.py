"""The figures of a benchmark beside its goals: the table, the last lines, the JSON file."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.benchmarks.timing import Contender, Measured
from training.common import machine
from training.common.files import write_json

PACKAGES = (
    *("keras", "tensorflow", "numpy", "jax", "torch", "transformers", "timm"),
    *("onnx", "onnxruntime", "openvino", "pillow"),
)


@dataclass(frozen=True)
class Goal:
    """How many times as good as its peers this project should be; the best of each side counts."""

    name: str
    ours: tuple[str, ...]  # contenders of this project
    ratio: float
    peers: tuple[str, ...] = ()
    limit: float | None = None  # a fixed figure in place of peers


@dataclass(frozen=True)
class Comparison:
    """Contenders that are measured in turns, and the goals."""

    name: str
    unit: str
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...]
    higher_is_better: bool = True


@dataclass(frozen=True)
class Verdict:
    """The outcome of one goal. A ratio above 1 means that this project is better."""

    goal: Goal
    ours: float | None  # None: not measured
    against: float | None
    ratio: float | None

    @property
    def outcome(self) -> str:
        if self.ratio is None:
            return "not measured"
        return "reached" if self.ratio >= self.goal.ratio else "short"

    def line(self) -> str:
        against = "limit" if self.goal.limit is not None else "best peer"
        ours, other = (_figure(x) if x is not None else "-" for x in (self.ours, self.against))
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        return (
            f"{self.goal.name}: this project {ours}, {against} {other}, ratio {ratio}, "
            f"goal {self.goal.ratio:g}: {self.outcome}"
        )


def judge(comparison: Comparison, measured: Measured) -> list[Verdict]:
    """Judges every goal of a comparison by the medians of the repeats."""
    medians = {name: statistics.median(values) for name, values in measured.values.items()}
    best = max if comparison.higher_is_better else min

    def median(names: Sequence[str]) -> float | None:
        return best((medians[name] for name in names if name in medians), default=None)

    verdicts = []
    for goal in comparison.goals:
        ours = median(goal.ours)
        against = goal.limit if goal.limit is not None else median(goal.peers)
        ratio = None
        if ours is not None and against is not None:
            ratio = ours / against if comparison.higher_is_better else against / ours
        verdicts.append(Verdict(goal, ours, against, ratio))
    return verdicts


def table(comparison: Comparison, measured: Measured) -> str:
    """Returns a line for each contender: median, lowest and highest, or why it was skipped."""
    width = max(len(contender.name) for contender in comparison.contenders)
    repeats = max(map(len, measured.values.values()), default=0)
    better = "higher" if comparison.higher_is_better else "lower"
    lines = [
        f"{comparison.name}, {comparison.unit} ({better} is better; median, lowest to highest of "
        f"{repeats})"
    ]
    for contender in comparison.contenders:
        if contender.name in measured.values:
            values = measured.values[contender.name]
            low, middle, high = map(_figure, (min(values), statistics.median(values), max(values)))
            lines.append(f"  {contender.name:{width}}  {middle:>9}   {low} to {high}")
        else:
            reason = measured.skipped[contender.name]
            lines.append(f"  {contender.name:{width}}    skipped: {reason}")
    return "\n".join(lines)


def write(file: Path, results: Sequence[tuple[Comparison, Measured]]) -> None:
    """Writes everything that was measured, with the machine and the versions."""
    write_json(
        file,
        {
            "command": shlex.join(["python", "-m", "training", *sys.argv[1:]]),
            "hardware": hardware(),
            "versions": versions(),
            "comparisons": [_entry(*result) for result in results],
        },
    )


def hardware() -> dict[str, Any]:
    """Returns facts about the processor, its vector and matrix instructions, and the load."""
    return {
        "processor": machine.processor(),
        "cpus": machine.cpus(),
        "instructions": machine.instructions(),
        "load_average": os.getloadavg(),
        "system": platform.platform(),
    }


def hardware_line() -> str:
    """Returns the processor in words: `2 CPUs, Intel Xeon: avx2, avx512f, amx_tile`."""
    return f"{machine.hardware()}: {', '.join(machine.instructions()) or 'instructions unknown'}"


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that are compared."""
    found = {name: machine.package_version(name) for name in PACKAGES}
    installed = {name: version for name, version in found.items() if version}
    return {"python": platform.python_version(), **installed}


def _entry(comparison: Comparison, measured: Measured) -> dict[str, Any]:
    return {
        "name": comparison.name,
        "unit": comparison.unit,
        "higher_is_better": comparison.higher_is_better,
        "contenders": [
            {
                **asdict(contender),
                "median": statistics.median(measured.values[contender.name]),
                "repeats": measured.values[contender.name],
            }
            if contender.name in measured.values
            else {**asdict(contender), "skipped": measured.skipped[contender.name]}
            for contender in comparison.contenders
        ],
        "goals": [
            {
                **asdict(verdict.goal),
                "ours_median": verdict.ours,
                "against": verdict.against,
                "reached_ratio": verdict.ratio,
                "outcome": verdict.outcome,
            }
            for verdict in judge(comparison, measured)
        ],
    }


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"

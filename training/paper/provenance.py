"""Where a number is from: runs, recipe, data, hardware, date, command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from training.paper import jobs
from training.paper.runs import Run

EVIDENCE = ("numbers of", "runs", "recipe", "data", "hardware", "finished", "command")


def facts(runs: Sequence[Run], examples: int) -> dict[str, Any]:
    """The same for a program: the columns of a CSV; the command is the first run's."""
    first = runs[0]
    together = {key: joined(run.result[key] for run in runs) for key in ("hardware", "finished")}
    return {
        **jobs.as_record(first.job),
        "seeds": " ".join(str(run.job.seed) for run in runs),
        "train_examples": first.result["train_examples"],
        "test_examples": examples,
        **together,
        "command": jobs.command(first.job),
    }


def evidence(
    label: str, runs: Sequence[Run], protocol: str | None, examples: int
) -> tuple[str, ...]:
    """Where a row's numbers are from, by `EVIDENCE`; the command is the first run's."""
    first = runs[0]
    train_examples = first.result["train_examples"]
    trained_on = "?" if train_examples is None else f"{train_examples:,}"
    seen = f", {examples:,} test images{f', {protocol}' if protocol else ''}" if examples else ""
    seeds = ", ".join(str(run.job.seed) for run in runs)
    return (
        label,
        f"n = {len(runs)} (seed{'s' if len(runs) > 1 else ''} {seeds})",
        joined(str(jobs.describe(run.job.recipe)) for run in runs),
        f"{first.job.dataset}: {trained_on} training images{seen}",
        joined(run.result["hardware"] for run in runs),
        joined(run.result["finished"][:10] for run in runs),
        jobs.command(first.job),
    )


def joined(texts: Iterable[str]) -> str:
    """Each text once, in the order of the first."""
    return " / ".join(dict.fromkeys(texts))

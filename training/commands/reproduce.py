"""`python -m training reproduce`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands import options as shared
from training.common import numeric
from training.common.errors import UsageError, arguments
from training.config import recipes

if TYPE_CHECKING:
    from training.paper.experiments import Experiment
    from training.paper.reproduce import Request
    from training.paper.results import Result
    from training.paper.runs import Run

# The names of `training.paper.experiments.EXPERIMENTS`, whose import would bring Keras along; a
# test holds them equal.
EXPERIMENTS = (
    *("table1", "table2", "table3", "table4", "table5", "table6"),
    *("fig1", "fig4", "fig6", "fig7"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=(*EXPERIMENTS, "all"),
        help="a table or figure of the paper, or all that the data allow",
    )
    shared.add_dataset(
        parser,
        help="digits: Table 6 and Figures 1, 6 and 7 in small; folder: Tables 2 to 5 and Figure 4 "
        "on class folders of your own (default: the paper's data set)",
    )
    parser.add_argument(
        "--depths",
        type=int,
        nargs="+",
        action=numeric.Distinct,
        help="the networks' numbers of layers (default: the paper's; for digits 20 and 56)",
    )
    parser.add_argument(
        "--seeds",
        type=numeric.seed,
        nargs="+",
        action=numeric.Distinct,
        help="train each network once with each seed (default: one seed; for ResNet-110 five, like "
        "the paper)",
    )
    shared.add_recipe(
        parser, f"the recipe of all runs: {shared.RECIPES} (default: by network and data set)"
    )
    parser.add_argument(
        "--budget",
        type=numeric.positive,
        metavar="ITERATIONS",
        help="shorten each run and its schedule to this many iterations",
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        default=Path("runs/reproduce"),
        help="the directory for the runs' directories; the same command continues the runs",
    )
    parser.add_argument(
        "--adopt",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="use the runs of `train` in these directories, or in directories below them, if they "
        "are of the same job",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        help="the directory for the tables and figures (CSV, Markdown, PNG) and report.html",
    )
    parser.add_argument(
        "--no-train",
        action="store_true",
        help="show what the finished runs give, and train nothing",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="list the finished and the missing runs, and train nothing",
    )


def run(options: argparse.Namespace) -> None:
    from training.paper import report, reproduce
    from training.paper.reproduce import Request

    request = Request(
        workdir=options.workdir,
        out=options.out,
        dataset=options.dataset,
        data_dir=options.data_dir,
        depths=tuple(options.depths) if options.depths else None,
        seeds=tuple(options.seeds) if options.seeds else None,
        recipe=options.recipe,
        overrides=tuple(options.overrides),
        budget=options.budget,
        adopted=tuple(options.adopt),
        train=not options.no_train,
    )
    with arguments():
        recipes.override(recipes.load(options.recipe or "cifar10"), options.overrides)
    chosen, left_out = _possible(request, reproduce.of(options.what))
    if options.dry_run:
        _say_what_would_be_done(request, chosen, left_out)
        return
    made = []
    for experiment in chosen:
        try:
            result = reproduce.make(experiment, request)
        except (ValueError, OSError) as error:
            left_out.append(f"{experiment.name}: {error}")
            continue
        made.append(result)
        _print(result)
    for reason in left_out:
        print(f"left out: {reason}")
    if not made:
        raise ValueError("Nothing could be made; the reasons stand above.")
    print(f"everything: {options.out / report.REPORT}, and CSV, Markdown and PNG beside it")


def _possible(request: Request, asked: Sequence[Experiment]) -> tuple[list[Experiment], list[str]]:
    """The experiments with nets and data of the request, and what is left out, with the reasons.

    Raises:
        UsageError: If there are none.
    """
    possible, left_out = [], []
    for experiment in asked:
        try:
            request.nets(experiment)
            possible.append(experiment)
        except ValueError as error:
            left_out.append(f"{experiment.name}: {error}")
    if not possible:
        raise UsageError(" ".join(left_out))
    depths = {net.depth for experiment in possible for net in request.nets(experiment)}
    names = ", ".join(experiment.name for experiment in possible)
    left_out += [
        f"depth {depth}: no network of {names} has it"
        for depth in request.depths or ()
        if depth not in depths
    ]
    return possible, left_out


def _print(result: Result) -> None:
    from training.common import tables

    tables.show(result.headings, result.cells, title=result.title)
    for note in result.notes:
        print(note)


def _say_what_would_be_done(
    request: Request, chosen: Sequence[Experiment], left_out: list[str]
) -> None:
    from training.common import tables
    from training.paper import runs
    from training.paper.recipe_descriptions import describe

    planned: dict[Run, list[str]] = {}
    for experiment in chosen:
        try:
            for _, run in request.runs(experiment):
                planned.setdefault(run, []).append(experiment.name)
        except (ValueError, OSError) as error:
            left_out.append(f"{experiment.name}: {error}")
    rows, total = [], 0
    for run, names in planned.items():
        all_steps = runs.steps(run.job)
        left = 0 if run.state in ("finished", "failed") else max(0, (all_steps or 0) - run.step)
        total += left
        said = f"{left:,}" if all_steps is not None or not left else "?"
        recipe = str(describe(run.job.recipe))
        rows.append((run.directory.name, recipe, run.state, said, ", ".join(names)))
    headings = ("run", "recipe", "state", "steps left", "for")
    tables.show(headings, rows, title="Runs", words=("recipe", "state", "for"))
    states = [run.state for run in planned]
    print(
        f"{len(states)} runs: {states.count('finished')} finished, {states.count('failed')} failed,"
        f" {states.count('begun')} begun, {states.count('missing')} missing; {total:,} steps left"
    )
    for reason in left_out:
        print(f"left out: {reason}")
    if not planned and left_out:
        raise ValueError("Nothing could be made; the reasons stand above.")

"""`python -m training tune`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands import options as shared
from training.common import numeric
from training.common.errors import arguments
from training.config import recipes

if TYPE_CHECKING:
    from keras_resnet.search_space import Field
    from training.tuning.records import Record

KINDS = ("random", "hyperband", "bayesian", "grid")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        default="resnet20",
        help="the network whose shortcuts and settings are searched",
    )
    shared.add_dataset(
        parser,
        default="digits",
        help="the data set to train on; the search does not use its test images",
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        help="the search's directory; the same command continues the search "
        "(default: runs/tune-<network>-<dataset>)",
    )
    _add_space(parser.add_argument_group("search space"))
    _add_search(parser.add_argument_group("search"))
    _add_trial(parser.add_argument_group("each trial"))


def _add_space(space: argparse._ArgumentGroup) -> None:
    space.add_argument(
        "--fix",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="leave a field out of the search, such as --fix shortcut=B; may be given several "
        "times",
    )
    space.add_argument(
        "--range",
        action="append",
        default=[],
        dest="ranges",
        metavar="FIELD=LOW:HIGH[:log]|A,B,...",
        help="search a field in another interval or among other values, such as --range "
        "learning_rate=0.01:0.3:log --range seed=0,1,2; may be given several times",
    )
    space.add_argument("--space", action="store_true", help="print the search space and end")


def _add_search(search: argparse._ArgumentGroup) -> None:
    search.add_argument("--tuner", choices=KINDS, default="random", help="the kind of search")
    search.add_argument(
        "--trials",
        type=numeric.positive,
        help="the greatest number of trials (default: 20; grid: all; hyperband: by --epochs)",
    )
    search.add_argument(
        "--factor",
        type=numeric.positive,
        default=3,
        help="with --tuner hyperband: continue one trial of this many",
    )
    search.add_argument("--seed", type=numeric.seed, default=0, help="the seed of the tuner")
    search.add_argument(
        "--keep",
        type=numeric.positive,
        default=3,
        help="keep the checkpoints of this many of the best runs",
    )


def _add_trial(trial: argparse._ArgumentGroup) -> None:
    length = trial.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs",
        type=numeric.positive,
        default=10,
        help="train for this many epochs instead of the recipe's; its schedule shrinks too",
    )
    length.add_argument(
        "--iterations", type=numeric.positive, help="instead of --epochs: train for this many steps"
    )
    trial.add_argument(
        "--early-stopping",
        type=numeric.whole(0),
        default=5,
        metavar="EPOCHS",
        help="end a trial after this many epochs without a lower validation error; 0 never does",
    )
    shared.add_recipe(
        trial,
        f"the recipe of the fields that are not searched: {shared.RECIPES} (default: by network "
        "and data set)",
    )
    shared.add_execution(trial, strategies=("auto", "one", "mirrored"), checkpoint_steps=100)


def run(options: argparse.Namespace) -> None:
    from keras_resnet import search_space
    from training.config.jobs import Job
    from training.tuning import space

    with arguments():
        fields = space.narrowed(search_space.fields(options.network), options.fix, options.ranges)
        job = Job(options.network, options.dataset, _recipe(options), data_dir=options.data_dir)
    if options.space:
        _show(fields)
        return

    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # each trial takes them in its process
    from training.tuning import records, search
    from training.tuning.search_progress import SearchProgress

    directory = options.workdir or Path("runs", f"tune-{options.network}-{options.dataset}")
    trials = options.trials
    if trials is None and options.tuner in ("random", "bayesian"):
        trials = 20
    with arguments():
        plan = search.Plan(
            job=job,
            space=fields,
            tuner=options.tuner,
            trials=trials,
            factor=options.factor,
            seed=options.seed,
            keep=options.keep,
            strategy=options.strategy,
            checkpoint_steps=options.checkpoint_steps,
            deterministic=options.deterministic,
        )
    title = f"{options.network} on {options.dataset}"
    with SearchProgress(title, trials, records.read_all(directory)) as progress:
        if search.is_chief():
            progress.note(
                "chief: waiting for workers. Should one be lost, start it again with the same "
                "KERASTUNER_TUNER_ID: the search waits for it, and its trial continues."
            )
        ended = search.search(plan, directory, progress)
    if not search.is_worker():
        _report(ended, directory, options)


def _show(fields: Sequence[Field]) -> None:
    from training.common import tables

    rows = [(field.name, str(field), field.meaning) for field in fields]
    headings = ("field", "values", "meaning")
    tables.show(headings, rows, title="The search space", words=("values", "meaning"))


def _report(ended: Sequence[Record], directory: Path, options: argparse.Namespace) -> None:
    """Writes and prints the results of a search.

    Raises:
        ValueError: If no trial completed.
    """
    from training.tuning import comparison, records, report, search_figure

    groups = comparison.compare(ended, options.network)
    report.write_trials(ended, directory)
    report.write_comparison(groups, directory)
    best = report.write_best(ended, directory, options.data_dir)
    if best is None:
        raise ValueError(
            f"None of the {len(ended)} trials completed: {directory / report.TRIALS} has the "
            f"reasons, {directory}/trial_*/log.txt what they printed."
        )
    search_figure.draw(ended, groups, directory / "search.png")
    report.show_trials(ended)
    report.show_comparison(groups)
    for record in ended:
        if not record.completed:
            print(f"trial {record.trial} failed: {record.ended}")
    model = records.run_of(directory, records.best_first(ended)[0].run) / "model.keras"
    print(f"everything: {directory}/ (search.png, {report.TRIALS}, {report.COMPARISON})")
    again = ["python", "-m", "training", "train", "--recipe", str(best)]
    print(f"train the best again: {shlex.join(again)}")
    test = ["python", "-m", "training", "evaluate", "--model", str(model)]
    test += ["--dataset", options.dataset]
    test += ["--data-dir", options.data_dir] if options.data_dir else []
    print(f"its test error, which no trial has seen: {shlex.join(test)}")


def _recipe(options: argparse.Namespace) -> recipes.Recipe:
    """Returns the recipe of every trial, before the search's values."""
    recipe = recipes.load(options.recipe or recipes.default(options.network, options.dataset))
    length = {"epochs": options.epochs, "iterations": None}
    if options.iterations is not None:
        length = {"epochs": None, "iterations": options.iterations}
    recipe = replace(recipe, **length, early_stopping=options.early_stopping or None)
    return recipes.override(recipe, options.overrides)

"""`python -m training train`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands import options as shared
from training.common import numeric
from training.common.errors import arguments
from training.config import recipes
from training.config.catalogue import DATASETS

if TYPE_CHECKING:
    from training.config.jobs import Job

# Options that a job.json sets too. One that is given overrides the file, and the file DEFAULTS.
JOB_FIELDS = (
    "network", "dataset", "seed", "shortcut", "width", "zero_init_residual", "data_dir",
    "weights", "preprocessing", "split",
)  # fmt: skip
DEFAULTS = {"network": "resnet20", "dataset": "digits", "seed": 0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        help="plain18, resnet50 and so on; resnet<depth> or plain<depth> of depth 6n+2 for CIFAR "
        f"networks (default: {DEFAULTS['network']})",
    )
    parser.add_argument(
        "--shortcut",
        choices=("A", "B", "C"),
        help="the shortcuts of the residual blocks (default: the network's own)",
    )
    parser.add_argument(
        "--width", type=numeric.amount, help="multiply the filters of every layer by this"
    )
    parser.add_argument(
        "--zero-init-residual",
        action=argparse.BooleanOptionalAction,
        help="start each residual branch at zero, which the paper does not",
    )
    shared.add_dataset(
        parser,
        help=f"{shared.SOURCES} (default: {DEFAULTS['dataset']})",
    )
    shared.add_split(parser, beside="")
    parser.add_argument(
        "--workdir",
        type=Path,
        help="the run's directory; the same command continues the run "
        "(default: runs/<network>-<dataset>-<seed>)",
    )
    _add_weights(parser.add_argument_group("fine-tuning"))
    shared.add_recipe(
        parser,
        f"{shared.RECIPES}; or a run's job.json or a search's best.json, which also set every "
        "option that is not given (default: by network and data set; finetune with --weights)",
    )
    parser.add_argument(
        "--seed",
        type=numeric.seed,
        help="the seed of the weights, the images' order and the augmentation "
        f"(default: {DEFAULTS['seed']})",
    )
    parser.add_argument(
        "--precision",
        choices=recipes.PRECISIONS,
        help="the number type of the arithmetic; short for --set precision=...",
    )
    parser.add_argument(
        "--jit", action="store_true", help="compile the step by XLA; short for --set jit=true"
    )
    parser.add_argument(
        "--record-gradients",
        action="store_true",
        help="write the norm of each layer's gradient at the end of each epoch to gradients.csv, "
        "which `inspect course` draws",
    )
    parser.add_argument(
        "--skip-bad-images",
        action="store_true",
        help="with --dataset folder: leave out and name the images that cannot be decoded",
    )
    shared.add_execution(
        parser, strategies=("auto", "one", "mirrored", "multi_worker"), checkpoint_steps=500
    )


def _add_weights(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="start from published weights (such as imagenet), a weights file, or the model.keras "
        "of an earlier run; its last layer is replaced by one for the data set's classes",
    )
    shared.add_preprocessing(group)
    group.add_argument(
        "--freeze",
        nargs="+",
        metavar="PART",
        help="do not train these parts: conv3 or conv1..conv3 (all layers up to conv3_x), "
        "batch_norm; none trains all (default: the recipe's; finetune freezes batch_norm)",
    )


def run(options: argparse.Namespace) -> None:
    with arguments():
        job = _job(options)
    workdir = options.workdir or Path("runs", f"{job.network}-{job.dataset}-{job.seed}")

    from training.trainer import backends  # after the arguments are known to be good
    from training.trainer.train import Options, train

    if options.deterministic:
        backends.make_deterministic()
    strategy = backends.strategy(options.strategy)
    outcome = train(
        job,
        workdir,
        strategy=strategy,
        options=Options(
            checkpoint_steps=options.checkpoint_steps, record_gradients=options.record_gradients
        ),
    )
    if backends.running(strategy).chief:
        print(
            f"{job.network} on {job.dataset}: test error {outcome.test_error:.2f} % "
            f"of {outcome.test_examples} images"
        )
        print(f"everything of this run: {workdir}/ (curve.png, history.csv, model.keras)")


def _job(options: argparse.Namespace) -> Job:
    """Returns the job of the options, which override a job.json, which overrides the defaults."""
    from training.config import jobs

    given = {name: getattr(options, name) for name in JOB_FIELDS}
    fields = {
        **DEFAULTS,
        **jobs.described(options.recipe),
        **{name: value for name, value in given.items() if value is not None},
        **({"skip_bad_images": True} if options.skip_bad_images else {}),
    }
    name = options.recipe or recipes.default(
        fields["network"], fields["dataset"], fields.get("weights")
    )
    overrides = list(options.overrides)
    if options.freeze:
        overrides.append(f"freeze={json.dumps(_frozen(options.freeze))}")
    if options.precision:
        overrides.append(f"precision={options.precision}")
    if options.jit:
        overrides.append("jit=true")
    recipe = recipes.load(name)
    if options.recipe is None and not DATASETS[fields["dataset"]].photographs:
        # Fine-tuning's crops are of photographs; these images keep their own augmentation.
        own = recipes.load(recipes.default(fields["network"], fields["dataset"]))
        recipe = replace(recipe, augmentation=own.augmentation)
    recipe = recipes.override(recipe, overrides)
    job = jobs.Job(**fields, recipe=recipe)
    job.check()
    if job.weights is not None:
        from training.models.preprocessing import convention_of

        convention_of(job.weights, job.architecture, job.preprocessing)  # checks them
    return job


def _frozen(parts: Sequence[str]) -> list[str]:
    """`["conv3", "batch_norm"]` of `--freeze conv1..conv3 batch_norm`; nothing of `none`."""
    return [part.removeprefix("conv1..") for part in parts if part != "none"]

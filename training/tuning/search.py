"""A search: one directory, one oracle, any number of workers."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras_tuner

from keras_resnet.search_space import Choice, Field
from keras_resnet.tuning import declare
from training.common.files import exclusive_lock
from training.config.jobs import Job
from training.data import datasets, fingerprint
from training.tuning import claim, oracles, records, report, space
from training.tuning.oracles import Durable
from training.tuning.records import Record
from training.tuning.tuner import Conditions, TrialTuner, Watcher

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
HELD_OUT = 10  # one of so many training images: 5,000 of CIFAR-10's, as the paper has it


@dataclass(frozen=True)
class Plan:
    """What a search tries, how it chooses and trains trials, and how many of them it keeps."""

    job: Job  # the base of every trial; the fields of the space replace its own
    space: Sequence[Field]
    tuner: str  # a key of `oracles.ORACLES`
    trials: int | None = None  # at most; None: all of a grid, or as many as hyperband needs
    factor: int = 3  # hyperband: one of so many trials is continued
    seed: int = 0  # of the tuner's draws
    keep: int = 3  # best runs that keep their checkpoints
    strategy: str = "auto"
    checkpoint_steps: int = 100
    deterministic: bool = False

    def __post_init__(self) -> None:
        recipe = self.job.recipe
        if self.tuner not in oracles.ORACLES:
            raise ValueError(f"tuner is one of {', '.join(oracles.ORACLES)}; given {self.tuner!r}.")
        if self.tuner == "hyperband":
            if recipe.epochs is None or recipe.epochs < self.factor or self.factor < 2:
                raise ValueError(
                    "hyperband stops trials after whole epochs, the first after epochs / factor: "
                    f"give --epochs of at least --factor, and a factor of at least 2; "
                    f"given epochs={recipe.epochs}, factor={self.factor}."
                )
            if self.trials is not None:
                raise ValueError("hyperband's number of trials follows from its epochs.")
        elif self.trials is None and self.tuner != "grid":
            raise ValueError(f"{self.tuner} never ends by itself: give it a number of trials.")
        if self.tuner == "grid":
            endless = [f.name for f in self.space if not isinstance(f, Choice)]
            if endless:
                raise ValueError(
                    f"A grid needs values, but {', '.join(endless)} has an interval: list values, "
                    "as in --range learning_rate=0.05,0.1,0.2, or --fix the field."
                )
        for name in ("trials", "keep"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{name} takes a number of at least 1; given {number}.")
        space.check(self.job, self.space)


def with_validation(job: Job) -> tuple[Job, str]:
    """`job` with images held out if it has none yet; and the training images' fingerprint.

    Raises:
        OSError: If the data are missing.
    """
    dataset = datasets.load(job.dataset, job.data_dir)
    images = fingerprint.of_split(dataset.train)
    if dataset.validation is None and job.recipe.held_out == 0:
        held_out = dataset.train.examples // HELD_OUT
        job = replace(job, recipe=replace(job.recipe, held_out=held_out))
    return job, images


def search(plan: Plan, directory: Path, watcher: Watcher) -> list[Record]:
    """Runs a search, or continues the one in `directory`.

    With keras-tuner's `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`
    in the environment, this process is the chief, which only chooses trials, or a worker of a
    search on several machines, which all see the same `directory`.

    Returns:
        All trials that have ended.

    Raises:
        ValueError: If the directory holds another search, or some of keras-tuner's variables are
            missing.
        OSError: If the data are missing, or another process works there.
        training.common.errors.PreemptedError: If the system wants the machine back.
    """
    _check_environment()
    directory.mkdir(parents=True, exist_ok=True)
    name = os.environ.get("KERASTUNER_TUNER_ID", "tuner0")
    with exclusive_lock(directory / f".{name}.lock"):
        job, images = with_validation(plan.job)
        plan = replace(plan, job=job)
        claim.claim(directory, _described(plan, images), first=not is_worker())
        hyperparameters = keras_tuner.HyperParameters()
        declare(hyperparameters, plan.space)

        def after_trial(oracle: Durable) -> None:
            ended = records.read_all(directory)
            records.prune(directory, ended, plan.keep, oracle.needed())
            report.write_trials(ended, directory)

        limits = {"max_trials": plan.trials}
        if plan.tuner == "hyperband":
            limits = {"max_epochs": job.recipe.epochs, "factor": plan.factor}
        oracle = oracles.make(plan.tuner, hyperparameters, limits, plan.seed, after_trial)
        conditions = Conditions(
            job, plan.space, plan.strategy, plan.checkpoint_steps, plan.deterministic
        )
        with contextlib.redirect_stdout(io.StringIO()):  # "Reloading Tuner from ..."
            tuner = TrialTuner(oracle, directory.absolute(), conditions, watcher)
        oracle.verbose = 0  # the watcher prints more
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)  # of failed trials
            tuner.search()
        return records.read_all(directory)


def _check_environment() -> None:
    """Checks that all of keras-tuner's variables are set, or none.

    Without an address, each worker would take itself for the only one, in a shared directory.
    """
    missing = [name for name in VARIABLES if name not in os.environ]
    if 0 < len(missing) < len(VARIABLES):
        raise ValueError(
            f"A search on several machines needs {', '.join(VARIABLES)} in the environment of each "
            f"process (docs/tuning.md), a search on one machine none of them; "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set."
        )


def is_worker() -> bool:
    """Whether another process, the chief, chooses the trials."""
    return "KERASTUNER_ORACLE_IP" in os.environ and not is_chief()


def is_chief() -> bool:
    """Whether this process chooses trials for others: keras-tuner knows it by its name."""
    name = os.environ.get("KERASTUNER_TUNER_ID", "")
    return "KERASTUNER_ORACLE_IP" in os.environ and "chief" in name


def _described(plan: Plan, images: str) -> dict[str, object]:
    """Returns what must not change between two calls; the number of trials may grow."""
    return {
        "network": plan.job.network,
        "dataset": plan.job.dataset,
        "training_images": images,
        "space": space.as_text(plan.space),
        "recipe": asdict(plan.job.recipe),
        "tuner": plan.tuner,
        "factor": plan.factor if plan.tuner == "hyperband" else None,
        "seed": plan.seed,
    }

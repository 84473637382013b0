"""The tuner: a trial that keras-tuner has chosen becomes a job, and a process that trains it."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import keras_tuner
from keras_tuner.engine.trial import Trial

from keras_resnet.search_space import Field
from keras_resnet.tuning import chosen
from training.common import machine
from training.common.errors import PreemptedError
from training.config import jobs
from training.config.jobs import Job
from training.tuning import process, records
from training.tuning.oracles import OBJECTIVE, Durable
from training.tuning.process import Order
from training.tuning.records import Record
from training.tuning.space import job_of

IDLE_SECONDS = 0.2  # between two questions whether there is something to do


# keras-tuner takes any error for the trial's own and goes on, but for its FatalError.
class SearchPreemptedError(PreemptedError, keras_tuner.errors.FatalError):
    """The system wants the machine back; the trial has saved itself."""


class SearchBrokenError(OSError, keras_tuner.errors.FatalError):
    """The search's own files cannot be written."""


@dataclass(frozen=True)
class Conditions:
    """What all trials share."""

    job: Job  # with the recipe that the values of a trial are put into
    space: Sequence[Field]
    strategy: str
    checkpoint_steps: int
    deterministic: bool


class Watcher(Protocol):
    """Who is told how the search goes."""

    def begin(self, trial: str, values: dict[str, Any]) -> None:
        """A trial begins, or goes on."""

    def end(self, record: Record) -> None:
        """It has ended."""


class TrialTuner(keras_tuner.Tuner):
    """Runs each trial in a process of its own.

    Args:
        oracle: Who chooses; on several machines only the chief's does.
        directory: The search's, the same for all of its workers.
        conditions: What all trials share.
        watcher: Who is told.
    """

    def __init__(
        self, oracle: Durable, directory: Path, conditions: Conditions, watcher: Watcher
    ) -> None:
        self.search_directory = directory
        self.conditions = conditions
        self.watcher = watcher
        self.idle = False
        super().__init__(oracle, directory=str(directory.parent), project_name=directory.name)

    def on_search_begin(self) -> None:
        self.save()  # without its file, a search that was killed in its first trial is not reloaded

    def pre_create_trial(self) -> None:
        if self.idle:  # keras-tuner itself would ask again at once
            time.sleep(IDLE_SECONDS)
        self.idle = True

    def on_trial_begin(self, trial: Trial) -> None:
        self.idle = False

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains, or goes on with, what the trial's values come to; its validation error.

        It is NaN, which keras-tuner takes for a failed trial, if the run diverged, or failed, or
        its process was killed.

        Raises:
            SearchPreemptedError: If the system wants the machine back.
            SearchBrokenError: If the search's own files cannot be written.
        """
        try:
            record = self._ended(trial)
        except OSError as error:
            raise SearchBrokenError(str(error)) from error
        self.watcher.end(record)
        return {OBJECTIVE.name: record.validation_error}

    def _ended(self, trial: Trial) -> Record:
        values = chosen(trial.hyperparameters, self.conditions.space)
        self.watcher.begin(trial.trial_id, values)
        record = records.read(self.search_directory, trial.trial_id)  # if only its word was lost
        if record is None:
            record = self._train(trial, values)
            records.write(record, self.search_directory)
        return record

    def _train(self, trial: Trial, values: dict[str, Any]) -> Record:
        hyperband = trial.hyperparameters.values
        before = hyperband.get("tuner/trial_id")  # the trial that this one goes on with
        earlier = records.read(self.search_directory, before) if before else None
        run = earlier.run if earlier else trial.trial_id
        job = job_of(self.conditions.job, values)
        pause_after = hyperband.get("tuner/epochs")
        directory = records.directory_of(self.search_directory, trial.trial_id)
        workdir = records.run_of(self.search_directory, run)
        order = Order(
            job={**jobs.values(job), "data_dir": job.data_dir},
            workdir=str(workdir.absolute()),
            pause_after=pause_after,
            strategy=self.conditions.strategy,
            checkpoint_steps=self.conditions.checkpoint_steps,
            deterministic=self.conditions.deterministic,
        )
        log = directory / "log.txt"
        began = time.monotonic()
        code = process.start(order, directory / "order.json", log)
        if code == PreemptedError.exit_code:
            raise SearchPreemptedError(
                f"stopped by SIGTERM in trial {trial.trial_id}, which has saved itself. Run the "
                "same command again to go on."
            )
        record = Record(
            trial=trial.trial_id,
            values=values,
            run=run,
            status="failed",
            ended=process.why(code, log) if code else "",
            seconds=round(time.monotonic() - began, 1),
            finished=machine.now(),
            tuner=self.tuner_id,
        )
        return record if code else _completed(record, job, workdir, pause_after)


def _completed(record: Record, job: Job, workdir: Path, pause_after: int | None) -> Record:
    """`record` with what the run left in its files."""
    result = json.loads((workdir / "result.json").read_text())
    with (workdir / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps, epochs = int(rows[-1]["step"]), len(rows)
    if steps == job.recipe.iterations or epochs == job.recipe.epochs:
        ended = "whole"
    else:
        ended = "paused" if epochs == pause_after else "early"
    found = {
        "status": "completed",
        "ended": ended,
        "validation_error": result["validation_error"],
        "epochs": epochs,
        "steps": steps,
        "parameters": result["parameters"],
    }
    return Record(**{**asdict(record), **found})

"""The tuner: makes a job of a trial that keras-tuner chose, and trains it in a process."""

from __future__ import annotations

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
from training.trainer.callbacks import history
from training.tuning import records, trial_process
from training.tuning.oracles import OBJECTIVE, Durable
from training.tuning.records import Record
from training.tuning.space import job_of
from training.tuning.trial_process import Order

IDLE_SECONDS = 0.2  # between two requests for a trial while there is none


# keras-tuner takes any other error for a failure of the trial, and continues.
class SearchPreemptedError(PreemptedError, keras_tuner.errors.FatalError):
    """The process was asked to stop, and the trial has saved itself."""


class SearchBrokenError(OSError, keras_tuner.errors.FatalError):
    """The search's own files cannot be written."""


@dataclass(frozen=True)
class Conditions:
    """The settings of all trials."""

    job: Job  # the base; a trial's values replace fields of it
    space: Sequence[Field]
    strategy: str
    checkpoint_steps: int
    deterministic: bool


class Watcher(Protocol):
    """Follows a search."""

    def begin(self, trial: str, values: dict[str, Any]) -> None:
        """Called when a trial begins or is continued."""

    def end(self, record: Record) -> None:
        """Called when a trial has ended."""


class TrialTuner(keras_tuner.Tuner):
    """Runs each trial in a process of its own.

    Args:
        oracle: Chooses the trials; on several machines only the chief's does.
        directory: The search's directory, the same for all workers.
        conditions: What all trials share.
        watcher: Is told when trials begin and end.
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
        self.save()  # keras-tuner reloads a search only if this file exists

    def pre_create_trial(self) -> None:
        if self.idle:  # keras-tuner would ask again at once
            time.sleep(IDLE_SECONDS)
        self.idle = True

    def on_trial_begin(self, trial: Trial) -> None:
        self.idle = False

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains the trial, or continues it.

        Returns:
            The validation error; NaN, which keras-tuner takes for a failed trial, if the run
            diverged or failed or its process was killed.

        Raises:
            SearchPreemptedError: If the process was asked to stop.
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
        # After a kill between writing the record and telling the oracle, the record exists.
        record = records.read(self.search_directory, trial.trial_id)
        if record is None:
            record = self._train(trial, values)
            records.write(record, self.search_directory)
        return record

    def _train(self, trial: Trial, values: dict[str, Any]) -> Record:
        hyperband = trial.hyperparameters.values
        before = hyperband.get("tuner/trial_id")  # the trial that this one continues
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
        code = trial_process.start(order, directory / "order.json", log)
        if code == PreemptedError.exit_code:
            raise SearchPreemptedError(
                f"stopped by SIGTERM in trial {trial.trial_id}, which has saved itself. Run the "
                "same command again to continue."
            )
        record = Record(
            trial=trial.trial_id,
            values=values,
            run=run,
            status="failed",
            ended=trial_process.failure_reason(code, log) if code else "",
            seconds=round(time.monotonic() - began, 1),
            finished=machine.now(),
            tuner=self.tuner_id,
        )
        return record if code else _completed(record, job, workdir, pause_after)


def _completed(record: Record, job: Job, workdir: Path, pause_after: int | None) -> Record:
    """Returns the record with the results in the run's files."""
    result = json.loads((workdir / "result.json").read_text())
    rows, _ = history.read(workdir / history.EPOCHS_FILE)
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

"""keras-tuner's oracles, which choose the trials, so that a search survives what befalls it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from training.common.files import write_json

OBJECTIVE = keras_tuner.Objective("validation_error", "min")  # per cent


class Durable(keras_tuner.Oracle):
    """What every oracle here has besides: whole files, and a state that fits them when reloaded.

    `after_trial` is called with the oracle whenever a trial has ended; on several machines in the
    chief, which alone knows all trials.
    """

    after_trial: Callable[[Any], None]

    def save(self) -> None:
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self) -> None:
        """Goes on where the files are: begun trials go on, ended ones stay."""
        super().reload()
        # A kill between a trial's file and the oracle's: it will be chosen again, the same.
        self.trials = {name: self.trials[name] for name in self.start_order}
        self._retry_queue = [
            name for name, trial in self.trials.items() if trial.status == TrialStatus.RUNNING
        ][::-1]  # it is emptied from its end
        self.end_order = [name for name in self.start_order if name not in self._retry_queue]

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        # A worker's come back over the wire with floats of 32 bits, which no longer are values of
        # their own choices.
        trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
        super().end_trial(trial)
        self.after_trial(self)

    def needed(self) -> set[str]:
        """Trials whose checkpoints may still be wanted: those that run, or are gone on with."""
        running = [t for t in self.trials.values() if t.status == TrialStatus.RUNNING]
        before = (trial.hyperparameters.values.get("tuner/trial_id") for trial in running)
        return {trial.trial_id for trial in running} | {name for name in before if name}


class Random(Durable, keras_tuner.oracles.RandomSearchOracle):
    """Values drawn at random."""


class Bayesian(Durable, keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process over the trials so far says which is promising."""


class Grid(Durable, keras_tuner.oracles.GridSearchOracle):
    """Every combination, which the stock oracle forgets to have begun when it is reloaded."""

    def reload(self) -> None:
        super().reload()
        values = {name: trial.hyperparameters.values for name, trial in self.trials.items()}
        in_order = sorted(
            values, key=functools.cmp_to_key(lambda a, b: self._compare(values[a], values[b]))
        )
        for name in in_order:
            self._ordered_ids.insert(name)
            self._populate_next.append(name)


class Hyperband(Durable, keras_tuner.oracles.HyperbandOracle):
    """Many short trials, of which the better ones go on (Li et al. 2018, JMLR 18)."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """A failed trial has lost its round; the stock oracle would wait for it for ever."""
        failed = [t for t in self.trials.values() if t.status == TrialStatus.FAILED]
        for trial in failed:
            trial.status, trial.score = TrialStatus.COMPLETED, math.inf
        try:
            return super().populate_space(trial_id)
        finally:
            for trial in failed:
                trial.status, trial.score = TrialStatus.FAILED, None

    def needed(self) -> set[str]:
        """Those of unfinished brackets too: each may be the next to go on."""
        self._remove_completed_brackets()
        return super().needed() | {
            row["id"] for bracket in self._brackets for rows in bracket["rounds"] for row in rows
        }


ORACLES: dict[str, type[Durable]] = {
    "random": Random,
    "hyperband": Hyperband,
    "bayesian": Bayesian,
    "grid": Grid,
}


def make(
    kind: str,
    hyperparameters: keras_tuner.HyperParameters,
    *,
    seed: int,
    trials: int | None,
    epochs: int | None,
    factor: int,
    after_trial: Callable[[Any], None],
) -> Durable:
    """The oracle of that kind.

    Args:
        kind: A key of `ORACLES`.
        hyperparameters: The declared search space.
        seed: Of what it draws.
        trials: Number of trials at most; `None` for a grid is all of it.
        epochs: Hyperband: of a trial that is never stopped.
        factor: Hyperband: one of so many trials goes on.
        after_trial: As of `Durable`.
    """
    arguments: dict[str, Any] = {
        "objective": OBJECTIVE,
        "hyperparameters": hyperparameters,
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": seed + 1,  # keras-tuner takes 0 for none
        # However many fail in a row, the search goes on.
        "max_consecutive_failed_trials": 10**9,
    }
    if kind == "hyperband":
        arguments |= {"max_epochs": epochs, "factor": factor}
    else:
        arguments["max_trials"] = trials
    oracle = ORACLES[kind](**arguments)
    oracle.after_trial = after_trial
    return oracle

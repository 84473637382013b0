"""keras-tuner's oracles, which choose the trials, made to survive kills and failed trials."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from training.common.files import write_json

OBJECTIVE = keras_tuner.Objective("validation_error", "min")  # per cent


class Durable(keras_tuner.Oracle):
    """Mixin: writes files atomically, and reloads a state that agrees with them.

    Calls `after_trial` with the oracle whenever a trial has ended; on several machines only the
    chief does, since it alone knows all trials.
    """

    after_trial: Callable[[Any], None]
    trials: dict[str, Trial]

    def save(self) -> None:
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self) -> None:
        """Reads the files of an earlier process; trials that it began are chosen again."""
        super().reload()
        # After a kill between writing a trial's file and the oracle's, the oracle does not know the
        # trial, and will choose the same one again.
        self.trials = {name: self.trials[name] for name in self.start_order}
        self._retry_queue = [
            name for name, trial in self.trials.items() if trial.status == TrialStatus.RUNNING
        ][::-1]  # keras-tuner takes trials from its end
        self.end_order = [name for name in self.start_order if name not in self._retry_queue]

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        # The network protocol rounds a worker's floats to 32 bits, which are no longer values of
        # the search space.
        trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
        super().end_trial(trial)
        self.after_trial(self)

    def needed(self) -> set[str]:
        """Returns the trials whose checkpoints are needed: running ones and those they continue."""
        running = [t for t in self.trials.values() if t.status == TrialStatus.RUNNING]
        before = (trial.hyperparameters.values.get("tuner/trial_id") for trial in running)
        return {trial.trial_id for trial in running} | {name for name in before if name}


class Random(Durable, keras_tuner.oracles.RandomSearchOracle):
    """Draws values at random."""


class Bayesian(Durable, keras_tuner.oracles.BayesianOptimizationOracle):
    """Chooses values by a Gaussian process that is fitted to the trials so far."""


class Grid(Durable, keras_tuner.oracles.GridSearchOracle):
    """Tries every combination; the stock oracle begins again when it is reloaded."""

    def reload(self) -> None:
        super().reload()
        values = {name: trial.hyperparameters.values for name, trial in self.trials.items()}

        def compare(one: str, other: str) -> int:
            return int(self._compare(values[one], values[other]))

        for name in sorted(values, key=functools.cmp_to_key(compare)):
            self._ordered_ids.insert(name)
            self._populate_next.append(name)


class Hyperband(Durable, keras_tuner.oracles.HyperbandOracle):
    """Runs many short trials and continues the better ones (Li et al. 2018, JMLR 18)."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Ranks failed trials last in their round; the stock oracle would wait for them forever."""
        failed = [t for t in self.trials.values() if t.status == TrialStatus.FAILED]
        for trial in failed:
            trial.status, trial.score = TrialStatus.COMPLETED, math.inf
        try:
            return super().populate_space(trial_id)
        finally:
            for trial in failed:
                trial.status, trial.score = TrialStatus.FAILED, None

    def needed(self) -> set[str]:
        """Returns the trials of unfinished brackets too: each may be the next to be continued."""
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
    limits: Mapping[str, int | None],
    seed: int,
    after_trial: Callable[[Any], None],
) -> Durable:
    """Returns the oracle of that kind.

    Args:
        kind: A key of `ORACLES`.
        hyperparameters: The declared search space.
        limits: "max_trials", where `None` means all combinations of a grid; for hyperband
            "max_epochs" of a trial that is never stopped and "factor", of which one trial in so
            many is continued.
        seed: Seed of its draws.
        after_trial: What `Durable` calls after every trial.
    """
    oracle = ORACLES[kind](
        objective=OBJECTIVE,
        hyperparameters=hyperparameters,
        allow_new_entries=False,
        tune_new_entries=False,
        seed=seed + 1,  # keras-tuner takes 0 for no seed
        # The search continues however many trials fail in a row.
        max_consecutive_failed_trials=10**9,
        **limits,
    )
    oracle.after_trial = after_trial
    return oracle

"""The parts of a search, without training: space, oracles, records, comparison, stopping."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine.trial import TrialStatus

import keras_resnet
from keras_resnet import analysis, architectures, search_space
from keras_resnet.tuning import chosen, declare
from training.common.child_processes import CHECKOUT
from training.common.files import write_json
from training.config import jobs, recipes
from training.config.jobs import Job
from training.config.recipes import Recipe
from training.trainer.callbacks.early_stopping import EarlyStopping
from training.tuning import claim, comparison, oracles, records, search, space, trial_process
from training.tuning.records import Record

SPACE = search_space.fields("resnet20")
JOB = Job("resnet20", "digits", Recipe(), data_dir="somewhere")


def record(trial, error=None, shortcut="A", run=None, ended="whole"):
    return Record(
        *(trial, {"shortcut": shortcut, "n": 3, "width": 1.0}, run or trial),
        *("failed" if error is None else "completed", ended, 1.0, "2026-01-01", "tuner0"),
        **({} if error is None else {"validation_error": error}),
    )


def test_fix_and_range():
    found = space.narrowed(
        SPACE,
        ["shortcut=B", "learning_rate=0.1"],
        ["weight_decay=1e-5:1e-2:log", "n=3,18", "width=0.5:2", "schedule=cosine,step"],
    )
    assert space.as_text(found) == {
        "shortcut": "B",
        "n": "3, 18",
        "width": "0.5 to 2",
        "zero_init_residual": "False, True",
        "learning_rate": "0.1",
        "weight_decay": "1e-05 to 0.01, log scale",
        "schedule": "cosine, step",
        "batch_size": "128, 64, 256",
        "seed": "0",
    }


@pytest.mark.parametrize(
    ("fixes", "ranges", "words"),
    [
        (["shortcut=D"], [], "A, B, C, none; given 'D'"),
        (["shortcuts=A"], [], "no field 'shortcuts'"),
        (["shortcut"], [], "shortcut=B; given 'shortcut'"),
        (["n=2.5"], [], "n takes int; given 2.5"),
        ([], ["n=3:9"], "list them"),
        ([], ["learning_rate=0.1:0.01"], "low < high"),
        ([], ["learning_rate=0:0.1:log"], "above 0"),
        ([], ["learning_rate=a:b"], "LOW:HIGH"),
        ([], ["learning_rate=0.1:0.3:lin"], "lin is no scale"),
    ],
)
def test_what_cannot_be_searched_is_said(fixes, ranges, words):
    with pytest.raises(ValueError, match=words):
        space.narrowed(SPACE, fixes, ranges)


def test_a_value_given_twice_is_tried_once():
    found = space.narrowed(SPACE, [], ["seed=0,1,0", "learning_rate=0.1,1e-1"])
    assert space.as_text(found)["seed"] == "0, 1"
    assert space.as_text(found)["learning_rate"] == "0.1"


@pytest.mark.parametrize("given", search.VARIABLES)
def test_a_worker_without_all_of_its_variables_does_not_start(given, tmp_path, monkeypatch):
    """It would wait for a chief that nobody started, or be a second chief in one directory."""
    for name in search.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(given, "1")
    with pytest.raises(ValueError, match=r"not set\.$") as refused:
        search.search(search.Plan(JOB, SPACE, "random", trials=1), tmp_path / "search", None)
    said = str(refused.value).split("none of them; ")[1]
    assert [name in said for name in search.VARIABLES] == [n != given for n in search.VARIABLES]
    assert not (tmp_path / "search").exists()


def test_a_trial_is_the_base_job_with_its_values_in_place():
    values = {
        **{"shortcut": "C", "n": 5, "width": 2.0, "zero_init_residual": True},
        **{"learning_rate": 0.2, "weight_decay": 0.0, "schedule": "cosine", "batch_size": 64},
        "seed": 4,
    }
    job = space.job_of(JOB, values)
    net = job.architecture
    assert (net.name, net.shortcut, net.zero_init_residual) == ("resnet32", "C", True)
    assert (net.first_filters, net.filters) == (32, (32, 64, 128))
    assert job.recipe == dataclasses.replace(
        Recipe(), learning_rate=0.2, weight_decay=0.0, schedule="cosine", batch_size=64
    )
    assert (job.seed, job.data_dir) == (4, "somewhere")
    plain = space.job_of(JOB, {"shortcut": "none", "n": 3})
    assert plain.architecture == architectures.ARCHITECTURES["plain20"]


def test_a_space_with_an_impossible_network_is_refused():
    with pytest.raises(ValueError, match=r"width=0\.3"):
        space.check(JOB, space.narrowed(SPACE, [], ["width=1.0,0.3"]))


def test_a_job_comes_back_from_its_file_and_so_does_its_recipe(tmp_path):
    job = space.job_of(JOB, {"shortcut": "B", "n": 3, "width": 0.5, "seed": 2})
    path = tmp_path / "job.json"
    write_json(path, {"job": jobs.values(job)})
    assert jobs.load(path) == dataclasses.replace(job, data_dir=None)
    assert recipes.load(str(path)) == job.recipe
    assert jobs.described(str(path))["width"] == 0.5
    assert jobs.described("cifar10") == jobs.described(None) == {}


def oracle_in(directory, kind="grid", ended=None, limits=None):
    hyperparameters = keras_tuner.HyperParameters()
    few = ["width=1", "learning_rate=0.1", "weight_decay=1e-4", "schedule=step", "batch_size=64"]
    fields = space.narrowed(SPACE, few, ["n=1,2", "shortcut=A,none"])
    declare(hyperparameters, fields)
    after_trial = (lambda _: None) if ended is None else ended.append
    limits = limits or {"max_trials": None}
    oracle = oracles.make(kind, hyperparameters, limits, seed=0, after_trial=after_trial)
    oracle.verbose = 0
    oracle._set_project_dir(str(directory), "search")
    return oracle, fields


def ends(oracle, trial, error):
    oracle.update_trial(trial.trial_id, {"validation_error": error})
    trial.status = TrialStatus.COMPLETED
    oracle.end_trial(trial)


def test_a_grid_has_every_combination_once_however_often_it_is_reloaded(tmp_path):
    seen = []
    while True:
        oracle, fields = oracle_in(tmp_path)  # a new process each time
        if seen:
            oracle.reload()
        trial = oracle.create_trial("tuner0")
        if trial.status == TrialStatus.STOPPED:
            break
        oracle, _ = oracle_in(tmp_path)
        oracle.reload()  # killed in the middle of the trial
        again = oracle.create_trial("tuner0")
        assert again.trial_id == trial.trial_id
        seen.append(tuple(chosen(again.hyperparameters, fields).items()))
        ends(oracle, again, 1.0)
    # two depths of plain nets, and of residual ones with and without zero initialisation
    assert len(seen) == len(set(seen)) == 2 + 2 * 2
    assert all(("zero_init_residual" in dict(s)) == (dict(s)["shortcut"] == "A") for s in seen)


def test_a_kill_between_the_trial_s_file_and_the_oracle_s_loses_nothing(tmp_path):
    oracle, _ = oracle_in(tmp_path, "random", limits={"max_trials": 4})
    oracle.save()
    before = (tmp_path / "search" / "oracle.json").read_bytes()
    lost = oracle.create_trial("tuner0")
    (tmp_path / "search" / "oracle.json").write_bytes(before)
    oracle, _ = oracle_in(tmp_path, "random", limits={"max_trials": 4})
    oracle.reload()
    again = oracle.create_trial("tuner0")
    assert again.trial_id == lost.trial_id
    assert again.hyperparameters.values == lost.hyperparameters.values


def test_failures_stop_neither_a_search_nor_a_bracket(tmp_path):
    ended = []
    oracle, _ = oracle_in(tmp_path, "hyperband", ended, {"max_epochs": 3, "factor": 3})
    continued = 0
    for number in range(20):
        trial = oracle.create_trial("tuner0")
        if trial.status == TrialStatus.STOPPED:
            break
        continued += "tuner/trial_id" in trial.hyperparameters.values
        ends(oracle, trial, float("nan") if number in (0, 2, 3) else float(number))
    assert trial.status == TrialStatus.STOPPED
    assert continued, "the others were not promoted"
    assert len(ended) == number


def test_prune_keeps_the_best_and_the_runs_that_may_continue(tmp_path):
    ended = [record("0", 5.0), record("1", 3.0), record("2", 4.0), record("3"), record("4", 9.0)]
    for one in ended:
        run = records.run_of(tmp_path, one.trial)
        (run / "checkpoints").mkdir(parents=True)
        for name in ("model.keras", "history.csv", "checkpoints/step-000000001.npz"):
            (run / name).write_text("")
    records.prune(tmp_path, ended, keep=2, needed={"4"})
    assert sorted(path.parts[-3] for path in tmp_path.glob("trial_*/run/model.keras")) == [
        "trial_1",
        "trial_2",
        "trial_4",
    ]
    assert len(list(tmp_path.glob("trial_*/run/checkpoints/*"))) == 3
    assert len(list(tmp_path.glob("trial_*/run/history.csv"))) == 5


def test_records_come_back_and_whole_runs_lead(tmp_path):
    one = record("7", 2.0)
    records.directory_of(tmp_path, "7").mkdir()
    records.write(one, tmp_path)
    assert records.read(tmp_path, "7") == one
    paused = record("8", 1.0, ended="paused")
    assert records.best_first([paused, one]) == [one, paused]
    assert records.best_runs([paused, record("9", 3.0, run="7"), one], 1) == ["7"]


def test_comparison_by_hand():
    ended = [
        *(record("0", 4.0), record("1", 8.0), record("2", 5.0, "B"), record("3", None, "B")),
        *(record("4", 9.0, "none"), record("5", 3.0, run="1")),  # 5 continued 1
    ]
    a, b, none = comparison.compare(ended, "resnet20")
    assert (a.trials, a.mean, a.best.trial) == (2, 3.5, "5")
    assert a.spread == pytest.approx(np.std([4.0, 3.0], ddof=1))
    assert (b.trials, b.failed, b.spread) == (1, 1, None)
    assert (a.extra, none.extra) == ((0,), (0,))
    # two projections, to 32 and to 64 channels, each with its batch norm
    assert b.extra == (16 * 32 + 2 * 32 + 32 * 64 + 2 * 64,)


@pytest.mark.parametrize("shortcut", ["B", "C"])
@pytest.mark.parametrize("name", ["resnet8", "resnet34", "resnet50"])
def test_parameters_beyond_option_a_are_the_built_nets(name, shortcut):
    architecture = architectures.with_options(architectures.get(name), shortcut)
    net = keras_resnet.ResNet(architecture)
    shortcuts = sum(
        int(np.prod(weight.shape))
        for layer in net.layers
        if "_0_" in layer.name
        for weight in layer.trainable_weights
    )
    assert comparison.shortcut_parameters(architecture) == shortcuts
    if name == "resnet34":
        option_a = 21_623_848  # counted by hand from Table 1
        assert analysis.parameters(net) - shortcuts == option_a


def test_a_search_of_an_older_version_continues(tmp_path):
    recipe = dataclasses.asdict(Recipe(learning_rate=0.3))
    mine = {"network": "resnet8", "recipe": recipe}
    older = {name: value for name, value in recipe.items() if name != "muon"}
    write_json(tmp_path / claim.FILE_NAME, {"network": "resnet8", "recipe": older})
    claim.claim(tmp_path, mine, first=True)
    with pytest.raises(ValueError, match=r"recipe\.muon \(.* there, 0\.01 here\)"):
        claim.claim(tmp_path, {**mine, "recipe": {**recipe, "muon": 0.01}}, first=True)


def test_a_trial_s_process_imports_keras_its_own_way():
    """In two thirds of the time, and without what TensorFlow writes into the trial's log."""
    program = "import sys, training.tuning.trial_process; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT).returncode == 0


def test_why_a_trial_failed(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("one\npython -m training tune: The loss became nan.\n\n")
    assert trial_process.failure_reason(3, log) == "The loss became nan."
    assert "SIGKILL" in trial_process.failure_reason(-9, log)
    assert "SIGSEGV" in trial_process.failure_reason(-11, log)


@pytest.mark.parametrize(
    ("errors", "due"),
    [([], False), ([5], False), ([5, 6], False), ([5, 6, 5], True), ([5, 6, 4, 7], False)],
)
def test_patience_is_read_off_the_history(errors, due):
    history = SimpleNamespace(
        rows=[{"step": 1.0, "val_error": float(error), "val_loss": 1.0} for error in errors]
    )
    assert EarlyStopping(history, patience=2, pause_after=None).due is due
    assert EarlyStopping(history, patience=None, pause_after=1).due is bool(errors)

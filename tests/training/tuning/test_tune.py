"""Whole searches on the digits, in processes as a user starts them: killed, resumed, shared."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import csv_files
import pytest
from launch import CHECKOUT, finish, free_ports, run

from training.cli import main
from training.common import environment
from training.common.files import exclusive_lock
from training.tuning import records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("digits_are_few")]

NET = ("--network=resnet8", "--fix=n=1", "--fix=width=0.5", "--fix=zero_init_residual=false")
RECIPE = ("--fix=learning_rate=0.05", "--fix=weight_decay=1e-4", "--fix=schedule=step")
THREE = (
    *("tune", *NET, *RECIPE, "--tuner=grid", "--range=shortcut=A,B,C", "--fix=batch_size=32"),
    *("--epochs=2", "--keep=1", "--checkpoint-steps=5", "--deterministic", "--strategy=one"),
)

# What Python runs first: two devices, which a machine without GPUs can have too.
TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_newest_child_when(condition: Callable[[], object]) -> None:
    """Kills the trial that this process has started last."""
    wait_for(condition)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    os.kill(int(children.split()[-1]), signal.SIGKILL)


def trials(search: Path) -> list[dict[str, str]]:
    return csv_files.rows(search / "trials.csv")


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> tuple[Path, str]:
    """The directory of a search of three trials, and what its last process printed.

    The search is killed in its first trial and started again; then the second trial is killed.
    """
    path = tmp_path_factory.mktemp("searches") / "search"
    first = run(["-m", "training", *THREE, f"--workdir={path}"])
    begun = path / "trial_0000" / "run" / "checkpoints"
    wait_for(lambda: first.poll() is not None or list(begun.glob("step-*.npz")))
    assert first.poll() is None, first.communicate()
    first.kill()
    first.communicate()
    second_trial = (path / "trial_0001" / "run" / "job.json").exists
    killer = threading.Thread(target=kill_newest_child_when, args=[second_trial], daemon=True)
    killer.start()
    with (
        contextlib.redirect_stdout(io.StringIO()) as printed,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.TRAINING.items():  # as in a process of the command's own
            patch.setenv(name, value)
        assert main([*THREE, f"--workdir={path}"]) == 0
    killer.join()
    return path, printed.getvalue()


def test_a_search_that_is_killed_takes_its_trial_with_it_and_both_continue(search):
    path, _ = search
    log = (path / "trial_0000" / "log.txt").read_text()
    assert log.count("resumed at step") == 1
    assert "Another process" not in log
    (record,) = (record for record in records.read_all(path) if record.trial == "0000")
    assert (record.status, record.ended, record.epochs, record.steps) == (
        *("completed", "whole"),
        *(2, 2 * ((510 - 51) // 32)),  # a tenth of the images is held out
    )


def test_a_killed_trial_is_a_failed_one_and_not_the_end(search):
    path, printed = search
    rows = {row["trial"]: row for row in trials(path)}
    assert [row["status"] for row in trials(path)] == ["completed", "completed", "failed"]
    assert "SIGKILL" in rows["0001"]["ended"]
    assert "memory" in rows["0001"]["ended"]
    assert "trial 0001 failed" in printed
    assert json.loads((path / "trial_0001" / "trial.json").read_text())["status"] == "FAILED"


def test_sorted_trials_comparison_and_picture(search):
    path, printed = search
    rows = [row for row in trials(path) if row["status"] == "completed"]
    errors = [float(row["validation_error"]) for row in rows]
    assert errors == sorted(errors)
    for row in rows:
        assert f"{float(row['validation_error']):.2f}" in printed
    groups = {row["shortcut"]: row for row in csv_files.rows(path / "comparison.csv")}
    assert {name: (g["trials"], g["failed"]) for name, g in groups.items()} == {
        "A": ("1", "0"),
        "B": ("0", "1"),
        "C": ("1", "0"),
    }
    parameters = {row["shortcut"]: int(row["parameters"]) for row in rows}
    assert int(groups["C"]["extra_parameters"]) == parameters["C"] - parameters["A"]
    assert (path / "search.png").read_bytes().startswith(b"\x89PNG")


def test_only_the_best_run_keeps_its_checkpoints_and_no_run_measures_the_test_error(search):
    path, _ = search
    best = trials(path)[0]["trial"]
    assert [file.parts[-3] for file in path.glob("trial_*/run/model.keras")] == [f"trial_{best}"]
    assert [file.parts[-3] for file in path.glob("trial_*/run/checkpoints")] == [f"trial_{best}"]
    for trial in ("0000", "0002"):
        result = json.loads((path / f"trial_{trial}" / "run" / "result.json").read_text())
        assert result["test_error"] is None
        assert (path / f"trial_{trial}" / "run" / "history.csv").is_file()


def test_the_best_file_alone_runs_the_best_trial_again(search, tmp_path):
    path, _ = search
    again = ["-m", "training", "train", "--deterministic", "--strategy=one"]
    finish(run([*again, f"--recipe={path / 'best.json'}", f"--workdir={tmp_path / 'again'}"]))
    best = records.run_of(path, trials(path)[0]["run"])
    assert (tmp_path / "again" / "history.csv").read_text() == (best / "history.csv").read_text()


def test_a_finished_search_is_not_trained_again(search, capsys):
    path, _ = search
    before = {file: file.stat().st_mtime_ns for file in path.glob("trial_*/log.txt")}
    assert main([*THREE, f"--workdir={path}"]) == 0
    assert {file: file.stat().st_mtime_ns for file in path.glob("trial_*/log.txt")} == before
    assert "best.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("--range=shortcut=A,B", ["space.shortcut", "A, B, C there", "A, B here"]),
        ("--set=momentum=0.8", ["recipe.momentum", "0.9 there", "0.8 here"]),
        ("--epochs=3", ["recipe.epochs"]),
        ("--seed=1", ["seed (0 there, 1 here)"]),
    ],
)
def test_another_search_in_the_same_directory_is_refused(search, changed, words, capsys):
    path, _ = search
    assert main([*THREE, changed, f"--workdir={path}"]) == 1
    message = capsys.readouterr().err
    for word in ("another search", "--workdir", *words):
        assert word in message


def test_two_searches_in_one_directory_the_second_refuses(search, capsys):
    path, _ = search
    with exclusive_lock(path / ".tuner0.lock"):
        assert main([*THREE, f"--workdir={path}"]) == 1
    assert "Another process" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_chief_and_two_workers_whose_trials_have_two_devices_each(tmp_path, monkeypatch, capsys):
    """A batch of 33 fails, since it cannot be divided by 2: the trials do have two devices."""
    (tmp_path / "sitecustomize.py").write_text(TWO_DEVICES)
    (port,) = free_ports(1)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    command = [
        *("tune", *NET, *RECIPE, "--tuner=grid", "--fix=shortcut=A", "--range=batch_size=32,33"),
        *("--iterations=4", "--strategy=mirrored", f"--workdir={tmp_path / 'search'}"),
    ]
    path = f"{tmp_path}{os.pathsep}{CHECKOUT}"
    workers = [
        run(["-m", "training", *command], KERASTUNER_TUNER_ID=name, PYTHONPATH=path)
        for name in ("worker1", "worker2")
    ]
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    try:
        assert main(command) == 0
        outputs = [finish(worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    chief = capsys.readouterr()
    assert "same KERASTUNER_TUNER_ID" in chief.err.replace("\n", " ")
    assert "best.json" in chief.out
    assert not any("best.json" in output for output in outputs)
    rows = trials(tmp_path / "search")
    assert [(row["batch_size"], row["status"]) for row in rows] == [
        ("32", "completed"),
        ("33", "failed"),
    ]
    assert "divided by 2" in rows[1]["ended"]
    assert {row["tuner"] for row in rows} == {"worker1", "worker2"}


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["random", "bayesian", "hyperband"])
def test_every_tuner_searches(kind, tmp_path):
    many = () if kind == "hyperband" else ("--trials=4",)
    command = ["tune", *NET, f"--tuner={kind}", *many, "--epochs=3", "--range=batch_size=32,64"]
    narrow = "--range=learning_rate=0.01:0.1:log"
    finish(run(["-m", "training", *command, narrow, f"--workdir={tmp_path}"]), 1200)
    ended = records.read_all(tmp_path)
    assert sum(record.completed for record in ended) >= 4
    if kind == "hyperband":
        continued = [record for record in ended if record.run != record.trial]
        assert continued
        for record in continued:
            log = records.directory_of(tmp_path, record.trial) / "log.txt"
            assert "resumed at step" in log.read_text()
        assert {record.ended for record in ended if record.completed} >= {"paused", "whole"}


@pytest.mark.nightly
def test_a_trial_that_diverges_is_a_failed_one(tmp_path, capsys):
    alone = ("--fix=batch_size=32", "--fix=schedule=step", "--fix=weight_decay=0")
    command = ["tune", *NET, *alone, "--tuner=grid", "--fix=shortcut=B", "--iterations=9"]
    assert main([*command, "--range=learning_rate=1e30,0.05", f"--workdir={tmp_path}"]) == 0
    assert [row["status"] for row in trials(tmp_path)] == ["completed", "failed"]
    assert "The loss became" in capsys.readouterr().out

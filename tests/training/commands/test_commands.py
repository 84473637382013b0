"""The command line: help, tables, exit codes, messages."""

from __future__ import annotations

import os
import subprocess
import sys

import csv_files
import pytest
from conftest import CHECKOUT

from training.cli import COMMANDS, main


def test_without_a_command_all_are_listed(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name in COMMANDS:
        assert name in printed
    assert "exit codes" in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_is_explained(command, capsys):
    with pytest.raises(SystemExit) as exited:
        main([command, "--help"])
    assert exited.value.code == 0
    printed = capsys.readouterr().out
    assert "None)" not in printed
    assert "exit codes" in printed
    options = printed.split("options:")[1]
    for line in options.splitlines():
        if line.startswith("  -") and len(line.split()) < 2:
            pytest.fail(f"{command}: no help for {line}")


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        ("tune", ["the seed of the tuner (default: 0)"]),
        ("demo", ["6n+2 each (default: 20 56)", "with each seed (default: 0)"]),
    ],
)
def test_defaults_are_shown_as_they_are_typed(command, defaults, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for default in defaults:
        assert default in printed


def test_a_seed_given_twice_counts_once(capsys, tmp_path):
    """Else one run would be two of mean ± 0.00, and a depth given twice would have two seeds."""
    twice = ["--depths", "8", "8", "--seeds", "3", "3", "--dry-run", f"--workdir={tmp_path}"]
    assert main(["reproduce", "fig1", "--dataset=digits", *twice]) == 0
    assert "1 runs: 0 finished" in (printed := capsys.readouterr().out)
    assert "fig1, fig1" not in printed


def test_the_table_of_networks(capsys, tmp_path):
    path = tmp_path / "tables" / "networks.csv"
    assert (
        main(["networks", "resnet18", "plain20", "resnet26", "--no-vgg", "--csv", str(path)]) == 0
    )
    rows = {row["network"]: row for row in csv_files.rows(path)}
    assert rows["resnet18"]["parameters"] == "11689512"
    assert rows["resnet18"]["paper_G"] == "1.8"
    assert rows["plain20"]["parameters"] == "269722"
    assert rows["resnet26"]["depth"] == "26"
    assert "11,689,512" in capsys.readouterr().out


def test_a_table_that_cannot_be_written_is_refused_before_the_nets_are_built(tmp_path, monkeypatch):
    monkeypatch.setattr("training.paper.costs.row", lambda row: pytest.fail("built"))
    (tmp_path / "there.csv").write_text("mine")
    assert main(["networks", "resnet18", f"--csv={tmp_path / 'there.csv'}"]) == 1
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert main(["networks", "resnet18", f"--csv={tmp_path / 'there.csv' / 'x.csv'}"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network=resnet21"], ["'resnet21'", "6n+2"]),
        (["--recipe=nothing"], ["'nothing'", "cifar10"]),
        (["--set=learning_rat=1"], ["'learning_rat'", "'learning_rate'"]),
        (["--network=plain20", "--shortcut=B"], ["plain20", "shortcut='B'"]),
        (["--dataset=folder"], ["--data-dir"]),
    ],
)
def test_wrong_values_exit_with_2_and_say_why(arguments, words, capsys, tmp_path):
    assert main(["train", "--workdir", str(tmp_path / "run"), *arguments]) == 2
    message = capsys.readouterr().err
    for word in words:
        assert word in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["networks", "resnet21"], ["'resnet21'"]),
        (["evaluate"], ["--model", "--weights"]),
        (["evaluate", "--network=resnet20"], ["--weights"]),
        (["evaluate", "--network=resnet21", "--weights=x.h5"], ["'resnet21'"]),
        (["export", "--name=x", "--model=x.keras", "--network=resnet20"], ["--model"]),
        (["export", "--name=x", "--model=x.keras", "--top=0"], ["--top", "given 0"]),
        (["serve", "--poll-seconds=-1"], ["--poll-seconds", "a number above 0; given -1"]),
        (["serve", "--rest-port=65536"], ["--rest-port", "from 0 to 65535; given 65536"]),
        (["predict", "net", "x.png", "--seconds=nan"], ["--seconds", "given nan"]),
        (["train", "--width=0"], ["--width", "given 0"]),
        (["train", "--seed=-1"], ["--seed", "given -1"]),
        (["train", "--weights=imagenet"], ["'imagenet'", "cifar10"]),
        (["evaluate", "--network=resnet20", "--weights=imagenet"], ["'imagenet'", "cifar10"]),
        (["inspect", "course"], ["--run"]),
        (["inspect", "gradcam", "--model=a.keras", "--run=b"], ["--run"]),
        (["reproduce", "table6", "--budget=0"], ["--budget", "given 0"]),
        (["reproduce", "table6", "--depths=21"], ["plain21", "6n+2"]),
        (["reproduce", "table6", "--depths=50"], ["resnet50", "for ImageNet"]),
        (["demo", "--depths=34"], ["resnet34", "for ImageNet"]),
        (["benchmark", "import", "--repeats=0"], ["--repeats", "given 0"]),
        (["evaluate", "--model=x.keras", "--batch-size=-1"], ["--batch-size", "given -1"]),
        (["inspect", "gradcam", "--model=x.keras", "--images=2.5"], ["--images", "given 2.5"]),
        (["tune", "--fix=shortcut"], ["shortcut=B"]),
        (["tune", "--set=learning_rat=1"], ["'learning_rate'"]),
        (["tune", "--tuner=hyperband", "--trials=5"], ["follows from its epochs"]),
        (["tune", "--dataset=folder"], ["--data-dir"]),
        (["tune", "--recipe=finetune"], ["another --recipe"]),
        (["demo", "--set=learning_rat=1"], ["'learning_rate'"]),
    ],
)
def test_every_command_refuses_wrong_values_with_2(arguments, words, capsys):
    try:
        code = main(arguments)
    except SystemExit as exited:  # argparse's
        code = exited.code
    assert code == 2
    message = capsys.readouterr().err
    for word in words:
        assert word in message


def test_a_backend_that_does_not_exist_is_one_message(capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "nosuch")
    assert main(["networks", "resnet18"]) == 2
    message = capsys.readouterr().err
    assert "'nosuch'" in message
    assert "tensorflow, jax, torch" in message


def test_a_python_without_the_packages_is_told_how_to_get_them(tmp_path):
    """As `python -m training` is typed without an activated environment."""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-S", "-m", "training", "networks", "resnet18"]
    found = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert found.returncode == 1
    assert "is not installed" in found.stderr
    assert "activate" in found.stderr
    assert "KERAS_BACKEND" not in found.stderr
    assert "Traceback" not in found.stderr


def test_a_missing_data_set_is_one_message_with_the_ways_out(capsys, tmp_path):
    arguments = ["train", "--dataset=cifar10", f"--data-dir={tmp_path / 'empty'}"]
    assert main([*arguments, "--workdir", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert "--data-dir" in message
    assert "--dataset digits" in message
    assert len(message.splitlines()) < 5


def test_a_directory_that_cannot_be_written_is_an_error(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["train", "--workdir", str(tmp_path / "file" / "run")]) == 1
    assert str(tmp_path / "file" / "run") in capsys.readouterr().err


def test_wrong_arguments_exit_with_2():
    with pytest.raises(SystemExit) as exited:
        main(["train", "--nonsense"])
    assert exited.value.code == 2


@pytest.mark.slow
def test_tensorflow_is_silent_where_keras_computes_on_jax(tmp_path):
    """Its own lines on the standard error, which no log level stops, would hide the message."""
    pytest.importorskip("jax")
    command = [sys.executable, "-m", "training", "predict", str(tmp_path / "no.keras"), "x.png"]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "0"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"python -m training predict: There is no model {tmp_path}")


def test_commands_of_savedmodels_choose_tensorflow(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert main(["export", "--model", str(tmp_path / "no.keras"), "--name", "x"]) == 1
    assert "no.keras" in capsys.readouterr().err
    assert os.environ["KERAS_BACKEND"] == "tensorflow"

"""Help without TensorFlow or Keras, and names that stand in two places for its sake."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import CHECKOUT

from training.cli import COMMANDS, main
from training.commands import options, reproduce

# Imports that take from half a second to many seconds.
HEAVY = ("keras", "keras_resnet", "tensorflow", "jax", "torch", "matplotlib", "scipy", "sklearn")
HELP = f"""
import contextlib, io, sys
from training.cli import main
for arguments in (["--help"], ["--version"], *([name, "--help"] for name in {list(COMMANDS)})):
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        main(arguments)
    assert printed.getvalue(), arguments
    loaded = sorted(set({HEAVY}) & sys.modules.keys())
    assert not loaded, f"{{arguments}} imports {{loaded}}"
"""


def test_no_help_waits_for_a_heavy_import():
    found = subprocess.run(
        [sys.executable, "-c", HELP], cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr


def test_the_version_names_what_the_package_runs_on(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["--version"])
    assert exited.value.code == 0
    printed = capsys.readouterr().out
    for package in ("keras-residual-networks 0.", "keras 3.", "Python 3."):
        assert package in printed


def test_names_written_out_for_the_help_are_those_of_the_tables():
    from keras_resnet.preprocessing import CONVENTIONS
    from training.paper.experiments import EXPERIMENTS

    assert tuple(CONVENTIONS) == options.CONVENTIONS
    assert tuple(EXPERIMENTS) == reproduce.EXPERIMENTS

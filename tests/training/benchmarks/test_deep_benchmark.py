"""`python -m training benchmark deep`: every figure, on a small net."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from launch import CHECKOUT

from training.benchmarks import deep


@pytest.mark.slow
def test_figures_are_those_of_their_functions():
    assert 0 < deep.layers_built(depth=14) < 1e5
    assert deep.stepping(depth=14, batch=2, steps=1, scan=True)() > 0


@pytest.mark.nightly
def test_the_command_measures_everything_and_judges_it(tmp_path):
    options = ["--depth=62", "--batch-size=2", "--steps=1", "--repeats=1"]
    command = [sys.executable, "-m", "training", "benchmark", "deep", *options]
    command += ["--json", str(tmp_path / "deep.json")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    goals = ("first-step", "step", "flat", "peak", "build")
    lines = done.stdout.splitlines()[-5:]
    assert [line.partition(":")[0] for line in lines] == [f"deep-{goal}-62" for goal in goals]
    assert "deep-first-step-62: this project" in lines[0]
    found = json.loads((tmp_path / "deep.json").read_text())["comparisons"]
    assert len(found) == 5
    assert all(contender["median"] > 0 for one in found for contender in one["contenders"])

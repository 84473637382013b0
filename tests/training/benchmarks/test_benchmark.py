"""The benchmarks' frame: turns, medians, goals, the last lines, the JSON file."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path

import pytest

from training.benchmarks import report
from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender, Measured, interleaved
from training.commands import benchmark
from training.common import machine

HERE = "contenders_for_tests"  # this folder's module, by name


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def counting(name: str, log: Path, **fields) -> Contender:
    return Contender(name, f"{HERE}:counting", {"name": name, "log": str(log)}, **fields)


def test_contenders_take_turns_in_processes_of_their_own(tmp_path):
    log = tmp_path / "log"
    measured = interleaved([counting("a", log), counting("b", log)], 3)
    assert measured == Measured({"a": (1.0, 2.0, 3.0), "b": (1.0, 2.0, 3.0)}, {})
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [name for name, _ in lines] == ["a", "b"] * 3
    assert len({process for _, process in lines}) == 2


def test_what_a_contender_prints_does_not_disturb():
    measured = interleaved([Contender("loud", f"{HERE}:loud")], 2)
    assert measured.values == {"loud": (7.0, 7.0)}


def test_a_peer_that_is_missing_or_fails_is_skipped_with_the_reason(tmp_path):
    contenders = [
        counting("fine", tmp_path / "log"),
        counting("absent", tmp_path / "log", needs=("no_such_package",)),
        Contender("broken", f"{HERE}:broken", needs=("json",)),
        Contender("tiring", f"{HERE}:tiring", needs=("json",)),
    ]
    measured = interleaved(contenders, 2)
    assert measured.values == {"fine": (1.0, 2.0)}
    assert measured.skipped == {
        "absent": "no_such_package not installed",
        "broken": "failed: no such thing",
        "tiring": "failed: tired",
    }


def test_a_failure_of_this_project_is_an_error():
    with pytest.raises(OSError, match="broken cannot be measured: no such thing"):
        interleaved([Contender("broken", f"{HERE}:broken")], 1)


def test_an_environment_is_one_contender_s_alone(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    ours = Contender("ours", f"{HERE}:flag", environment={"TF_ENABLE_ONEDNN_OPTS": "5"})
    plain = Contender("plain", f"{HERE}:flag")
    assert interleaved([ours, plain], 1).values == {"ours": (5.0,), "plain": (-1.0,)}


def test_out_of_its_turn_a_contender_and_its_children_stand_still(tmp_path):
    """It counts on in the background, ten times a second, while the other one sleeps."""
    busy = Contender("busy", f"{HERE}:busy", {"log": str(tmp_path / "ticks")})
    slow = Contender("slow", f"{HERE}:sleeping", {"seconds": 1.0})
    ticks = interleaved([busy, slow], 3).values["busy"]
    assert ticks[2] - ticks[0] < 8  # of some 20 in that time


def test_no_process_is_left(tmp_path):
    interleaved([counting("a", tmp_path / "log")], 1)
    process = int(tmp_path.joinpath("log").read_text().split()[1])
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()


def comparison(goals, higher_is_better=True) -> Comparison:
    contenders = tuple(Contender(name, "m:f") for name in ("ours", "fast", "peer", "other"))
    return Comparison("A thing", "images/s", contenders, goals, higher_is_better)


MEASURED = Measured(
    {"ours": (10.0, 30.0, 20.0), "peer": (15.0, 16.0, 90.0), "other": (8.0, 8.0, 8.0)},
    {"fast": "fast not installed"},
)


@pytest.mark.parametrize(
    ("goal", "higher_is_better", "line"),
    [
        # 20 / 16, by the medians; the best of the peers counts
        (
            Goal("g", ("ours",), 1.25, ("peer", "other")),
            True,
            "g: this project 20, best peer 16, ratio 1.25, goal 1.25: reached",
        ),
        (
            Goal("g", ("ours",), 1.3, ("peer", "fast")),
            True,
            "g: this project 20, best peer 16, ratio 1.25, goal 1.3: short",
        ),
        # seconds: 8 / 20
        (
            Goal("g", ("ours",), 1.0, ("peer", "other")),
            False,
            "g: this project 20, best peer 8, ratio 0.40, goal 1: short",
        ),
        # the best of ours counts
        (
            Goal("g", ("peer", "ours"), 1.0, ("other",)),
            True,
            "g: this project 20, best peer 8, ratio 2.50, goal 1: reached",
        ),
        (
            Goal("g", ("ours",), 1.0, limit=25.0),
            False,
            "g: this project 20, limit 25, ratio 1.25, goal 1: reached",
        ),
        (
            Goal("g", ("ours",), 1.0, ("fast",)),
            True,
            "g: this project 20, best peer -, ratio -, goal 1: not measured",
        ),
    ],
)
def test_goals_are_judged_by_the_medians(goal, higher_is_better, line):
    (verdict,) = report.judge(comparison((goal,), higher_is_better), MEASURED)
    assert verdict.line() == line


def test_a_ratio_just_below_the_goal_is_short():
    measured = Measured({"ours": (0.99999,), "peer": (1.0,)}, {})
    goal = Goal("g", ("ours",), 1.0, ("peer",))
    (verdict,) = report.judge(comparison((goal,)), measured)
    assert verdict.outcome == "short"


def test_the_table_has_medians_spread_and_who_was_skipped():
    rows = report.table(comparison(()), MEASURED).splitlines()
    assert rows[0].startswith("A thing, images/s (higher is better; median, lowest to highest of 3")
    assert re.fullmatch(r"  ours +20 +10 to 30", rows[1])
    assert re.fullmatch(r"  fast +skipped: fast not installed", rows[2])


def test_the_file_has_machine_versions_command_and_all_repeats(tmp_path):
    goals = (Goal("g", ("ours",), 1.0, ("peer",)), Goal("h", ("ours",), 1.0, ("fast",)))
    report.write(tmp_path / "f.json", [(comparison(goals), MEASURED)])
    written = json.loads((tmp_path / "f.json").read_text())
    assert written["hardware"]["cpus"] >= 1
    assert written["versions"]["keras"].startswith("3.")
    assert written["command"].startswith("python -m training")
    (entry,) = written["comparisons"]
    ours, fast, *_ = entry["contenders"]
    assert (ours["median"], ours["repeats"]) == (20, [10, 30, 20])
    assert fast["skipped"] == "fast not installed"
    assert [goal["outcome"] for goal in entry["goals"]] == ["reached", "not measured"]
    assert entry["goals"][0]["reached_ratio"] == 1.25


def test_goals_and_contenders_of_every_benchmark_agree():
    """Every goal names contenders of its comparison, and no goal has another's name."""
    parser = argparse.ArgumentParser(description="")
    benchmark.add_arguments(parser)
    options = parser.parse_args(["all", "--precision", "float32", "bfloat16", "int8"])
    comparisons = benchmark.comparisons(options)
    goals = [goal for one in comparisons for goal in one.goals]
    assert len({goal.name for goal in goals}) == len(goals)
    for one in comparisons:
        names = [contender.name for contender in one.contenders]
        assert len(set(names)) == len(names)
        for goal in one.goals:
            assert {*goal.ours, *goal.peers} <= set(names)
            assert (goal.limit is None) == bool(goal.peers)


@pytest.mark.slow
def test_the_command_ends_in_its_goals_and_overwrites_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")  # the contenders', which then start sooner
    file = tmp_path / "measured" / "f.json"
    words = ["benchmark", "import", "--repeats=1", f"--json={file}"]
    monkeypatch.setattr(sys, "argv", ["training", *words])
    parser = argparse.ArgumentParser(description="")
    benchmark.add_arguments(parser)
    options = parser.parse_args(words[1:])
    benchmark.run(options)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(machine.hardware())
    pattern = r"{}: this project \S+, {} \S+, ratio \d+\.\d\d, goal 1: (reached|short)"
    assert re.fullmatch(pattern.format("import", "limit"), lines[-2])
    assert re.fullmatch(pattern.format("build-resnet50", "best peer"), lines[-1])
    assert json.loads(file.read_text())["command"].endswith(f"--repeats=1 --json={file}")
    with pytest.raises(ValueError, match="exists already"):
        benchmark.run(options)

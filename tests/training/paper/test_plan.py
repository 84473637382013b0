"""The plans of `reproduce`: the paper's nets and numbers, runs by their job, budgets, commands."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import paper_numbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cli import main
from training.commands import train as train_command
from training.config import recipes
from training.config.recipes import RECIPES, Recipe
from training.paper import experiments, measurements, published_numbers, runs
from training.paper.experiments import EXPERIMENTS, Net
from training.paper.recipe_descriptions import describe, with_budget
from training.trainer import learning_rate
from training.trainer.train import Job


def described(row: published_numbers.Error) -> str:
    return " ".join(filter(None, (row.network or row.method, row.shortcut)))


def published(table: str) -> dict[str, tuple[str, str]]:
    return {described(row): (row.top1, row.top5) for row in published_numbers.ERRORS[table]}


def test_the_paper_s_errors_are_those_of_the_oracle():
    table_2 = {name.split()[0]: float(top1) for name, (top1, _) in published("table2").items()}
    assert table_2 == paper_numbers.TABLE_2
    for table, oracle in (
        ("table3", paper_numbers.TABLE_3),
        ("table4", paper_numbers.TABLE_4),
    ):
        theirs = {}
        for name, (top1, top5) in published(table).items():
            network, _, shortcut = name.partition(" ")
            choice = network == "resnet34"  # the other nets have one shortcut
            key = {"VGG-16": "vgg16"}.get(network, network.lower())
            theirs[f"{key} {shortcut}" if choice else key] = (
                float(top1) if top1 else None,
                float(top5),
            )
        assert theirs == oracle
    assert published("table5") == {"ensemble of six": ("", paper_numbers.TABLE_5_TOP5)}
    table_6 = {described(row): row.top1 for row in published_numbers.ERRORS["table6"]}
    assert {
        depth: float(table_6[f"resnet{depth} A"].split()[0]) for depth in paper_numbers.CIFAR_N
    } == paper_numbers.CIFAR_ERRORS
    assert table_6["resnet110 A"].endswith(f"({paper_numbers.RESNET_110_FIVE_RUNS})")
    for method, error in paper_numbers.TABLE_6_OTHERS.items():
        assert table_6[method] == error


def test_where_summaries_err_the_paper_holds():
    """The worst of the depths is the deepest, and 24.27 % is not GoogLeNet's."""
    errors = {row.method: row.top1.split()[0] for row in published_numbers.ERRORS["table6"]}
    assert (errors["ResNet-110"], errors["ResNet-1202"]) == ("6.43", "7.93")
    assert {row.method for row in published_numbers.ERRORS["table3"] if row.top1 == "24.27"} == {
        "PReLU-net"
    }
    assert "6.97 %" in published_numbers.CORRECTIONS["table6"]
    assert "PReLU-net" in published_numbers.CORRECTIONS["table3"]


# Nets and runs


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("table2", "plain-18 plain-34 ResNet-18_A ResNet-34_A"),
        (
            "table3",
            "plain-34 ResNet-34_A ResNet-34_B ResNet-34_C ResNet-50 ResNet-101 ResNet-152",
        ),
        ("table4", "ResNet-34_B ResNet-34_C ResNet-50 ResNet-101 ResNet-152"),
        ("fig1", "plain-20 plain-56"),
        ("fig4", "plain-18 plain-34 ResNet-18_A ResNet-34_A"),
        ("fig7", "plain-20 plain-56 ResNet-20 ResNet-56 ResNet-110"),
    ],
)
def test_the_nets_are_the_paper_s(name, labels):
    assert [net.label.replace(" ", "_") for net in EXPERIMENTS[name].nets] == labels.split()


def test_five_runs_of_resnet_110_and_one_of_the_others():
    table_6 = EXPERIMENTS["table6"]
    places = experiments.places(experiments.chosen(table_6, "cifar10", None), None)
    of_net = [net.network for net, _ in places]
    assert of_net.count("resnet110") == 5
    assert len(of_net) == 5 + 6 + 4  # five plain nets, six residual ones
    assert [seed for _, seed in experiments.places((Net("resnet110"),), [3])] == [3]


def test_the_ensemble_is_of_six_runs_two_of_152_layers():
    places = experiments.places(EXPERIMENTS["table5"].nets, (0,))
    assert len(set(places)) == 6
    assert [seed for net, seed in places if net.depth == 152] == [0, 1]
    assert len({net.depth for net, _ in places}) == 4


def test_depths_restrict_and_small_images_take_others_too():
    def labels(name, dataset, depths):
        return [net.label for net in experiments.chosen(EXPERIMENTS[name], dataset, depths)]

    assert labels("table3", "folder", [34]) == [
        "plain-34",
        "ResNet-34 A",
        "ResNet-34 B",
        "ResNet-34 C",
    ]
    assert labels("table6", "cifar10", [20, 1202]) == ["plain-20", "ResNet-20", "ResNet-1202"]
    assert labels("fig6", "digits", [8]) == ["plain-8", "ResNet-8"]
    assert labels("fig1", "digits", None) == ["plain-20", "plain-56"]
    assert labels("table4", "folder", [18]) == []


# A job's name and command

LENGTHS = [[], ["iterations=7"], ["iterations=64001"], ["epochs=3"]]
CHANGES = ["momentum=0.5", "drops=[0.25, 0.5]", "nesterov=true", "warmup_learning_rate=0.02"]
CHANGES += ["precision=mixed_bfloat16", "held_out=5000"]
JOBS = st.builds(
    lambda network, dataset, base, length, changes, seed: Job(
        network, dataset, recipes.override(RECIPES[base], [*length, *changes]), seed
    ),
    network=st.sampled_from(["resnet20", "plain56", "resnet1202"]),
    dataset=st.sampled_from(["cifar10", "digits"]),
    base=st.sampled_from(list(RECIPES)),
    length=st.sampled_from(LENGTHS),
    changes=st.lists(st.sampled_from(CHANGES), unique=True),
    seed=st.integers(0, 9),
)


def parsed(command: str) -> Job:
    """The job of a command line of `train`, read by its own parser."""
    import argparse

    parser = argparse.ArgumentParser()
    train_command.add_arguments(parser)
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "training", "train"]
    options = parser.parse_args(words[4:])
    recipe = recipes.override(recipes.load(options.recipe), options.overrides)
    return Job(options.network, options.dataset, recipe, options.seed, options.shortcut)


@given(JOBS)
def test_the_command_of_a_job_makes_that_job(job):
    assert parsed(runs.command(job)) == job


@given(JOBS, JOBS)
def test_different_jobs_have_different_directories(one, other):
    assert (runs.directory_name(one) == runs.directory_name(other)) == (one == other)


def test_a_budget_is_said_and_scales_the_schedule():
    recipe = with_budget(RECIPES["cifar10"], 640)
    assert str(describe(recipe)) == "cifar10, budget 640 of 64,000 iterations"
    assert str(describe(RECIPES["cifar10"])) == "cifar10, all 64,000 iterations"
    rates = [learning_rate.rate(recipe, step, 640) for step in (0, 319, 320, 479, 480, 639)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    digits = with_budget(RECIPES["digits"], 5)
    assert str(describe(digits)) == "digits, budget 5 iterations instead of 8 epochs"
    job = Job("resnet20", "cifar10", with_budget(RECIPES["cifar10-fast"], 1500))
    assert runs.directory_name(job) == "resnet20-cifar10-fast-budget1500-0"


# Runs on the disk


def directory(path: Path, job: Job, **files: str) -> Path:
    path.mkdir(parents=True)
    (path / "job.json").write_text(json.dumps({"job": {**asdict(job), "data_dir": None}}))
    for name, content in files.items():
        (path / f"{name}.json").write_text(content)
    return path


def test_runs_are_found_by_their_job_not_by_their_name(tmp_path):
    job = Job("resnet8", "digits", Recipe(iterations=2), seed=4)
    elsewhere = directory(tmp_path / "theirs" / "any name", job, result="{}")
    directory(tmp_path / "work" / "another", replace(job, seed=5), result="{}")
    for adopted in (elsewhere, elsewhere.parent):  # the run itself, or what holds it
        (run,) = runs.plan([replace(job, data_dir="x")], tmp_path / "work", [adopted])
        assert (run.directory, run.state) == (elsewhere, "finished")
    (run,) = runs.plan([job], tmp_path / "work")
    assert run.state == "missing"
    assert run.directory.parent == tmp_path / "work"


def test_the_run_that_got_furthest_is_taken(tmp_path):
    job = Job("resnet8", "digits", Recipe(iterations=9))
    directory(tmp_path / "a", job)
    further = directory(tmp_path / "b", job)
    for path, step in ((tmp_path / "a", 3), (further, 6)):
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / f"step-{step:09}.npz").write_text("")
    (run,) = runs.plan([job, job], tmp_path)
    assert (run.directory, run.state, run.step) == (further, "begun", 6)
    measured = measurements.measure(Net("resnet8"), [run], measurements.recorded_score)
    assert measured.missing == ("ResNet-8, seed 0: not finished, at step 6",)
    (further / "failure.json").write_text('{"reason": "exit code 3: NaN"}')
    assert runs.plan([job], tmp_path)[0].directory == tmp_path / "a"


def test_the_network_s_own_shortcut_is_the_same_job(tmp_path):
    job = Job("resnet34", "folder", RECIPES["imagenet"], shortcut="B")
    directory(tmp_path / "run", job, result="{}")
    (run,) = runs.plan([replace(job, shortcut=None)], tmp_path)
    assert run.state == "finished"


@pytest.mark.parametrize("job_file", ["", "another job's"])
def test_a_directory_of_another_job_gives_no_number(job_file, tmp_path, capsys):
    """Such as after a named recipe has changed: the directory's name is the same."""
    wanted = Job("resnet20", "digits", RECIPES["digits"])
    other = replace(wanted, recipe=replace(RECIPES["digits"], learning_rate=0.5))
    there = directory(tmp_path / "w" / runs.directory_name(wanted), other, result='{"x": 1}')
    if not job_file:
        (there / "job.json").unlink()
    (run,) = runs.plan([wanted], tmp_path / "w")
    assert (run.directory, run.state) == (there, "failed")
    arguments = ["reproduce", "fig1", "--dataset=digits", "--depths=20", "--no-train"]
    where = [f"--workdir={tmp_path / 'w'}", f"--out={tmp_path / 'out'}"]
    (tmp_path / "w" / "resnet20-digits-0").rename(tmp_path / "w" / "plain20-digits-0")
    assert main([*arguments, *where]) == 1
    assert "plain20-digits-0 holds another job's run" in capsys.readouterr().out


def test_what_is_no_run_is_passed_by(tmp_path):
    for number, text in enumerate(("", "[]", "{}", '{"job": {"network": "resnet8"}}')):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "job.json").write_text(text)
    assert runs.find([tmp_path]) == []
    with pytest.raises(FileNotFoundError, match="to adopt"):
        runs.plan([], tmp_path, [tmp_path / "nowhere"])


def test_a_dry_run_trains_nothing_and_counts_the_steps(tmp_path, capsys):
    finished = Job("resnet20", "cifar10", with_budget(RECIPES["cifar10"], 100))
    directory(tmp_path / "w" / "r", finished, result="{}")
    arguments = ["reproduce", "table6", "--depths", "20", "56", "--budget", "100", "--dry-run"]
    assert main([*arguments, f"--workdir={tmp_path / 'w'}", f"--out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "4 runs: 1 finished, 0 failed, 0 begun, 3 missing; 300 steps left" in printed
    assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "w").iterdir()] == ["r"]


def test_a_depth_that_no_net_has_is_said_to_be_left_out(tmp_path, capsys):
    arguments = ["reproduce", "fig1", "--depths", "20", "32", "--dry-run"]
    assert main([*arguments, f"--workdir={tmp_path / 'w'}"]) == 0
    printed = capsys.readouterr().out
    assert "left out: depth 32: no network of fig1 has it" in printed
    assert "depth 20" not in printed


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["table2", "--dataset", "digits"], ["table2", "imagenet2012 or folder", "digits"], 2),
        (["table4", "--dataset", "folder", "--depths", "18"], ["table4", "depth 18"], 2),
        (["table6", "--recipe", "none"], ["'none'"], 2),
        (["table6", "--set", "learning_rat=1"], ["'learning_rate'"], 2),
        (["table6", "--no-train", "--adopt", "/nowhere"], ["/nowhere"], 1),
    ],
)
def test_nothing_made_has_a_reason_and_an_exit_code(arguments, words, code, tmp_path, capsys):
    where = [f"--workdir={tmp_path / 'w'}", f"--out={tmp_path / 'out'}"]
    assert main(["reproduce", *arguments, *where]) == code
    said = capsys.readouterr()
    for word in words:
        assert word in said.out + said.err

"""`reproduce` from the command line to its files, on runs that it trains, adopts and survives."""

from __future__ import annotations

import json
import statistics
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tensorflow
from csv_files import rows

from training.cli import main
from training.common import machine
from training.config import recipes
from training.paper import report
from training.paper.results import EVIDENCE, Result
from training.trainer.train import Job, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("digits_are_few", "module_eagerly")]

TINY = ("--dataset=digits", "--budget=4", "--set=batch_size=32", "--set=learning_rate=0.01")
RECIPE = recipes.override(
    recipes.load("digits"), ["iterations=4", "batch_size=32", "learning_rate=0.01"]
)


def reproduce(*arguments: str, tmp: Path, out: str = "out") -> int:
    return main(["reproduce", *arguments, f"--workdir={tmp / 'runs'}", f"--out={tmp / out}"])


def table(path: Path) -> dict[str, dict[str, str]]:
    return {row["label"]: row for row in rows(path)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two seeds of ResNet-8 adopted, one of plain-8 trained by the command, then the figures."""
    tmp = tmp_path_factory.mktemp("reproduce")
    errors = {}
    for seed in (0, 1):
        for network in ("resnet8", "plain8"):
            if (network, seed) != ("plain8", 1):
                run = tmp / "theirs" / f"{network} {seed}"
                errors[network, seed] = train(Job(network, "digits", RECIPE, seed), run).test_error
    arguments = (*TINY, "--depths", "8", "--seeds", "0", "1")
    adopt = ("--adopt", str(tmp / "theirs"))
    for what in ("table6", "fig1", "fig6", "fig7"):
        assert reproduce(what, *arguments, *adopt, tmp=tmp) == 0
    return tmp, errors


def test_only_the_missing_run_is_trained(made):
    tmp, _ = made
    (trained,) = (tmp / "runs").iterdir()
    assert trained.name.startswith("plain8-digits-budget4-")
    assert json.loads((trained / "result.json").read_text())["test_examples"] == 217


def test_the_csv_has_mean_and_deviation_of_the_runs(made):
    tmp, errors = made
    row = table(tmp / "out" / "table6.csv")["ResNet-8"]
    values = [errors["resnet8", seed] for seed in (0, 1)]
    assert float(row["top1_mean"]) == pytest.approx(statistics.mean(values))
    assert float(row["top1_std"]) == pytest.approx(statistics.stdev(values))
    assert float(row["top1_best"]) == min(values)
    assert (row["runs"], row["seeds"], row["missing"]) == ("2", "0 1", "")
    assert row["hardware"] == f"{machine.hardware()}; tensorflow {tensorflow.__version__}"
    assert "budget 4 iterations instead of 8 epochs" in row["recipe"]
    assert row["command"].startswith("python -m training train --network resnet8")
    assert (row["train_examples"], row["test_examples"]) == ("510", "217")


def test_the_paper_s_numbers_stand_beside_and_the_rest_is_empty(made):
    row = table(made[0] / "out" / "table6.csv")["ResNet-110"]
    assert row["paper_top1"] == "6.43 (6.61 ± 0.16)"
    assert not row["top1_mean"] + row["runs"]


def test_every_result_has_its_files_and_says_its_budget(made):
    out = made[0] / "out"
    for name in ("table6", "fig1", "fig6", "fig7"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        text = (out / f"{name}.md").read_text()
        assert "budget 4 iterations instead of 8 epochs" in text
        assert "n = " in text
        assert f"]({name}.png)" in text
    text = (out / "table6.md").read_text()
    assert "The paper has 6.43 % and 7.93 %" in text
    assert "The paper's numbers are of cifar10, the measured ones of digits." in text


def test_the_curves_are_the_histories(made):
    tmp, _ = made
    curves = rows(tmp / "out" / "fig6.csv")
    curve = [row for row in curves if (row["label"], row["seed"]) == ("ResNet-8", "1")]
    history = rows(tmp / "theirs" / "resnet8 1" / "history.csv")
    assert [float(row["error"]) for row in curve] == [float(row["error"]) for row in history]


def test_the_responses_are_in_layer_order_with_their_ranks(made):
    every = rows(made[0] / "out" / "fig7.csv")
    found = [row for row in every if row["label"] == "ResNet-8"]
    assert [row["layer"] for row in found] == [str(layer) for layer in range(1, 8)]
    by_rank = sorted(found, key=lambda row: int(row["rank"]))
    stds = [float(row["std"]) for row in by_rank]
    assert stds == sorted(stds, reverse=True)
    assert found[0]["name"] == "conv1_conv"


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_report_is_one_file_with_all_results(made):
    text = (made[0] / "out" / "report.html").read_text()
    page = Page()
    page.feed(text)
    names = ["table6", "fig1", "fig6", "fig7"]
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section"] == names
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in names]
    sources = [attrs["src"] for tag, attrs in page.tags if "src" in attrs]
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert not any(tag in ("script", "link", "iframe") for tag, _ in page.tags)
    assert "default-src 'none'" in text


def test_again_it_trains_nothing_and_another_selection_is_refused(made, capsys):
    tmp, _ = made
    arguments = ("--depths", "8", "--seeds", "0", "1", "--adopt", str(tmp / "theirs"))
    (trained,) = (tmp / "runs").iterdir()
    before = (trained / "result.json").stat().st_mtime_ns
    assert reproduce("fig6", *TINY, *arguments, tmp=tmp) == 0
    assert (trained / "result.json").stat().st_mtime_ns == before
    text = (tmp / "out" / "fig6.csv").read_text()
    assert reproduce("fig6", *TINY[:1], "--budget=5", *arguments, "--no-train", tmp=tmp) == 1
    assert "another selection" in capsys.readouterr().out
    assert (tmp / "out" / "fig6.csv").read_text() == text


def test_what_is_missing_is_said_to_be(made, capsys):
    tmp, _ = made
    arguments = (*TINY, "--depths", "8", "14", "--seeds", "0", "--no-train")
    adopt = ("--adopt", str(tmp / "theirs"))
    assert reproduce("table6", *arguments, *adopt, tmp=tmp, out="partly") == 0
    row = table(tmp / "partly" / "table6.csv")["ResNet-14"]
    assert (row["top1_mean"], row["runs"]) == ("", "0")
    assert row["missing"] == "ResNet-14, seed 0: not trained"
    assert "| ResNet-14 | – | missing |" in (tmp / "partly" / "table6.md").read_text()


def test_a_run_that_diverges_is_recorded_and_not_tried_again(tmp_path, capsys):
    arguments = ("fig1", "--dataset=digits", "--budget=4", "--set=batch_size=32", "--depths=8")
    assert reproduce(*arguments, "--set=learning_rate=1e30", tmp=tmp_path) == 1
    assert "exit code 3" in capsys.readouterr().out
    (failure,) = (tmp_path / "runs").glob("*/failure.json")
    assert "loss became" in json.loads(failure.read_text())["reason"]
    log = failure.with_name("train.log").read_text()
    assert reproduce(*arguments, "--set=learning_rate=1e30", tmp=tmp_path) == 1
    assert f"remove {failure} to try again" in capsys.readouterr().out
    assert failure.with_name("train.log").read_text() == log


def test_all_says_what_it_left_out(made, capsys):
    tmp, _ = made
    arguments = (*TINY, "--depths", "8", "--seeds", "0", "--no-train")
    assert reproduce("all", *arguments, "--adopt", str(tmp / "theirs"), tmp=tmp, out="all") == 0
    printed = capsys.readouterr().out
    for name in ("table1", "table2", "table3", "table4", "table5", "fig4"):
        assert f"left out: {name}: " in printed
    assert {path.stem for path in (tmp / "all").glob("*.csv")} == {"table6", "fig1", "fig6", "fig7"}


def test_table_1_needs_no_run(tmp_path):
    assert reproduce("table1", "--depths", "18", "20", tmp=tmp_path) == 0
    found = {row["network"]: row for row in rows(tmp_path / "out" / "table1.csv")}
    assert found["resnet18"]["parameters"] == "11689512"
    assert found["plain20"]["parameters"] == "269722"
    assert found["resnet18"]["paper_G"] == "1.8"


def test_everything_in_the_report_is_escaped(tmp_path):
    evil = '<img src="x" onerror="alert(1)">|`&'
    result = Result(
        name="table6",
        title=evil,
        selection={"dataset": evil},
        headings=(evil, "b"),
        cells=((evil, evil),),
        records=({"label": evil},),
        notes=(evil,),
        evidence=((evil,) * len(EVIDENCE),),
        made="now",
    )
    report.claim(tmp_path, "table6", result.selection)
    report.write(result, tmp_path)
    text = report.write_report(tmp_path).read_text()
    assert evil not in text
    page = Page()
    page.feed(text)
    assert not any(tag == "img" for tag, _ in page.tags)
    assert table(tmp_path / "table6.csv") == {evil: {"label": evil}}


def test_files_of_other_origin_are_not_written_over(tmp_path):
    (tmp_path / "table6.csv").write_text("mine")
    with pytest.raises(ValueError, match="did not write it"):
        report.claim(tmp_path, "table6", {})


@pytest.mark.nightly
def test_photographs_from_training_to_table_and_ensemble(shared_data, tmp_path):
    """Tables 2 to 5 and Fig. 4 on a few photographs: one step of each net, the real protocols."""
    classes = sorted(path for path in (shared_data / "imagenet_sample").iterdir())[:6]
    for part in ("train", "test"):
        for source in classes[: 6 if part == "train" else 2]:
            (tmp_path / part / source.name).mkdir(parents=True)
            for file in source.iterdir():
                (tmp_path / part / source.name / file.name).symlink_to(file)
    tiny = ("--dataset=folder", f"--data-dir={tmp_path}", "--budget=1", "--set=batch_size=2")
    assert reproduce("table2", *tiny, "--depths", "18", tmp=tmp_path) == 0
    assert reproduce("fig4", *tiny, "--depths", "18", tmp=tmp_path) == 0
    for name in ("table3", "table4", "table5"):
        assert reproduce(name, *tiny, "--depths", "34", tmp=tmp_path) == 0
    row = table(tmp_path / "out" / "table2.csv")["ResNet-18"]
    assert (row["protocol"], row["test_examples"], row["shortcut"]) == ("ten_crop", "2", "A")
    table_3 = table(tmp_path / "out" / "table3.csv")
    assert [table_3[f"ResNet-34 {option}"]["runs"] for option in "ABC"] == ["1", "1", "1"]
    assert table_3["PReLU-net"]["paper_top1"] == "24.27"
    assert "An ensemble of 2, not of six." in (tmp_path / "out" / "table5.md").read_text()
    evaluations = list((tmp_path / "runs").glob("*/evaluation-ten_crop/evaluation.json"))
    before = {path: path.stat().st_mtime_ns for path in evaluations}
    assert len(before) == 6
    assert reproduce("table3", *tiny, "--depths", "34", tmp=tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in evaluations} == before

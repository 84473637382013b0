"""`predict`: a model file, an exported version and a server give the same answers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import launch
import numpy as np
import pytest
import served
from csv_files import rows
from PIL import Image

from training.cli import main
from training.evaluation.prediction import Prediction, best
from training.evaluation.prediction_file import PredictionFile

ODD = os.fsdecode(b"6\xff")  # a file's name that is not UTF-8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    served.tiny().model.save(path / "net.keras")
    # With the byte-order mark that Windows's editors write.
    (path / "labels.txt").write_text("\n".join(served.CLASSES), encoding="utf-8-sig")
    return path / "net.keras"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven images, one of them a folder deeper, and a text file."""
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for i in range(6):
        size = {"height": 32, "width": 32} if i == 0 else {}
        (tmp_path / "in" / f"{i}.png").write_bytes(served.image(i, **size))
    (tmp_path / "in" / "deeper" / ODD).write_bytes(served.image(6, kind="JPEG"))
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


def objects(printed: str) -> list[dict]:
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.slow
def test_a_model_file_says_what_the_model_computes(model, folder, capsys):
    arguments = ["predict", str(model), str(folder), f"--labels={model.with_name('labels.txt')}"]
    assert main([*arguments, "--json", "--top=2", "--batch-size=3"]) == 0
    printed = capsys.readouterr()
    found = objects(printed.out)
    assert [Path(one["file"]).name for one in found] == [*(f"{i}.png" for i in range(6)), ODD]
    assert "notes.txt" in printed.err or "1 file" in printed.err
    pixels = np.asarray(Image.open(folder / "0.png"), np.float32)  # 32x32: no scaling
    (expected,) = served.tiny().model.predict(pixels[np.newaxis], verbose=0)
    for one in found[0]["classes"]:
        i = served.CLASSES.index(one["class"])
        assert one["probability"] == pytest.approx(expected[i], abs=1e-5)
    assert [one["class"] for one in found[0]["classes"]] == [
        served.CLASSES[i] for i in np.argsort(-expected)[:2]
    ]


@pytest.mark.slow
def test_a_version_and_a_server_agree_with_the_model_file(model, folder, tmp_path, capsys):
    served.export_tiny(tmp_path, "net")
    labels = f"--labels={model.with_name('labels.txt')}"
    assert main(["predict", str(model), str(folder), labels, "--json", "--top=3"]) == 0
    own = objects(capsys.readouterr().out)
    assert main(["predict", str(tmp_path / "net"), str(folder), "--json", "--top=3"]) == 0
    exported = objects(capsys.readouterr().out)
    for a, b in zip(own, exported, strict=True):
        assert a["file"] == b["file"]
        assert [one["class"] for one in a["classes"]] == [one["class"] for one in b["classes"]]
        np.testing.assert_allclose(
            [one["probability"] for one in a["classes"]],
            [one["probability"] for one in b["classes"]],
            atol=1e-5,
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "package"),
    [("onnx", "tf2onnx"), pytest.param("litert", "ai_edge_litert", marks=pytest.mark.nightly)],
)
def test_another_runtime_gives_the_versions_answers(runtime, package, folder, tmp_path, capsys):
    pytest.importorskip(package, reason="needs the extra export")
    from training.export import runtime_files
    from training.export.inference_network import inference_network

    version = served.export_tiny(tmp_path)
    arguments = ["predict", str(version), str(folder), "--json", "--top=3"]
    assert main([*arguments, f"--runtime={runtime}"]) == 1
    assert "it has none for a runtime" in capsys.readouterr().err
    network = inference_network(served.tiny().model).network
    wanted = runtime_files.Wanted([runtime])
    runtime_files.write(wanted, served.tiny(), network, [served.image(0)], version)
    answers = []
    for more in ([], [f"--runtime={runtime}"]):
        assert main([*arguments, *more]) == 0
        answers.append(objects(capsys.readouterr().out))
    for a, b in zip(*answers, strict=True):
        assert (a["file"], a["classes"][0]["class"]) == (b["file"], b["classes"][0]["class"])
        named = [[one["probability"] for one in each["classes"]] for each in (a, b)]
        np.testing.assert_allclose(*named, atol=1e-4)


@pytest.mark.parametrize("exported", [False, True])
def test_a_broken_file_is_named_and_the_others_are_answered(
    exported, model, folder, tmp_path, capsys
):
    (folder / "2.png").write_bytes(served.image(2)[:100])
    what = model
    if exported:
        served.export_tiny(tmp_path, "net")
        what = tmp_path / "net" / "1"
    assert main(["predict", str(what), str(folder), str(folder / "absent.png")]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 6
    assert "2.png" not in printed.out
    for words in ("2.png: cannot be read", "absent.png: cannot be read", "2 could not"):
        assert words in printed.err
    assert "{{" not in printed.err


@pytest.mark.slow
def test_shards_share_the_images_and_a_killed_job_continues(model, folder, tmp_path, capsys):
    files = []
    for i in (1, 2, 3):
        out = tmp_path / f"{i}.csv"
        arguments = ["predict", str(model), str(folder), f"--csv={out}", f"--shard={i}/3"]
        assert main(arguments) == 0
        files += [row["file"] for row in rows(out)]
    assert sorted(files) == sorted(map(str, [*folder.glob("*.png"), folder / "deeper" / ODD]))
    assert len(rows(tmp_path / "1.csv")) == 3

    whole = tmp_path / "whole.csv"
    arguments = ["predict", str(model), str(folder), f"--csv={whole}", "--batch-size=2"]
    assert main(arguments) == 0
    complete, content = rows(whole), whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])  # killed while it wrote
    kept = rows(whole)[:-1]
    assert main(arguments) == 0
    again = rows(whole)
    assert again[: len(kept)] == kept
    columns = ("file", "error", "class_1")  # the sums of other batches round differently
    for row, other in zip(again, complete, strict=True):
        assert [row[column] for column in columns] == [other[column] for column in columns]
    capsys.readouterr()
    assert main([*arguments, "--top=2"]) == 1
    assert "another name" in capsys.readouterr().err


def test_a_row_of_strange_names_is_read_back(tmp_path):
    names = ['a,b"c.png', "line\nbreak.png", "ü.png"]
    path = tmp_path / "p.csv"
    PredictionFile(path, 1, {}).append([Prediction(name, (("x", 0.5),)) for name in names])
    complete = path.read_bytes()
    for cut in range(len(complete)):
        path.write_bytes(complete[:cut])
        again = PredictionFile(path, 1, {})
        assert again.done == set(names[: len(again.done)])
        assert complete.startswith(path.read_bytes())
        again.append([Prediction("next.png", error="broken")])
        assert rows(path)[-1]["error"] == "broken"
        assert len(rows(path)) == len(again.done)


def test_a_file_that_predict_did_not_write_is_left_alone(model, folder, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("my own\n")
    assert main(["predict", str(model), str(folder), f"--csv={tmp_path / 'mine.csv'}"]) == 1
    assert (tmp_path / "mine.csv").read_text() == "my own\n"


def test_without_a_server_the_answer_is_immediate_and_names_the_command(folder, capsys):
    (port,) = launch.free_ports(1)
    start = time.monotonic()
    for kind in ("grpc", "http"):
        assert main(["predict", "net", str(folder), f"--server={kind}://127.0.0.1:{port}"]) == 1
        assert "python -m training serve" in capsys.readouterr().err
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.keras", "x.png"], 1, ["none.keras", "--server"]),
        (["none.keras", "x.png", "--shard=3/2"], 2, ["3/2"]),
        (["none.keras", "x.png", "--top=0"], 2, ["--top"]),
        (["none.keras", "x.png", "--label=stable"], 2, ["--server"]),
        ([__file__, "x.png", "--runtime=onnx"], 2, ["exported versions"]),
        (["net", "x.png", "--runtime=onnx", "--server=grpc://127.0.0.1:1"], 2, ["its own"]),
        ([".", "x.png"], 1, ["no exported version"]),
        (["none.keras", "."], 1, ["There are no images in ."]),
    ],
)
def test_what_predict_refuses(arguments, code, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        found = main(["predict", *arguments])
    except SystemExit as exited:
        found = exited.code
    assert found == code
    message = capsys.readouterr().err
    for word in words:
        assert word in message


def test_equal_probabilities_keep_the_classes_order():
    assert best(np.array([0.2, 0.3, 0.3, 0.2]), "abcd", 3) == (("b", 0.3), ("c", 0.3), ("a", 0.2))


def test_weights_of_nan_are_no_prediction():
    with pytest.raises(ValueError, match="NaN"):
        best(np.array([np.nan, 0.3]), "ab", 2)


def test_a_damaged_version_is_one_line(tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(served.image())
    (tmp_path / "saved_model.pb").touch()
    assert main(["predict", str(tmp_path), str(tmp_path / "x.png")]) == 1
    assert f"{tmp_path} is no SavedModel, or a damaged one" in capsys.readouterr().err

"""KerasHub's detector and segmenter on this package's backbones; the three commands."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import keras
import numpy as np
import pages
import pytest

pytest.importorskip("keras_hub", reason="needs the extra `examples`")

import keras_resnet
from examples import common, detection, segmentation, shape_tasks, shapes
from examples.faster_rcnn import __main__ as faster_rcnn

COMMANDS = {
    "detection": (detection, "COCO mAP@.5, %", 20),
    "faster_rcnn": (faster_rcnn, "COCO mAP@.5, %", 20),
    "segmentation": (segmentation, "mean IoU, %", 30),
}


@pytest.fixture(scope="module")
def scenes() -> list[shapes.Scene]:
    return list(shapes.scenes(8, 0, size=64))


def tiny(module):
    net, stages = module.NET, len(module.NET.blocks)
    return replace(net, blocks=(1,) * stages, filters=(8, 8, 16, 16)[:stages])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "build"),
    [
        (detection, detection.detector),
        pytest.param(segmentation, segmentation.segmenter, marks=pytest.mark.nightly),
    ],
)
def test_a_kerashub_task_learns_and_comes_back_from_a_file(module, build, scenes, tmp_path):
    keras.utils.set_random_seed(0)
    model = build(tiny(module), 64)
    losses = common.fit(model, module.batches(scenes, seed=0), 20, "test")
    assert losses[-1] < 0.7 * losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    images = shapes.normalized([scene.image for scene in scenes])
    ours, theirs = (net(images, training=False) for net in (model, again))
    for a, b in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (a, b)), rtol=1e-5, atol=1e-5)


def test_mean_iou_of_a_hand_made_mask():
    truth = np.array([[[0, 0, 1, 1], [2, 2, 3, 3]]])
    found = np.array([[[0, 1, 1, 1], [2, 2, 3, 3]]])
    numbers = segmentation.measures(truth, found)
    assert numbers["mean IoU, %"] == pytest.approx(100 * (1 / 2 + 2 / 3 + 1 + 1) / 4)
    assert numbers["pixels right, %"] == pytest.approx(87.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param("faster_rcnn", marks=pytest.mark.nightly), "segmentation"]
)
def test_the_command_leaves_a_figure_and_numbers(name, tmp_path, monkeypatch, capsys, eagerly):
    module, measure, _ = COMMANDS[name]
    monkeypatch.setattr(module, "NET", tiny(module))
    monkeypatch.setattr(shape_tasks, "TRAINING_SCENES", 8)
    monkeypatch.setattr(shape_tasks, "TEST_SCENES", 5)
    if name == "faster_rcnn":  # the three models of each net take long to compile
        monkeypatch.setattr(common, "twins", lambda residual: {"residual": residual})
    arguments = ["--steps", "1", "--size", "64", "--out", str(tmp_path / "out")]
    assert module.main(arguments) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert list(result["results"]) == (
        ["residual"] if name == "faster_rcnn" else ["residual", "plain"]
    )
    for (row,) in result["results"].values():
        assert 0 <= row[measure] <= 100
    assert (tmp_path / "out" / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "residual" in capsys.readouterr().out
    assert module.main(arguments) == 1  # nothing is replaced
    assert "exists" in capsys.readouterr().err


def test_sizes_that_do_not_divide_are_refused(tmp_path, capsys):
    assert segmentation.main(["--size", "100", "--out", str(tmp_path / "out")]) == 1
    assert "multiple of 16 from 48; given 100" in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.parametrize("name", COMMANDS)
def test_the_whole_command_learns(name, tmp_path):
    module, measure, least = COMMANDS[name]
    assert module.main(["--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    (residual,) = result["results"]["residual"]
    assert residual[measure] > least


@pytest.mark.nightly
@pytest.mark.parametrize("page", ["backbone", "detection", "segmentation"])
def test_the_lines_to_copy_run(page, monkeypatch):
    monkeypatch.setattr(keras_resnet.weights, "load", lambda *args, **kwargs: None)
    scenes = list(shapes.scenes(8, 0, size=128))
    _, boxes, labels = shapes.padded(scenes)
    given = {
        "images": np.stack([scene.image for scene in scenes]),
        "masks": np.stack([scene.mask for scene in scenes]),
        "boxes": boxes,
        "labels": labels,
    }
    text = (pages.DOCS / f"{page}.md").read_text()
    exec(re.search(r"^```python\n(.*?)^```$", text, re.M | re.S)[1], given)
    if page == "backbone":
        assert given["maps"]["C5"].shape == (8, 4, 4, 2048)
    elif page == "detection":
        assert given["found"]["boxes"].shape[::2] == (8, 4)
    else:
        assert given["classes"].shape == (8, 128, 128)

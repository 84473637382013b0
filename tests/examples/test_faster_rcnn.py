"""The detector's pieces against slow NumPy versions, and the whole trained for some steps."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet

pytest.importorskip("keras_hub", reason="needs the extra `examples`")

from examples import common, shapes
from examples.detection_metrics import iou
from examples.faster_rcnn import __main__ as command
from examples.faster_rcnn import boxes as bx
from examples.faster_rcnn.model import STRIDE, Config, FasterRCNN
from examples.faster_rcnn.roi_align import roi_align
from keras_resnet import Architecture

TINY = Architecture("tiny", "imagenet", "basic", (1, 1, 1, 1), (8, 8, 16, 16), "B")
RANDOM = np.random.default_rng(0)


def random_boxes(*shape: int, size: float = 64) -> np.ndarray:
    corners = np.sort(RANDOM.uniform(0, size, (*shape, 2, 2)), axis=-2)
    return corners.reshape(*shape, 4).astype("float32")


def numbers(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


def test_anchors_are_squares_in_the_order_of_the_map():
    anchors = numbers(bx.anchors(64, 16, (10, 20))).reshape(4, 4, 2, 4)
    np.testing.assert_allclose(anchors[0, 0], [[-5, -5, 5, 5], [-10, -10, 10, 10]], atol=1e-4)
    np.testing.assert_allclose(anchors[1, 3, 0], [11, 43, 21, 53], atol=1e-4)


def test_overlaps_are_intersection_over_union():
    bases, truth = random_boxes(2, 9), random_boxes(2, 4)
    truth[1, 2:] = -1  # no box
    found = numbers(bx.overlaps(bases, truth))
    expected = [
        [iou(base, objects) for base in each] for each, objects in zip(bases, truth, strict=True)
    ]
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    np.testing.assert_allclose(found[1, :, :2], np.array(expected[1])[:, :2], atol=1e-6)
    assert (found[1, :, 2:] == 0).all()


@pytest.mark.parametrize("variance", [(1.0,) * 4, (0.1, 0.1, 0.2, 0.2)])
def test_decoding_takes_back_what_encoding_made(variance):
    grown = np.array([0, 0, 2, 2], "float32")  # none is a line
    bases, boxes = random_boxes(2, 9) + grown, random_boxes(2, 9) + grown
    deltas = bx.encode(bases, boxes, variance)
    again = bx.decode(bases, deltas, variance, 66)
    np.testing.assert_allclose(numbers(again), boxes, atol=1e-3)


def test_deltas_are_those_of_fast_rcnn():
    """Arxiv 1311.2524, appendix C: by the base's size, and log ratios."""
    deltas = bx.encode(np.array([[0.0, 0, 10, 20]]), np.array([[5.0, 0, 25, 40]]), (1.0,) * 4)
    np.testing.assert_allclose(numbers(deltas), [[1.0, 0.5, np.log(2), np.log(2)]], rtol=1e-5)


def test_matching():
    found = np.array([[[0.8, 0.1], [0.5, 0.2], [0.1, 0.25], [0.0, 0.0]]], "float32")
    which, kind = bx.match(found, 0.7, 0.3, best=False)
    assert numbers(which).tolist() == [[0, 0, 1, 0]]
    assert numbers(kind).tolist() == [[1, -1, 0, 0]]
    _, kind = bx.match(found, 0.7, 0.3, best=True)  # the third is the second object's best
    assert numbers(kind).tolist() == [[1, -1, 1, 0]]


@pytest.mark.parametrize(("objects", "background"), [(10, 50), (3, 50), (10, 2), (0, 4)])
def test_samples_have_their_share_of_objects(objects, background):
    kind = np.concatenate([np.ones(objects), np.zeros(background), -np.ones(70)]).astype("int32")
    kind = RANDOM.permutation(kind)[None]
    indices, weights = map(numbers, bx.sample(keras.ops.convert_to_tensor(kind), 16, share=0.25))
    chosen = kind[0, indices[0][weights[0] > 0]]
    assert len(set(indices[0])) == 16
    assert (chosen == 1).sum() == min(objects, 4)
    assert (chosen == 0).sum() == min(background, 16 - min(objects, 4))
    assert (chosen >= 0).all()


def slow_roi_align(features: np.ndarray, box: np.ndarray, stride: int, size: int) -> np.ndarray:
    """(H, W, C) -> (size, size, C): two by two points in each cell, clamped to the map."""
    height, width, channels = features.shape

    def value(y: float, x: float) -> np.ndarray:
        y, x = np.clip(y - 0.5, 0, height - 1), np.clip(x - 0.5, 0, width - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        upper = features[top, left] * (1 - x + left) + features[top, right] * (x - left)
        lower = features[bottom, left] * (1 - x + left) + features[bottom, right] * (x - left)
        return upper * (1 - y + top) + lower * (y - top)

    y1, x1, y2, x2 = box / stride
    cells = np.zeros((size, size, channels))
    for i in range(size):
        for j in range(size):
            for a in (0.25, 0.75):
                for b in (0.25, 0.75):
                    y = y1 + (i + a) / size * (y2 - y1)
                    x = x1 + (j + b) / size * (x2 - x1)
                    cells[i, j] += value(y, x) / 4
    return cells


def test_roi_align_agrees_with_a_slow_version():
    features = RANDOM.normal(size=(2, 5, 4, 3)).astype("float32")
    boxes = random_boxes(2, 6)
    boxes[0, 0] = [0, 0, 80, 64]  # the whole map
    found = numbers(roi_align(features, boxes, STRIDE, 3)).reshape(2, 6, 3, 3, 3)
    for n in range(2):
        for r in range(6):
            expected = slow_roi_align(features[n], boxes[n, r], STRIDE, 3)
            np.testing.assert_allclose(found[n, r], expected, atol=1e-4)


def test_suppression_keeps_the_best_of_each_class():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [30, 30, 40, 40]], "float32")
    scores = np.array([[0.9, 0.3], [0.8, 0.4], [0.1, 0.01]], "float32")
    boxes = np.repeat(boxes[:, None], 2, axis=1)[None]
    kept, best, labels, number = map(numbers, bx.suppress(boxes, scores[None], 5, 0.5, 0.05))
    assert number.tolist() == [3]
    np.testing.assert_allclose(best[0, :3], [0.9, 0.4, 0.1])
    assert labels[0, :3].tolist() == [0, 1, 0]
    assert labels.dtype == "int32"
    np.testing.assert_allclose(kept[0, :3], boxes[0, [0, 1, 2], 0])


@pytest.fixture(scope="module")
def scenes() -> list[shapes.Scene]:
    return list(shapes.scenes(8, 0, size=64))


@pytest.mark.slow
def test_training_learns_and_leaves_what_is_frozen(scenes):
    keras.utils.set_random_seed(0)
    net = keras_resnet.backbone(TINY, frozen_stages=2, frozen_batch_norm=True)
    model = FasterRCNN(net, Config(classes=3, image_size=64, roi_samples=8, proposals=8))
    model.compile(keras.optimizers.Adam(2e-3))
    before = {w.path: numbers(w).copy() for w in net.weights}
    losses = common.fit(model, command.batches(scenes, seed=0), 60, "test")
    assert losses[-1] < 0.5 * losses[0]
    after = {w.path: numbers(w) for w in net.weights}
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    live = ("conv3_", "conv4_", "conv5_")
    assert moved == {path for path in before if path.startswith(live) and "_conv/" in path}
    found = model.predict({"images": shapes.normalized([s.image for s in scenes])}, verbose=0)
    assert found["boxes"].shape == (8, 9, 4)
    assert ((found["boxes"] >= 0) & (found["boxes"] <= 64)).all()
    assert (np.diff(found["confidence"], axis=1) <= 0).all()


def test_another_backend_is_refused_before_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert command.main(["--out", str(tmp_path)]) == 1
    assert "KERAS_BACKEND=tensorflow" in capsys.readouterr().err


def test_crops_hold_the_shapes(scenes):
    images, labels = command.crops(scenes, seed=0)
    assert images.shape == (sum(len(s.labels) for s in scenes), command.CROP, command.CROP, 3)
    assert labels.tolist() == [label for s in scenes for label in s.labels]

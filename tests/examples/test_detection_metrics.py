"""Mean average precision against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="needs the extra `examples`")

from examples.detection_metrics import Boxes, coco, iou, measures, voc

HERE, THERE, ELSEWHERE = [0, 0, 10, 10], [20, 20, 40, 30], [50, 50, 60, 60]


def boxes(*rows, labels=None, scores=None) -> Boxes:
    return Boxes(
        np.array(rows, "float32").reshape(-1, 4),
        np.array(labels or [0] * len(rows)),
        None if scores is None else np.array(scores, "float32"),
    )


def test_everything_found_is_a_hundred_per_cent():
    truth = [boxes(HERE, THERE, labels=[0, 2]), boxes(ELSEWHERE, labels=[1])]
    found = [
        boxes(THERE, HERE, labels=[2, 0], scores=[0.4, 0.9]),
        boxes(ELSEWHERE, labels=[1], scores=[0.5]),
    ]
    assert list(measures(truth, found, 3).values()) == pytest.approx([100, 100, 100])


def test_nothing_found_is_zero():
    truth, nothing = [boxes(HERE)], [boxes(scores=[])]
    assert list(measures(truth, nothing, 3).values()) == [0, 0, 0]


def test_a_wrong_box_between_two_right_ones():
    """Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    truth = [boxes(HERE), boxes(THERE)]
    found = [boxes(HERE, ELSEWHERE, scores=[0.9, 0.8]), boxes(THERE, scores=[0.7])]
    assert voc(truth, found, 1) == pytest.approx(100 * (1 / 2 + 1 / 2 * 2 / 3))
    # COCO's 101 points of recall 0, .01, ..., 1: 51 of them up to a half.
    assert coco(truth, found, 1) == pytest.approx([100 * (51 + 50 * 2 / 3) / 101] * 2, abs=1e-4)


def test_an_object_is_found_once():
    truth = [boxes(HERE, THERE)]
    found = [boxes(HERE, HERE, scores=[0.9, 0.8])]
    assert voc(truth, found, 1) == pytest.approx(50)
    assert coco(truth, found, 1)[1] == pytest.approx(100 * 51 / 101)


def test_a_loose_box_counts_at_loose_thresholds_only():
    truth = [boxes([0, 0, 100, 100])]
    found = [boxes([0, 0, 100, 62], scores=[0.9])]  # IoU .62: right at .5, .55, .6 of ten
    assert voc(truth, found, 1) == pytest.approx(100)
    assert coco(truth, found, 1) == pytest.approx([30, 100])


def test_the_label_must_be_right():
    truth, found = [boxes(HERE, labels=[1])], [boxes(HERE, labels=[0], scores=[0.9])]
    assert list(measures(truth, found, 2).values()) == pytest.approx([0, 0, 0])


def test_overlap():
    others = np.array([HERE, [0, 5, 10, 15], [0, 10, 10, 20], THERE], "float32")
    np.testing.assert_allclose(iou(np.array(HERE), others), [1, 1 / 3, 0, 0], rtol=1e-6)

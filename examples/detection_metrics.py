"""Mean average precision of detected boxes: PASCAL VOC's, and COCO's by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image."""

    boxes: np.ndarray  # (n, 4): y1, x1, y2, x2 in pixels
    labels: np.ndarray  # (n,)
    scores: np.ndarray | None = None  # (n,); None: these are the true boxes


def measures(truth: Sequence[Boxes], found: Sequence[Boxes], classes: int) -> dict[str, float]:
    """Returns the mean average precisions in per cent, as in the paper's Tables 7 and 8.

    Args:
        truth: The true boxes of each image.
        found: The boxes found, with scores, of each image in the same order.
        classes: Labels are 0 to classes - 1.
    """
    average, at_half = coco(truth, found, classes)
    return {
        "COCO mAP@[.5, .95], %": average,
        "COCO mAP@.5, %": at_half,
        "VOC mAP, %": voc(truth, found, classes),
    }


def coco(truth: Sequence[Boxes], found: Sequence[Boxes], classes: int) -> tuple[float, float]:
    """Returns pycocotools' mAP over the IoUs .5, .55, ..., .95 and at .5, both in per cent."""
    annotations = [
        {"image_id": image, "bbox": box, "category_id": label, "area": box[2] * box[3]}
        for image, boxes in enumerate(truth)
        for box, label in zip(_xywh(boxes), boxes.labels.tolist(), strict=True)
    ]
    detections = [
        {"image_id": image, "bbox": box, "category_id": label, "score": score}
        for image, boxes in enumerate(found)
        for box, label, score in zip(
            _xywh(boxes), boxes.labels.tolist(), boxes.scores.tolist(), strict=True
        )
    ]
    if not detections:  # pycocotools does not take an empty list
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        data = COCO()
        data.dataset = {
            "images": [{"id": image} for image in range(len(truth))],
            "categories": [{"id": label} for label in range(classes)],
            # Its numbers of annotations begin with 1: it takes 0 for "no match".
            "annotations": [
                {"id": i, "iscrowd": 0, **box} for i, box in enumerate(annotations, start=1)
            ],
            "info": {},
        }
        data.createIndex()
        evaluation = COCOeval(data, data.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0]), 100 * float(evaluation.stats[1])


def _xywh(boxes: Boxes) -> list[list[float]]:
    return [[x1, y1, x2 - x1, y2 - y1] for y1, x1, y2, x2 in boxes.boxes.tolist()]


def voc(
    truth: Sequence[Boxes], found: Sequence[Boxes], classes: int, threshold: float = 0.5
) -> float:
    """Per cent: the mean over classes of the area under precision and recall.

    As the PASCAL VOC development kit has it since 2010: every box found, best score first, is right
    if it meets an object not found before by at least `threshold` IoU; precision is made
    to fall monotonically. Classes without objects do not count.
    """
    present = [c for c in range(classes) if any((boxes.labels == c).any() for boxes in truth)]
    averages = [_average_precision(truth, found, label, threshold) for label in present]
    return 100 * float(np.mean(averages))


def _average_precision(
    truth: Sequence[Boxes], found: Sequence[Boxes], label: int, threshold: float
) -> float:
    objects = [boxes.boxes[boxes.labels == label] for boxes in truth]
    met = [np.zeros(len(boxes), bool) for boxes in objects]
    ranked = sorted(
        (
            (score, image, box)
            for image, boxes in enumerate(found)
            for score, box, own in zip(boxes.scores, boxes.boxes, boxes.labels, strict=True)
            if own == label
        ),
        key=lambda each: -each[0],
    )
    right = np.zeros(len(ranked), bool)
    for i, (_, image, box) in enumerate(ranked):
        overlaps = iou(box, objects[image])
        best = overlaps.argmax() if len(overlaps) else -1
        if best >= 0 and overlaps[best] >= threshold and not met[image][best]:
            right[i] = met[image][best] = True
    recall = np.concatenate([[0], np.cumsum(right) / sum(map(len, objects)), [1]])
    precision = np.concatenate([[0], np.cumsum(right) / np.arange(1, len(ranked) + 1), [0]])
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * falling[1:]))


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the intersection over union of a box (4,) with each of (n, 4): (n,)."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return shared / (np.prod(box[2:] - box[:2]) + areas - shared)

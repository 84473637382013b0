"""Faster R-CNN: shared conv1 to conv4_x, region proposals, and conv5_x for each region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from examples.faster_rcnn import boxes as bx
from examples.faster_rcnn.roi_align import roi_align

STRIDE = 16  # of conv4_x
PLAIN = (1.0, 1.0, 1.0, 1.0)
VARIANCE = (0.1, 0.1, 0.2, 0.2)  # of the heads' deltas, from Fast R-CNN's code


@dataclass(frozen=True)
class Config:
    """The numbers of a detector; sizes are in pixels of the image."""

    classes: int
    image_size: int
    anchor_sides: tuple[int, ...] = (24, 34, 48)
    rpn_filters: int = 64
    proposals: int = 32  # per image, for the heads
    rpn_samples: int = 64  # per image, half of them objects at most (arXiv 1506.01497, 3.1.3)
    roi_samples: int = 32  # per image, a quarter of them objects at most (arXiv 1504.08083, 2.3)
    roi_size: int = 7  # cells of conv5_x's input in each direction; it halves them
    detections: int = 9  # per image


class FasterRCNN(keras.Model):
    """Trains on {"images", "boxes", "labels"}; predicts from {"images"}.

    As in appendix A of the paper, both networks share the layers up to conv4_x, conv5_x follows the
    pooling of each region, and two sibling layers predict classes and boxes by class. Unlike in the
    paper, both networks are trained together, not in turns.

    Args:
        net: A `keras_resnet.backbone` with four stages.
        config: The detector's numbers.
    """

    def __init__(self, net: keras.Model, config: Config) -> None:
        super().__init__(name="faster_rcnn")
        self.config = config
        self.shared = keras.Model(net.input, net.output["C4"], name="shared")
        self.regions = keras.Model(net.output["C4"], net.output["C5"], name="regions")
        count = len(config.anchor_sides)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.rpn = layers.Conv2D(config.rpn_filters, 3, padding="same", activation="relu")
        self.objectness = layers.Conv2D(count, 1, kernel_initializer=small)
        self.rpn_deltas = layers.Conv2D(4 * count, 1, kernel_initializer=small)
        self.pool = layers.GlobalAveragePooling2D()
        self.scores = layers.Dense(config.classes + 1, kernel_initializer=small)
        self.deltas = layers.Dense(
            4 * config.classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.001)
        )
        self.anchors = bx.anchors(config.image_size, STRIDE, config.anchor_sides)  # (A, 4)

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        images = inputs["images"]  # (N, H, W, 3)
        features = self.shared(images, training=training)  # (N, H/16, W/16, C)
        hidden = self.rpn(features)
        objectness = ops.reshape(self.objectness(hidden), (-1, len(self.anchors)))  # (N, A)
        deltas = ops.reshape(self.rpn_deltas(hidden), (-1, len(self.anchors), 4))
        proposals = self._propose(objectness, deltas)  # (N, P, 4)
        if not training:
            return self._detect(features, proposals)
        truth, labels = inputs["boxes"], inputs["labels"]  # (N, M, 4), (N, M)
        self.add_loss(self._rpn_loss(objectness, deltas, truth))
        self.add_loss(self._region_loss(features, proposals, truth, labels))
        return objectness

    def _propose(self, objectness: Any, deltas: Any) -> Any:
        decoded = bx.decode(self.anchors[None], deltas, PLAIN, self.config.image_size)
        decoded, objectness = ops.stop_gradient(decoded), ops.stop_gradient(objectness)
        proposals, *_ = bx.suppress(
            decoded[:, :, None], ops.sigmoid(objectness)[..., None], self.config.proposals, 0.7
        )
        return proposals

    def _regions(self, features: Any, regions: Any, training: bool) -> tuple[Any, Any]:
        """Returns scores (N, R, classes + 1), background last; deltas (N, R, classes, 4)."""
        cells = roi_align(features, regions, STRIDE, self.config.roi_size)  # (N * R, 7, 7, C)
        x = self.pool(self.regions(cells, training=training))  # (N * R, C')
        rois, classes = regions.shape[1], self.config.classes
        scores = ops.reshape(self.scores(x), (-1, rois, classes + 1))
        return scores, ops.reshape(self.deltas(x), (-1, rois, classes, 4))

    def _rpn_loss(self, objectness: Any, deltas: Any, truth: Any) -> Any:
        number = self.config.rpn_samples
        bases = ops.broadcast_to(self.anchors[None], ops.shape(deltas))
        which, kind = bx.match(bx.overlaps(bases, truth), 0.7, 0.3, best=True)
        indices, weights = bx.sample(kind, number, share=0.5)
        target = ops.cast(bx.take(kind, indices), "float32")
        cross = ops.binary_crossentropy(target, bx.take(objectness, indices), from_logits=True)
        wanted = bx.encode(bases, bx.take(truth, which), PLAIN)
        distance = _smooth_l1(bx.take(wanted, indices) - bx.take(deltas, indices))
        return ops.sum(weights * (cross + target * distance)) / ops.maximum(ops.sum(weights), 1.0)

    def _region_loss(self, features: Any, proposals: Any, truth: Any, labels: Any) -> Any:
        classes = self.config.classes
        regions = ops.stop_gradient(ops.concatenate([proposals, truth], axis=1))
        which, kind = bx.match(bx.overlaps(regions, truth), 0.5, 0.5, best=False)
        kind = ops.where(bx.areas(regions) > 0, kind, -1)  # padding is no region
        indices, weights = bx.sample(kind, self.config.roi_samples, share=0.25)
        regions, which, kind = (bx.take(x, indices) for x in (regions, which, kind))

        scores, deltas = self._regions(features, regions, training=True)
        label = ops.where(kind == 1, bx.take(labels, which), classes)  # (N, R)
        cross = ops.sparse_categorical_crossentropy(label, scores, from_logits=True)
        wanted = bx.encode(regions, bx.take(truth, which), VARIANCE)
        own = ops.one_hot(label, classes)  # zeros for background
        given = ops.sum(deltas * own[..., None], axis=2)  # the true class's
        distance = _smooth_l1(wanted - given) * ops.sum(own, axis=-1)
        return ops.sum(weights * (cross + distance)) / ops.maximum(ops.sum(weights), 1.0)

    def _detect(self, features: Any, proposals: Any) -> dict[str, Any]:
        scores, deltas = self._regions(features, proposals, training=False)
        decoded = bx.decode(proposals[:, :, None], deltas, VARIANCE, self.config.image_size)
        boxes, scores, labels, number = bx.suppress(
            decoded, ops.softmax(scores)[..., :-1], self.config.detections, 0.5, least=0.05
        )
        return {"boxes": boxes, "confidence": scores, "labels": labels, "num_detections": number}


def _smooth_l1(difference: Any) -> Any:
    """Returns the loss of arXiv 1504.08083, equation 3: (..., 4) -> (...)."""
    size = ops.abs(difference)
    return ops.sum(ops.where(size < 1, 0.5 * size**2, size - 0.5), axis=-1)

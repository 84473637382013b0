"""The numbers that test_scanned_blocks.py compares, from a process of each Keras backend.

    KERAS_BACKEND=jax python run_scanned.py CASE ...

Every case is one tiny net, plain and scanned, through two training steps. Prints as JSON the
difference between the two, for every case and every array.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from keras_resnet import Architecture, ResNet, copy_weights
from keras_resnet.scan.visitor import loops
from keras_resnet.weights.transfer import arrays_of

IMAGES = np.random.default_rng(0).normal(1, 2, size=(6, 9, 8, 3)).astype("float32")
LABELS = np.array([0, 1, 2, 3, 4, 1])


@dataclass(frozen=True)
class Case:
    block: str
    shortcut: str | None
    policy: str = "float32"
    frozen: bool = False  # the blocks that are scanned
    rematerialize: bool = False
    channels_first: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


CASES = MappingProxyType(
    {
        "basic-A": Case("basic", "A"),
        "bottleneck-C": Case("bottleneck", "C"),
        "plain": Case("basic", None),
        "recomputed": Case("bottleneck", "C", rematerialize=True),
        "frozen": Case("basic", "A", frozen=True),
        "mixed": Case("basic", "B", "mixed_bfloat16", options={"zero_init_residual": True}),
        "channels_first": Case("basic", "A", channels_first=True),
    }
)


def network(case: Case, scan: bool) -> keras.Model:
    """Always from the same seed."""
    keras.utils.set_random_seed(3)
    filters = {"basic": (4, 6), "bottleneck": (2, 3)}[case.block]
    architecture = Architecture(
        "tiny", "cifar", case.block, (3, 2), filters, case.shortcut, stem_filters=4, **case.options
    )
    model = ResNet(
        architecture,
        input_shape=images(case).shape[1:],
        classes=5,
        classifier_activation=None,
        scan=scan,
    )
    for loop in loops(model):
        loop.rematerialize = case.rematerialize
    for layer in model.layers:
        if "_block" in layer.name and "_block1_" not in layer.name:  # loops, too
            layer.trainable = not case.frozen
    return model


def images(case: Case) -> np.ndarray:
    return IMAGES.transpose(0, 3, 1, 2) if case.channels_first else IMAGES


def pair(case: Case) -> tuple[keras.Model, keras.Model]:
    """Plain and scanned, of the same weights."""
    keras.config.set_dtype_policy(case.policy)
    keras.config.set_image_data_format("channels_first" if case.channels_first else "channels_last")
    plain, scanned = network(case, scan=False), network(case, scan=True)
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    if case.shortcut != "C":  # whose projections of two forms are drawn in another order
        for key, array in arrays_of(scanned).items():
            np.testing.assert_array_equal(array, arrays_of(plain)[key], err_msg=key)
    copy_weights(plain, scanned)
    return plain, scanned


def numbers(model: keras.Model, case: Case, run_eagerly: bool = False) -> dict[str, np.ndarray]:
    """Outputs, two steps' losses and all weights after each, outputs again.

    From the same weights, those after a step of gradient descent agree as the gradients do.
    """
    x = images(case)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=run_eagerly,
    )
    model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the first step twice
    found = {"before/outputs": model.predict_on_batch(x)}
    for step in ("step1", "step2"):
        found[f"{step}/loss"] = np.asarray(model.train_on_batch(x, LABELS))
        found |= {f"{step}/{key}": array for key, array in arrays_of(model).items()}
    return found | {"after/outputs": model.predict_on_batch(x)}


def compare(case: Case) -> dict[str, dict[str, float]]:
    """For each array: the largest difference, number, and move from the start."""
    plain, scanned = pair(case)
    initial = arrays_of(plain)
    # TensorFlow runs blocks sooner than it traces them; one loop is traced, too.
    eagerly = keras.backend.backend() == "tensorflow"
    expected = numbers(plain, case, run_eagerly=eagerly)
    actual = numbers(scanned, case, run_eagerly=eagerly and not case.rematerialize)
    assert expected.keys() == actual.keys()
    result = {}
    for name, array in expected.items():
        start = initial.get(name.partition("/")[2], np.zeros_like(array))
        result[name] = {
            "difference": float(np.abs(actual[name] - array).max()),
            "size": float(np.abs(array).max()),
            "moved": float(np.abs(array - start).max()),
        }
    return result


if __name__ == "__main__":
    print(json.dumps({name: compare(CASES[name]) for name in sys.argv[1:]}))

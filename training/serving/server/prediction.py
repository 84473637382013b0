"""Checks a request's inputs against the signature and the limits, and computes its outputs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from training.serving.server.batching import Arrays, Batcher, Direct, as_serving_error
from training.serving.server.errors import ServingError, invalid
from training.serving.server.limits import Limits
from training.serving.server.models import Version

DEFAULT_SIGNATURE = "serving_default"
CLASSIFY_INPUT = "inputs"  # TF Serving's names, for serialized tf.train.Examples
CLASSES, SCORES = "classes", "scores"


def definition(version: Version, signature: str) -> dict[str, tuple[np.dtype, list[int]]]:
    """Returns a signature's inputs: {name: (dtype, shape with -1 for any)}.

    Raises:
        ServingError: INVALID_ARGUMENT if there is no such signature.
    """
    if signature not in version.definitions:
        raise invalid(
            f"Serving signature name: {signature!r} not found in signature def; there are "
            f"{', '.join(sorted(version.definitions))}"
        )
    return {
        name: (
            np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype),
            [dim.size for dim in info.tensor_shape.dim],
        )
        for name, info in version.definitions[signature].inputs.items()
    }


def predict(
    version: Version,
    signature: str,
    inputs: Arrays,
    runner: Batcher | Direct,
    limits: Limits,
    deadline: float,
) -> Arrays:
    """Computes a signature after checking the inputs.

    Raises:
        ServingError: If the inputs do not fit the signature or exceed the limits, or if computing
            fails.
    """
    expected = definition(version, signature)
    if set(inputs) != set(expected):
        raise invalid(
            f"The signature {signature!r} takes {sorted(expected)}; given {sorted(inputs)}"
        )
    for name, (dtype, shape) in expected.items():
        given = inputs[name]
        if given.dtype != dtype:
            kind = "string" if dtype.hasobject else dtype
            raise invalid(f"{name} is of type {kind}; given {given.dtype}")
        if len(given.shape) != len(shape) or any(
            want not in (-1, got) for want, got in zip(shape, given.shape, strict=True)
        ):
            raise invalid(f"{name} has the shape {shape} (-1: any); given {list(given.shape)}")
        if 0 in given.shape:
            raise invalid(f"{name} is empty: shape {list(given.shape)}")
        limits.check(given.shape)
    if len({len(value) for value in inputs.values()}) > 1:
        raise invalid("The inputs have different batch sizes")
    try:
        return runner.run(version, signature, inputs, deadline)
    except ServingError:
        raise
    except Exception as error:
        raise as_serving_error(error) from error


def classify(
    version: Version,
    signature: str,
    examples: list[bytes],
    runner: Batcher | Direct,
    limits: Limits,
    deadline: float,
) -> list[list[tuple[str, float]]]:
    """Answers TF Serving's Classify interface.

    Args:
        version: The version to ask.
        signature: Its signature, which takes examples.
        examples: Serialized `tf.train.Example`s.
        runner: Computes it.
        limits: The largest request.
        deadline: `time.monotonic()` by which the answer is wanted.

    Returns:
        For each example (label, score), best first.

    Raises:
        ServingError: As `predict` does.
    """
    if CLASSIFY_INPUT not in definition(version, signature):
        raise invalid(
            f"The signature {signature!r} takes no examples; 'classify_examples' of exports does"
        )
    inputs = {CLASSIFY_INPUT: np.array(examples, dtype=object)}
    outputs = predict(version, signature, inputs, runner, limits, deadline)
    return [
        [(label.decode(), float(score)) for label, score in zip(labels, scores, strict=True)]
        for labels, scores in zip(outputs[CLASSES], outputs[SCORES], strict=True)
    ]

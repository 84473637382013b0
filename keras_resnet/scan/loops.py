"""A loop over stacked weights, `keras.ops.scan` with a faster form for TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

Step = Callable[[Any, Sequence[Any]], tuple[Any, Sequence[Any]]]


def scan(step: Step, carry: Any, stacks: Sequence[Any], like: Sequence[Any]) -> tuple[Any, Any]:
    """Calls `step` with each row of the stacks in turn.

    Args:
        step: A function of the carry and of one row of each stack. It returns the next carry, of
            the same shape, and one row of each result.
        carry: The first carry, a tensor.
        stacks: Tensors (count, ...).
        like: Tensors of the shapes and types of the results.

    Returns:
        The last carry, and the results, (count, ...) each.
    """
    if keras.backend.backend() == "tensorflow":
        return _with_lists(step, carry, stacks, like)
    carry, results = ops.scan(step, carry, stacks)
    return carry, results


def _with_lists(
    step: Step, carry: Any, stacks: Sequence[Any], like: Sequence[Any]
) -> tuple[Any, Any]:
    """TensorFlow's loop, which takes rows off the ends of lists and appends others to lists.

    `ops.scan` reads rows by their index, whose gradient adds two whole lists in every step; the
    gradient of taking a row off a list appends a row. A training step of 1202 layers at batch 2
    takes 0.82 instead of 0.96 s (two CPU cores, Intel Xeon). On TensorFlow, `ops.scan` also
    collects only results of the carry's shape.
    """
    import tensorflow as tf

    count = stacks[0].shape[0]
    given = [
        tf.raw_ops.TensorListFromTensor(
            tensor=tf.reverse(stack, (0,)), element_shape=stack.shape[1:]
        )
        for stack in stacks
    ]
    results = [
        tf.raw_ops.EmptyTensorList(
            element_shape=tensor.shape[1:], element_dtype=tensor.dtype, max_num_elements=count
        )
        for tensor in like
    ]

    def body(i: Any, carry: Any, given: Sequence[Any], results: Sequence[Any]) -> tuple[Any, ...]:
        taken = [
            tf.raw_ops.TensorListPopBack(
                input_handle=rows, element_shape=stack.shape[1:], element_dtype=stack.dtype
            )
            for rows, stack in zip(given, stacks, strict=True)
        ]
        carry, rows = step(carry, [one.tensor for one in taken])
        results = [
            tf.raw_ops.TensorListPushBack(input_handle=result, tensor=row)
            for result, row in zip(results, rows, strict=True)
        ]
        return i + 1, carry, [one.output_handle for one in taken], results

    _, carry, _, results = tf.while_loop(
        lambda i, *_: i < count, body, (0, carry, given, results), parallel_iterations=1
    )
    stacked = [
        tf.raw_ops.TensorListStack(
            input_handle=result,
            element_shape=tensor.shape[1:],
            element_dtype=tensor.dtype,
            num_elements=count,
        )
        for result, tensor in zip(results, like, strict=True)
    ]
    return carry, stacked

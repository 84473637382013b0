"""`keras.ops.scan` over stacked weights, without what costs TensorFlow most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

Step = Callable[[Any, Sequence[Any]], tuple[Any, Sequence[Any]]]


def scan(step: Step, carry: Any, stacks: Sequence[Any], like: Sequence[Any]) -> tuple[Any, Any]:
    """Takes a step with each row of the stacks in turn.

    Args:
        step: From the carry and a row of each stack to the next carry, of the same shape, and a
            row of each result.
        carry: A tensor.
        stacks: Tensors of (count, ...).
        like: Tensors of the results' shapes and types.

    Returns:
        The last carry; the results, (count, ...) each.
    """
    if keras.backend.backend() == "tensorflow":
        return _with_lists(step, carry, stacks, like)
    carry, results = ops.scan(step, carry, stacks)
    return carry, results


def _with_lists(
    step: Step, carry: Any, stacks: Sequence[Any], like: Sequence[Any]
) -> tuple[Any, Any]:
    """TensorFlow's loop, which takes rows off the ends of lists and puts them on others.

    `ops.scan` reads rows by their number. The gradient of that adds up two lists, row by row, in
    every step; that of taking a row off is putting one on. Of 1202 layers at batch 2 a training
    step takes 0.82 instead of 0.96 s (two CPU cores, Intel Xeon). `ops.scan` also collects nothing
    but what is of the carry's shape.
    """
    import tensorflow as tf  # type: ignore[import-untyped]

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

"""TensorFlow's errors about image files, as one line that says which file it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?: |$)")


@contextmanager
def readable_errors(dataset: str, data_dir: str | Path | None = None) -> Iterator[None]:
    """Turns errors of reading and decoding into an OSError of one line.

    Args:
        dataset: Name of the data set.
        data_dir: Its directory, if it is known.
    """
    try:
        yield
    except (
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
        tf.errors.DataLossError,
    ) as error:
        where = "" if data_dir is None else f" ({data_dir})"
        raise OSError(
            f"The images of {dataset}{where} cannot be read: {one_line(error)}."
        ) from error


def one_line(error: tf.errors.OpError) -> str:
    """TensorFlow's message about an image without the graph around it.

    Where the graph itself refused the image, that is the words of its assertion.
    """
    message = " ".join(str(error.message).split())
    if found := ASSERTION.search(message):
        return found[1].rstrip(".")
    message = re.sub(r"\{\{function_node.*?\}\}", "", message.split("[[{{")[0])
    message = message.split("<stack traces unavailable>")[-1]
    return message.split("[Op:")[0].strip().rstrip(".")

"""TensorFlow's errors about image files, as one line that says which file it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

REMEDY = "Mend or remove that file; `train --skip-bad-images` leaves such files out."
# What TensorFlow's decoders of JPEG, PNG, GIF, WebP and BMP say of damaged files begins so.
DAMAGED = re.compile(r"jpeg::|Invalid (PNG|GIF)|Failed to decode WebP|Input size should match")
# The words of a failed assertion: of a graph's, and of one outside of graphs.
ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?: |$)|to be true. Summarized data: b'(.*)'")


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
        if dataset == "folder" and one_line(error).startswith("The image "):
            raise OSError(f"{one_line(error)}. {REMEDY}") from error
        where = "" if data_dir is None else f" ({data_dir})"
        raise OSError(
            f"The images of {dataset}{where} cannot be read: {one_line(error)}."
        ) from error


def one_line(error: tf.errors.OpError) -> str:
    """TensorFlow's message about an image, without the graph around it.

    Where the graph itself refused the image, it is the words of the graph's assertion.
    """
    # A function of this process adds where in Python its error was, a traced one where it was made.
    message = str(error.message).split("Traceback (most recent call last)")[0]
    if found := ASSERTION.search(" ".join(message.split())):
        return (found[1] or found[2]).rstrip(".")
    lines = [line for line in message.splitlines() if line.strip() and "[[{{" not in line[:8]]
    if "Graph execution error" in message:
        lines = lines[-1:]
    message = re.sub(r"\{\{function_node.*?\}\}", "", " ".join(lines).split("[[{{")[0])
    message = " ".join(message.split())
    message = re.sub(r"^Error in user-defined function .*? iterator: \S+ ", "", message)
    message = message.removeprefix("ValueError: ").split("[Op:")[0].strip().rstrip(".")
    return "the image is damaged or cut off" if DAMAGED.match(message) else message

"""TensorFlow's errors about image files, as an OSError that says which data set they are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def readable_errors(dataset: str, data_dir: str | None) -> Iterator[None]:
    """Turns errors of reading and decoding into an OSError.

    Args:
        dataset: Name of the data set.
        data_dir: Its directory, or `None` for the default one.
    """
    try:
        yield
    except (
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
        tf.errors.DataLossError,
    ) as error:
        raise OSError(
            f"The images of {dataset} ({data_dir or 'the default data directory'}) cannot be read: "
            f"{error.message}"
        ) from error

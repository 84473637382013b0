"""The types of command-line options that are numbers, and of lists; standard library only."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Returns the type of an option that is a whole number from `least` to `most`."""
    allowed = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        number = int(text) if text.removeprefix("-").isdecimal() else None
        if number is None or number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"takes a whole number {allowed}; given {text}")
        return number

    return parse


class Distinct(argparse.Action):
    """The action of an option that takes several values: one given twice counts once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, list(dict.fromkeys(values or ())))


positive = whole(1)
seed = whole(0, 2**32 - 1)  # what NumPy, and so Keras, takes
port = whole(0, 2**16 - 1)


def amount(text: str) -> float:
    """The type of an option that is a number above 0, such as seconds."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"takes a number above 0; given {text}")
    return number

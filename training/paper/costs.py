"""Parameters and multiply-adds of every network beside those of Tables 1 and 6."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from keras_resnet.architectures import Architecture
from training.paper import published_numbers

if TYPE_CHECKING:
    import keras

COLUMNS = ("network", "depth", "shortcut", "parameters", "paper_M", "multiply_adds", "paper_G")
NOTES = (
    "The paper prints one digit of G, rounded for 101 layers (7.57), cut off for 50 (3.858).",
    "VGG-16: 15.3 are its convolutions alone, 15.35; VGG-19's 19.6 are all of it.",
)


class Row(NamedTuple):
    """The `COLUMNS` of one network."""

    network: str
    depth: int
    shortcut: str
    parameters: int
    paper_millions: str  # of parameters, as printed; empty where the paper has no number
    multiply_adds: int
    paper_thousand_millions: str  # of multiply-adds, as printed


def row(architecture: Architecture) -> Row:
    """Counts one network on the built model."""
    import keras_resnet

    model = keras_resnet.ResNet(architecture, weights=None)
    return _count(architecture.name, architecture.depth, architecture.shortcut or "–", model)


def vgg() -> Iterator[Row]:
    """Counts the paper's reference networks, from keras.applications; they take 0.6 GB."""
    import keras

    for name, depth in (("vgg16", 16), ("vgg19", 19)):
        yield _count(name, depth, "–", getattr(keras.applications, name.upper())(weights=None))


def _count(name: str, depth: int, shortcut: str, model: keras.Model) -> Row:
    from keras_resnet import analysis

    parameters, multiply_adds = analysis.parameters(model), analysis.multiply_adds(model)
    paper_millions = published_numbers.PARAMETERS.get(name, "")
    paper_g = published_numbers.MULTIPLY_ADDS.get(name, "")
    return Row(name, depth, shortcut, parameters, paper_millions, multiply_adds, paper_g)


def printed(row: Row) -> tuple[str, ...]:
    """Returns the row as people read it: thousands with commas, thousand millions of operations."""
    g = f"{row.multiply_adds / 1e9:.3f}"
    return (*map(str, row[:3]), f"{row.parameters:,}", row[4], g, row[6])

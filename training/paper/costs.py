"""What every network costs, beside the paper's numbers: Table 1, and Table 6's parameters."""

from __future__ import annotations

from collections.abc import Iterator

from keras_resnet.architectures import Architecture
from training.paper import published_numbers

COLUMNS = ("network", "depth", "shortcut", "parameters", "paper_M", "multiply_adds", "paper_G")
NOTES = (
    "The paper prints one digit of G: ours rounded (101: 7.57) or cut off (50: 3.858).",
    "VGG-16: 15.3 are its convolutions alone, 15.35; VGG-19's 19.6 are all of it.",
)

Row = tuple[str, int, str, int, str, int, str]


def row(architecture: Architecture) -> Row:
    """One network's `COLUMNS`, counted on the built model."""
    import keras_resnet
    from keras_resnet import analysis

    name = architecture.name
    model = keras_resnet.ResNet(architecture, weights=None)
    return (
        name,
        architecture.depth,
        architecture.shortcut or "–",
        analysis.parameters(model),
        published_numbers.PARAMETERS.get(name, ""),
        analysis.multiply_adds(model),
        published_numbers.MULTIPLY_ADDS.get(name, ""),
    )


def vgg() -> Iterator[Row]:
    """The paper's reference nets, from keras.applications; they take 0.6 GB."""
    import keras

    from keras_resnet import analysis

    for name, depth in (("vgg16", 16), ("vgg19", 19)):
        model = getattr(keras.applications, name.upper())(weights=None)
        yield (
            name,
            depth,
            "–",
            analysis.parameters(model),
            "",
            analysis.multiply_adds(model),
            published_numbers.MULTIPLY_ADDS[name],
        )


def printed(cells: Row) -> tuple[str, ...]:
    """The row as people read it: thousands with commas, thousand millions of multiply-adds."""
    name, depth, shortcut, parameters, paper_m, multiply_adds, paper_g = cells
    g = f"{multiply_adds / 1e9:.3f}"
    return (name, str(depth), shortcut, f"{parameters:,}", paper_m, g, paper_g)

"""A keras-tuner `HyperModel` of the paper's networks. Needs keras-tuner: `pip install '.[tuning]'`.

Not imported by `keras_resnet` itself: `from keras_resnet.tuning import ResNetHyperModel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner

from keras_resnet import search_space
from keras_resnet.applications import ResNet
from keras_resnet.search_space import PLAIN, Choice, Field

# Section 4.2.
MOMENTUM = 0.9
LEARNING_RATE = 0.1  # if the search space has no such field


class ResNetHyperModel(keras_tuner.HyperModel):
    """The paper's networks, for your own search with keras-tuner.

    A trial is a compiled functional model, (N, H, W, C) -> (N, classes) probabilities. The search
    is over the fields of `keras_resnet.search_space.SEARCH_SPACE` that concern the model: shortcut,
    n, width, zero_init_residual and learning_rate. The model is compiled with SGD of momentum 0.9,
    as in section 4.2, and cross-entropy on whole-number labels.

    Args:
        network: The network that the search begins at, such as `"resnet20"`.
        input_shape: (H, W, C). Default: the size that the network was made for.
        classes: Number of classes. Default: the network's own.
        fix: Fields that are not searched, with their values, such as `{"shortcut": "B"}`.
        space: Fields in place of the table's, with your own intervals or values.

    Raises:
        ValueError: If the network or a field is unknown, or a field does not take its value.
    """

    def __init__(
        self,
        network: str = "resnet20",
        input_shape: Sequence[int] | None = None,
        classes: int | None = None,
        fix: Mapping[str, Any] | None = None,
        space: Sequence[Field] | None = None,
    ) -> None:
        super().__init__(name=network)
        self.network = network
        self.input_shape = input_shape
        self.classes = classes
        of_the_model = (*search_space.FINDS_NETWORK, "learning_rate")
        fields = search_space.fields(network) if space is None else space
        self.space = search_space.fixed(
            [field for field in fields if field.name in of_the_model], fix or {}
        )

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The compiled model of the values in `hp`."""
        declare(hp, self.space)
        values = chosen(hp, self.space)
        model = ResNet(
            search_space.architecture(self.network, values),
            weights=None,
            input_shape=self.input_shape,
            classes=self.classes,
        )
        model.compile(
            optimizer=keras.optimizers.SGD(
                values.get("learning_rate", LEARNING_RATE), momentum=MOMENTUM
            ),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model


def declare(hp: keras_tuner.HyperParameters, space: Sequence[Field]) -> None:
    """Declares the fields of `space` to keras-tuner; those of shortcuts only for residual nets."""
    shortcuts: tuple[str, ...] = ()
    for field in space:
        if field.name == "shortcut" and isinstance(field, Choice):
            shortcuts = field.values
        if field.name != "zero_init_residual" or PLAIN not in shortcuts:
            _declare(hp, field)
        elif shortcuts != (PLAIN,):
            residual = [shortcut for shortcut in shortcuts if shortcut != PLAIN]
            with hp.conditional_scope("shortcut", residual):
                _declare(hp, field)


def chosen(hp: keras_tuner.HyperParameters, space: Sequence[Field]) -> dict[str, Any]:
    """The values of the fields that a trial uses, by name."""
    return {
        field.name: _readable(hp.values[field.name])
        for field in space
        if field.name in hp.values and hp.is_active(field.name)
    }


def _declare(hp: keras_tuner.HyperParameters, field: Field) -> None:
    if isinstance(field, Choice):
        if len(field.values) == 1:
            hp.Fixed(field.name, field.values[0])
        elif isinstance(field.values[0], bool):  # which a keras-tuner choice makes 0 and 1
            hp.Boolean(field.name, default=field.values[0])
        else:
            hp.Choice(field.name, list(field.values), ordered=False)
    else:
        sampling = "log" if field.log else "linear"
        hp.Float(field.name, field.low, field.high, sampling=sampling)


def _readable(value: Any) -> Any:
    """A value rounded to six digits, so that the printed value is the one used.

    keras-tuner's service sends floats of 32 bits, which have the same six digits.
    """
    return float(f"{value:.6g}") if isinstance(value, float) else value

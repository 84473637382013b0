"""The optimizer with the paper's coupled weight decay, and the loss."""

from __future__ import annotations

from typing import Any

import keras

from training.config.recipes import Recipe


class CoupledSGD(keras.optimizers.SGD):
    """SGD with momentum and coupled L2: the gradient is gradient + coupled_decay * weight.

    That is Caffe's weight decay, and so the paper's. `SGD(weight_decay=)` is decoupled, another
    algorithm, and `regularizers.L2(coupled_decay / 2)` would be this one, at the price of a term
    in the loss for every weight.
    """

    def __init__(self, *args: Any, coupled_decay: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.coupled_decay = coupled_decay

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.coupled_decay:
            decay = keras.ops.cast(self.coupled_decay, gradient.dtype)
            gradient = gradient + decay * keras.ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)

    def finalize_variable_values(self, var_list: Any) -> None:
        """Nothing: a run is several calls of `fit`, and only its end takes the averages."""

    def take_averages(self, variables: list[keras.Variable]) -> None:
        """Sets the weights to their moving averages (`use_ema`)."""
        super().finalize_variable_values(variables)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coupled_decay": self.coupled_decay}


def optimizer(recipe: Recipe) -> CoupledSGD:
    """The recipe's optimizer; the learning rate is set step by step during the run."""
    return CoupledSGD(
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        coupled_decay=recipe.weight_decay,
        gradient_accumulation_steps=recipe.accumulation if recipe.accumulation > 1 else None,
        use_ema=recipe.ema > 0,
        ema_momentum=recipe.ema or 0.99,  # unread without use_ema
    )


class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits (N, classes) and labels (N,), targets smoothed towards uniform."""

    def __init__(self, label_smoothing: float, name: str = "loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        targets = keras.ops.one_hot(keras.ops.cast(y_true, "int32"), y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(
            targets, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )


def loss(recipe: Recipe) -> keras.losses.Loss:
    """Cross-entropy on logits."""
    if recipe.label_smoothing:
        return SmoothedCrossentropy(recipe.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

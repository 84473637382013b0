"""SGD with the paper's coupled weight decay."""

from __future__ import annotations

from typing import Any

import keras


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

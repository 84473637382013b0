"""Muon: a gradient step whose matrices have equal singular values (Jordan et al. 2024)."""

from __future__ import annotations

from typing import Any

import keras

from training.trainer.coupled_sgd import CoupledSGD

# https://kellerjordan.github.io/posts/muon: five iterations of this polynomial of degree five bring
# singular values from 0.002 to 1 near 1, to between 0.68 and 1.21.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(CoupledSGD):
    """Moves the convolutions' kernels by Muon, and all other weights by `CoupledSGD`.

    A kernel (height, width, channels, filters) is a matrix (height * width * channels, filters).
    Muon moves it along the orthogonal matrix nearest to its momentum. Before every step the kernel
    gets the norm of such an orthogonal matrix, so that a rate of 0.01 changes it by about one per
    cent. The batch norm behind each convolution makes the network's output independent of the
    kernel's norm; kernels therefore have no weight decay.

    Args:
        kernel_rate: The kernels' rate as a multiple of the learning rate.
        *args: As for `CoupledSGD`.
        **kwargs: As for `CoupledSGD`.
    """

    def __init__(self, *args: Any, kernel_rate: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_rate = kernel_rate

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if len(variable.shape) < 4:
            super().update_step(gradient, variable, learning_rate)
            return
        ops = keras.ops
        step = gradient
        if self.momentum:
            momentum = self.momentums[self._get_variable_index(variable)]
            self.assign(momentum, self.momentum * momentum + gradient)
            step = gradient + self.momentum * momentum if self.nesterov else momentum
        *stacked, _, _, _, filters = variable.shape  # a loop over blocks stacks their kernels
        matrices = (*stacked, -1, filters)
        kernel = ops.reshape(variable, matrices)
        norm = min(kernel.shape[-2:]) ** 0.5  # of a matrix whose singular values are 1
        kernel = kernel * (norm / ops.norm(kernel, axis=(-2, -1), keepdims=True))
        rate = self.kernel_rate * ops.cast(learning_rate, variable.dtype)
        kernel = kernel - rate * orthogonal(ops.reshape(step, matrices))
        self.assign(variable, ops.reshape(kernel, variable.shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_rate": self.kernel_rate}


def orthogonal(matrix: Any) -> Any:
    """Returns nearly the orthogonal matrix nearest to `matrix`, by a Newton-Schulz iteration.

    Args:
        matrix: Of shape (rows, columns), or several of them (..., rows, columns).

    Returns:
        A matrix of the same shape and singular vectors. Its singular values are between 0.68 and
        1.21 where those of `matrix` are at least 0.002 of its norm.
    """
    ops = keras.ops
    rows, columns = matrix.shape[-2:]
    wide = ops.swapaxes(matrix, -2, -1) if rows > columns else matrix
    wide = wide / (ops.norm(wide, axis=(-2, -1), keepdims=True) + keras.config.epsilon())
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = wide @ ops.swapaxes(wide, -2, -1)
        wide = linear * wide + (cubic * square + quintic * square @ square) @ wide
    return ops.swapaxes(wide, -2, -1) if rows > columns else wide

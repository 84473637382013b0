"""A slow, obvious NumPy version of the forward pass: one image, explicit loops, no Keras.

Written from the paper (Figs. 2, 3 and 5, section 3.3); images are (height, width, channels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

EPSILON = 1e-5  # of batch norm
Weights = Mapping[str, Sequence[np.ndarray]]  # by layer name, in Keras's order


def pad(x: np.ndarray, border: int) -> np.ndarray:
    height, width, channels = x.shape
    wider = np.zeros((height + 2 * border, width + 2 * border, channels))
    wider[border : border + height, border : border + width] = x
    return wider


def convolution(x: np.ndarray, kernel: np.ndarray, strides: int) -> np.ndarray:
    """Kernel (k, k, inputs, outputs), its centre on the pixels 0, strides, 2 strides, ..."""
    k = kernel.shape[0]
    padded = pad(x, k // 2)
    rows = []
    for i in range(0, x.shape[0], strides):
        row = []
        for j in range(0, x.shape[1], strides):
            window = padded[i : i + k, j : j + k]  # (k, k, inputs)
            row.append(np.einsum("abi,abio->o", window, kernel))
        rows.append(row)
    return np.array(rows)


def max_pool(x: np.ndarray) -> np.ndarray:
    """3x3, strides 2, padding 1."""
    padded = pad(x, 1)
    return np.array(
        [
            [padded[i : i + 3, j : j + 3].max(axis=(0, 1)) for j in range(0, x.shape[1], 2)]
            for i in range(0, x.shape[0], 2)
        ]
    )


def batch_norm(x: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    gamma, beta, mean, variance = weights
    return gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta


def relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0)


def conv_bn(x: np.ndarray, weights: Weights, name: str, strides: int = 1) -> np.ndarray:
    (kernel,) = weights[f"{name}_conv"]
    return batch_norm(convolution(x, kernel, strides), weights[f"{name}_bn"])


def shortcut(
    x: np.ndarray, weights: Weights, option: str, outputs: int, strides: int, name: str
) -> np.ndarray:
    if option == "C" or (option == "B" and (strides == 2 or x.shape[-1] != outputs)):
        return conv_bn(x, weights, f"{name}_0", strides)
    sampled = x[::strides, ::strides]
    before = (outputs - x.shape[-1]) // 2
    wider = np.zeros((*sampled.shape[:2], outputs))
    wider[:, :, before : before + x.shape[-1]] = sampled
    return wider


def block(
    x: np.ndarray, weights: Weights, option: str | None, strides: Sequence[int], name: str
) -> np.ndarray:
    """`strides` of each convolution."""
    y = x
    for i, stride in enumerate(strides, start=1):
        y = conv_bn(y if i == 1 else relu(y), weights, f"{name}_{i}", stride)
    if option is not None:
        y = y + shortcut(x, weights, option, y.shape[-1], max(strides), name)
    return relu(y)


def forward(
    x: np.ndarray,
    weights: Weights,
    blocks: Sequence[int],
    option: str | None,
    convolutions: int,
    strided: int = 1,
    imagenet_stem: bool = False,
) -> np.ndarray:
    """Scores of one image before the softmax.

    Args:
        x: (height, width, channels).
        weights: By layer name.
        blocks: Of each stage.
        option: Shortcut "A", "B" or "C", or None.
        convolutions: In one block.
        strided: Which of them, from 1, has stride 2 in a later stage's first block.
        imagenet_stem: 7x7 with stride 2 and max pooling, instead of a 3x3.
    """
    x = relu(conv_bn(x, weights, "conv1", 2 if imagenet_stem else 1))
    if imagenet_stem:
        x = max_pool(x)
    for stage, number in enumerate(blocks, start=2):
        for i in range(1, number + 1):
            strides = [1] * convolutions
            if stage > 2 and i == 1:
                strides[strided - 1] = 2
            x = block(x, weights, option, strides, f"conv{stage}_block{i}")
    kernel, bias = weights["predictions"]
    return x.mean(axis=(0, 1)) @ kernel + bias

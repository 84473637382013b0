"""Batch norm that trains by TensorFlow's fused kernel instead of a dozen operations.

Keras computes moments, differences, squares and products one after the other, and each goes once
through memory, forward and backward. Measured on two CPU cores (AMD EPYC): ResNet-20 at batch 128
spends 20 % of its training step's kernel time there, 7 % with the fused kernel.
"""

from __future__ import annotations

from typing import Any

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch norm over the last axis of (N, H, W, C). Inference is Keras's own."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not (training and self.trainable) or self.synchronized:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        inputs = tf.cast(inputs, self.compute_dtype)  # half types too: sums are float32 inside
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        # The kernel's variance is the unbiased one, Keras's is not.
        examples = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), variance.dtype)
        variance *= (examples - 1) / examples
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs


def with_fused_batch_norm(model: keras.Model) -> keras.Model:
    """Builds a copy of a network whose batch norms train by the fused kernel.

    Outputs, gradients, moving statistics, names and the variables' order are those of `model`.
    Other layers are shared with `model`. Batch norms that the kernel does not cover stay.

    Args:
        model: A functional model; models inside it are treated in the same way.

    Returns:
        A functional model of the same name, input and output.
    """

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return with_fused_batch_norm(layer)
        return FusedBatchNormalization.from_config(layer.get_config()) if _fits(layer) else layer

    clone = keras.models.clone_model(
        model,
        input_tensors=model.input,
        clone_function=replaced,
        call_function=lambda layer, *arguments, **named: layer(*arguments, **named),
    )
    clone.set_weights(model.get_weights())
    return clone


def _fits(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and len(layer.input.shape) == 4
        and layer.scale
        and layer.center
        and not layer.renorm
    )

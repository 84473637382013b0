"""A model as a graph for inference: no randomness, no batch norm, no captured tensors."""

from __future__ import annotations

import itertools
import logging
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import keras_resnet
from keras_resnet import graph
from training.models.functional import applied, last_operations

logger = logging.getLogger(__name__)

LOW_PRECISION = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def in_float32(model: keras.Model) -> keras.Model:
    """`model` itself, or its copy in float32 if some of its layers compute in 16 bits."""
    policies = {layer.dtype_policy.name for layer in model._flatten_layers()}
    if policies.isdisjoint(LOW_PRECISION):
        return model
    logger.info("%s was built under %s: it is exported in float32", model.name, ", ".join(policies))
    copy = type(model).from_config(_float32(model.get_config()))
    copy.set_weights(model.get_weights())
    return copy


def _float32(config: Any) -> Any:
    """A model's configuration with every dtype policy of 16 bits replaced."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        return {key: _float32(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_float32, config))
    return "float32" if config in LOW_PRECISION else config


class Classifier(NamedTuple):
    """A network to export.

    Its outputs are `probabilities` (N, K) and, where it ends in a dense layer, `features` (N, D);
    where these are the means of maps, `maps` (N, h, w, D).
    """

    network: keras.Model  # pixels (N, S, S, C) -> {output: tensor}
    dense: keras.layers.Dense | None  # features (N, D) -> scores or probabilities
    batch_norm: str  # "folded", or why it is kept


def inference_network(model: keras.Model) -> Classifier:
    """The network to export: `model` without what counts in training alone.

    Args:
        model: Pixels (N, S, S, C) -> probabilities (N, K), functional, in float32.
    """
    x = keras.Input(model.input.shape[1:], name=model.input.name)
    network = keras.Model(x, _Rebuilding().output(model, x), name=model.name)
    try:
        network, note = keras_resnet.fold_batch_norm(network), "folded"
    except ValueError as error:
        logger.warning("Batch norm is kept: %s", error)
        note = f"kept: {error}"

    outputs, dense = {"probabilities": network.output}, None
    walk = last_operations(network)
    for operation, features in walk:
        if isinstance(operation, keras.layers.Dense) and len(features.shape) == 2:
            dense, outputs["features"] = operation, features
            pooling, maps = next(walk, (None, None))
            if isinstance(pooling, keras.layers.GlobalAveragePooling2D):
                outputs["maps"] = maps
            break
    return Classifier(keras.Model(network.input, outputs, name=model.name), dense, note)


def in_bfloat16(classifier: Classifier) -> Classifier:
    """A copy whose feature maps, and the weights that make them, are in bfloat16.

    Preprocessing stays in float32, since bfloat16 would round pixels to 8 bits before their mean is
    subtracted; so do global pooling, the classifier and its softmax, which cost next to nothing.
    """
    network = _maps_in_bfloat16(classifier.network)
    dense = None if classifier.dense is None else network.get_layer(classifier.dense.name)
    return classifier._replace(network=network, dense=dense)


def _maps_in_bfloat16(model: keras.Model) -> keras.Model:
    after_preprocessing = itertools.dropwhile(
        lambda node: not getattr(node.operation, "weights", ()), graph.calls(model)
    )
    maps = {id(node.operation) for node in after_preprocessing if len(node.outputs[0].shape) == 4}
    weights: dict[str, list[np.ndarray]] = {}  # by the name of the copy

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return _maps_in_bfloat16(graph.uncompiled(layer))
        if not isinstance(layer, keras.layers.Layer):
            return layer
        config = layer.get_config()
        if id(layer) in maps:
            config["dtype"] = "bfloat16"
        weights[layer.name] = layer.get_weights()
        return type(layer).from_config(config)

    network = keras.models.clone_model(model, clone_function=copy)
    for name, values in weights.items():
        network.get_layer(name).set_weights(values)
    return network


class _Rebuilding:
    """Calls a model's layers again, one by one, each under a name of its own.

    Nested models stay nested, since Keras cannot trace a few thousand layers in one graph. Only
    those that the classifier is in are written out: the features that it sees are an output.
    """

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}  # the first layer of each name
        self._copies: dict[int, Any] = {}  # the replacements of layers, by the layers' ids

    def output(self, model: keras.Model, inputs: Any) -> Any:
        """The model's output on `inputs`, which are of the structure of `model.input`."""
        before_classifier = itertools.takewhile(
            lambda pair: not isinstance(pair[0], keras.layers.Dense), last_operations(model)
        )
        written_out = [operation for operation, _ in before_classifier]

        def call(layer: Any, *arguments: Any, **named: Any) -> Any:
            if "training" in named:  # as recorded; calling the model for inference overrides it
                named["training"] = False
            if isinstance(layer, keras.Model) and graph.is_graph(layer):
                if layer in written_out:
                    return self.output(graph.functional(layer), *arguments)
                return self._nested(layer)(*arguments)
            if _is_identity(layer, *arguments):
                return arguments[0]
            if isinstance(layer, keras.layers.Normalization) and not layer.invert:
                return _normalized(layer, *arguments)
            arguments, named = keras.tree.map_structure(_constant, (arguments, named))
            return self._own(layer, arguments, named)

        return applied(model, inputs, call)

    def _nested(self, model: keras.Model) -> keras.Model:
        if id(model) not in self._copies:
            inputs = keras.tree.map_structure(
                lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype), model.input
            )
            outputs = self.output(graph.functional(model), inputs)
            self._copies[id(model)] = keras.Model(inputs, outputs, name=model.name)
        return self._copies[id(model)]

    def _own(self, layer: Any, arguments: Any, named: Any) -> Any:
        """The layer's output; a second layer of the same name is copied under another."""
        if self._named.setdefault(layer.name, layer) is layer:
            return layer(*arguments, **named)
        if id(layer) in self._copies:
            return self._copies[id(layer)](*arguments, **named)
        config = layer.get_config()
        if "name" in config:
            config["name"] = f"{layer.name}_{len(self._copies)}"
        copy = self._copies[id(layer)] = type(layer).from_config(config)
        output = copy(*arguments, **named)
        if isinstance(layer, keras.layers.Layer) and layer.weights:
            copy.set_weights(layer.get_weights())
        return output


def _is_identity(layer: Any, x: Any, *others: Any) -> bool:
    """Whether the layer draws random numbers in training and returns its input at inference.

    Only layers that draw random numbers have variables beside their weights.
    """
    if others or not isinstance(layer, keras.layers.Layer) or layer.weights or not layer.variables:
        return False
    sample = np.random.default_rng(0).uniform(0, 255, (1, *x.shape[1:])).astype(x.dtype)
    return np.array_equal(keras.ops.convert_to_numpy(layer(sample, training=False)), sample)


def _normalized(layer: keras.layers.Normalization, x: Any) -> Any:
    """`layer(x)` in operations: converters lose the tensors that a layer keeps beside weights."""
    mean, variance = map(keras.ops.convert_to_numpy, (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return keras.ops.divide(keras.ops.subtract(x, mean), deviation)


def _constant(value: Any) -> Any:
    """A tensor among a layer's arguments as an array, which becomes a constant of the graph."""
    return value.numpy() if isinstance(value, tf.Tensor) else value

"""Networks in the operations that TensorFlow fuses: the same function."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.grappler import tf_optimizer

import keras_resnet
from keras_resnet import Architecture
from training.export import other_runtimes, saved_model
from training.export.fused_inference import BiasedConvolution, PaddedMaxPooling, fused

RNG = np.random.default_rng(0)
NETS = {
    "basic-B": Architecture("tiny", "imagenet", "basic", (2, 1), (4, 6), "B", stem_filters=8),
    "bottleneck-C": Architecture("tiny", "imagenet", "bottleneck", (1, 1), (4, 6), "C"),
    "cifar-A": Architecture("tiny", "cifar", "basic", (1, 1, 1), (16, 16, 24), "A"),
    "plain": Architecture("tiny", "imagenet", "basic", (1, 2), (4, 6), None),
}


def folded(architecture: Architecture) -> keras.Model:
    """With batch norms that have seen something, so that no bias is zero."""
    model = keras_resnet.ResNet(architecture, weights=None, input_shape=(33, 30, 3), classes=5)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return keras_resnet.fold_batch_norm(model)


@pytest.mark.parametrize("name", NETS)
def test_the_function_is_the_same(name):
    network = folded(NETS[name])
    images = RNG.normal(size=(3, 33, 30, 3)).astype("f4")
    found = fused(network)
    np.testing.assert_allclose(found(images), network(images), rtol=1e-5, atol=1e-6)
    kinds = [type(layer) for layer in found.layers]
    assert layers.Conv2D not in kinds
    assert kinds.count(BiasedConvolution) == sum(isinstance(x, layers.Conv2D) for x in found.layers)
    assert kinds.count(PaddedMaxPooling) == (NETS[name].stem == "imagenet")
    assert layers.MaxPooling2D not in kinds


def optimized(network: keras.Model) -> Counter[str]:
    """How often each operation is in the graph that TensorFlow's optimizer makes."""
    spec = tf.TensorSpec((1, *network.input_shape[1:]))
    call = tf.function(lambda x: network(x), input_signature=[spec], autograph=False)
    frozen = convert_variables_to_constants_v2(call.get_concrete_function())
    definition = frozen.graph.as_graph_def()
    for node in definition.node:
        node.device = "/device:CPU:0"
    with tf.Graph().as_default():
        graph = tf.compat.v1.train.export_meta_graph(graph_def=definition)
    fetched = graph.collection_def["train_op"].node_list.value
    fetched.extend(x.name for x in frozen.outputs)
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    return Counter(node.op for node in tf_optimizer.OptimizeGraph(config, graph).node)


def test_tensorflow_merges_each_convolution_with_its_bias():
    network = folded(NETS["basic-B"])
    convolutions = sum(isinstance(layer, layers.Conv2D) for layer in network.layers)
    found = optimized(fused(network))
    assert found["_FusedConv2D"] == convolutions
    assert not {"Conv2D", "BiasAdd", "MaxPoolV2"} & set(found)
    assert found["MaxPool"] == 1
    assert found["Pad"] == optimized(network)["Pad"] - 1


def test_what_is_exported_shares_its_layers_with_other_models_and_is_fused_too():
    """`export` hands out the features as well; the runtimes take the probabilities alone."""
    x = keras.Input((33, 30, 3))
    centred = layers.Normalization(mean=[100.0] * 3, variance=[64.0] * 3)(x)
    model = keras_resnet.ResNet(NETS["basic-B"], weights=None, input_tensor=centred, classes=5)
    network, _ = saved_model._network(model)
    images = RNG.uniform(0, 255, size=(3, 33, 30, 3)).astype("f4")
    for exported in (network, other_runtimes.convertible(network)):
        found = fused(exported)
        kinds = [type(layer) for layer in found.layers]
        assert kinds.count(PaddedMaxPooling) == 1
        assert not {layers.MaxPooling2D, layers.Conv2D} & set(kinds)
        for ours, theirs in zip(
            keras.tree.flatten(found(images)), keras.tree.flatten(exported(images)), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_only_padding_behind_a_relu_joins_the_pool():
    x = keras.Input((8, 8, 2))
    y = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))  # below zero, a zero would win
    network = keras.Model(x, y)
    images = RNG.normal(size=(2, 8, 8, 2)).astype("f4") - 5
    found = fused(network)
    assert PaddedMaxPooling not in [type(layer) for layer in found.layers]
    np.testing.assert_array_equal(found(images), network(images))


def test_padding_that_others_use_stays():
    x = keras.Input((8, 8, 2))
    padded = layers.ZeroPadding2D(1)(layers.ReLU()(x))
    network = keras.Model(x, [layers.MaxPooling2D(3, 2)(padded), padded])
    images = RNG.normal(size=(2, 8, 8, 2)).astype("f4")
    for ours, theirs in zip(fused(network)(images), network(images), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_pools_of_any_margins_and_shapes():
    for margins, shape in ((((1, 1), (1, 1)), (9, 8)), (((0, 1), (1, 0)), (8, 9))):
        x = keras.Input((*shape, 2))
        padded = layers.ZeroPadding2D(margins)(layers.Activation("relu")(x))
        network = keras.Model(x, layers.MaxPooling2D(3, 2)(padded))
        found = fused(network)
        assert found.output_shape == network.output_shape
        images = RNG.normal(size=(2, *shape, 2)).astype("f4")
        np.testing.assert_array_equal(found(images), network(images))

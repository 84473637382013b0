"""Looks into nets against a direct computation, finite differences and closed forms."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

import keras_resnet
from keras_resnet import Architecture, analysis, cifar_architecture, resnet
from keras_resnet.analysis.responses import _merged

ROWS = {
    "plain": cifar_architecture(8, residual=False),
    "basic": cifar_architecture(8),
    "bottleneck": Architecture(
        "tiny", "imagenet", "bottleneck", (1, 2), (4, 6), "B", stem_filters=4
    ),
}


def net(kind: str = "basic", nested: bool = False, seed: int = 0) -> keras.Model:
    """Random weights, statistics and scales; raw pixels in, the mean subtracted inside."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((32, 32, 3), name="pixels")
    mean = np.full((32, 32, 3), 120.0)
    x = keras.layers.Normalization(axis=(1, 2, 3), mean=mean, variance=64.0**2 + 0 * mean)(pixels)
    with pytest.MonkeyPatch.context() as patch:
        if nested:
            patch.setattr(resnet, "DEEPEST_FLAT", 2)
            patch.setattr(resnet, "BLOCKS_PER_SECTION", 1)
        model = keras_resnet.ResNet(ROWS[kind], input_tensor=x, classes=5)
    rng = np.random.default_rng(seed)
    for layer in analysis.walk(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            beta, mean = rng.normal(0, 0.3, (2, *shape))
            gamma, variance = rng.uniform(0.5, 2, (2, *shape))
            layer.set_weights([gamma, beta, mean, variance])
    return model


def pixels(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (n, 32, 32, 3)).astype(np.float32)


# Responses, Fig. 7


@pytest.mark.parametrize("kind", ROWS)
def test_responses_are_those_after_each_3x3_and_its_batch_norm(kind: str) -> None:
    model, images = net(kind), pixels(7)
    names, stds = analysis.layer_responses(model, images, batch_size=3)
    # Section 4.2: every layer but the classifier; Table 1: one in three of a bottleneck's.
    assert len(names) == len(stds) == {"plain": 7, "basic": 7, "bottleneck": 3}[kind]
    assert stds.dtype == np.float64
    assert names == tuple(sorted(names, key=lambda name: name.replace("conv1_conv", "")))
    for name, std in zip(names, stds, strict=True):
        norm = model.get_layer(name.replace("_conv", "_bn")).output
        response = keras.Model(model.input, norm).predict_on_batch(images)
        np.testing.assert_allclose(std, response.astype(np.float64).std(), rtol=1e-5)


def test_a_folded_net_responds_as_the_net() -> None:
    model, images = net(), pixels(4)
    expected = analysis.layer_responses(model, images)
    found = analysis.layer_responses(keras_resnet.fold_batch_norm(model), images)
    assert found.names == expected.names
    np.testing.assert_allclose(found.stds, expected.stds, rtol=1e-4)


def test_nested_nets_are_gone_through_in_order() -> None:
    flat, nested, images = net(), net(nested=True), pixels(4)
    assert any(isinstance(layer, keras.Model) for layer in nested.layers)
    weights = {layer.name: layer.get_weights() for layer in analysis.walk(flat)}
    for layer in analysis.walk(nested):
        if layer.weights:
            layer.set_weights(weights[layer.name])
    expected, found = (analysis.layer_responses(model, images) for model in (flat, nested))
    assert found.names == expected.names
    np.testing.assert_allclose(found.stds, expected.stds, rtol=1e-5)
    labels = np.array([0, 1, 2, 3])
    expected, found = (analysis.gradient_norms(model, images, labels) for model in (flat, nested))
    assert found.names == expected.names
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-3)
    for layer in (None, "conv3_block1_out"):
        expected, found = (analysis.grad_cam(m, images, labels, layer) for m in (flat, nested))
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-4)


def test_a_stage_in_a_loop_is_looked_into_block_by_block() -> None:
    row = Architecture("narrow", "cifar", "basic", (3, 2), (4, 6), "A", stem_filters=4)
    written_out, looped = (
        keras_resnet.ResNet(row, input_shape=(32, 32, 3), classes=5, scan=scan)
        for scan in (False, True)
    )
    keras_resnet.copy_weights(written_out, looped)
    images, labels = pixels(4) / 64, np.array([0, 1, 2, 3])
    expected, found = (analysis.layer_responses(m, images, 3) for m in (written_out, looped))
    assert found.names == expected.names
    np.testing.assert_allclose(found.stds, expected.stds, rtol=1e-5)
    expected, found = (analysis.gradient_norms(m, images, labels) for m in (written_out, looped))
    assert found.names == expected.names
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-3)
    expected, found = (analysis.grad_cam(m, images) for m in (written_out, looped))
    np.testing.assert_allclose(found.maps, expected.maps, atol=1e-4)


def test_images_may_come_in_any_iterable() -> None:
    class Loader(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return images[4 * index : 4 * index + 4], np.zeros(4)

    model, images = net(), pixels(6)
    expected = analysis.layer_responses(model, images).stds
    tensor = keras.ops.convert_to_tensor(images)
    pieces = (images[i : i + 2] for i in range(0, 6, 2))
    pairs = [(images[:1], np.zeros(1)), (images[1:], np.zeros(5))]
    for given_ in (tensor, pieces, pairs, Loader()):
        np.testing.assert_allclose(
            analysis.layer_responses(model, given_).stds, expected, rtol=1e-6
        )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.floats(-1e6, 1e6), st.integers())
def test_moments_are_merged_soundly(sizes: list[int], mean: float, seed: int) -> None:
    """Far from zero a sum of squares would lose every digit of the deviation."""
    rng = np.random.default_rng(abs(seed))
    parts = [rng.normal(mean, 1e-2, size) for size in sizes]
    moments = (0, 0.0, 0.0)
    for part in parts:
        moments = _merged(moments, part)
    every = np.concatenate(parts)
    assert moments[0] == every.size
    assert moments[1] == pytest.approx(every.mean(), rel=1e-12)
    np.testing.assert_allclose(np.sqrt(moments[2] / every.size), every.std(), atol=1e-9)


def test_what_has_no_such_responses_is_an_error() -> None:
    relu = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, activation="relu", name="a")]
    )
    with pytest.raises(ValueError, match="'relu' inside"):
        analysis.layer_responses(keras.Model(relu.inputs, relu.outputs), pixels(1))
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="no 3x3"):
        analysis.layer_responses(keras.Model(dense.inputs, dense.outputs), pixels(1))
    with pytest.raises(ValueError, match="no images"):
        analysis.layer_responses(net(), pixels(0))
    with pytest.raises(ValueError, match=r"\(32, 32, 3\)"):
        analysis.layer_responses(net(), [pixels(1)[0]])


# Gradients


def test_gradient_norms_agree_with_keras_own_step_and_with_finite_differences() -> None:
    model, images, labels = net("bottleneck"), pixels(6), np.array([0, 1, 2, 3, 4, 0])
    before = model.get_weights()
    names, norms = analysis.gradient_norms(model, images, labels)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    kernels = {layer.name: layer.kernel for layer in model.layers if hasattr(layer, "kernel")}
    assert names == tuple(kernels)

    # One step of SGD with rate 1 moves each kernel by its gradient.
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    kept = {name: np.array(kernel) for name, kernel in kernels.items()}
    model.train_on_batch(images, labels)
    gradients = {name: kept[name] - np.array(kernel) for name, kernel in kernels.items()}
    model.set_weights(before)

    def loss() -> float:
        probabilities = np.asarray(model(images, training=True), np.float64)
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())

    for name, norm in zip(names, norms, strict=True):
        length = np.linalg.norm(gradients[name])
        np.testing.assert_allclose(norm, length, rtol=2e-3, err_msg=name)
        step = 0.001 * gradients[name] / length  # the slope along the gradient is its norm
        kernels[name].assign(kept[name] + step)
        above = loss()
        kernels[name].assign(kept[name] - step)
        slope = (above - loss()) / 0.002
        kernels[name].assign(kept[name])
        np.testing.assert_allclose(norm, slope, rtol=0.05, err_msg=name)


def test_layers_shared_with_another_model_are_seen_where_they_are() -> None:
    """As in the model that trains: its batch norms are its own, the rest an older model's too."""
    first, images, labels = net(), pixels(3), np.array([0, 1, 2])

    def renewed(layer: keras.layers.Layer) -> keras.layers.Layer:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        return type(layer).from_config(layer.get_config()) if norm else layer

    second = keras.models.clone_model(
        first,
        first.input,
        clone_function=renewed,
        call_function=lambda layer, *arguments, **named: layer(*arguments, **named),
    )
    third = net(seed=1)  # the same values in a model by itself
    third.set_weights(second.get_weights())
    assert not np.allclose(analysis.features(first, images), analysis.features(third, images))
    np.testing.assert_allclose(
        analysis.features(second, images), analysis.features(third, images), rtol=1e-4, atol=1e-4
    )
    found, expected = (analysis.gradient_norms(m, images, labels).norms for m in (second, third))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    found, expected = (analysis.layer_responses(m, images).stds for m in (second, third))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    found, expected = (analysis.grad_cam(m, images, labels).maps for m in (second, third))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_frozen_layers_have_no_gradient_norm() -> None:
    model = net()
    model.get_layer("conv1_conv").trainable = False
    names, norms = analysis.gradient_norms(model, pixels(2), [0, 1])
    assert "conv1_conv" not in names
    assert len(names) == len(norms) == 7


@pytest.mark.parametrize("labels", [[0, 5], [-1, 0], [0], [[0, 1]]])
def test_labels_must_fit(labels: list) -> None:
    with pytest.raises(ValueError, match="classes from 0 to 4"):
        analysis.gradient_norms(net(), pixels(2), np.array(labels))


# Grad-CAM


def test_of_the_last_map_it_is_the_class_activation_map() -> None:
    """Pooled and one dense layer: the gradient is the class's column of the kernel, everywhere."""
    model, images = net(), pixels(5)
    maps, classes = analysis.grad_cam(model, images)
    np.testing.assert_array_equal(classes, model.predict_on_batch(images).argmax(axis=1))
    last = model.get_layer("conv4_block1_out").output
    features = keras.Model(model.input, last).predict_on_batch(images)
    kernel = model.get_layer("predictions").get_weights()[0]
    for image, label, found in zip(features, classes, maps, strict=True):
        expected = np.maximum((image * kernel[:, label]).sum(axis=-1), 0)
        np.testing.assert_allclose(found, expected / max(expected.max(), 1e-9), atol=1e-4)
    assert maps.max() == 1.0


def test_of_an_earlier_layer_it_agrees_with_finite_differences() -> None:
    model, images, label = net(), pixels(1), 2
    (found,), _ = analysis.grad_cam(model, images, [label], "conv3_block1_out")
    middle = model.get_layer("conv3_block1_out").output
    features = keras.Model(model.input, middle).predict_on_batch(images)  # (1, 16, 16, 32)
    following = keras.Model(middle, model.get_layer("avg_pool").output)
    kernel = model.get_layer("predictions").get_weights()[0]

    step = 0.05  # to all pixels of one channel: the slope is the sum of its gradient
    moves = step * np.eye(32, dtype=np.float32)[:, np.newaxis, np.newaxis]
    above, below = (following.predict_on_batch(features + s * moves) @ kernel for s in (1, -1))
    slopes = (above - below)[:, label]
    expected = np.maximum(features[0] @ slopes, 0)
    np.testing.assert_allclose(found, expected / expected.max(), atol=0.03)


def test_it_names_what_it_cannot_look_at() -> None:
    with pytest.raises(ValueError, match="no layer 'conv9'"):
        analysis.grad_cam(net(), pixels(1), layer="conv9")
    with pytest.raises(ValueError, match="no layer 'predictions'"):
        analysis.grad_cam(net(), pixels(1), layer="predictions")
    with pytest.raises(ValueError, match="from 0 to 4"):
        analysis.grad_cam(net(), pixels(1), classes=[5])
    headless = keras_resnet.ResNet(ROWS["basic"], include_top=False)
    with pytest.raises(ValueError, match="include_top=True"):
        analysis.grad_cam(headless, pixels(1))


# Neighbours


def test_features_are_what_the_classifier_sees() -> None:
    model, images = net(), pixels(5)
    found = analysis.features(model, images, batch_size=2)
    expected = keras.Model(model.input, model.get_layer("avg_pool").output).predict_on_batch(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 30), st.integers(1, 600), st.integers(1, 6), st.integers(0, 99))
def test_nearest_are_scikit_learns(gallery: int, queries: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(gallery, width + 1)), rng.normal(size=(queries, width + 1))
    k = 1 + seed % gallery
    found = analysis.nearest(vectors[1], vectors[0], k)
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(vectors[0])
    distances, indices = search.kneighbors(vectors[1])
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.similarities, 1 - distances, atol=1e-9)


def test_zero_vectors_are_like_nothing_and_ks_are_checked() -> None:
    found = analysis.nearest(np.zeros((1, 2)), np.eye(2), 2)
    np.testing.assert_array_equal(found.indices, [[0, 1]])
    np.testing.assert_array_equal(found.similarities, [[0, 0]])
    with pytest.raises(ValueError, match="from 1 to the gallery's 2; given 3"):
        analysis.nearest(np.eye(2), np.eye(2), 3)
    with pytest.raises(ValueError, match="as many columns"):
        analysis.nearest(np.eye(2), np.eye(3), 1)

"""Blocks that compute their activations twice change nothing but the memory."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import training_steps
from launch import CHECKOUT, finish, last_checkpoint, start
from training_steps import IMAGES, assert_train_alike, training

from keras_resnet import analysis, resnet
from training.config import recipes
from training.models.gradient_checkpointing import RecomputedBlock, rematerialized
from training.trainer.train import Job, train

pytestmark = pytest.mark.usefixtures("digits_are_few")

network = functools.partial(training_steps.network, blocks=(2, 1))


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        ("float32", {"shortcut": "A"}),
        pytest.param("float32", {"block": "bottleneck", "shortcut": "C"}, marks=pytest.mark.slow),
        ("float32", {"shortcut": None}),
        pytest.param(
            "mixed_bfloat16",
            {"shortcut": "B", "zero_init_residual": True},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["basic-A", "bottleneck-C", "plain", "mixed-B"],
)
def test_two_steps_have_the_same_outputs_losses_gradients_and_statistics(policy, fields, request):
    request.addfinalizer(lambda: keras.config.set_dtype_policy("float32"))
    keras.config.set_dtype_policy(policy)
    plain, recomputed = network(**fields), rematerialized(network(**fields))
    assert sum(isinstance(layer, RecomputedBlock) for layer in recomputed.layers) == 3
    assert_train_alike(plain, recomputed)


def test_moving_statistics_move_once_a_step():
    """Black images give convolutions and variances of 0: the 1 becomes 0.9, not 0.81."""
    model = rematerialized(network())
    training(model, learning_rate=0.0)(np.zeros_like(IMAGES))
    norms = [
        layer
        for layer in analysis.walk(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 8  # the stem's, two in each of three blocks, one projection
    for norm in norms:
        np.testing.assert_allclose(norm.moving_variance.numpy(), 0.9, rtol=1e-6)
        np.testing.assert_array_equal(norm.moving_mean.numpy(), 0)


def test_inference_moves_nothing():
    model = rematerialized(network())
    before = model.get_weights()
    model(IMAGES)
    model(IMAGES, training=False)
    np.testing.assert_equal(before, model.get_weights())


def test_layers_and_variables_are_the_given_network_s_in_its_order():
    plain = network(shortcut="C")
    recomputed = rematerialized(plain)
    for variables in ("weights", "trainable_variables", "non_trainable_variables"):
        pairs = zip(getattr(plain, variables), getattr(recomputed, variables), strict=True)
        assert all(one is other for one, other in pairs)
    assert recomputed.name == plain.name
    assert recomputed.output_shape == plain.output_shape


@pytest.mark.slow
def test_a_net_in_sections_stays_in_them_and_trains(monkeypatch):
    monkeypatch.setattr(resnet, "DEEPEST_FLAT", 100)
    fields = {"stem_filters": 1, "blocks": (50, 1), "filters": (1, 1), "shortcut": "A"}
    model = rematerialized(network(**fields))
    assert [layer.name for layer in model.layers if isinstance(layer, keras.Model)] == [
        "conv2_blocks1to25",
        "conv2_blocks26to50",
        "conv3_blocks1to1",
    ]
    before = model.get_weights()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(IMAGES, training=True) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert sum(moved) == len(model.non_trainable_variables)


@pytest.mark.slow
def test_a_run_has_the_same_history_and_ends_in_the_same_plain_model(tmp_path):
    few = ["iterations=6", "batch_size=32", "learning_rate=0.005"]
    job = Job("resnet8", "digits", recipes.override(recipes.load("digits"), few), seed=3)
    expected = train(job, tmp_path / "plain")
    recipe = dataclasses.replace(job.recipe, rematerialize=True)
    actual = train(dataclasses.replace(job, recipe=recipe), tmp_path / "recomputed")
    for row, other in zip(expected.rows, actual.rows, strict=True):
        assert other == pytest.approx(row, rel=1e-4)
    load = keras.models.load_model
    plain, again = (load(run.model_file, compile=False) for run in (expected, actual))
    assert [layer.name for layer in again.layers] == [layer.name for layer in plain.layers]
    for weight, other in zip(plain.weights, again.weights, strict=True):
        np.testing.assert_allclose(other.numpy(), weight.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.nightly
def test_two_devices_with_synchronized_statistics_reach_the_same_weights(tmp_path):
    few = ("--set=iterations=8", "--set=batch_size=16", "--set=learning_rate=0.005")
    finish(start(tmp_path / "one", *few, "--strategy=one"))
    arguments = (*few, "--set=rematerialize=true", "--strategy=mirrored")
    finish(start(tmp_path / "two", *arguments, two_devices=True))
    one, two = last_checkpoint(tmp_path / "one"), last_checkpoint(tmp_path / "two")
    assert one.keys() == two.keys()
    for key in one:
        if key.startswith(("weights/", "optimizer/")):
            np.testing.assert_allclose(two[key], one[key], rtol=1e-3, atol=5e-4, err_msg=key)


PEAK_OF_A_STEP = """
import resource, sys
import keras, numpy as np
import keras_resnet
from training.models.gradient_checkpointing import rematerialized

architecture = keras_resnet.Architecture("wide", "cifar", "basic", (9,), (16,), "B")
model = keras_resnet.ResNet(architecture)
if sys.argv[1] == "recomputed":
    model = rematerialized(model)
model.compile("sgd", "sparse_categorical_crossentropy")
built = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.train_on_batch(np.zeros((512, 32, 32, 3), "f4"), np.zeros(512))
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - built)
"""


@pytest.mark.nightly
def test_a_step_takes_less_memory():
    """Nine blocks, 512 images: 1475 and 690 MB on two CPU cores (AMD EPYC)."""
    peaks = {}
    for how in ("plain", "recomputed"):
        command = [sys.executable, "-c", PEAK_OF_A_STEP, how]
        run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        peaks[how] = int(run.stdout.split("peak ")[1])
    assert peaks["recomputed"] < 0.75 * peaks["plain"]

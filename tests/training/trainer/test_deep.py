"""A run of a deep net, whose blocks run in a loop, ends in the same plain model, cut or not."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from launch import finish, start

import keras_resnet
from keras_resnet import cifar_architecture
from keras_resnet.scan import visitor
from training.config import recipes
from training.models import batch_norm_statistics, networks
from training.models.fused_batch_norm import with_fused_batch_norm
from training.models.gradient_checkpointing import rematerialized
from training.trainer.backends import distribution
from training.trainer.backends.tensorflow_backend import TensorFlowBackend
from training.trainer.callbacks.checkpoint_saver import CheckpointSaver
from training.trainer.train import Job, Options, train

pytestmark = pytest.mark.usefixtures("digits_are_few")

FEW = ("iterations=4", "batch_size=32", "learning_rate=0.005")
IMAGES = np.random.default_rng(0).normal(size=(12, 8, 8, 3)).astype("float32")


def job(*settings: str) -> Job:
    recipe = recipes.override(recipes.load("digits"), [*FEW, *settings])
    return Job("resnet20", "digits", recipe, seed=3)


def network(scan: bool) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras_resnet.CifarResNet(20, input_shape=(8, 8, 3), scan=scan)


@pytest.mark.parametrize(
    ("depth", "settings", "expected"),
    [
        (110, [], False),
        (1202, [], True),
        (1202, ["jit=true"], False),
        (1202, ["scan=false"], False),
        (20, ["scan=true"], True),
    ],
)
def test_nets_beyond_200_layers_run_their_blocks_in_loops(depth, settings, expected):
    recipe = recipes.override(recipes.load("cifar10"), settings)
    assert networks.scans(cifar_architecture(depth), recipe) is expected


def test_the_network_in_training_keeps_its_loops():
    model = with_fused_batch_norm(rematerialized(network(scan=True)))
    assert [loop.name for loop in visitor.loops(model)] == [
        f"conv{i}_blocks2to3" for i in (2, 3, 4)
    ]
    assert all(stage.rematerialize for stage in visitor.loops(model))


@pytest.mark.nightly
def test_exact_statistics_are_those_of_the_net_written_out():
    plain, scanned = network(scan=False), network(scan=True)
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(5)
    for model in (plain, scanned):
        assert batch_norm_statistics.recompute(model, batches) == 12
    again = network(scan=False)
    keras_resnet.copy_weights(scanned, again)
    assert len(visitor.batch_norms(plain)) == 19
    for norm, other in zip(visitor.batch_norms(plain), visitor.batch_norms(again), strict=True):
        for name in ("moving_mean", "moving_variance"):
            expected = getattr(norm, name).numpy()
            atol = 1e-5 * np.abs(expected).max()
            np.testing.assert_allclose(getattr(other, name).numpy(), expected, 1e-4, atol)
    assert {layer.momentum for layer in visitor.batch_norms(scanned)} == {0.9}


def test_statistics_over_several_devices_are_refused():
    with pytest.raises(ValueError, match=r"scan=false, or batch_norm=per_replica"):
        distribution.synchronize_batch_norm(network(scan=True))


def test_xla_is_refused():
    with pytest.raises(ValueError, match=r"scan=false, or jit=false"):
        TensorFlowBackend().check(job("scan=true", "jit=true"))


@pytest.mark.slow
def test_a_run_ends_in_the_same_plain_model(tmp_path):
    expected = train(job(), tmp_path / "plain")
    actual = train(job("scan=true", "rematerialize=true"), tmp_path / "scanned")
    for row, other in zip(expected.rows, actual.rows, strict=True):
        assert other == pytest.approx(row, rel=1e-3)
    load = keras.models.load_model
    plain, again = (load(run.model_file, compile=False) for run in (expected, actual))
    assert [layer.name for layer in again.layers] == [layer.name for layer in plain.layers]
    assert not visitor.loops(again)
    for weight, other in zip(plain.weights, again.weights, strict=True):
        np.testing.assert_allclose(other.numpy(), weight.numpy(), rtol=2e-3, atol=2e-4)


class Cut(Exception):  # noqa: N818  # no error
    pass


@pytest.mark.nightly
def test_a_run_that_was_cut_continues_as_if_it_had_not_been(tmp_path, monkeypatch):
    expected = train(job("scan=true"), tmp_path / "whole")
    original = CheckpointSaver.on_train_batch_end

    def stop_after_two(self, batch, logs=None):
        original(self, batch, logs)
        if batch == 1:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointSaver, "on_train_batch_end", stop_after_two)
        with pytest.raises(Cut):
            train(job("scan=true"), tmp_path / "cut", options=Options(checkpoint_steps=2))
    actual = train(job("scan=true"), tmp_path / "cut")
    for weight, other in zip(expected.model.weights, actual.model.weights, strict=True):
        np.testing.assert_allclose(other.numpy(), weight.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.nightly
def test_two_devices_with_statistics_of_their_own(tmp_path):
    settings = [f"--set={setting}" for setting in (*FEW, "scan=true")]
    command = (tmp_path / "run", "--network=resnet20", "--strategy=mirrored", *settings)
    refused = start(*command, two_devices=True)
    output, _ = refused.communicate(timeout=240)
    assert refused.returncode == 1
    assert "batch_norm=per_replica" in output
    assert not (tmp_path / "run" / "job.json").exists()
    finish(start(*command, "--set=batch_norm=per_replica", two_devices=True))
    assert (tmp_path / "run" / "model.keras").exists()

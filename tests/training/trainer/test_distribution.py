"""Several devices and several machines reach the weights of one device."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from launch import PREDICT, finish, free_ports, last_checkpoint, run, start, wait_for_checkpoints

from training.trainer.backends import distribution

pytestmark = pytest.mark.usefixtures("digits_are_few")

# 65 validation images never divide evenly among two replicas. A net at the start of its training
# multiplies the last digit's differences every step: few steps, at a low rate.
RECIPE = (
    "--set=iterations=8",
    "--set=batch_size=16",
    "--set=held_out=65",
    "--set=learning_rate=0.005",
)
EXACT = "--set=exact_batch_norm=true"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run on one device, on two, on two machines, and on two with separate statistics."""
    base = tmp_path_factory.mktemp("runs")
    finish(start(base / "one", *RECIPE, EXACT, "--strategy=one"))
    finish(start(base / "mirrored", *RECIPE, "--strategy=mirrored", two_devices=True))
    ports = free_ports(2)
    workers = [
        start(base / "multi_worker", *RECIPE, EXACT, "--strategy=auto", cluster=(ports, index))
        for index in range(2)
    ]
    for worker in workers:
        finish(worker)
    apart = (*RECIPE, "--set=batch_norm=per_replica")
    finish(start(base / "apart", *apart, "--strategy=mirrored", two_devices=True))
    return base


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirrored", "multi_worker"])
def test_the_same_weights_as_on_one_device(runs, name):
    one, many = last_checkpoint(runs / "one"), last_checkpoint(runs / name)
    assert one.keys() == many.keys()
    assert one["file"] == many["file"] == "step-000000008.npz"
    for key in one:
        if key.startswith(("weights/", "optimizer/")):
            # float32 sums in another order: for moving means, of large pixels whose mean is near 0,
            # hence atol; the moving variances are some 1e4, hence rtol.
            np.testing.assert_allclose(one[key], many[key], rtol=1e-3, atol=1e-3, err_msg=key)


@pytest.mark.slow
def test_the_same_statistics_over_all_images_whoever_reads_them(runs):
    one, many = (
        keras.models.load_model(runs / name / "model.keras", compile=False)
        for name in ("one", "multi_worker")
    )
    for weight, other in zip(one.weights, many.weights, strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-3, atol=1e-3, err_msg=weight.path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirrored", "multi_worker"])
def test_the_same_history_with_every_validation_image_counted(runs, name):
    one = json.loads(str(last_checkpoint(runs / "one")["state"]))["history"]["rows"]
    many = json.loads(str(last_checkpoint(runs / name)["state"]))["history"]["rows"]
    for row, other in zip(one, many, strict=True):
        for name in ("epoch", "step", "learning_rate", "loss", "val_loss"):
            assert row[name] == pytest.approx(other[name], rel=1e-3)
        an_image = 100 / 65
        assert row["val_error"] == pytest.approx(other["val_error"], abs=an_image + 1e-3)
        assert row["val_error"] * 65 / 100 == pytest.approx(round(row["val_error"] * 65 / 100))


@pytest.mark.slow
def test_statistics_per_replica_are_finite_and_differ_from_synchronised_ones(runs):
    mirrored, apart = last_checkpoint(runs / "mirrored"), last_checkpoint(runs / "apart")
    weights = [key for key in mirrored if key.startswith("weights/")]
    assert all(np.isfinite(apart[key]).all() for key in weights)
    assert any(np.abs(apart[key] - mirrored[key]).max() > 1e-3 for key in weights)


@pytest.mark.nightly
def test_a_worker_killed_within_an_epoch_comes_back_and_the_run_ends_with_its_steps(tmp_path):
    workdir, ports = tmp_path / "run", free_ports(2)
    long = ("--set=iterations=40", "--set=batch_size=16", "--checkpoint-steps=5")

    def workers():
        return [start(workdir, *long, "--strategy=auto", cluster=(ports, i)) for i in range(2)]

    first = workers()
    wait_for_checkpoints(first[1], workdir)
    first[1].kill()
    output, _ = first[0].communicate(timeout=120)
    assert first[0].returncode == 75, output  # what a supervisor restarts
    assert "Another worker of this run is gone" in output
    first[1].communicate()

    outputs = [finish(worker) for worker in workers()]
    assert "resumed at step" in outputs[0]
    state = json.loads(str(last_checkpoint(workdir)["state"]))
    assert state["clock"]["step"] == 40
    assert [row["step"] for row in state["history"]["rows"]] == [31, 40]


@pytest.mark.slow
def test_every_worker_predicts_every_row(tmp_path):
    ports = free_ports(2)
    files = [tmp_path / f"{index}.npz" for index in range(2)]
    for worker in [run(["-c", PREDICT, str(file)], (ports, i)) for i, file in enumerate(files)]:
        finish(worker)
    for file in files:
        with np.load(file) as saved:
            expected = saved["rows"] @ saved["arr_0"] + saved["arr_1"]
            np.testing.assert_allclose(saved["predicted"], expected, rtol=1e-5)


@given(examples=st.integers(1, 500), at_most=st.integers(1, 64), replicas=st.integers(1, 8))
def test_no_replica_is_left_without_images(examples, at_most, replicas):
    if examples < replicas or at_most < replicas:
        with pytest.raises(ValueError, match=f"^{examples} images"):
            distribution.evaluation_batch_size(examples, at_most, replicas)
        return
    try:
        size = distribution.evaluation_batch_size(examples, at_most, replicas)
    except ValueError:
        # Then truly no batch size would do.
        for size in range(replicas, at_most + 1, replicas):
            part = -(-(examples % size) // replicas)
            assert examples % size <= part * (replicas - 1)
            assert examples % size > 0
        return
    assert 0 < size <= at_most
    for start_at in range(0, examples, size):
        batch = list(range(start_at, min(start_at + size, examples)))
        part = -(-len(batch) // replicas)  # TensorFlow's rebatching: this many for each, in order
        assert all(batch[i * part : (i + 1) * part] for i in range(replicas))


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path):
    process = start(tmp_path, "--set=batch_size=15", "--strategy=mirrored", two_devices=True)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "15 cannot be divided by 2" in output


def test_unknown_strategies_and_missing_clusters_are_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    with pytest.raises(ValueError, match=r"one of auto, one, mirrored, multi_worker.*'many'"):
        distribution.choose("many")
    with pytest.raises(ValueError, match=r"TF_CONFIG.*srun"):
        distribution.choose("multi_worker")
    monkeypatch.setenv("TF_CONFIG", "{'cluster': {}}")
    with pytest.raises(ValueError, match=r"TF_CONFIG is not JSON: .*unset it"):
        distribution.choose("auto")


def test_a_distributed_model_is_the_same_network():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    same = distribution.distributed(model)
    assert same.layers[-1] is model.layers[-1]
    images = np.ones((3, 4), "f4")
    np.testing.assert_array_equal(same.predict(images, verbose=0), model.predict(images, verbose=0))

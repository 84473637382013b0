"""The same networks give the same numbers on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import other_backends
import pytest
import run_on_backend
from run_on_backend import ANALYSED, NETS

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("run_on_backend.py")
BACKENDS = ("tensorflow", "jax", "torch")
NUMBERS = ("before", "loss", "after", "kernel", "moving_variance")
ANALYSES = ("responses", "gradients", "activation", "features")
# Relative precision 2^-11 and 2^-8; probabilities after eight layers, and a loss of about 2.
MIXED_TOLERANCE = {"mixed_float16": 0.003, "mixed_bfloat16": 0.03}


def run(backend: str, directory: Path) -> dict[str, np.ndarray]:
    """The numbers of run_on_backend.py on `backend`."""
    if backend == keras.backend.backend():
        run_on_backend.main(directory)
    else:
        other_backends.run(backend, SCRIPT, directory)
    with np.load(directory / f"{backend}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("backends")


@pytest.fixture(scope="module")
def reference(directory):
    return run("tensorflow", directory)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture(scope="module")
def numbers(backend, directory, reference):
    """Each backend runs once."""
    return reference if backend == "tensorflow" else run(backend, directory)


@pytest.mark.parametrize("backend", ["jax", "torch"], indirect=True, scope="module")
@pytest.mark.parametrize("net", NETS)
def test_predictions_and_a_training_step_agree_with_tensorflow(numbers, net, reference):
    for number in NUMBERS + (ANALYSES if net == ANALYSED else ()):
        key = f"{net}/float32/{number}"
        np.testing.assert_allclose(numbers[key], reference[key], rtol=1e-4, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("net", NETS)
def test_a_seed_gives_the_same_initial_weights_on_every_backend(numbers, net, reference):
    key = f"{net}/float32/kernel_before"
    np.testing.assert_array_equal(numbers[key], reference[key])


@pytest.mark.parametrize("net", NETS)
def test_the_step_changed_the_network(numbers, net):
    before, after = (numbers[f"{net}/float32/{name}"] for name in ("kernel_before", "kernel"))
    assert np.abs(after - before).max() > 1e-4
    assert not np.array_equal(*(numbers[f"{net}/float32/{name}"] for name in ("before", "after")))


@pytest.mark.parametrize("net", NETS)
def test_channels_first_gives_the_same_numbers(numbers, net, backend):
    channels, height, width = numbers[f"{net}/channels_first/block_shape"]
    assert (channels, height, width) == {"basic-A": (12, 8, 7), "bottleneck-C": (24, 5, 4)}[net]
    if backend == "tensorflow":  # its convolutions on a CPU are channels_last: it only builds
        return
    for number in ("before", "activation") if net == ANALYSED else ("before",):
        first, last = numbers[f"{net}/channels_first/{number}"], numbers[f"{net}/float32/{number}"]
        np.testing.assert_allclose(first, last, atol=1e-5, err_msg=number)


@pytest.mark.parametrize(
    ("net", "policy"), [("basic-A", "mixed_float16"), ("bottleneck-C", "mixed_bfloat16")]
)
def test_mixed_precision_stays_near_float32(numbers, net, policy):
    for number in ("before", "loss", "after"):
        mixed, full = numbers[f"{net}/{policy}/{number}"], numbers[f"{net}/float32/{number}"]
        np.testing.assert_allclose(mixed, full, atol=MIXED_TOLERANCE[policy], err_msg=number)
        assert not np.array_equal(mixed, full), "nothing was computed in half precision"
    rows = numbers[f"{net}/{policy}/after"].sum(axis=1)
    np.testing.assert_allclose(rows, 1, atol=1e-5)  # the softmax is in float32


@pytest.mark.parametrize("backend", ["jax", "torch"], indirect=True, scope="module")
def test_other_backends_need_no_tensorflow(numbers):
    assert not numbers["has_tensorflow"]

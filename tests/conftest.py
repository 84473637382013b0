"""Settings of every test, and the real data."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Before any backend is imported, whose log would fill the output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CHECKOUT = Path(__file__).parents[1]

# A busy machine is no failure.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """Runs TensorFlow's graphs as they were traced: optimizing one takes longer than its few runs.

    Tests that start processes run optimized graphs, as users do.
    """
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout: TFDS-prepared CIFAR-10, a folder of photographs."""
    path = Path(os.environ.get("KERAS_RESNET_TEST_DATA", CHECKOUT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real data are not at {path}; KERAS_RESNET_TEST_DATA may name another place")
    return path


def _eagerly() -> Iterator[None]:
    """Keras takes steps operation by operation: sooner than tracing a graph for a step or two.

    Other functions stay graphs: data sets would trace a decoder for each use, not once.
    """
    import keras

    always = property(lambda model: True, lambda model, given: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "run_eagerly", always)
        yield


eagerly = pytest.fixture(_eagerly)
module_eagerly = pytest.fixture(_eagerly, scope="module")

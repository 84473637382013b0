# ruff: noqa: E402  the packages are an extra
"""What the embedded server keeps in memory while versions come, break and are replaced."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
import tensorflow as tf

for package in ("tensorflow_serving", "grpc", "prometheus_client"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

from training.export import model_base
from training.serving.server import configuration
from training.serving.server.batching import Batcher
from training.serving.server.metrics import Metrics
from training.serving.server.models import Models


def write(base, number, answer):
    """A version whose signature answers every number with `answer`."""

    def function(pixels):
        return {"probabilities": 0 * pixels + answer}

    signature = tf.function(
        function, input_signature=[tf.TensorSpec((None,), tf.float32, "pixels")], autograph=False
    )
    version = base / "net" / str(number)
    tf.saved_model.save(tf.Module(), version, signatures=signature.get_concrete_function())
    model_base.refresh(base)
    return version


def answer(models, **options):
    found = models.find("net", **options).run("serving_default", {"pixels": np.zeros(1, "f4")})
    return found["probabilities"].item()


def states(models):
    return [(number, state) for number, state, _ in models.states("net")]


@pytest.fixture
def base(tmp_path):
    write(tmp_path, 1, 0.25)
    return tmp_path


@pytest.fixture
def models(base):
    return Models(base / model_base.LOCAL_CONFIG, Metrics())


@pytest.mark.parametrize("kept", [0, 100])
def test_a_half_copied_version_is_loaded_when_it_is_whole(kept, base, models):
    whole = (write(base, 2, 0.75) / "saved_model.pb").read_bytes()
    (base / "net" / "2" / "saved_model.pb").write_bytes(whole[:kept])
    models.refresh()
    assert states(models) == [(2, "END"), (1, "AVAILABLE")]
    assert answer(models) == 0.25
    (base / "net" / "2" / "saved_model.pb").write_bytes(whole)
    models.refresh()
    assert states(models) == [(2, "AVAILABLE"), (1, "AVAILABLE")]
    assert answer(models) == 0.75


def test_a_version_that_is_exported_again_under_its_number_is_loaded_again(base, models):
    models.refresh()
    assert answer(models) == 0.25
    shutil.rmtree(base / "net")
    write(base, 1, 0.5)
    models.refresh()
    assert answer(models) == 0.5
    damaged = base / "net" / "1" / "saved_model.pb"
    damaged.write_bytes(b"no model")
    models.refresh()
    assert answer(models) == 0.5
    assert states(models) == [(1, "AVAILABLE")]


def test_a_label_stays_where_it_was_if_its_new_version_cannot_be_loaded(base, models):
    models.refresh()
    whole = (write(base, 2, 0.75) / "saved_model.pb").read_bytes()
    (base / "net" / "2" / "saved_model.pb").write_bytes(b"no model")
    model_base.promote(base, "net")
    models.refresh()
    assert answer(models, label="stable") == 0.25
    (base / "net" / "2" / "saved_model.pb").write_bytes(whole)
    models.refresh()
    assert answer(models, label="stable") == 0.75


def test_a_configuration_that_is_being_written_ends_nothing(base, models):
    models.refresh()
    (base / model_base.LOCAL_CONFIG).write_text("")
    with pytest.raises(ValueError, match="is empty"):
        models.refresh()
    assert answer(models, label="stable") == 0.25


def test_the_gauge_of_queued_images_falls_again(models):
    models.refresh()
    metrics = Metrics()
    batcher = Batcher(configuration.Batching(), metrics)
    inputs = {"pixels": np.zeros(3, "f4")}
    batcher.run(models.find("net"), "serving_default", inputs, time.monotonic() + 60)
    assert b"serving_queued_images 0.0" in metrics.text()
    batcher.stop()


def test_batching_parameters_are_read_as_tf_serving_reads_them(tmp_path):
    file = tmp_path / "batching_parameters.txt"
    file.write_text("# max_batch_size { value: 1 }\nmax_batch_size: {value:8}\n")
    assert configuration.batching(file) == configuration.Batching(max_batch_size=8)
    file.write_text("num_batch_threads { value: 0 }")  # no request would be answered
    with pytest.raises(ValueError, match="num_batch_threads is at least 1"):
        configuration.batching(file)

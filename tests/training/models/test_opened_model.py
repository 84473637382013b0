"""Opening a model reads its weights and draws none."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest

from training.models.opened_model import opened_model, undrawn

DRAWING = keras.initializers.VarianceScaling


def kernel() -> np.ndarray:
    return np.asarray(DRAWING()((3, 4)))


def test_a_model_is_opened_without_drawing_weights(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save(tmp_path / "model.keras")

    def refuse(*given: object) -> None:
        raise AssertionError("drawn")

    monkeypatch.setattr(DRAWING, "__call__", refuse)
    opened = opened_model(tmp_path / "model.keras")
    np.testing.assert_equal(opened.get_weights(), model.get_weights())
    one, other = (net.layers[0].get_config()["kernel_initializer"] for net in (opened, model))
    assert one == other
    with pytest.raises(AssertionError, match="drawn"):
        kernel()


def test_other_threads_draw_as_before():
    found = {}

    def nested() -> None:
        with undrawn():
            found["nested"] = kernel()

    with undrawn():
        other = threading.Thread(target=lambda: found.update(other=kernel()))
        other.start()
        other.join()
        waiting = threading.Thread(target=nested)
        waiting.start()
        found["own"] = kernel()
    waiting.join()
    found["after"] = kernel()
    assert {name: bool(array.any()) for name, array in found.items()} == {
        "other": True,
        "own": False,
        "nested": False,
        "after": True,
    }

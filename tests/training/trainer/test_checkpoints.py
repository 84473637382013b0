"""Checkpoint files: whole, in order, and refused when they do not fit."""

from __future__ import annotations

import logging
import resource

import keras
import numpy as np
import pytest

from training.trainer import checkpoints


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    images, targets = np.ones((8, 4), "f4"), np.zeros((8, 3), "f4")
    model.fit(images, targets, epochs=2, verbose=0)
    return model


def save(model, directory, step, **state):
    return checkpoints.save(
        directory, step, checkpoints.read(checkpoints.variables(model)), {"step": step, **state}
    )


def test_everything_that_training_changes_comes_back(model, tmp_path):
    save(model, tmp_path, 7, rows=[{"loss": 0.5}])
    before = checkpoints.read(checkpoints.variables(model))
    assert any(name.startswith("optimizer/") for name in before)
    assert any(name.startswith("metrics/") for name in before)
    model.fit(np.ones((8, 4), "f4"), np.zeros((8, 3), "f4"), verbose=0)
    found = checkpoints.newest(tmp_path)
    assert (found.step, found.state) == (7, {"step": 7, "rows": [{"loss": 0.5}]})
    checkpoints.assign(checkpoints.variables(model), found)
    after = checkpoints.read(checkpoints.variables(model))
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


def test_the_newest_two_are_kept(model, tmp_path):
    for step in (1, 20, 3, 100):
        save(model, tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-000000020.npz",
        "step-000000100.npz",
    ]


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "no zip"])
def test_a_damaged_newest_falls_back_to_the_one_before(model, tmp_path, caplog, damage):
    save(model, tmp_path, 1)
    path = save(model, tmp_path, 2)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = b""
    elif damage == "flipped":
        content[len(content) // 3] ^= 0xFF
    else:
        content = b"not a checkpoint" * 100
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = checkpoints.newest(tmp_path)
    assert found.step == 1
    assert "step-000000002.npz is damaged" in caplog.text


def test_no_directory_and_unfinished_files_are_no_checkpoint(tmp_path):
    assert checkpoints.newest(tmp_path / "none") is None
    (tmp_path / ".writing-step-000000001.npz").write_bytes(b"half")
    assert checkpoints.newest(tmp_path) is None


def test_another_network_s_checkpoint_is_refused_and_changes_nothing(model, tmp_path):
    save(model, tmp_path, 1)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    other.compile("sgd", "mse")
    before = other.get_weights()
    with pytest.raises(ValueError, match="another network"):
        checkpoints.assign(checkpoints.variables(other), checkpoints.newest(tmp_path))
    np.testing.assert_equal(other.get_weights(), before)


def test_a_write_that_fails_says_so_and_leaves_the_older_one(model, tmp_path):
    save(model, tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # bytes: a full disk in small
    try:
        with pytest.raises(OSError, match=r"step 2 could not be.*run the same command again"):
            save(model, tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001.npz"]

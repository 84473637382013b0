"""Each of several processes reads and decodes its own share of every global batch, and no more."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from training.data import datasets
from training.data.augmentation import photograph_augmentation
from training.data.batches import eval_batches, train_batches
from training.data.decoding import cropping
from training.data.draws import Draws
from training.data.shares import Share, Turn
from training.data.splits import ArraySplit, FileSplit, Split

pytestmark = pytest.mark.slow

WORKERS, SIZE, BATCH = 2, 32, 4
ZERO = np.zeros((1, 1, 3), np.float32)


@given(
    examples=st.integers(1, 60),
    batch_size=st.integers(1, 16),
    workers=st.integers(1, 4),
    replicas=st.integers(1, 3),
)
def test_shares_are_disjoint_and_together_everything(
    examples: int, batch_size: int, workers: int, replicas: int
) -> None:
    seen: list[int] = []
    for worker in range(workers):
        share = Share(worker * replicas, replicas, workers * replicas)
        for first, after_last in share.spans(examples, batch_size):
            assert first < after_last
            assert first // batch_size == (after_last - 1) // batch_size  # of one global batch
            assert after_last - first <= -(-batch_size // (workers * replicas))
            seen += range(first, after_last)
    assert sorted(seen) == list(range(examples))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each photograph that is decoded from now on."""
    entries: list[int] = []

    def counted(decode: Callable) -> Callable:
        def count_and_decode(encoded: tf.Tensor, *more: object) -> tf.Tensor:
            note = tf.numpy_function(lambda: entries.append(1), [], [])
            with tf.control_dependencies([note]):
                return decode(encoded, *more)

        return count_and_decode

    for module, name in ((photograph_augmentation, "imagenet"), (cropping, "central")):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return entries


def splits(photographs: list[Path], imagenet: Path) -> dict[str, Split]:
    labels = np.arange(7, dtype=np.int32)
    images = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), np.uint8)
    return {
        "arrays": ArraySplit(images, labels),
        "files": FileSplit(np.array([str(p) for p in photographs[:7]], object), labels),
        "records": datasets.load("imagenet2012", str(imagenet)).test,
    }


@pytest.mark.parametrize("kind", ["arrays", "files", "records"])
def test_each_worker_decodes_its_own_share(
    kind: str,
    photographs: list[Path],
    tiny_imagenet: tuple[Path, list[Path]],
    decoded: list[int],
) -> None:
    split = splits(photographs, tiny_imagenet[0])[kind]
    arguments = {"batch_size": BATCH, "image_size": SIZE}
    whole = list(eval_batches(split, **arguments).as_numpy_iterator())
    assert len(decoded) == (0 if kind == "arrays" else split.examples)
    parts = []
    for worker in range(WORKERS):
        decoded.clear()
        share = Share(worker, 1, WORKERS)
        parts.append(list(eval_batches(split, **arguments, share=share).as_numpy_iterator()))
        own = sum(len(labels) for _, labels in parts[-1])
        assert len(decoded) == (0 if kind == "arrays" else own)
        turns = eval_batches(split, **arguments, share=Turn(worker, WORKERS)).as_numpy_iterator()
        for found, expected in zip(turns, whole[worker::WORKERS], strict=True):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])
    assert not list(eval_batches(split, **arguments, share=Turn(7, 8)))  # of two batches
    for batch, *own in zip(whole, *parts, strict=True):
        for i in range(2):  # images, labels
            np.testing.assert_array_equal(np.concatenate([part[i] for part in own]), batch[i])


@pytest.mark.parametrize("kind", ["arrays", "files", "records"])
def test_the_shares_of_training_are_the_global_batches(
    kind: str,
    photographs: list[Path],
    tiny_imagenet: tuple[Path, list[Path]],
) -> None:
    split = splits(photographs, tiny_imagenet[0])[kind]
    draws = Draws(split.examples, BATCH, "cifar" if kind == "arrays" else "imagenet", seed=5)

    def stream(count: int, **more: object) -> list:
        batches = train_batches(split, draws, mean=ZERO, image_size=SIZE, first_step=1, **more)
        return list(itertools.islice(batches.as_numpy_iterator(), count))

    whole = stream(5)
    # Two machines with two replicas each, which take their batches in turn.
    first = stream(10, share=Share(0, 2, 4))
    second = stream(10, share=Share(2, 2, 4))
    assert all(len(labels) == BATCH // 4 for _, labels in first + second)
    for step, batch in enumerate(whole):
        own = [*first[2 * step : 2 * step + 2], *second[2 * step : 2 * step + 2]]
        for i in range(2):
            np.testing.assert_array_equal(np.concatenate([part[i] for part in own]), batch[i])


def test_files_of_other_shares_are_not_even_opened(photographs: list[Path], tmp_path: Path) -> None:
    paths = np.array([str(path) for path in photographs[:8]], object)
    paths[[2, 3, 6, 7]] = str(tmp_path / "of the other worker.jpg")
    split = FileSplit(paths, np.arange(8, dtype=np.int32))
    share = Share(0, 1, WORKERS)
    batches = eval_batches(split, batch_size=BATCH, image_size=SIZE, share=share)
    assert [list(labels) for _, labels in batches.as_numpy_iterator()] == [[0, 1], [4, 5]]

"""Processes that share the benchmarked input end together, and say why."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from training.benchmarks import data_workers
from training.data.folder import sample_images

WORKERS, BATCH, BATCHES = 2, 4, 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, encoded in enumerate(sample_images.drawn(BATCH, 32, 3)):
        (tmp_path / f"{i}.jpg").write_bytes(encoded)
    return tmp_path


@pytest.fixture
def repeat(folder: Path) -> Callable[[], float]:
    return data_workers.photographs(str(folder), BATCH, BATCHES, WORKERS)


@pytest.mark.nightly
def test_a_damaged_photograph_is_named(folder: Path, repeat: Callable[[], float]) -> None:
    assert repeat() > 0
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OSError, match=rf"The image {folder}/\d\.jpg is damaged or cut off"):
        sum(repeat() for _ in range(100))  # those that they prefetched are whole
    assert multiprocessing.active_children() == []


@pytest.mark.nightly
def test_a_killed_process_ends_the_others(repeat: Callable[[], float]) -> None:
    multiprocessing.active_children()[0].kill()
    with pytest.raises(OSError, match="A process ended with exit code -9"):
        repeat()
    assert multiprocessing.active_children() == []

"""Mutated weights files load or are refused with a clear error; nothing else ever happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from weight_samples import randomize

from keras_resnet import CifarResNet, weights
from keras_resnet.architectures import cifar_architecture
from keras_resnet.weights import porting

CASES = 170  # of each of the six kinds of files: 1,020 in all
ARCHITECTURE = cifar_architecture(8)


def write_keras(model: keras.Model, path: Path) -> None:
    (model.save_weights if path.name.endswith("weights.h5") else model.save)(path)


def write_torch(model: keras.Model, path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {name: torch.tensor(array) for name, array in porting.to_torchvision(model).items()}
    torch.save(tensors, path, _use_new_zipfile_serialization=path.suffix == ".pth")


WRITERS: dict[str, Callable[[keras.Model, Path], None]] = {
    "net.weights.h5": write_keras,
    "net.keras": write_keras,
    "net.h5": write_keras,
    "net.safetensors": porting.save_safetensors,
    "net.pth": write_torch,  # a zip archive
    "net.th": write_torch,  # the format before
}


def truncate(content: bytearray, rng: random.Random) -> bytearray:
    return content[: rng.randrange(len(content))]


def flip_bits(content: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 4, 16, 64])):
        content[place(content, rng)] ^= 1 << rng.randrange(8)
    return content


def swap_chunks(content: bytearray, rng: random.Random) -> bytearray:
    size = rng.choice([1, 8, 64, 512])
    a, b = place(content, rng, size), place(content, rng, size)
    content[a : a + size], content[b : b + size] = content[b : b + size], content[a : a + size]
    return content


def overwrite(content: bytearray, rng: random.Random) -> bytearray:
    """Extreme lengths and counts."""
    at = place(content, rng, 8)
    content[at : at + 8] = rng.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * 8
    return content


def cut_out(content: bytearray, rng: random.Random) -> bytearray:
    at = place(content, rng, 512)
    del content[at : at + rng.choice([1, 8, 512])]
    return content


def place(content: bytearray, rng: random.Random, size: int = 1) -> int:
    """Anywhere, but every other time near an end, where the formats keep their descriptions."""
    last = len(content) - size
    near = rng.randrange(min(last, 8192))
    return rng.choice([near, last - near, rng.randrange(last), rng.randrange(last)])


MUTATIONS = (truncate, flip_bits, swap_chunks, overwrite, cut_out)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return randomize(CifarResNet(8))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether every bit is the same: files may hold NaN."""
    return one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", WRITERS)
def test_mutated_files_load_or_are_refused(model, name, tmp_path):
    WRITERS[name](model, tmp_path / name)
    original = (tmp_path / name).read_bytes()
    rng = random.Random(name)
    before = model.get_weights()
    refused = 0
    for case in range(CASES):
        mutated = bytearray(original)
        for _ in range(rng.choice([1, 1, 2])):
            mutated = rng.choice(MUTATIONS)(mutated, rng) if len(mutated) > 1024 else mutated
        path = tmp_path / f"{case}-{name}"
        path.write_bytes(mutated)
        try:
            weights.load(model, str(path), ARCHITECTURE)
            before = model.get_weights()
        except (ValueError, OSError) as error:
            refused += 1
            assert path.name in str(error)  # noqa: PT017
            assert all(map(same, model.get_weights(), before))
        path.unlink()
    assert refused > CASES / 4  # the mutations reach what matters


def test_the_unchanged_files_load(model, tmp_path):
    for name, write in WRITERS.items():
        write(model, tmp_path / name)
        weights.load(model, str(tmp_path / name), ARCHITECTURE)

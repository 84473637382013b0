"""The networks of Table 1 for tests of names, shapes and files, without what makes them dear."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import keras
import pytest

import keras_resnet
from keras_resnet import ARCHITECTURES, blocks


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Kernels begin constant: to draw the sixty million numbers of a ResNet-152 takes seconds."""

    def constant(self, shape: tuple[int, ...], dtype: str | None = None):
        return keras.ops.full(shape, 1e-3, dtype)

    with pytest.MonkeyPatch.context() as patch:
        for drawn in (blocks.HeNormal, keras.initializers.VarianceScaling):  # built, and loaded
            patch.setattr(drawn, "__call__", constant)
        yield


@functools.cache
def named_net(name: str) -> keras.Model:
    """A network, built once for all tests; a test that changes it puts the weights back."""
    with undrawn():
        return keras_resnet.ResNet(ARCHITECTURES[name], weights=None)

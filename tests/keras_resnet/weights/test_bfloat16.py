"""Weights of type bfloat16, which NumPy itself does not have, in files and in models."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from weight_samples import cifar_shapes, randomize, state_dict

import keras_resnet
from keras_resnet import CifarResNet


@pytest.fixture(scope="module")
def in_bfloat16() -> keras.Model:
    """A net whose variables, not only its computations, are of bfloat16."""
    keras.config.set_dtype_policy("bfloat16")
    try:
        return randomize(CifarResNet(8))
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("ending", ["weights.h5", "keras", "h5"])
def test_bfloat16_of_keras_is_read(in_bfloat16, ending, tmp_path):
    path = tmp_path / f"net.{ending}"
    (in_bfloat16.save_weights if ending == "weights.h5" else in_bfloat16.save)(path)
    loaded = CifarResNet(8, weights=path)
    for found, written in zip(loaded.get_weights(), in_bfloat16.get_weights(), strict=True):
        np.testing.assert_array_equal(found, written.astype("float32"))


def test_bfloat16_weights_are_copied(in_bfloat16):
    target = keras.models.clone_model(in_bfloat16)
    for source in (in_bfloat16, randomize(CifarResNet(8), seed=1)):
        keras_resnet.copy_weights(source, target)
        for found, given in zip(target.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(found, given.astype(found.dtype))


def test_bfloat16_of_safetensors_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensors = {
        name: torch.tensor(array).to(torch.bfloat16)
        for name, array in state_dict(cifar_shapes(8)).items()
    }
    save_file(tensors, tmp_path / "net.safetensors")
    beta = CifarResNet(8, weights=tmp_path / "net.safetensors").get_layer("conv1_bn").beta
    expected = tensors["bn1.bias"].to(torch.float32).numpy()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(beta), expected)

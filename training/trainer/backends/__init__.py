"""Training on TensorFlow, JAX or PyTorch: the backend that Keras runs on is chosen here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from training.trainer.backends.backend import Backend


def running(strategy: Any = None) -> Backend:
    """Returns the backend that Keras runs on.

    Args:
        strategy: What `strategy` returned, or a `tf.distribute.Strategy`; `None` is this machine's
            first device.
    """
    if keras.backend.backend() == "tensorflow":
        from training.trainer.backends.tensorflow_backend import TensorFlowBackend

        return TensorFlowBackend(strategy)
    from training.trainer.backends.jax_torch_backend import JaxTorchBackend

    return JaxTorchBackend(strategy)


def strategy(name: str) -> Any:
    """Returns the devices to train on, by the name that `--strategy` takes.

    It is a `tf.distribute.Strategy` on TensorFlow, `DataParallel` or `None` on other backends.

    Raises:
        ValueError: If the name is unknown, or the backend has only one device.
    """
    if keras.backend.backend() == "tensorflow":
        from training.trainer.backends import distribution

        return distribution.choose(name)
    from training.trainer.backends import data_parallel

    return data_parallel.choose(name)


def make_deterministic() -> None:
    """Makes a run's bits the same each time on the same machine.

    The backend must not have run anything before.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    elif backend == "torch":
        import torch

        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)

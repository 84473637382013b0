"""Several devices on JAX, as `keras.distribution` divides batches among them."""

from __future__ import annotations

from typing import Any

import keras


class DataParallel(keras.distribution.DataParallel):
    """Divides every batch among this machine's devices, and copies what it cannot divide to each.

    Statistics of batch norm and gradients are those of the whole batch, as on one device.
    """

    @property
    def devices(self) -> int:
        """The number of devices."""
        return int(self.device_mesh.devices.size)

    def get_data_layout(self, data_shape: tuple[int, ...]) -> keras.distribution.TensorLayout:
        if data_shape and data_shape[0] % self.devices == 0:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def choose(name: str) -> DataParallel | None:
    """Returns the devices to train on, or `None` for the first one.

    Args:
        name: `"one"` device; `"mirrored"` over all devices of this machine; `"auto"`: over all
            GPUs or TPUs if there are several, else one device.

    Raises:
        ValueError: If the backend trains on one device only, or there are no others.
    """
    backend = keras.backend.backend()
    if name == "multi_worker" or (name == "mirrored" and backend != "jax"):
        raise ValueError(
            f"strategy {name} is not for {backend}, which trains on one machine"
            f"{'' if backend == 'jax' else ' and one device'}. Start a process per GPU "
            "(CUDA_VISIBLE_DEVICES), or unset KERAS_BACKEND to train on TensorFlow."
        )
    if name == "one" or backend != "jax":
        return None
    import jax

    if name == "auto" and (jax.default_backend() == "cpu" or len(jax.local_devices()) == 1):
        return None
    return DataParallel(devices=keras.distribution.list_devices())


def divided(batch: Any) -> Any:
    """Returns the batch (N, ...), divided among the devices if there are several."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch
    return keras.distribution.distribute_tensor(batch, distribution.get_data_layout(batch.shape))


def evaluation_batch_size(examples: int, at_most: int, devices: int) -> int:
    """Returns a batch size with which either all batches can be divided among devices, or none.

    Keras gives every batch of an evaluation the layout of the first one.
    """
    divisible = examples % devices == 0
    for size in range(min(at_most, examples), 0, -1):
        if (size % devices == 0) == divisible:
            return size
    return at_most

"""One device, several GPUs or several machines behind one name; and what Keras needs for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.scan.scanned_blocks import StackedBatchNorm
from keras_resnet.scan.visitor import batch_norms
from training.data.shares import WHOLE, Share

STRATEGIES = ("auto", "one", "mirrored", "multi_worker")
LOOPS_CANNOT_SYNCHRONIZE = (
    "Several devices cannot take statistics over all their images inside a loop of blocks: set "
    "scan=false, or batch_norm=per_replica."
)


def choose(name: str) -> tf.distribute.Strategy:
    """Returns the strategy of that name. TensorFlow must not have run anything before.

    Args:
        name: `"one"` device; `"mirrored"` over the visible GPUs of this machine; `"multi_worker"`
            over the machines that `TF_CONFIG` or Slurm name; `"auto"`: several machines if either
            names some, else several GPUs if there are, else one device.

    Raises:
        ValueError: If the name is unknown, or nothing names a cluster for `"multi_worker"`.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy is one of {', '.join(STRATEGIES)}; given {name!r}.")
    resolver = _cluster() if name in ("auto", "multi_worker") else None
    if resolver is not None:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    if name == "multi_worker":
        raise ValueError(
            "strategy multi_worker needs a cluster: set TF_CONFIG on every machine, or start with "
            "srun and several tasks. docs/distributed.md shows both."
        )
    # After the cluster, which must be known before TensorFlow looks at its devices.
    if name == "mirrored" or (name == "auto" and len(tf.config.list_logical_devices("GPU")) > 1):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """Returns TF_CONFIG's cluster, else the tasks of the Slurm step, else `None`."""
    if "TF_CONFIG" in os.environ:
        try:
            json.loads(os.environ["TF_CONFIG"])
        except ValueError as error:
            raise ValueError(
                f"TF_CONFIG is not JSON: {error}. docs/distributed.md shows one; unset it to train "
                "on this machine alone."
            ) from error
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return tf.distribute.cluster_resolver.SlurmClusterResolver()
    return None


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process writes the run's files: the first one, or the only one."""
    return worker(strategy) == 0


def worker(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of this process among those that train together, from 0."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return 0
    chiefs = resolver.cluster_spec().as_dict().get("chief", ())
    return int(resolver.task_id) + (0 if resolver.task_type == "chief" else len(chiefs))


def workers(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of processes that train together."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return 1
    return sum(map(len, resolver.cluster_spec().as_dict().values()))


def distributed_input(
    strategy: tf.distribute.Strategy, batches: Callable[[Share], tf.data.Dataset]
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns what `fit` takes. Of several processes each reads and decodes its own share only.

    `tf.data`'s own sharding would let each of them decode every global batch, and drop the rest.

    Args:
        strategy: What trains.
        batches: From the share of a process to its dataset, which has a batch for each of the
            process's replicas in turn.
    """
    if workers(strategy) == 1:
        return batches(WHOLE)

    def own(context: tf.distribute.InputContext) -> tf.data.Dataset:
        total = context.num_replicas_in_sync
        replicas = total // context.num_input_pipelines
        return batches(Share(context.input_pipeline_id * replicas, replicas, total))

    return strategy.distribute_datasets_from_function(own)


def sum_over_workers(strategy: tf.distribute.Strategy, values: np.ndarray) -> np.ndarray:
    """Returns the sum of the float64 arrays that all processes of the run call it with."""
    if workers(strategy) == 1:
        return values
    replicas = strategy.num_replicas_in_sync // workers(strategy)

    def total() -> tf.Tensor:
        parts = strategy.run(lambda: tf.constant(values / replicas, tf.float64))
        return strategy.reduce("SUM", parts, axis=None)

    return np.asarray(tf.function(total)())


class DistributedModel(keras.Model):
    """A functional model whose `fit` and `evaluate` also work under MultiWorkerMirroredStrategy.

    Keras 3's do not (keras issue 20585): the build ahead of the first step is handed a batch of
    per-replica values, and the step's logs, which are scalars, are averaged over an axis that they
    do not have. Both are mended where they arise.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        parts = (self._compile_metrics, self._compile_loss)
        if self._distribute_strategy is None or all(part is None or part.built for part in parts):
            return  # nothing to build: no batch is read for it
        if iterator is not None:
            for _, _, distributed in iterator:
                data_batch = tf.nest.map_structure(self._first_replica, next(distributed))
                break
        super()._maybe_symbolic_build(data_batch=data_batch)

    def _first_replica(self, value: Any) -> Any:
        return self.distribute_strategy.experimental_local_results(value)[0]

    def train_step(self, data: Any) -> Mapping[str, Any]:
        return self._as_vectors(super().train_step(data))

    def test_step(self, data: Any) -> Mapping[str, Any]:
        return self._as_vectors(super().test_step(data))

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Every row, on every worker: each computes all of them by itself.

        Under MultiWorkerMirroredStrategy Keras hands a worker the rows of its own share only.
        """
        if not isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return super().predict(x, *args, **kwargs)
        alone = keras.Model(self.inputs, self.outputs)  # the same weights, outside the strategy
        return alone.predict(x, *args, **kwargs)

    def _as_vectors(self, logs: Mapping[str, Any]) -> Mapping[str, Any]:
        if not isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return logs
        return {name: keras.ops.reshape(value, (1,)) for name, value in logs.items()}


def distributed(model: keras.Model) -> keras.Model:
    """Returns a `DistributedModel` of the same layers and weights; call it in the scope."""
    return DistributedModel(model.inputs, model.outputs, name=model.name)


def synchronize_batch_norm(model: keras.Model) -> None:
    """Lets batch norm take every batch's statistics over all replicas' images.

    Raises:
        ValueError: If blocks run in a loop: TensorFlow's replicas cannot meet inside one.
    """
    for layer in batch_norms(model):
        if isinstance(layer, StackedBatchNorm):
            raise ValueError(LOOPS_CANNOT_SYNCHRONIZE)
        layer.synchronized = True


class AverageMovingStatistics(keras.callbacks.Callback):
    """Sets the moving statistics of all replicas to their mean before each evaluation.

    Each replica updates its own statistics by its own images. Keras leaves them different: an
    evaluation would depend on the replica, and a checkpoint would hold those of the first replica.
    """

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        average_moving_statistics(self.model)


def average_moving_statistics(model: keras.Model) -> None:
    strategy = model.distribute_strategy
    for layer in batch_norms(model):
        for variable in (layer.moving_mean, layer.moving_variance):
            variable.assign(strategy.reduce("MEAN", variable.value, axis=None))


def evaluation_batch_size(examples: int, at_most: int, replicas: int) -> int:
    """Returns a batch size that gives every replica an image: the mean of no images is NaN.

    TensorFlow cuts the last batch of r images into parts of ceil(r / replicas), and the last part
    may come out empty.

    Raises:
        ValueError: If there are fewer images than replicas.
    """
    for size in range(at_most - at_most % replicas, 0, -replicas):
        last = examples % size
        if last == 0 or -(-last // replicas) * (replicas - 1) < last:
            return size
    raise ValueError(
        f"{examples} images cannot be evaluated on {replicas} replicas in batches of at most "
        f"{at_most} without leaving one of them without images: use fewer devices."
    )

"""Training on TensorFlow: tf.data feeds, tf.distribute divides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from training.common import environment
from training.common.errors import WorkerLostError
from training.config.recipes import Recipe
from training.data.batches import eval_batches, train_batches
from training.data.decoding.reading_errors import readable_errors
from training.data.draws import Draws
from training.data.shares import Share, Turn
from training.data.streams.input_wait import InputWait
from training.models import networks
from training.models.fused_batch_norm import with_fused_batch_norm
from training.trainer.backends import distribution
from training.trainer.backends.backend import Backend, Images
from training.trainer.callbacks.history import History
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter
from training.trainer.callbacks.tensorboard_log import TensorBoardLog

if TYPE_CHECKING:
    from training.config.jobs import Job


class TensorFlowBackend(Backend):
    """Training on TensorFlow.

    Args:
        strategy: What to train on; `None` is this machine's first device. The recipe's batch is
            divided among the replicas.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        self.strategy = strategy or tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        self.chief = distribution.is_chief(self.strategy)
        self.workers = distribution.workers(self.strategy)
        self.worker = distribution.worker(self.strategy)
        self.input_wait = InputWait()
        with self.strategy.scope():
            self.builds_metrics = tf.distribute.has_strategy()

    def check(self, job: Job) -> None:
        environment.check_training()
        if job.recipe.batch_size % self.replicas:
            raise ValueError(
                f"batch_size is divided among all replicas: {job.recipe.batch_size} cannot be "
                f"divided by {self.replicas}."
            )
        synchronized = self.replicas > 1 and job.recipe.batch_norm == "synchronized"
        if synchronized and networks.scans(job.architecture, job.recipe):
            raise ValueError(distribution.LOOPS_CANNOT_SYNCHRONIZE)
        if job.recipe.jit and job.recipe.scan:
            raise ValueError("XLA cannot compile a loop of blocks: set scan=false, or jit=false.")

    def versions(self) -> dict[str, str]:
        return {"tensorflow": tf.__version__}

    def accelerators(self) -> list[str]:
        devices = [*tf.config.list_physical_devices("GPU"), *tf.config.list_physical_devices("TPU")]
        details = tf.config.experimental.get_device_details
        return [details(device).get("device_name", device.device_type) for device in devices]

    def scope(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self.strategy.scope()
        return scope

    @contextmanager
    def readable_errors(self, job: Job) -> Iterator[None]:
        try:
            with readable_errors(job.dataset, job.data_dir):
                yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            raise WorkerLostError(
                "Another worker of this run is gone. Start the same command again on every worker: "
                "the run continues from its last checkpoint."
            ) from error

    def model(self, network: keras.Model, recipe: Recipe) -> keras.Model:
        model = distribution.distributed(with_fused_batch_norm(network))
        if self.replicas > 1 and recipe.batch_norm == "synchronized":
            distribution.synchronize_batch_norm(model)
        return model

    def jit_compile(self, recipe: Recipe) -> bool:
        return recipe.jit

    def callbacks(self, recipe: Recipe, history: History) -> list[keras.callbacks.Callback]:
        found: list[keras.callbacks.Callback] = []
        if recipe.batch_norm == "per_replica" and self.replicas > 1:
            found.append(distribution.AverageMovingStatistics())
        if self.chief:
            found.append(TensorBoardLog(history))
        return found

    def training_input(
        self, model: keras.Model, images: Images, job: Job, rate: LearningRateSetter
    ) -> tuple[Any, int]:
        split, size, mean = images
        draws = Draws.of(job.recipe, split.examples, model.output_shape[-1], job.seed)

        def batches(share: Share) -> tf.data.Dataset:
            first = rate.counter.step
            return self.input_wait.timed(
                train_batches(
                    split, draws, mean=mean, first_step=first, image_size=size, share=share
                )
            )

        return distribution.distributed_input(self.strategy, batches), 1

    def validation_input(self, images: Images, at_most: int) -> Any:
        split, size, mean = images
        batch_size = distribution.evaluation_batch_size(split.examples, at_most, self.replicas)

        def batches(share: Share) -> tf.data.Dataset:
            return eval_batches(
                split, batch_size=batch_size, mean=mean, image_size=size, share=share
            )

        return distribution.distributed_input(self.strategy, batches)

    def evaluation_input(self, images: Images, batch_size: int) -> Any:
        split, size, mean = images
        turn = Turn(self.worker, self.workers)
        return eval_batches(split, batch_size=batch_size, mean=mean, image_size=size, share=turn)

    def sum_over_workers(self, values: np.ndarray) -> np.ndarray:
        return distribution.sum_over_workers(self.strategy, values)

    def accuracy(self, model: keras.Model, images: Images, batch_size: int) -> float:
        split, size, mean = images
        share = Share(self.worker, 1, self.workers)
        spans = share.spans(split.examples, batch_size)
        own = int((spans[:, 1] - spans[:, 0]).sum())
        right = 0.0
        if own:
            batches = eval_batches(
                split, batch_size=batch_size, mean=mean, image_size=size, share=share
            )
            right = own * model.evaluate(batches, return_dict=True, verbose=0)["accuracy"]
        return float(self.sum_over_workers(np.array(right))) / split.examples

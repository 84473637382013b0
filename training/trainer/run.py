"""A run as data: everything that its functions need, decided before the first step."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from keras_resnet.architectures import Architecture
from training.config import recipes
from training.config.jobs import Job
from training.config.recipes import Recipe
from training.data import datasets
from training.data.shares import Turn
from training.data.splits import Dataset, Split
from training.models import networks, preprocessing
from training.models.preprocessing import Preprocessing
from training.trainer.backends.backend import Backend, Images
from training.trainer.callbacks.history import Role

CHECKPOINT_STEPS = 500
# Images of an evaluation's batch where the recipe's batches are smaller, as an evaluation keeps
# nothing for a backward pass. ResNet-20's 400 steps of 4 images and 27 evaluations of 460 images
# take 0.8 of the time (two CPU cores, AMD EPYC).
EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Options:
    """Settings that do not change the outcome of a run.

    Args:
        checkpoint_steps: Steps between two checkpoints within an epoch; every epoch's end has one.
        pause_after: Pause after so many epochs of the whole run; a later call continues.
        measure_test: Whether to measure the test error. A search must not choose by it.
        record_gradients: Whether to write the norm of each layer's gradient at every epoch's end
            to `gradients.csv`, on one device.
    """

    checkpoint_steps: int = CHECKPOINT_STEPS
    pause_after: int | None = None
    measure_test: bool = True
    record_gradients: bool = False


@dataclass(frozen=True, eq=False)
class Run:
    """A job with its data, and what follows from both."""

    asked: Job  # as it was given
    job: Job  # with its recipe sized by the data
    dataset: Dataset
    backend: Backend
    options: Options = Options()
    skipped: tuple[str, ...] = ()  # images left out because they cannot be decoded

    @property
    def recipe(self) -> Recipe:
        return self.job.recipe

    @cached_property
    def architecture(self) -> Architecture:
        return preprocessing.starting_version(self.job.architecture, self.job.weights)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        source, convention = self.job.weights, self.job.preprocessing
        if source is None:
            return preprocessing.of_training_images(self.dataset.train)
        shape = networks.image_shape(self.architecture, self.dataset)
        return preprocessing.of_weights(source, self.architecture, convention, shape)

    @property
    def image_size(self) -> int:
        return networks.image_shape(self.architecture, self.dataset)[0]

    def images(self, split: Split) -> Images:
        """Returns a split with the run's preprocessing, as the network in training takes it."""
        return Images(split, self.image_size, self.preprocessing.mean)

    @property
    def evaluated(self) -> Split:
        """The images that every epoch is evaluated on: validation images, else the test images."""
        return self.dataset.validation or self.dataset.test

    @property
    def evaluated_role(self) -> Role:
        """`validation` or `test`: what `evaluated` is."""
        return "validation" if self.dataset.validation is not None else "test"

    @property
    def evaluation_batch(self) -> int:
        """Images of a batch whose error is measured."""
        return max(self.recipe.batch_size, EVALUATION_BATCH)

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch; the rest of the images begins the next one."""
        return max(1, self.dataset.train.examples // self.recipe.batch_size)

    @property
    def total_steps(self) -> int:
        return self.recipe.iterations or (self.recipe.epochs or 0) * self.epoch_steps

    @property
    def top_steps(self) -> int:
        """Steps of the whole epochs in which the top is trained alone."""
        fraction, epochs = self.recipe.top_fraction, self.total_steps // self.epoch_steps
        if fraction in (0, 1) or epochs < 2:
            return self.total_steps if fraction == 1 else 0
        return min(max(1, round(fraction * epochs)), epochs - 1) * self.epoch_steps


def load(job: Job, backend: Backend, options: Options) -> Run:
    """Reads the data, or finds where they lie, and decides what follows from them.

    Raises:
        ValueError: If the job cannot be carried out on these data.
        OSError: If data or weights are missing or cannot be read.
    """
    job.check()
    split_file = None if job.split is None else Path(job.split).expanduser()
    dataset = datasets.load(job.dataset, job.data_dir, split_file=split_file)
    recipe, images = job.recipe, dataset.train.examples
    if dataset.validation is not None:  # its own, in place of held-out ones
        recipe = dataclasses.replace(recipe, held_out=dataset.validation.examples)
        images += dataset.validation.examples
    recipe = recipes.sized(recipe, images)
    backend.check(dataclasses.replace(job, recipe=recipe))  # its batch may be smaller now
    dataset = datasets.hold_out(dataset, int(recipe.held_out), job.seed)
    skipped: list[str] = []
    if job.skip_bad_images:
        from training.data.folder import screening  # TensorFlow's, as all photographs are

        turn = Turn(backend.worker, backend.workers)
        dataset, skipped = screening.screened(dataset, turn, backend.sum_over_workers)
    if dataset.validation is None and recipe.early_stopping is not None:
        raise ValueError(
            f"early_stopping={recipe.early_stopping} needs held-out images, since a run must not "
            f"stop by its test error: set held_out; given held_out={recipe.held_out}."
        )
    if dataset.validation is None and not options.measure_test:
        raise ValueError(
            "Without the test images a run needs others: hold some out of the training images; "
            f"given held_out={recipe.held_out}."
        )
    return Run(
        asked=job,
        job=dataclasses.replace(job, recipe=recipe),
        dataset=dataset,
        skipped=tuple(skipped),
        backend=backend,
        options=options,
    )

"""Changes to the weights after the last step."""

from __future__ import annotations

import keras

from training.models import batch_norm_statistics
from training.trainer.run import Run


def finalize(model: keras.Model, run: Run) -> None:
    """Sets averaged weights, and batch norm's statistics over all training images.

    The recipe's `ema` and `exact_batch_norm` ask for them; averaged weights need new statistics.
    """
    if run.recipe.ema:
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of loss scaling
        optimizer.take_averages(model.trainable_variables)
    if run.recipe.exact_batch_norm or (run.recipe.ema and "batch_norm" not in run.recipe.freeze):
        training = run.images(run.dataset.train)
        batches = run.backend.evaluation_input(training, run.recipe.batch_size)
        batch_norm_statistics.recompute(model, batches, run.backend.sum_over_workers)

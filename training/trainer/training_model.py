"""The compiled model that `fit` trains."""

from __future__ import annotations

import keras
import numpy as np

import keras_resnet
from training.models import networks
from training.models.gradient_checkpointing import rematerialized
from training.trainer import optimizer as optimization
from training.trainer.run import Run


def training_model(run: Run) -> keras.Model:
    """Builds the network, with the weights to start from.

    Returns:
        Mean-subtracted images (N, H, W, C) -> logits (N, classes); not compiled.
    """
    with run.backend.scope():
        scan = networks.scans(run.architecture, run.recipe)
        source = run.job.weights
        preprocessing = None if source is None else run.preprocessing
        network = networks.trainable(run.architecture, run.dataset, scan, preprocessing)
        if source is not None:
            networks.start_from(network, run.architecture, source, run.preprocessing.bgr_weights)
        if run.recipe.rematerialize:
            network = rematerialized(network)
        return run.backend.model(network, run.recipe)


def compiled(run: Run) -> keras.Model:
    """Builds and compiles the model of a run whose layers all train from its first step on."""
    model = training_model(run)
    compile_for(model, run)
    return model


def compile_for(model: keras.Model, run: Run, top_only: bool = False) -> None:
    """Compiles the model, with a new optimizer, for a part of the run.

    Args:
        model: Of `training_model`.
        run: The run.
        top_only: Whether only the top is trained.
    """
    with run.backend.scope():
        if run.job.weights is not None:
            every_stage = len(run.architecture.blocks) + 1  # conv1 is the first
            frozen = [int(name[-1]) for name in run.recipe.freeze if name.startswith("conv")]
            keras_resnet.freeze(
                model,
                stages=every_stage if top_only else max(frozen, default=0),
                batch_norm="batch_norm" in run.recipe.freeze,
            )
        model.compile(
            optimizer=optimization.optimizer(run.recipe),
            loss=optimization.loss(run.recipe, run.dataset),
            metrics=optimization.metrics(run.recipe),
            jit_compile=run.backend.jit_compile(run.recipe),
        )
        # Before the first step is traced, or tracing would create the slots, and be done twice.
        model.optimizer.build(model.trainable_variables)
        if not run.backend.builds_metrics:
            # A checkpoint must find the metrics' variables before the first step; under a strategy
            # `fit` itself makes them.
            build_metrics(model)


def build_metrics(model: keras.Model) -> None:
    """Makes the metrics' variables, as Keras does at their first use: within the first trace of a
    step, which it then traces again."""
    predicted = np.zeros((1, model.output_shape[-1]))
    model.compute_metrics(x=None, y=np.zeros(1), y_pred=predicted)
    model.reset_metrics()

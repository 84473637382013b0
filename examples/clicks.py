"""Click prediction: a user's behaviour, days by categories of goods, as an image.

The process behind the clicks is known, and with it the best that any model can do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

import keras_resnet
from examples import behaviour, common
from examples.behaviour import Impressions
from keras_resnet import Architecture

TRAINING_USERS, TEST_USERS = 24_000, 4000
BATCH_SIZE = 64
LEARNING_RATE = 3e-3  # Adam's, falling to 0 along a cosine
PENALTY = 0.01  # scikit-learn's C; of 0.001, 0.01 and 0.1 the best on users drawn with seed 1
BINS = 10  # of equally many users, in the picture

ARCHITECTURE = Architecture(
    "clicks20",
    stem="cifar",
    block="basic",
    blocks=(3, 3, 3),
    filters=(8, 16, 32),
    shortcut="A",
    stem_filters=8,
)
LINEAR, BEST = "logistic regression", "best attainable"


@dataclass(frozen=True)
class Outcome:
    """A trained net's measures, loss curve, and probabilities of the test users' clicks."""

    numbers: dict[str, float]
    losses: list[float]
    predictions: np.ndarray  # (users,)


def numbers(predictions: np.ndarray, test: Impressions, seconds: float) -> dict[str, float]:
    """The measures of predicted probabilities (users,)."""
    return {
        "test AUC": float(roc_auc_score(test.clicks, predictions)),
        "test log loss": float(log_loss(test.clicks, predictions.astype("float64"))),
        "seconds": seconds,
    }


def train(
    architecture: Architecture, training: Impressions, test: Impressions, seed: int, steps: int
) -> Outcome:
    model = keras_resnet.ResNet(
        architecture,
        input_shape=training.matrices.shape[1:],
        classes=1,
        classifier_activation="sigmoid",
    )
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, decay_steps=steps)
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy")
    clicks = training.clicks[:, None].astype("float32")  # (N, 1), as the net answers
    batches = common.batches(training.matrices, clicks, BATCH_SIZE, seed)
    with common.Stopwatch() as watch:
        losses = common.fit(model, batches, steps, architecture.name)
    predictions = model.predict(test.matrices, batch_size=256, verbose=0)[:, 0]
    return Outcome(numbers(predictions, test, watch.seconds), losses, predictions)


def train_linear(training: Impressions, test: Impressions) -> np.ndarray:
    """The usual baseline's probabilities, from every count of the same matrices."""
    model = LogisticRegression(C=PENALTY, solver="newton-cholesky")
    model.fit(_cells(training), training.clicks)
    return model.predict_proba(_cells(test))[:, 1]


def _cells(impressions: Impressions) -> np.ndarray:
    """The counts, without the ramp, which is every user's: (users, cells)."""
    return impressions.matrices[..., :3].reshape(len(impressions.matrices), -1)


def draw(outcomes: dict[str, Outcome], linear: np.ndarray, test: Impressions, steps: int) -> Figure:
    """A user's matrix, the losses, and predictions beside the true probabilities."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_user(left, test)
    common.draw_losses(middle, {net: outcome.losses for net, outcome in outcomes.items()}, steps)
    models = {net: outcome.predictions for net, outcome in outcomes.items()} | {LINEAR: linear}
    colours = common.NET_COLOURS | {LINEAR: "#c8a415"}
    order = np.array_split(np.argsort(test.probabilities), BINS)
    true = [test.probabilities[users].mean() for users in order]
    for name, predictions in models.items():
        means = [predictions[users].mean() for users in order]
        right.plot(true, means, "o-", color=colours[name], label=name, markersize=4)
    right.plot([0, 1], [0, 1], ":", color="gray", label=BEST)
    right.set(
        title="tenths of the users, by true probability",
        xlabel="true probability of a click",
        ylabel="predicted, mean",
    )
    right.grid(alpha=0.25)
    right.legend(fontsize=8)
    return figure


def _draw_user(axes: Axes, test: Impressions) -> None:
    """The user with the most baskets: views as shades, baskets and purchases as marks."""
    user = int(test.matrices[..., 1].sum(axis=(1, 2)).argmax())
    views, baskets, purchases = np.moveaxis(test.matrices[user, ..., :3], -1, 0)
    axes.imshow(views.T, cmap="Greys", aspect="auto", origin="lower")
    for marks, marker, colour in ((baskets, "o", "#2a9d8f"), (purchases, "x", "#d1495b")):
        days, categories = np.nonzero(marks)
        label = "basket" if marker == "o" else "purchase"
        axes.scatter(days, categories, marker=marker, s=30, color=colour, label=label)
    axes.axhline(behaviour.OFFERED, color="#3a6ea5", linewidth=0.8, label="offered")
    chance = test.probabilities[user]
    axes.set(title=f"views of one user, clicks with {chance:.2f}", xlabel="day", ylabel="category")
    axes.legend(fontsize=7, loc="upper left")


def run(options: argparse.Namespace) -> None:
    training = behaviour.draw(TRAINING_USERS, seed=0)
    test = behaviour.draw(TEST_USERS, seed=2)
    outcomes = common.compare(
        lambda architecture, seed: train(architecture, training, test, seed, options.steps),
        common.twins(ARCHITECTURE),
        options.seeds,
    )
    table = {net: [outcome.numbers for outcome in runs] for net, runs in outcomes.items()}
    with common.Stopwatch() as watch:
        linear = train_linear(training, test)
    table[LINEAR] = [numbers(linear, test, watch.seconds)]
    table[BEST] = [numbers(test.probabilities, test, 0.0)]
    first = {net: runs[0] for net, runs in outcomes.items()}
    title = (
        f"Clicks of {TEST_USERS} users; {TRAINING_USERS} to train on, {ARCHITECTURE.depth} layers"
    )
    common.finish(options, title, table, draw(first, linear, test, options.steps))


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main(
        "clicks",
        "Predicts clicks from users' behaviour, by a residual net, its plain twin and a logistic "
        "regression, beside the best attainable: the process that clicks is known.",
        steps=800,
        run=run,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())

"""Click prediction: a user's behaviour, days by categories of goods, as an image.

The process that generates the clicks is known, and so is the best that any model can reach.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

import keras_resnet
from examples import behaviour, common
from examples.behaviour import Impressions
from keras_resnet import Architecture
from training.common.figures import GREY, finish_axes

TRAINING_USERS, TEST_USERS = 24_000, 4000
BATCH_SIZE = 64
LEARNING_RATE = 3e-3  # Adam's, falling to 0 along a cosine
PENALTY = 0.01  # scikit-learn's C; the best of 0.001, 0.01 and 0.1 on users drawn with seed 1
BINS = 10  # in the figure, of equally many users

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
    """Measures predicted probabilities (users,)."""
    return {
        "test AUC": float(roc_auc_score(test.clicks, predictions)),
        "test log loss": float(log_loss(test.clicks, predictions.astype("float64"))),
        "seconds": seconds,
    }


def train(
    architecture: Architecture, training: Impressions, test: Impressions, seed: int, steps: int
) -> Outcome:
    """Trains a net and measures it on the test users."""
    model = keras_resnet.ResNet(
        architecture,
        input_shape=training.matrices.shape[1:],
        classes=1,
        classifier_activation="sigmoid",
    )
    model.compile(common.adam(LEARNING_RATE, steps), loss="binary_crossentropy")
    clicks = training.clicks[:, None].astype("float32")  # (N, 1), the shape of the net's output
    batches = common.batches(training.matrices, clicks, BATCH_SIZE, seed)
    with common.Stopwatch() as watch:
        losses = common.fit(model, batches, steps, architecture.name)
    predictions = model.predict(test.matrices, batch_size=256, verbose=0)[:, 0]
    return Outcome(numbers(predictions, test, watch.seconds), losses, predictions)


def train_linear(training: Impressions, test: Impressions) -> np.ndarray:
    """Returns the probabilities of the usual baseline, from every count of the same matrices."""
    model = LogisticRegression(C=PENALTY, solver="newton-cholesky")
    model.fit(_cells(training), training.clicks)
    return model.predict_proba(_cells(test))[:, 1]


def _cells(impressions: Impressions) -> np.ndarray:
    """Returns the counts, without the ramp, which is the same for every user: (users, cells)."""
    return impressions.matrices[..., :3].reshape(len(impressions.matrices), -1)


def draw(
    outcomes: Mapping[str, Outcome], linear: np.ndarray, test: Impressions, steps: int
) -> Figure:
    """Draws a user's matrix, the losses, and predictions beside the true probabilities."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_user(left, test)
    common.draw_losses(middle, {net: outcome.losses for net, outcome in outcomes.items()}, steps)
    models = {net: outcome.predictions for net, outcome in outcomes.items()} | {LINEAR: linear}
    colours = common.COLOURS | {LINEAR: GREY}
    order = np.array_split(np.argsort(test.probabilities), BINS)
    true = [test.probabilities[users].mean() for users in order]
    for name, predictions in models.items():
        means = [predictions[users].mean() for users in order]
        right.plot(true, means, "o-", color=colours[name], label=name, markersize=4)
    right.plot([0, 1], [0, 1], ":", color="black", label=BEST)
    labels = {"xlabel": "true probability of a click", "ylabel": "mean prediction"}
    finish_axes(right, title="tenths of the users, by true probability", **labels)
    return figure


def _draw_user(axes: Axes, test: Impressions) -> None:
    """Draws the user with the most baskets: views as shades, baskets and purchases as marks."""
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
    comparison = common.compare(
        lambda architecture, seed: train(architecture, training, test, seed, options.steps),
        common.twins(ARCHITECTURE),
        options.seeds,
    )
    with common.Stopwatch() as watch:
        linear = train_linear(training, test)
    table = comparison.numbers | {
        LINEAR: [numbers(linear, test, watch.seconds)],
        BEST: [numbers(test.probabilities, test, 0.0)],
    }
    title = (
        f"Clicks of {TEST_USERS} users; {TRAINING_USERS} to train on, {ARCHITECTURE.depth} layers"
    )
    figure = draw(comparison.first, linear, test, options.steps)
    common.finish(options, title, table, figure)


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main(
        "clicks",
        "Predict clicks from users' behaviour, by a residual net, its plain twin and a logistic "
        "regression, beside the best possible prediction, which is known for generated users.",
        steps=800,
        run=run,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())

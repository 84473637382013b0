"""The command line, the runs, the table, the figure and the result of every example."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import keras
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_resnet import Architecture
from training.cli import HelpFormatter
from training.common import figures, machine, numeric, tables
from training.common.errors import DivergedError, exit_code
from training.common.files import write_json
from training.common.progress_bars import ProgressBar

FIGURE = "figure.png"
RESULT = "result.json"
POINTS = 20  # of a loss curve
COLOURS = figures.net_colours(["residual", "plain"])
EXIT_CODES = (
    "exit codes: 0 done; 1 cannot be done, and the message says why; 2 wrong arguments; 3 the loss "
    "became NaN; 130 interrupted by Ctrl-C"
)


class HasNumbers(Protocol):
    """The outcome of one run."""

    @property
    def numbers(self) -> dict[str, float]:
        """Measures by name with the unit, such as `"error, %"`."""


Outcome = TypeVar("Outcome", bound=HasNumbers)


@dataclass(frozen=True)
class Comparison(Generic[Outcome]):
    """The outcomes of every net, one for each seed."""

    outcomes: dict[str, list[Outcome]]

    @property
    def numbers(self) -> dict[str, list[dict[str, float]]]:
        """The measures of every net, one dictionary for each seed."""
        return {net: [one.numbers for one in runs] for net, runs in self.outcomes.items()}

    @property
    def first(self) -> dict[str, Outcome]:
        """The outcome of every net with the first seed, which figures show."""
        return {net: runs[0] for net, runs in self.outcomes.items()}


def main(
    name: str,
    summary: str,
    steps: int,
    run: Callable[[argparse.Namespace], None],
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs the command line of one example and returns the process's exit code.

    Args:
        name: The example's module, such as `"detection"`.
        summary: The description in `--help`.
        steps: The default of `--steps`.
        run: Does the work, by the options `steps`, `seeds`, `out` and what `add_arguments` added;
            `out` is an existing directory without a result.
        add_arguments: Adds the example's own arguments.
        arguments: The command line's; by default the process's.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m examples.{name}",
        description=summary,
        epilog=EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--steps", type=numeric.positive, default=steps, help="train each net for this many steps"
    )
    parser.add_argument(
        "--seed",
        type=numeric.seed,
        nargs="+",
        action=numeric.Distinct,
        default=[0],
        dest="seeds",
        help="train each net once with each seed",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/examples") / name,
        metavar="DIR",
        help=f"write {FIGURE} and {RESULT} into this directory; an earlier result is not replaced",
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)

    def checked_run() -> None:
        if (options.out / RESULT).exists():
            raise FileExistsError(f"{options.out / RESULT} exists: remove it or change --out.")
        options.out.mkdir(parents=True, exist_ok=True)
        run(options)

    return exit_code(f"examples.{name}", checked_run)


def twins(residual: Architecture) -> dict[str, Architecture]:
    """Returns a residual net and its plain twin: the same layers without the shortcuts."""
    plain = replace(residual, name=f"{residual.name}_plain", shortcut=None)
    return {"residual": residual, "plain": plain}


def compare(
    run: Callable[[Architecture, int], Outcome],
    nets: Mapping[str, Architecture],
    seeds: Sequence[int],
) -> Comparison[Outcome]:
    """Calls `run(architecture, seed)` for every net with every seed.

    Seeds all random numbers with `seed` before each run.
    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in nets}
    for seed in seeds:
        for name, architecture in nets.items():
            keras.backend.clear_session()
            keras.utils.set_random_seed(seed)
            outcomes[name].append(run(architecture, seed))
    return Comparison(outcomes)


def adam(rate: float, steps: int) -> keras.optimizers.Optimizer:
    """Returns Adam with a rate that falls to 0 along a cosine in so many steps."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, decay_steps=steps))


def fit(
    model: keras.Model,
    batches: Any,
    steps: int,
    title: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[float]:
    """Trains with a progress bar; returns the mean loss of each twentieth of the steps.

    Args:
        model: A compiled model.
        batches: Endless input of `fit`: a repeated `tf.data.Dataset` or a generator.
        steps: Gradient steps, rounded down to a multiple of `POINTS` if there are more.
        title: The text of the progress bar.
        callbacks: Further callbacks; an epoch of theirs is a twentieth of the steps.

    Raises:
        DivergedError: If the loss is no longer a number.
    """
    points = min(POINTS, steps)
    if model.built:  # else TensorFlow traces the first step twice: once to create the variables
        model.optimizer.build(model.trainable_variables)
    with ProgressBar(title, steps // points * points) as bar:
        history = model.fit(
            batches,
            epochs=points,
            steps_per_epoch=steps // points,
            shuffle=False,
            verbose=0,
            callbacks=[_Loss(bar), *callbacks],
        )
    return [float(loss) for loss in history.history["loss"]]


class _Loss(keras.callbacks.Callback):
    """Shows the loss in a progress bar, and ends the training when it is no number."""

    def __init__(self, bar: ProgressBar) -> None:
        super().__init__()
        self.bar = bar

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise DivergedError(f"The loss became {loss}; try another --seed.")
        self.bar.advance(note=f"loss {loss:.3f}")


def batches(
    inputs: np.ndarray, labels: np.ndarray, size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields endless batches for `fit`, of rows drawn with replacement."""
    generator = np.random.default_rng(seed)
    while True:
        rows = generator.integers(len(labels), size=size)
        yield inputs[rows], labels[rows]


def draw_losses(
    axes: Axes, losses: Mapping[str, Sequence[float]], steps: int, **properties: Any
) -> None:
    """Draws what `fit` returned for each net, over the steps."""
    for net, values in losses.items():
        ends = np.linspace(steps / len(values), steps, len(values))
        marker = "o" if len(values) == 1 else ""  # a line of one point could not be seen
        axes.plot(ends, values, marker=marker, color=COLOURS[net], label=net)
    labels = {"title": "training", "xlabel": "step", "ylabel": "loss"}
    figures.finish_axes(axes, **({**labels, "ylim": (0, None)} | properties))


class Stopwatch:
    """Measures the seconds of a block: `with Stopwatch() as watch: ...`, then `watch.seconds`."""

    seconds = math.nan

    def __enter__(self) -> Stopwatch:
        self.began = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.monotonic() - self.began


def finish(
    options: argparse.Namespace,
    title: str,
    numbers: Mapping[str, Sequence[Mapping[str, float]]],
    figure: Figure,
) -> None:
    """Prints the table; writes the figure and, last, the result into `options.out`.

    Args:
        options: The arguments that `main` read.
        title: Of the table.
        numbers: {net: for each seed its measures by name, as `HasNumbers` has them}.
        figure: The figure.
    """
    measures = list(next(iter(numbers.values()))[0])
    rows = [
        (measure, *(_cell([row[measure] for row in runs]) for runs in numbers.values()))
        for measure in measures
    ]
    tables.show(("", *numbers), rows, title=title)
    figures.save(figure, options.out / FIGURE)
    given = {key: value for key, value in vars(options).items() if key != "out"}
    accelerators = [device.name for device in tf.config.list_physical_devices("GPU")]
    write_json(
        options.out / RESULT,
        {
            "title": title,
            "options": {k: str(v) if isinstance(v, Path) else v for k, v in given.items()},
            "results": {net: [dict(row) for row in runs] for net, runs in numbers.items()},
            "finished": machine.now(),
            "hardware": machine.hardware(accelerators),
        },
    )
    print(f"figure: {options.out / FIGURE}")
    print(f"numbers: {options.out / RESULT}")


def _cell(values: Sequence[float]) -> str:
    """Returns `8.92`, or `8.92 ± 0.41` (mean and sample standard deviation) of several."""
    mean = f"{statistics.mean(values):.3g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"

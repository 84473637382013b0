"""What every example shares: its arguments, a run of each twin, the table, the files it leaves."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from keras_resnet import Architecture
from training.cli import HelpFormatter
from training.common import figures, machine
from training.common.errors import DivergedError, RunError
from training.common.files import write_json
from training.common.progress_bars import ProgressBar

Outcome = TypeVar("Outcome")

FIGURE = "figure.png"
RESULT = "result.json"
ROWS = 20  # points of a loss curve
NET_COLOURS = {"residual": "#3a6ea5", "plain": "#d1495b"}
EXIT_CODES = "exit codes: 0 done; 1 cannot be done, the message says why; 2 wrong arguments; 3 NaN"


def main(
    name: str,
    summary: str,
    steps: int,
    run: Callable[[argparse.Namespace], None],
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    arguments: Sequence[str] | None = None,
) -> int:
    """The command line of one example; the process's exit code.

    Args:
        name: The example's module, such as `"detection"`.
        summary: What `--help` says of it.
        steps: The default of `--steps`.
        run: Does the work; gets `steps`, `seeds`, `out` and what `add_arguments` added. `out` is an
            existing directory without a result.
        add_arguments: Adds the example's own arguments.
        arguments: Of the command line. Default: the process's.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m examples.{name}",
        description=summary,
        epilog=EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--steps", type=_positive, default=steps, help="training steps of each net")
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[0], dest="seeds", help="a run of each net per seed"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/examples") / name,
        metavar="DIR",
        help=f"where {FIGURE} and {RESULT} go; an earlier result is not replaced",
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        if (options.out / RESULT).exists():
            raise FileExistsError(f"{options.out / RESULT} exists: remove it or change --out.")
        options.out.mkdir(parents=True, exist_ok=True)
        run(options)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except RunError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1; given {text}")
    return number


def twins(residual: Architecture) -> dict[str, Architecture]:
    """A net and its plain twin: the same layers without the shortcuts."""
    plain = replace(residual, name=f"{residual.name}_plain", shortcut=None)
    return {"residual": residual, "plain": plain}


def compare(
    run: Callable[[Architecture, int], Outcome],
    nets: Mapping[str, Architecture],
    seeds: Sequence[int],
) -> dict[str, list[Outcome]]:
    """`run(architecture, seed)` for every net with every seed: {net: an outcome per seed}.

    Random numbers start anew, from `seed`, before each run.
    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in nets}
    for seed in seeds:
        for name, architecture in nets.items():
            keras.backend.clear_session()
            keras.utils.set_random_seed(seed)
            outcomes[name].append(run(architecture, seed))
    return outcomes


def fit(
    model: keras.Model,
    batches: Any,
    steps: int,
    title: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[float]:
    """Trains for `steps` steps with a progress bar; the mean loss of each twentieth of them.

    Args:
        model: A compiled model.
        batches: What `fit` takes, without end: a repeated `tf.data.Dataset` or a generator.
        steps: Gradient steps; rounded down to a multiple of the points, when there are more.
        title: What the progress bar says.
        callbacks: Further ones; an epoch is from one of the points to the next.

    Raises:
        DivergedError: If the loss is no longer a number.
    """
    rows = min(ROWS, steps)
    history = model.fit(
        batches,
        epochs=rows,
        steps_per_epoch=steps // rows,
        shuffle=False,
        verbose=0,
        callbacks=[_Bar(steps // rows * rows, title), _NoNaN(), *callbacks],
    )
    return [float(loss) for loss in history.history["loss"]]


def batches(
    inputs: np.ndarray, labels: np.ndarray, size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches without end for `fit`, of rows drawn with replacement."""
    generator = np.random.default_rng(seed)
    while True:
        rows = generator.integers(len(labels), size=size)
        yield inputs[rows], labels[rows]


def draw_losses(axes: Axes, losses: Mapping[str, Sequence[float]], steps: int) -> None:
    """Draws what `fit` returned for each net, over the steps."""
    for net, values in losses.items():
        ends = [steps * (point + 1) / len(values) for point in range(len(values))]
        axes.plot(ends, values, color=NET_COLOURS[net], label=net)
    axes.set(title="training", xlabel="step", ylabel="loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


class _NoNaN(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise DivergedError(f"The loss became {loss}; try another --seed.")


class _Bar(keras.callbacks.Callback):
    """On a terminal; nothing where the output is a file."""

    def __init__(self, steps: int, title: str) -> None:
        super().__init__()
        self.bar = ProgressBar(title, steps)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.__enter__()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.__exit__()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.advance(note=f"loss {(logs or {})['loss']:.3f}")


class Stopwatch:
    """`with Stopwatch() as watch: ...`, then `watch.seconds`."""

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
    """Prints the table; leaves the figure and, last, the result in `options.out`.

    Args:
        options: What `main` gave.
        title: Of the table.
        numbers: {net: for each seed its measures by name, unit included, such as `"error, %"`}.
        figure: What to look at.
    """
    table = Table(title=title)
    table.add_column("")
    for net in numbers:
        table.add_column(net, justify="right")
    for measure in next(iter(numbers.values()))[0]:
        cells = [_cell([row[measure] for row in rows]) for rows in numbers.values()]
        table.add_row(measure, *cells)
    Console().print(table)

    figures.save(figure, options.out / FIGURE)
    given = {key: value for key, value in vars(options).items() if key != "out"}
    accelerators = [device.name for device in tf.config.list_physical_devices("GPU")]
    write_json(
        options.out / RESULT,
        {
            "title": title,
            "options": {k: str(v) if isinstance(v, Path) else v for k, v in given.items()},
            "results": {net: [dict(row) for row in rows] for net, rows in numbers.items()},
            "finished": machine.now(),
            "hardware": machine.hardware(accelerators),
        },
    )
    print(f"figure: {options.out / FIGURE}")
    print(f"numbers: {options.out / RESULT}")


def _cell(values: Sequence[float]) -> str:
    """`8.92`, or `8.92 ± 0.41` (mean and sample standard deviation) of several."""
    mean = f"{statistics.mean(values):.3g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"

"""`python -m training COMMAND`: lists the commands and runs one.

Help is shown without TensorFlow and Keras, whose import takes seconds: a command's module declares
its arguments with light imports, and its `run` imports the rest.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import platform
import sys

from training.common import machine
from training.common.errors import exit_code
from training.common.keras_import import import_keras, import_tensorflow

# Each command is a module of training.commands, with its line in `python -m training`.
COMMANDS = {
    "demo": "train shallow and deep networks, plain and residual, on digits, and compare them",
    "train": "train one network on one data set",
    "arrays": "write a small data set as .npz files, for machines without TensorFlow",
    "evaluate": "measure the error of a network, or of several together, by the paper's protocols",
    "inspect": "draw a network's layer responses, gradients, Grad-CAM or nearest images",
    "export": "write a trained model as a SavedModel for TF Serving and other runtimes",
    "serve": "answer requests for the exported models",
    "predict": "name the most probable classes of image files",
    "batching": "measure a served model, and set how its requests are batched",
    "promote": "move a served model's label, such as `stable`, to another version",
    "rollback": "move a served model's label back to the version that had it before",
    "benchmark": "measure the speed beside other implementations",
    "reproduce": "make a table or figure of the paper: train what is missing, compare, report",
    "release": "turn a finished CIFAR-10 run into weights that come with the package",
    "tune": "search over shortcuts and training settings with keras-tuner",
    "devices": "print what each installed backend can compute on, and what a GPU still needs",
    "networks": "print every network's parameters and multiply-adds beside the paper's",
}
WITHOUT_KERAS = frozenset({"devices", "promote", "rollback"})
# These read or write SavedModels, which are TensorFlow's; a .keras file opens on every backend.
ON_TENSORFLOW = frozenset({"batching", "demo", "export", "serve"})
# These need TensorFlow on every backend: to read images, and for keras-tuner.
WITH_TENSORFLOW = frozenset({"evaluate", "inspect", "predict", "tune"})
EXIT_CODES = """exit codes: 0 done; 1 cannot be done, and the message says why; 2 wrong arguments;
3 the loss became NaN; 75 stopped by SIGTERM with everything saved: run the same command again to
continue; 130 interrupted by Ctrl-C"""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults, except those that mean "not given"."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if default is None or default is False or default == []:
            return action.help
        if isinstance(default, list):  # as it is typed
            return f"{action.help} (default: {' '.join(map(str, default))})"
        return super()._get_help_string(action)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code; argparse exits by itself with 0 or 2."""
    given = sys.argv[1:] if arguments is None else arguments
    return exit_code(" ".join(("training", *given[:1])), lambda: _run(given))


def _run(given: list[str]) -> None:
    commands = command_parser(given)
    if not given:
        commands.print_help()
        return
    options = commands.parse_args(given)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("absl", "jax", "tensorflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if options.command in ON_TENSORFLOW:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    if options.command not in WITHOUT_KERAS:
        import_keras()
    if options.command in WITH_TENSORFLOW:
        import_tensorflow()
    options.run(options)


def command_parser(given: list[str]) -> argparse.ArgumentParser:
    """The parser of all commands; only the given command's module is imported."""
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Deep residual networks: training, evaluation, export.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=False)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=EXIT_CODES,
            formatter_class=HelpFormatter,
        )
        if name in given[:1]:
            module = importlib.import_module(f"training.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def version() -> str:
    """The versions that a report of a fault names, of this package and of what it runs on."""
    packages = ("keras-residual-networks", "keras", "tensorflow", "jax", "torch")
    versions = {name: machine.package_version(name) for name in packages}
    found = [f"{name} {version}" for name, version in versions.items() if version]
    return ", ".join((*found, f"Python {platform.python_version()}"))

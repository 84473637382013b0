"""`python -m training <command>`: lists the commands, runs one."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import types

from training.common.errors import exit_code

# command: module in training.commands, and what `python -m training` says of it
COMMANDS = {
    "demo": "train shallow and deep nets, plain and residual, on digits; compare them",
    "train": "train one network on one data set",
    "arrays": "write a small data set as .npz files, for machines without TensorFlow",
    "evaluate": "measure the error of one net, or several together, by the paper's protocols",
    "look": "draw what goes on in a net: responses, gradients, Grad-CAM, nearest images",
    "export": "write a trained model as a SavedModel for TF Serving",
    "serve": "answer requests for the exported models",
    "predict": "ask a server what is on images",
    "batching": "measure a served model, and write how requests are to be put together",
    "promote": "give a served model's label, `stable`, to another version",
    "rollback": "give the label back to the version that had it before",
    "benchmark": "measure speed beside what users would pick instead",
    "reproduce": "make a table or figure of the paper: train what is missing, compare, report",
    "release": "turn a finished CIFAR-10 run into weights that come with the package",
    "tune": "search over shortcuts and what surrounds them, with keras-tuner",
    "networks": "print every network's parameters and multiply-adds beside the paper's",
}
EXIT_CODES = """exit codes: 0 done; 1 cannot be done, the message says why; 2 wrong arguments;
3 the loss became NaN; 75 stopped by SIGTERM with everything saved: run the same command again"""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return (
            action.help if action.default in (None, [], False) else super()._get_help_string(action)
        )


def import_quietly(name: str) -> types.ModuleType:
    """Imports a command, and TensorFlow where Keras runs on it, whose notes about absent GPUs no
    log level silences.

    Raises:
        OSError: If a package that the command needs is not installed.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            if importlib.import_module("keras").backend.backend() == "tensorflow":
                importlib.import_module("tensorflow").config.list_physical_devices()
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise OSError(
            f"{error.name} is not installed, and this needs it. `train` runs on other backends "
            "too: KERAS_BACKEND=jax or torch chooses one."
        ) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Deep residual networks: training, evaluation, export.",
        epilog=EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=False)
    given = sys.argv[1:] if arguments is None else arguments
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=HelpFormatter,
        )
        if given[:1] == [name]:  # the others' modules need not be imported
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            try:
                module = import_quietly(f"training.commands.{name}")
            except OSError as error:
                print(f"python -m training {name}: {error}", file=sys.stderr)
                return 1
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    if not given:
        parser.print_help()
        return 0
    options = parser.parse_args(given)

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("absl", "jax", "tensorflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return exit_code(options.command, lambda: options.run(options))

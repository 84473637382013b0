"""The options that several commands share, each declared once, and what they stand for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.common.errors import UsageError, arguments
from training.common.numeric import positive
from training.config import catalogue, recipes

if TYPE_CHECKING:
    from training.data.splits import Dataset
    from training.models.trained_model import TrainedModel

# The names of `keras_resnet.preprocessing.CONVENTIONS`, whose import would bring Keras along; a
# test holds them equal.
CONVENTIONS = ("caffe", "torch", "cifar10")

RECIPES = f"{', '.join(recipes.RECIPES)}, or a JSON file of recipe fields"
SOURCES = "; ".join(f"{name}: {facts.source}" for name, facts in catalogue.DATASETS.items())

STRATEGIES = {
    "auto": "use every device that there is",
    "one": "use one device",
    "mirrored": "use all GPUs of this machine",
    "multi_worker": "use the machines that TF_CONFIG or Slurm names",
}

Parser = argparse.ArgumentParser | argparse._ArgumentGroup


def add_dataset(parser: Parser, help: str, default: str | None = None) -> None:
    """`--dataset` and `--data-dir`, as `datasets.load` takes them."""
    parser.add_argument("--dataset", choices=catalogue.NAMES, default=default, help=help)
    add_data_dir(parser, "; with --dataset folder, the directory of the class folders")


def add_data_dir(parser: Parser, more: str = "") -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the data set's directory (default: the environment variable TFDS_DATA_DIR, else "
        f"TensorFlow Datasets' own directory){more}",
    )


def add_split(
    parser: Parser, beside: str = "the split.csv beside --model if it is of this folder, else "
) -> None:
    parser.add_argument(
        "--split",
        metavar="FILE",
        help="with --dataset folder: a CSV file with the columns file, class and role (train, "
        "validation, test), such as a run's split.csv "
        f"(default: {beside}the folder's own division)",
    )


def load_dataset(options: argparse.Namespace) -> Dataset:
    """The data set that `--dataset`, `--data-dir` and, where there is one, `--split` name.

    A folder whose images a model's run has divided is divided as there.

    Raises:
        UsageError: If a folder's directory is not given.
        OSError: If the data are missing or unreadable.
    """
    from training.data import datasets
    from training.evaluation import recorded_split

    if options.dataset != "folder":
        return datasets.load(options.dataset, options.data_dir)
    if options.data_dir is None:
        raise UsageError("--dataset folder needs --data-dir, the directory of its class folders.")
    split = getattr(options, "split", None)
    if split is None:
        split = recorded_split.of_runs(model_files(options), Path(options.data_dir).expanduser())
        if split is not None:
            print(f"the images are divided as in {split}", file=sys.stderr)
    file = None if split is None else Path(split).expanduser()
    return datasets.load("folder", options.data_dir, split_file=file)


def model_files(options: argparse.Namespace) -> list[Path]:
    """The files that `--model` gives, whether the command takes one or several."""
    given = getattr(options, "model", None) or []
    return [given] if isinstance(given, Path) else given


def add_recipe(parser: Parser, help: str) -> None:
    """`--recipe` and `--set`."""
    parser.add_argument("--recipe", metavar="NAME|FILE", help=help)
    add_overrides(parser)


def add_overrides(parser: Parser) -> None:
    """`--set KEY=VALUE`, as `recipes.override` takes them."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change a recipe field, such as --set epochs=3; may be given several times",
    )


def add_nets(parser: argparse.ArgumentParser, several: str | None) -> None:
    """Which trained nets, as `load_nets` reads them.

    Args:
        parser: The command's.
        several: What the command does with several nets; `None`: `--model` takes one file.
    """
    group = parser.add_argument_group("nets" if several else "net")
    more: dict[str, Any] = {"nargs": "+", "default": []} if several else {}
    group.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help=f"a .keras file, such as a run's model.keras{f'; {several}' if several else ''}",
        **more,
    )
    group.add_argument("--network", help="instead of --model: a network, with --weights")
    group.add_argument(
        "--weights", metavar="NAME|FILE", help="weights for --network: a published name, or a file"
    )
    add_input_options(group)


def add_input_options(group: Parser) -> None:
    """Adds facts that a model file may lack: preprocessing, image size, class names."""
    add_preprocessing(group)
    group.add_argument(
        "--image-size",
        type=positive,
        metavar="PIXELS",
        help="the side of the images for a model that takes any size",
    )
    group.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="a text file of class names, one per line, for a model that has none",
    )


def add_preprocessing(group: Parser) -> None:
    group.add_argument(
        "--preprocessing",
        choices=CONVENTIONS,
        help="the preprocessing that a weights file or model needs; published weights and models "
        "of `train` know theirs",
    )


def load_nets(options: argparse.Namespace) -> list[TrainedModel]:
    """The nets that `add_nets` asked for.

    Raises:
        UsageError: If neither files nor a network with weights are given, or both.
        ValueError: If the nets' classes differ, or a file is damaged.
        OSError: If a file cannot be read.
    """
    files = model_files(options)
    if bool(files) == bool(options.network or options.weights):
        raise UsageError("Give --model FILE.keras, or --network NAME with --weights NAME|FILE.")
    if bool(options.network) != bool(options.weights):
        raise UsageError("--network and --weights go together.")
    if options.image_size is not None and not files:
        raise UsageError("--image-size is for --model.")

    from keras_resnet import architectures
    from training.models import model_files as nets
    from training.models import trained_model
    from training.models.preprocessing import convention_of

    if options.network:
        with arguments():
            architecture = architectures.get(options.network)
            convention_of(options.weights, architecture, options.preprocessing)
    labels = None if options.labels is None else trained_model.read_labels(options.labels)
    if options.network:
        return [
            trained_model.from_weights(
                options.network, options.weights, labels, options.preprocessing
            )
        ]
    return nets.load(files, labels, options.preprocessing, options.image_size)


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths` as they are, and the images of the folders, sorted; each once.

    What else lies in the folders is counted on the standard error.

    Raises:
        OSError: If a folder cannot be read.
    """
    from training.data.folder.folder_walk import images_below

    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        images, left_out = images_below(path)
        found += images
        for one in left_out:
            print(f"{path}: left out {one}", file=sys.stderr)
    return list(dict.fromkeys(found))


def add_model_base(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base",
        type=Path,
        default=Path("savedmodels"),
        metavar="DIR",
        help="the folder of exported models, each a folder of numbered versions",
    )


def add_served_label(parser: argparse.ArgumentParser) -> None:
    """The served model's NAME, and its `--label`."""
    parser.add_argument("name", metavar="NAME", help="the served model's name")
    parser.add_argument("--label", default="stable", help="stable, canary or a label of your own")


def add_execution(parser: Parser, strategies: tuple[str, ...], checkpoint_steps: int) -> None:
    """How a run is carried out: `--deterministic`, `--checkpoint-steps`, `--strategy`."""
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="give the same bits each time on the same machine, at some cost in speed",
    )
    parser.add_argument(
        "--checkpoint-steps",
        type=positive,
        default=checkpoint_steps,
        metavar="STEPS",
        help="save a checkpoint after this many steps, and at the end of each epoch",
    )
    parser.add_argument(
        "--strategy",
        choices=strategies,
        default="auto",
        help="; ".join(f"{name}: {STRATEGIES[name]}" for name in strategies),
    )

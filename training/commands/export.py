"""`python -m training export`."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from training.commands import options as shared
from training.common import numeric

FORMATS = ("onnx", "openvino", "litert", "onnx-int8", "openvino-int8", "litert-int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_nets(parser, several=None)
    parser.add_argument("--name", required=True, help="the served model's name")
    parser.add_argument(
        "--out", type=Path, default=Path("savedmodels"), help="the folder of exported models"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="a folder of images to compare, warm up and calibrate with (default: drawn pictures)",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=[],
        help="write files for these runtimes too, into the version's runtimes/",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="the number type of feature maps and weights; bfloat16 is for processors that have it",
    )
    shared.add_dataset(
        parser,
        help="a data set whose training images calibrate int8, and whose test images measure the "
        "error of every file",
    )
    parser.add_argument(
        "--max-drop",
        type=numeric.amount,
        default=1.0,
        metavar="POINTS",
        help="refuse a file that loses more percentage points of accuracy on the test images",
    )
    shared.add_split(parser)
    parser.add_argument(
        "--top",
        type=numeric.positive,
        default=5,
        help="the number of classes that the signature `classify` names",
    )


def run(options: argparse.Namespace) -> None:
    if options.images is not None and not options.images.is_dir():
        raise FileNotFoundError(f"There is no folder {options.images}.")

    from training.export.saved_model import export

    (trained,) = shared.load_nets(options)
    command = shlex.join(["python", "-m", "training", *sys.argv[1:]])
    trained = replace(trained, facts={**trained.facts, "command": command})
    extras = None
    if options.formats or options.dataset:
        from training.export import other_runtimes, runtime_files
        from training.models.model_files import with_classes

        other_runtimes.require(options.formats)
        dataset = None
        if options.dataset:
            dataset = with_classes(shared.load_dataset(options), trained.labels)
        wanted = runtime_files.Wanted(options.formats, options.images, dataset, options.max_drop)
        extras = functools.partial(runtime_files.write, wanted, trained)
    print(
        export(
            trained,
            options.name,
            options.out,
            images=options.images,
            top=options.top,
            precision=options.precision,
            extras=extras,
        )
    )

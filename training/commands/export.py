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
    shared.add_nets(parser, several=False)
    parser.add_argument("--name", required=True, help="the served model's name, e.g. resnet20")
    parser.add_argument(
        "--out", type=Path, default=Path("savedmodels"), help="TF Serving's model base"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="real images to compare, warm up and calibrate with (default: drawn pictures)",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=[],
        help="other runtimes' files, into the version's runtimes/",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the SavedModel's feature maps and weights; bfloat16 is for processors that "
        "multiply in it",
    )
    shared.add_dataset(
        parser,
        help="its training images calibrate int8, its test images measure the error of every form",
    )
    parser.add_argument(
        "--max-drop",
        type=numeric.amount,
        default=1.0,
        metavar="POINTS",
        help="refuse a form that loses more points of accuracy on the data set's test images",
    )
    shared.add_split(parser)
    parser.add_argument(
        "--top", type=numeric.positive, default=5, help="classes that `classify` names"
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
        from training.export import other_runtimes
        from training.models.model_files import with_classes

        other_runtimes.require(options.formats)
        dataset = None
        if options.dataset:
            dataset = with_classes(shared.load_dataset(options), trained.labels)
        extras = functools.partial(
            other_runtimes.write,
            formats=options.formats,
            images=options.images,
            trained=trained,
            dataset=dataset,
            max_drop=options.max_drop,
        )
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

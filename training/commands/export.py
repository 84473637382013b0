"""`python -m training export`."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

FORMATS = ("onnx", "openvino", "litert", "litert-int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("what is exported")
    source.add_argument("--model", type=Path, help="a model.keras, such as `train` writes")
    source.add_argument("--network", help="a network of the table, with --weights")
    source.add_argument("--weights", metavar="ROW|FILE", help="published weights, or a file")
    source.add_argument(
        "--preprocessing",
        choices=("caffe", "torch"),
        help="what a weights file or model needs of its input; published weights say so themselves",
    )
    source.add_argument("--labels", type=Path, metavar="FILE", help="class names, one per line")
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
        "--dataset",
        choices=("digits", "cifar10", "imagenet2012", "folder"),
        help="its training images calibrate int8, its test images measure every format's error",
    )
    parser.add_argument("--data-dir", help="where that data set lies")
    parser.add_argument("--top", type=int, default=5, help="classes that `classify` names")


def run(options: argparse.Namespace) -> None:
    if (options.model is None) == (options.network is None and options.weights is None):
        raise ValueError("Give --model FILE.keras, or --network NAME with --weights ROW|FILE.")
    if options.model is None and None in (options.network, options.weights):
        raise ValueError("--network and --weights go together.")
    if options.dataset and not options.formats:
        raise ValueError("--dataset is for other runtimes: give --formats too.")
    if options.top < 1:
        raise ValueError(f"--top is at least 1; given {options.top}.")
    if options.images is not None and not options.images.is_dir():
        raise FileNotFoundError(f"There is no folder {options.images}.")

    from training.export.saved_model import export
    from training.models import trained_model

    labels = None if options.labels is None else trained_model.read_labels(options.labels)
    if options.model is not None:
        served = trained_model.from_file(options.model, labels, options.preprocessing)
    else:
        served = trained_model.from_weights(
            options.network, options.weights, labels, options.preprocessing
        )
    extras = None
    if options.formats:
        from training.data import datasets
        from training.export import other_runtimes

        other_runtimes.require(options.formats)
        dataset = None
        if options.dataset:
            dataset = datasets.load(options.dataset, options.data_dir)
        extras = functools.partial(
            other_runtimes.write,
            formats=options.formats,
            images=options.images,
            served=served,
            dataset=dataset,
        )
    print(
        export(
            served,
            options.name,
            options.out,
            images=options.images,
            top=options.top,
            extras=extras,
        )
    )

"""`python -m training evaluate`."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

from training.commands import options as shared
from training.evaluation.protocols import PROTOCOLS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_nets(parser)
    shared.add_dataset(
        parser,
        default="digits",
        help="its test images are seen; of imagenet2012 its validation images",
    )
    parser.add_argument(
        "--protocol",
        choices=tuple(PROTOCOLS),
        help="the original view of small images; of photographs the central crop, ten crops, or "
        "the whole at five scales (default: single or center, by the data set)",
    )
    parser.add_argument("--batch-size", type=int, default=128, help="views computed at once")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write evaluation.json, classes.csv, confusion.csv and confusion.png there",
    )


def run(options: argparse.Namespace) -> None:
    from training.common import tables
    from training.evaluation import report
    from training.evaluation.confusion import most_frequent
    from training.evaluation.evaluate import default_protocol, evaluate
    from training.models import model_files

    # TensorFlow takes one trace for each net, and for some sizes of photograph, for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if options.out:
        report.claim(options.out)
    tested = shared.load_nets(options)
    dataset = model_files.with_classes(shared.load_dataset(options), tested[0].labels)
    evaluation = evaluate(
        [net.model for net in tested],
        dataset,
        options.protocol or default_protocol(dataset),
        batch_size=options.batch_size,
        progress=True,
    )
    top5 = evaluation.top5_error
    nets = Counter(str(net.facts["network"]) for net in tested)
    row = (
        " + ".join(name if number == 1 else f"{number} {name}" for name, number in nets.items()),
        evaluation.protocol,
        f"{evaluation.examples:,}",
        f"{evaluation.top1_error:.2f} %",
        "–" if top5 is None else f"{top5:.2f} %",
    )
    headings = ("nets", "protocol", "images", "top-1 error", "top-5 error")
    tables.show(headings, [row], words=("nets",))
    print("most often taken for another:")
    for true, taken, images in most_frequent(evaluation.confusion, 5):
        names = dataset.class_names
        print(f"  {names[true]} for {names[taken]}: {images} of {evaluation.confusion[true].sum()}")
    if options.out:
        facts = {"dataset": dataset.name, "nets": [dict(net.facts) for net in tested]}
        report.write(evaluation, dataset.class_names, facts, options.out)
        print(f"everything: {options.out}/ (evaluation.json, classes.csv, confusion.csv and .png)")

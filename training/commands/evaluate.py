"""`python -m training evaluate`."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from training.commands import add_data, add_nets
from training.evaluation.protocols import PROTOCOLS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_nets(parser)
    add_data(parser)
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
    from training.data import datasets
    from training.evaluation import report
    from training.evaluation.confusion import most_frequent
    from training.evaluation.evaluate import default_protocol, evaluate
    from training.models import model_files, trained_model

    # TensorFlow takes one trace for each net, and for some sizes of photograph, for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if options.out:
        report.claim(options.out)
    labels = trained_model.read_labels(options.labels) if options.labels else None
    tested = model_files.load(
        options.model, options.network, options.weights, options.preprocessing, labels
    )
    dataset = model_files.with_classes(
        datasets.load(options.dataset, options.data_dir), tested[0].labels
    )
    evaluation = evaluate(
        [net.model for net in tested],
        dataset,
        options.protocol or default_protocol(dataset),
        batch_size=options.batch_size,
        progress=True,
    )
    table = Table(box=SIMPLE)
    for heading in ("nets", "protocol", "images", "top-1 error", "top-5 error"):
        table.add_column(heading, justify="left" if heading == "nets" else "right")
    top5 = evaluation.top5_error
    table.add_row(
        " + ".join(
            name if number == 1 else f"{number} {name}"
            for name, number in Counter(str(net.facts["network"]) for net in tested).items()
        ),
        evaluation.protocol,
        f"{evaluation.examples:,}",
        f"{evaluation.top1_error:.2f} %",
        "–" if top5 is None else f"{top5:.2f} %",
    )
    Console().print(table)
    print("most often taken for another:")
    for true, taken, images in most_frequent(evaluation.confusion, 5):
        names = dataset.class_names
        print(f"  {names[true]} for {names[taken]}: {images} of {evaluation.confusion[true].sum()}")
    if options.out:
        facts = {"dataset": dataset.name, "nets": [dict(net.facts) for net in tested]}
        report.write(evaluation, dataset.class_names, facts, options.out)
        print(f"everything: {options.out}/ (evaluation.json, classes.csv, confusion.csv and .png)")

"""`python -m training evaluate`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands import options as shared
from training.common import numeric
from training.common.errors import UsageError, arguments
from training.evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
    from training.data.splits import Dataset
    from training.evaluation.evaluate import Evaluation
    from training.models.trained_model import TrainedModel

PARTS = ("test", "validation", "train", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_nets(
        parser, several="several nets are an ensemble, whose probabilities are averaged"
    )
    shared.add_dataset(
        parser,
        default="digits",
        help="the data set; its test images are evaluated (imagenet2012: its validation images)",
    )
    shared.add_split(parser)
    parser.add_argument(
        "--part",
        choices=PARTS,
        default="test",
        help="evaluate these images instead of the test images",
    )
    parser.add_argument(
        "--protocol",
        choices=tuple(PROTOCOLS),
        help="single: small images as they are; center: photographs' central crops; ten_crop: ten "
        "crops; multi_scale: whole photographs at five scales (default: by the data set, single "
        "or center)",
    )
    parser.add_argument(
        "--batch-size",
        type=numeric.positive,
        default=128,
        help="compute this many views of images at once",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write evaluation.json, answers.csv (of every image), classes.csv, confusion.csv, "
        "confusion.png and worst.png (the worst answers) into this directory",
    )


def run(options: argparse.Namespace) -> None:
    from training.evaluation import recorded_split, report
    from training.evaluation.evaluate import check_protocol, default_protocol, evaluate
    from training.models.model_files import with_classes

    # TensorFlow warns of one trace for each net and size of photograph, which is as it should be.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if options.out:
        report.claim(options.out)
    nets = shared.load_nets(options)
    dataset = _part(with_classes(shared.load_dataset(options), nets[0].labels), options.part)
    protocol = options.protocol or default_protocol(dataset)
    with arguments():
        check_protocol(protocol, dataset)
    known = recorded_split.trained_on(options.model, dataset)
    _say_what_was_trained_on(known, dataset)
    evaluation = evaluate(
        [net.model for net in nets],
        dataset,
        protocol,
        batch_size=options.batch_size,
        progress=True,
    )
    _print(evaluation, nets, dataset.class_names)
    if options.out:
        facts = {
            "dataset": dataset.name,
            "part": options.part,
            "images_trained_on": known,
            "nets": [dict(net.facts) for net in nets],
        }
        written = report.write(evaluation, dataset, nets[0].resizing.crop, facts, options.out)
        print(f"everything: {options.out}/ ({', '.join(written)})")


def _part(dataset: Dataset, part: str) -> Dataset:
    """The data set with another part of its images as its test images."""
    from training.data.splits import joined

    if part == "test":
        return dataset
    if part == "all":
        return replace(dataset, test=joined(list(dataset.splits.values())))
    if part not in dataset.splits:
        raise UsageError(f"{dataset.name} has no {part} images.")
    return replace(dataset, test=dataset.splits[part])


def _say_what_was_trained_on(known: int | None, dataset: Dataset) -> None:
    """Says of a folder's images on how many the nets were trained."""
    images = f"{dataset.test.examples:,} images"
    if dataset.root is None:
        return
    if known is None:
        said = f"whether the nets were trained on some of the {images} is not known"
    elif known:
        said = (
            f"WARNING: {known:,} of the {images} are training images of the nets or copies of "
            "them: the error does not tell how the nets do on new images"
        )
    else:
        said = f"none of the {images} is known as a training image of the nets"
    print(said, file=sys.stderr)


def _print(
    evaluation: Evaluation, nets: Sequence[TrainedModel], class_names: Sequence[str]
) -> None:
    from training.common import tables
    from training.evaluation.confusion import most_frequent

    top5 = evaluation.top5_error
    counts = Counter(str(net.facts["network"]) for net in nets)
    row = (
        " + ".join(name if number == 1 else f"{number} {name}" for name, number in counts.items()),
        evaluation.protocol,
        f"{evaluation.examples:,}",
        f"{evaluation.top1_error:.2f} %",
        "–" if top5 is None else f"{top5:.2f} %",
        f"{evaluation.balanced_error:.2f} %",
    )
    headings = ("nets", "protocol", "images", "top-1 error", "top-5 error", "mean of classes")
    tables.show(headings, [row], words=("nets",))
    print("most often taken for another:")
    images = evaluation.confusion.sum(axis=1)
    for true, taken, count in most_frequent(evaluation.confusion, 5):
        print(f"  {class_names[true]} for {class_names[taken]}: {count} of {images[true]}")
    if untested := [name for name, count in zip(class_names, images, strict=True) if not count]:
        from training.data.splits import listed

        print(f"classes without an image, of which nothing is known: {listed(untested)}")

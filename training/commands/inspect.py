"""`python -m training inspect`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands import options as shared
from training.common import numeric
from training.common.errors import UsageError, arguments

if TYPE_CHECKING:
    import numpy as np

    from training.models.trained_model import TrainedModel

# subject: number of test images seen unless --images says another
IMAGES = {"responses": 1000, "gradients": 128, "gradcam": 12, "neighbours": 2000}
ONE_NET = ("gradcam", "neighbours")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "subject",
        choices=(*IMAGES, "course"),
        help="responses: the standard deviation of each 3x3 layer's response (the paper's Fig. 7); "
        "gradients: the norm of the loss's gradient at each layer; gradcam: where in an image the "
        "most probable class is seen; neighbours: the images with the most similar features; "
        "course: the gradients over a run of `train --record-gradients`",
    )
    shared.add_nets(parser, several="responses and gradients compare several nets")
    shared.add_dataset(
        parser,
        default="digits",
        help="the data set whose test images are used (imagenet2012: its validation images)",
    )
    shared.add_split(parser)
    counts = ", ".join(f"{subject} {count}" for subject, count in IMAGES.items())
    parser.add_argument(
        "--images", type=numeric.positive, help=f"use this many test images (default: {counts})"
    )
    parser.add_argument(
        "--photographs",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="with gradcam: use your own image files and folders instead of a data set",
    )
    parser.add_argument(
        "--layer", help="with gradcam: the inspected layer (default: the last feature map)"
    )
    parser.add_argument(
        "--queries",
        type=numeric.positive,
        default=8,
        help="with neighbours: the number of images whose neighbours are drawn",
    )
    parser.add_argument(
        "--nearest",
        type=numeric.positive,
        default=6,
        help="with neighbours: the number of neighbours of each",
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        dest="run_directory",
        help="with course: the run's directory",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("inspection"),
        metavar="DIR",
        help="write the picture and its numbers (gradcam.png, gradcam.csv) into this directory",
    )


def run(options: argparse.Namespace) -> None:
    if (options.subject == "course") != (options.run_directory is not None):
        raise UsageError("`inspect course` takes --run DIR, and nothing else does.")
    if options.photographs and options.subject != "gradcam":
        raise UsageError("--photographs is for `inspect gradcam`.")
    if options.subject in ONE_NET and len(options.model) > 1:
        raise UsageError(f"`inspect {options.subject}` takes one net; given {len(options.model)}.")
    out = options.out / options.subject
    for path in (out.with_suffix(".png"), out.with_suffix(".csv")):
        if path.exists():
            raise FileExistsError(f"{path} exists already: give another --out.")
    options.out.mkdir(parents=True, exist_ok=True)

    from training.evaluation import inspection

    if options.subject == "course":
        inspection.course(options.run_directory, out)
        print(out.with_suffix(".png"))
        return
    nets = shared.load_nets(options)
    if options.photographs:
        _inspect_photographs(nets[0], shared.image_files(options.photographs), options.layer, out)
    else:
        _inspect_data_set(nets, options, out)


def _inspect_data_set(nets: Sequence[TrainedModel], options: argparse.Namespace, out: Path) -> None:
    from training.data import probes
    from training.evaluation import inspection
    from training.models import model_files

    dataset = model_files.with_classes(shared.load_dataset(options), nets[0].labels)
    size = nets[0].resizing.crop
    if any(net.resizing.crop != size for net in nets):
        raise ValueError("Nets are compared on the same images; these nets take several sizes.")
    count = IMAGES[options.subject] if options.images is None else options.images
    images, labels = probes.images(dataset.test, count, size)
    models = dict(zip(model_files.names(nets), (net.model for net in nets), strict=True))
    model, classes = nets[0].model, dataset.class_names
    true = [classes[label] for label in labels]
    if options.subject == "responses":
        inspection.responses(models, images, out)
    elif options.subject == "gradients":
        inspection.gradients(models, images, labels, out)
    elif options.subject == "gradcam":
        named = {str(i): image for i, image in enumerate(images)}
        with arguments():
            inspection.gradcam(model, named, classes, true, out, layer=options.layer)
    else:
        inspection.neighbours(model, images, true, out, options.queries, options.nearest)
    _say(out, len(images))


def _inspect_photographs(
    net: TrainedModel, files: Sequence[Path], layer: str | None, out: Path
) -> None:
    """Grad-CAM of image files; those that cannot be read are named, and end the command with 1."""
    from training.evaluation import inspection
    from training.evaluation.prediction import model_classifier

    classifier = model_classifier(net, top=1)
    images: dict[str, np.ndarray] = {}
    failed = 0
    for file in files:
        try:
            images[str(file)] = classifier.prepare(file.read_bytes())
        except (ValueError, OSError) as error:
            print(f"{file}: cannot be read: {error}", file=sys.stderr)
            failed += 1
    if images:
        with arguments():
            inspection.gradcam(net.model, images, net.labels, None, out, layer=layer)
        _say(out, len(images))
    if failed or not images:
        raise OSError(f"{failed} of {len(files)} files could not be read.")


def _say(out: Path, images: int) -> None:
    print(f"{out.with_suffix('.png')}, {out.with_suffix('.csv')}: {images} images")

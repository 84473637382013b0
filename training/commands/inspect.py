"""`python -m training inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands import options as shared
from training.common.errors import UsageError

# what: number of test images seen unless --images says another
IMAGES = {"responses": 1000, "gradients": 128, "gradcam": 12, "neighbours": 2000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=(*IMAGES, "course"),
        help="responses: deviation of every 3x3 layer's response (Fig. 7 of the paper); gradients: "
        "norm of the loss's gradient at every layer; gradcam: where in images the most probable "
        "class is seen; neighbours: images whose features are nearest; course: gradients over a "
        "run of `train --record-gradients`",
    )
    shared.add_nets(parser)
    shared.add_dataset(
        parser,
        default="digits",
        help="its test images are seen; of imagenet2012 its validation images",
    )
    shared.add_split(parser)
    counts = ", ".join(f"{what} {count}" for what, count in IMAGES.items())
    parser.add_argument("--images", type=int, help=f"test images seen (default: {counts})")
    parser.add_argument("--layer", help="gradcam: the layer to look at (default: the last map)")
    parser.add_argument("--queries", type=int, default=8, help="neighbours: images to find some of")
    parser.add_argument("--nearest", type=int, default=6, help="neighbours: how many of each")
    parser.add_argument(
        "--run", type=Path, metavar="DIR", dest="run_directory", help="course: the run's"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("inspection"),
        metavar="DIR",
        help="where the picture WHAT.png and the numbers WHAT.csv go",
    )


def run(options: argparse.Namespace) -> None:
    if (options.what == "course") != (options.run_directory is not None):
        raise UsageError("`inspect course` takes --run DIR, and nothing else does.")
    out = options.out / options.what
    for path in (out.with_suffix(".png"), out.with_suffix(".csv")):
        if path.exists():
            raise FileExistsError(f"{path} exists already: give another --out.")
    options.out.mkdir(parents=True, exist_ok=True)

    from training.data import probes
    from training.evaluation import inspection
    from training.models import model_files

    if options.what == "course":
        inspection.course(options.run_directory, out)
        print(out.with_suffix(".png"))
        return
    given = shared.load_nets(options)
    if options.what in ("gradcam", "neighbours") and len(given) > 1:
        raise UsageError(f"`inspect {options.what}` takes one net; given {len(given)}.")
    dataset = model_files.with_classes(shared.load_dataset(options), given[0].labels)
    size = given[0].resizing.crop
    if any(net.resizing.crop != size for net in given):
        raise ValueError("Nets are compared on the same images; these nets take several sizes.")
    count = IMAGES[options.what] if options.images is None else options.images
    images, labels = probes.images(dataset.test, count, size)
    models = dict(zip(model_files.names(given), (net.model for net in given), strict=True))
    model, classes = given[0].model, dataset.class_names
    if options.what == "responses":
        inspection.responses(models, images, out)
    elif options.what == "gradients":
        inspection.gradients(models, images, labels, out)
    elif options.what == "gradcam":
        inspection.gradcam(model, images, labels, classes, out, layer=options.layer)
    else:
        inspection.neighbours(model, images, labels, classes, out, options.queries, options.nearest)
    print(f"{out.with_suffix('.png')}, {out.with_suffix('.csv')}: {len(images)} images")

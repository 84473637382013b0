"""`python -m training look`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands import add_data, add_nets

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
    add_nets(parser)
    add_data(parser)
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
        default=Path("looks"),
        metavar="DIR",
        help="where the picture WHAT.png and the numbers WHAT.csv go",
    )


def run(options: argparse.Namespace) -> None:
    if (options.what == "course") != (options.run_directory is not None):
        raise ValueError("`look course` takes --run DIR, and no other look does.")
    out = options.out / options.what
    for path in (out.with_suffix(".png"), out.with_suffix(".csv")):
        if path.exists():
            raise FileExistsError(f"{path} exists already: give another --out.")
    options.out.mkdir(parents=True, exist_ok=True)

    from training.data import datasets, probes
    from training.evaluation import inspection
    from training.models import model_files, trained_model

    if options.what == "course":
        inspection.course(options.run_directory, out)
        print(out.with_suffix(".png"))
        return
    names = trained_model.read_labels(options.labels) if options.labels else None
    given = model_files.load(
        options.model, options.network, options.weights, options.preprocessing, names
    )
    if options.what in ("gradcam", "neighbours") and len(given) > 1:
        raise ValueError(f"`look {options.what}` is into one net; given {len(given)}.")
    dataset = model_files.with_classes(
        datasets.load(options.dataset, options.data_dir), given[0].labels
    )
    size = given[0].resizing.crop
    if any(net.resizing.crop != size for net in given):
        raise ValueError("Nets are looked into with the same images; these take several sizes.")
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

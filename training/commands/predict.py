"""`python -m training predict`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.commands import options as shared
from training.commands.export import FORMATS
from training.common import numeric
from training.common.errors import UsageError, arguments

if TYPE_CHECKING:
    from training.evaluation.prediction import Classifier, Prediction
    from training.evaluation.prediction_file import PredictionFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a .keras file, an exported version (savedmodels/cifar/1) or an exported model "
        "(savedmodels/cifar: its newest version); with --server, the served model's name",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="image files, and folders whose images are found at any depth",
    )
    parser.add_argument(
        "--top", type=numeric.positive, default=5, help="name this many classes for each image"
    )
    parser.add_argument(
        "--batch-size", type=numeric.positive, default=32, help="classify this many images at once"
    )
    parser.add_argument(
        "--runtime",
        choices=FORMATS,
        help="compute an exported version in this runtime; `export --formats` wrote its file",
    )
    shared.add_input_options(parser.add_argument_group("model file"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="write a row for each image into FILE instead of printing it; the same command "
        "continues after the rows that are there",
    )
    output.add_argument(
        "--json", action="store_true", help="print a JSON object for each image instead of a line"
    )
    output.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="classify every Nth image from the Ith only, so that N jobs share the images",
    )
    server = parser.add_argument_group("server")
    server.add_argument(
        "--server",
        metavar="URL",
        help="let this server classify, such as grpc://127.0.0.1:8500 or http://127.0.0.1:8501",
    )
    server.add_argument(
        "--version", type=numeric.whole(0), help="the served version (default: the newest)"
    )
    server.add_argument(
        "--label", help="instead of --version: the served version's label, such as stable"
    )
    server.add_argument(
        "--seconds", type=numeric.amount, default=30.0, help="wait this many seconds for an answer"
    )


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"a shard is I/N with 1 <= I <= N; given {text!r}")
    return int(index), int(count)


def run(options: argparse.Namespace) -> None:
    if options.server is None and (options.version, options.label) != (None, None):
        raise UsageError("--version and --label are of a served model: give --server too.")
    if options.server and options.runtime:
        raise UsageError("--runtime is for exported versions here; a server has its own.")
    if options.csv and options.json:
        raise UsageError("Give --csv or --json, not both.")

    from training.common.files import exclusive_lock
    from training.common.progress_bars import ProgressBar
    from training.evaluation.prediction import predictions
    from training.evaluation.prediction_file import PredictionFile

    files = shared.image_files(options.paths)
    if not files:
        raise FileNotFoundError(f"There are no images in {', '.join(map(str, options.paths))}.")
    classifier, facts = _served(options) if options.server else _local(options)
    index, count = options.shard or (1, 1)
    files = files[index - 1 :: count]
    failed, written = 0, None
    with ExitStack() as stack:
        if options.csv:
            options.csv.parent.mkdir(parents=True, exist_ok=True)
            lock = options.csv.with_name(f".{options.csv.name}.lock")
            refusal = f"Another process writes {options.csv}: give each shard its own --csv."
            stack.enter_context(exclusive_lock(lock, refusal))
            written = PredictionFile(options.csv, options.top, facts)
            files = [file for file in files if str(file) not in written.done]
            failed = written.failed
        bar = stack.enter_context(
            ProgressBar("images", len(files), show=written is not None or not sys.stdout.isatty())
        )
        for batch in predictions(files, classifier, options.batch_size):
            _write(batch, written, options.json)
            failed += sum(bool(one.error) for one in batch)
            bar.advance(len(batch))
    if written:
        print(f"{options.csv}: {len(written.done):,} images, {failed:,} of them without an answer")
    if failed:
        where = f"the column error of {options.csv}" if written else "the lines above"
        raise OSError(f"Not every file could be read: {failed:,} could not. See {where}.")


def _write(batch: Sequence[Prediction], file: PredictionFile | None, as_json: bool) -> None:
    if file:
        file.append(batch)
        return
    for one in batch:
        if as_json:
            print(json.dumps(_jsonable(one)), flush=True)
        elif one.error:
            print(f"{one.file}: cannot be read: {one.error}", file=sys.stderr)
        else:
            named = (f"{name} {100 * probability:.1f} %" for name, probability in one.classes)
            print(f"{one.file}: {', '.join(named)}", flush=True)


def _jsonable(one: Prediction) -> dict[str, Any]:
    if one.error:
        return {"file": one.file, "error": one.error}
    classes = [{"class": name, "probability": probability} for name, probability in one.classes]
    return {"file": one.file, "classes": classes}


def _local(options: argparse.Namespace) -> tuple[Classifier, Mapping[str, Any]]:
    """The classifier of a model file or an exported version, and which it is."""
    from training.common.files import sha256
    from training.evaluation.prediction import VersionClassifier, model_classifier
    from training.export import model_base

    path = Path(options.model).expanduser()
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            versions = model_base.versions(path)
            if not versions:
                raise FileNotFoundError(f"{path} is no exported version and has none in it.")
            path = path / str(versions[-1])
        if options.labels or options.preprocessing or options.image_size:
            raise UsageError("--labels, --preprocessing and --image-size are for model files.")
        if options.runtime is None:
            classifier: Classifier = VersionClassifier(path, options.top)
            parts = [path / "saved_model.pb", *sorted((path / "variables").glob("*"))]
        else:
            from training.export import runtime_version as runtimes

            network = runtimes.file(path, options.runtime)
            weights = network.with_suffix(".bin")  # OpenVINO's lie beside its network
            parts = [network, *([weights] if weights.is_file() else [])]
            classifier = runtimes.runtime_classifier(path, options.runtime, options.top)
        return classifier, {"model": str(path), "sha256": [sha256(part) for part in parts]}
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no model {path}. Give a .keras file or an exported version; a served "
            "model's name needs --server, such as --server grpc://127.0.0.1:8500."
        )
    if options.runtime is not None:
        raise UsageError(f"--runtime is for exported versions; {path} is a model file.")
    from training.models import model_files, trained_model

    labels = None if options.labels is None else trained_model.read_labels(options.labels)
    (net,) = model_files.load([path], labels, options.preprocessing, options.image_size)
    return model_classifier(net, options.top), {"model": str(path), "sha256": [sha256(path)]}


def _served(options: argparse.Namespace) -> tuple[Classifier, Mapping[str, Any]]:
    """The classifier that a server has, and which it is."""
    from training.serving.client import Client, ServerClassifier

    with arguments():
        client = Client(
            options.server,
            options.model,
            version=options.version,
            label=options.label,
            seconds=options.seconds,
        )
    client.connect()
    names: Iterable[str] = ("server", "model", "version", "label")
    return ServerClassifier(client, options.top), {name: getattr(options, name) for name in names}

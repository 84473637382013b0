"""`python -m training benchmark`."""

from __future__ import annotations

import argparse
import importlib
import types
from collections.abc import Sequence
from pathlib import Path

from training.benchmarks import infer, report, train
from training.benchmarks.report import Comparison
from training.benchmarks.timing import Measured, interleaved
from training.common import machine
from training.common.numeric import Distinct, positive

# benchmark: module in training.benchmarks, what its --help says of it, and its precisions
BENCHMARKS = {
    "train": ("train", "a training step of ResNet-20 and ResNet-50", train.PRECISIONS),
    "infer": ("infer", "ResNet-50's answers, batch 1 and 16", tuple(infer.COMPARISONS)),
    "data": ("data", "decoding and augmentation", ()),
    "deep": ("deep", "nets of many layers, their blocks in a loop", ()),
    "steps": ("steps", "ways to loop and compile a step of ResNet-20 on a GPU, on JAX", ()),
    "import": ("imports", "importing the library, building a network", ()),
}

BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # a processor with either multiplies in it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} Peers that are not installed are skipped."
    names = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    modules = {name: _module(name) for name in BENCHMARKS}
    for name, (_, summary, precisions) in BENCHMARKS.items():
        one = names.add_parser(
            name,
            help=summary,
            description=f"Measure {summary}, beside peers that are installed.",
            epilog=parser.epilog,
            formatter_class=parser.formatter_class,
        )
        _common(one, precisions)
        modules[name].add_arguments(one)
    every = names.add_parser(
        "all",
        help="all of these",
        description="Measure everything that `benchmark` can, beside peers that are installed.",
        epilog=parser.epilog,
        formatter_class=parser.formatter_class,
    )
    _common(every, tuple(infer.COMPARISONS))
    for module in modules.values():
        module.add_arguments(every)


def _common(parser: argparse.ArgumentParser, precisions: tuple[str, ...]) -> None:
    parser.add_argument(
        "--repeats", type=positive, default=5, help="measure each contender this often, in turns"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all measurements into FILE"
    )
    if precisions:
        slow = () if BFLOAT16 & {*machine.instructions()} else ("bfloat16",)
        parser.add_argument(
            "--precision",
            nargs="+",
            choices=precisions,
            default=[name for name in precisions if name not in slow],
            action=Distinct,
            help="compare these number types; by default without bfloat16 where the processor "
            "lacks it",
        )


def _module(name: str) -> types.ModuleType:
    return importlib.import_module(f"training.benchmarks.{BENCHMARKS[name][0]}")


def run(options: argparse.Namespace) -> None:
    if options.json is not None:
        if options.json.exists():
            raise ValueError(f"{options.json} exists already: give --json another name.")
        options.json.parent.mkdir(parents=True, exist_ok=True)
    results = _measure(comparisons(options), options.repeats)
    if options.json is not None:
        report.write(options.json, results)
    print()
    for comparison, measured in results:
        for verdict in report.judge(comparison, measured):
            print(verdict.line())


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    """What the chosen benchmarks measure."""
    chosen = BENCHMARKS if options.benchmark == "all" else (options.benchmark,)
    return [one for name in chosen for one in _module(name).comparisons(options)]


def _measure(chosen: Sequence[Comparison], repeats: int) -> list[tuple[Comparison, Measured]]:
    from training.common.progress_bars import ProgressBar

    print(report.hardware_line(), end="\n\n", flush=True)
    results = []
    turns = sum(len(comparison.contenders) for comparison in chosen) * (repeats + 1)
    with ProgressBar("benchmark", turns) as bar:
        for comparison in chosen:

            def step(name: str, title: str = comparison.name) -> None:
                bar.advance(title=f"{title}: {name}")

            measured = interleaved(comparison.contenders, repeats, step)
            results.append((comparison, measured))
            print(report.table(comparison, measured), end="\n\n", flush=True)
    return results

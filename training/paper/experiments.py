"""Every table and figure of the paper as a row: its networks, data sets and test protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from keras_resnet import architectures
from training.config.catalogue import PHOTOGRAPHS, SMALL_IMAGES
from training.paper import published_numbers

# "We repeat ResNet-110 5 times" (Table 6); every other net was trained once.
REPEATED = "resnet110"
REPETITIONS = 5
# On digits the two depths of Fig. 1 show the degradation in minutes.
DIGITS_DEPTHS = (20, 56)


@dataclass(frozen=True)
class Net:
    """A network with a shortcut option; `None` stands for the network's own."""

    network: str
    shortcut: str | None = None

    def __post_init__(self) -> None:
        if self.shortcut == architectures.get(self.network).shortcut:
            object.__setattr__(self, "shortcut", None)  # so that equal nets compare equal

    @property
    def depth(self) -> int:
        return architectures.get(self.network).depth

    @property
    def family(self) -> str:
        return "resnet" if architectures.get(self.network).residual else "plain"

    @property
    def label(self) -> str:
        """The name as the paper writes it: `plain-20`, `ResNet-34 A`."""
        name = f"{'ResNet' if self.family == 'resnet' else 'plain'}-{self.depth}"
        own = architectures.get(self.network)
        if own.stem == "cifar" or own.block == "bottleneck" or own.shortcut is None:
            return name if self.shortcut is None else f"{name} {self.shortcut}"
        return f"{name} {self.shortcut or own.shortcut}"


@dataclass(frozen=True)
class Experiment:
    """A table or figure."""

    name: str
    title: str
    kind: str  # "costs", "errors", "ensemble", "curves" or "responses"
    datasets: tuple[str, ...]  # the first is the paper's
    protocol: str | None  # of training.evaluation.protocols
    nets: tuple[Net, ...]


def _of_table(name: str) -> tuple[Net, ...]:
    return tuple(
        Net(row.network, row.shortcut) for row in published_numbers.ERRORS[name] if row.network
    )


def _cifar(plain: Sequence[int], residual: Sequence[int]) -> tuple[Net, ...]:
    return (
        *(Net(f"plain{depth}") for depth in plain),
        *(Net(f"resnet{depth}") for depth in residual),
    )


_PLAIN, _RESIDUAL = architectures.CIFAR_PLAIN_DEPTHS, architectures.CIFAR_DEPTHS
_COST_NETS = tuple(Net(name) for name in architectures.ARCHITECTURES)
# The paper combines "six models of different depth", "only with two 152-layer ones", and names no
# others (section 4.1): here they are the five of Table 4 and a second 152.
_SIX = (*_of_table("table4"), Net("resnet152"))

# fmt: off
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({row.name: row for row in (
    #          name      title                                               kind
    Experiment("table1", "Table 1: parameters and multiply-adds",            "costs",
               (),           None,          _COST_NETS),
    Experiment("table2", "Table 2: plain and residual nets, 10-crop",        "errors",
               PHOTOGRAPHS,  "ten_crop",    _of_table("table2")),
    Experiment("table3", "Table 3: shortcuts and deeper nets, 10-crop",      "errors",
               PHOTOGRAPHS,  "ten_crop",    _of_table("table3")),
    Experiment("table4", "Table 4: single models, five scales",              "errors",
               PHOTOGRAPHS,  "multi_scale", _of_table("table4")),
    Experiment("table5", "Table 5: an ensemble, five scales",         "ensemble",
               PHOTOGRAPHS,  "multi_scale", _SIX),
    Experiment("table6", "Table 6: small images, test error",                "errors",
               SMALL_IMAGES, "single",      _cifar(_PLAIN, _RESIDUAL)),
    Experiment("fig1",   "Figure 1: plain nets of two depths",    "curves",
               SMALL_IMAGES, "single",      _cifar((20, 56), ())),
    Experiment("fig4",   "Figure 4: training on photographs",                "curves",
               PHOTOGRAPHS,  "center",      _of_table("table2")),
    Experiment("fig6",   "Figure 6: training on small images",               "curves",
               SMALL_IMAGES, "single",      _cifar(_PLAIN, _RESIDUAL)),
    Experiment("fig7",   "Figure 7: standard deviations of layer responses", "responses",
               SMALL_IMAGES, None,          _cifar((20, 56), (20, 56, 110))),
)})
# fmt: on


def chosen(
    experiment: Experiment, dataset: str | None, depths: Sequence[int] | None
) -> tuple[Net, ...]:
    """Returns the nets of an experiment that have one of the depths.

    Small images also take depths 6n+2 that the paper does not have, in the experiment's families.
    """
    if depths is None:
        depths = DIGITS_DEPTHS if dataset == "digits" else None
    if depths is None:
        return experiment.nets
    found = [net for net in experiment.nets if net.depth in depths]
    if experiment.datasets == SMALL_IMAGES:
        families = dict.fromkeys(net.family for net in experiment.nets)
        others = [depth for depth in depths if depth not in architectures.CIFAR_DEPTHS]
        found += [net for depth in others for net in small_nets(depth) if net.family in families]
    return tuple(sorted(found, key=lambda net: (net.family, net.depth)))


def small_nets(depth: int) -> tuple[Net, Net]:
    """Returns the plain and the residual net of a depth for small images.

    Raises:
        ValueError: If there are none; of ImageNet's depths the names are taken.
    """
    names = (f"plain{depth}", f"resnet{depth}")
    if any(architectures.get(name).stem != "cifar" for name in names):
        raise ValueError(
            f"{' or '.join(names)} is a net for ImageNet; nets for small images have another "
            f"depth 6n+2, such as {', '.join(map(str, architectures.CIFAR_DEPTHS))}."
        )
    return Net(names[0]), Net(names[1])


def seeds(net: Net, asked: Sequence[int] | None) -> tuple[int, ...]:
    """Returns the seeds asked for, by default five for ResNet-110 and one for other nets."""
    if asked is not None:
        return tuple(asked)
    return tuple(range(REPETITIONS if net.network == REPEATED else 1))


def places(nets: Sequence[Net], asked: Sequence[int] | None) -> list[tuple[Net, int]]:
    """Returns (net, seed) of every run; a net's second place in an ensemble takes another seed."""
    found: list[tuple[Net, int]] = []
    for net in nets:
        before = [seed for other, seed in found if other == net]
        wanted = seeds(net, asked)
        found += [(net, seed + len(before)) if before else (net, seed) for seed in wanted]
    return found

"""The paper's networks as one table, `ARCHITECTURES`. Pure Python; `stages` has the blocks.

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", arXiv 1512.03385:
Table 1 (ImageNet), section 4.2 (CIFAR-10), section 3.3 (the shortcut options A, B and C).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Integral
from types import MappingProxyType
from typing import Any

SHORTCUTS = ("A", "B", "C")
VERSIONS = ("v1", "v1.5")
CIFAR_DEPTHS = (20, 32, 44, 56, 110, 1202)  # Table 6
CIFAR_PLAIN_DEPTHS = (20, 32, 44, 56, 110)  # Fig. 6 left, and the text beside it


@dataclass(frozen=True)
class Stem:
    """The layers before conv2_x, and the data set that they were made for."""

    filters: int
    kernel_size: int
    strides: int
    max_pool: bool  # 3x3, stride 2
    image_size: int  # pixels, height = width
    classes: int


@dataclass(frozen=True)
class BlockKind:
    """The convolutions of one block, first to last."""

    kernel_sizes: tuple[int, ...]
    filter_multiples: tuple[int, ...]  # filters, as multiples of the stage's


STEMS: Mapping[str, Stem] = MappingProxyType(
    {
        "imagenet": Stem(64, kernel_size=7, strides=2, max_pool=True, image_size=224, classes=1000),
        "cifar": Stem(16, kernel_size=3, strides=1, max_pool=False, image_size=32, classes=10),
    }
)

BLOCKS: Mapping[str, BlockKind] = MappingProxyType(
    {
        "basic": BlockKind(kernel_sizes=(3, 3), filter_multiples=(1, 1)),
        "bottleneck": BlockKind(kernel_sizes=(1, 3, 1), filter_multiples=(1, 1, 4)),
    }
)


def _require_one_of(field: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{field} is one of {', '.join(map(repr, allowed))}; given {value!r}.")


def is_positive_integer(value: Any) -> bool:
    """Whether `value` is a whole number of at least 1, Python's or NumPy's; a bool is not."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1  # type: ignore[operator]


@dataclass(frozen=True)
class Architecture:
    """One network: an entry of `ARCHITECTURES`, or one of your own.

    Args:
        name: The model's name.
        stem: A key of `STEMS`: `"imagenet"` (7x7, stride 2, then max pooling) or `"cifar"` (3x3).
        block: A key of `BLOCKS`: `"basic"` (two 3x3) or `"bottleneck"` (1x1, 3x3, 1x1).
        blocks: Number of blocks in each stage.
        filters: Filters of each stage's first convolution; every stage after the first halves
            height and width.
        shortcut: `"A"` (identity, zero-padded channels), `"B"` (1x1 projection where dimensions
            grow), `"C"` (projection on every shortcut), or `None` for a plain net.
        version: Which convolution of a stage's first block strides: `"v1"`, as in the paper, the
            first one; `"v1.5"`, as in later code, the 3x3 of a bottleneck.
        stem_filters: Filters of the first convolution. Default: those of the stem.
        zero_init_residual: Whether each residual branch starts at zero, by a zero scale in its last
            batch norm (not in the paper; Goyal et al. 2017, arXiv 1706.02677, section 5.1).

    Raises:
        ValueError: If the fields do not describe a network.
    """

    name: str
    stem: str
    block: str
    blocks: tuple[int, ...]
    filters: tuple[int, ...]
    shortcut: str | None
    version: str = "v1"
    stem_filters: int | None = None
    zero_init_residual: bool = False

    def __post_init__(self) -> None:
        _require_one_of("stem", self.stem, tuple(STEMS))
        _require_one_of("block", self.block, tuple(BLOCKS))
        _require_one_of("shortcut", self.shortcut, (*SHORTCUTS, None))
        for field in ("blocks", "filters"):
            numbers = getattr(self, field)
            if not isinstance(numbers, (tuple, list)) or not all(map(is_positive_integer, numbers)):
                raise ValueError(f"{field} takes a tuple of positive integers; given {numbers!r}.")
            object.__setattr__(self, field, tuple(map(int, numbers)))
        if not self.blocks or len(self.blocks) != len(self.filters):
            raise ValueError(
                "blocks and filters need one number per stage, and at least one stage; "
                f"given blocks={self.blocks}, filters={self.filters}."
            )
        if self.stem_filters is not None:
            if not is_positive_integer(self.stem_filters):
                raise ValueError(
                    f"stem_filters takes a positive integer or None; given {self.stem_filters!r}."
                )
            object.__setattr__(self, "stem_filters", int(self.stem_filters))
        _require_one_of("version", self.version, VERSIONS)
        if self.version == "v1.5" and self.block != "bottleneck":
            raise ValueError(
                f"version='v1.5' moves the stride into a bottleneck's 3x3; {self.name} has "
                f"{self.block} blocks, so only version='v1' is allowed."
            )
        widths = (self.first_filters, *self.stage_outputs)
        if self.shortcut == "A" and any(after < before for before, after in pairwise(widths)):
            raise ValueError(
                "Shortcut A pads channels with zeros and cannot drop any: give filters that do "
                f"not shrink, or shortcut='B'; given channels {widths} (stem, then stages)."
            )
        if self.zero_init_residual and self.shortcut is None:
            raise ValueError("zero_init_residual=True needs shortcuts; given a plain net.")

    @property
    def residual(self) -> bool:
        """Whether the blocks have shortcuts."""
        return self.shortcut is not None

    @property
    def block_depth(self) -> int:
        """Convolutions in one block, without a projection."""
        return len(BLOCKS[self.block].kernel_sizes)

    @property
    def first_filters(self) -> int:
        """Filters of the first convolution."""
        return self.stem_filters or STEMS[self.stem].filters

    @property
    def stage_outputs(self) -> tuple[int, ...]:
        """Channels of each stage's output."""
        expansion = BLOCKS[self.block].filter_multiples[-1]
        return tuple(expansion * filters for filters in self.filters)

    @property
    def depth(self) -> int:
        """Weighted layers as the paper counts them, without projections."""
        return 1 + self.block_depth * sum(self.blocks) + 1  # stem, blocks, classifier

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Input pixels per pixel of each stage's map: 4, 8, 16, 32 or 1, 2, 4."""
        stem = STEMS[self.stem]
        first = stem.strides * (2 if stem.max_pool else 1)
        return tuple(first << i for i in range(len(self.blocks)))

    @property
    def total_stride(self) -> int:
        """Input pixels per pixel of the last stage's map."""
        return self.stage_strides[-1]


def cifar_architecture(depth: int, residual: bool = True) -> Architecture:
    """The CIFAR-10 net of any depth 6n+2 (section 4.2): three stages of n basic blocks.

    Args:
        depth: Weighted layers, 6n+2 with n >= 1: 8, 14, 20, 26, ...
        residual: `True` for the residual net (option A, the paper's for CIFAR-10), `False` for
            the plain one.

    Raises:
        ValueError: If `depth` is not 6n+2.
    """
    if not is_positive_integer(depth) or depth < 8 or (depth - 2) % 6:
        raise ValueError(
            f"A CIFAR net's depth is 6n+2 with n >= 1 (8, 14, 20, 26, 32, ...); given {depth!r}."
        )
    n = (depth - 2) // 6
    name, shortcut = (f"resnet{depth}", "A") if residual else (f"plain{depth}", None)
    return Architecture(name, "cifar", "basic", (n, n, n), (16, 32, 64), shortcut)


_IMAGENET_FILTERS = (64, 128, 256, 512)

# fmt: off
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({one.name: one for one in (
    # Table 1:    name         stem        block         conv2_x..5_x     filters           shortcut
    Architecture("plain18",   "imagenet", "basic",      (2, 2,  2, 2),    _IMAGENET_FILTERS, None),
    Architecture("plain34",   "imagenet", "basic",      (3, 4,  6, 3),    _IMAGENET_FILTERS, None),
    Architecture("resnet18",  "imagenet", "basic",      (2, 2,  2, 2),    _IMAGENET_FILTERS, "B"),
    Architecture("resnet34",  "imagenet", "basic",      (3, 4,  6, 3),    _IMAGENET_FILTERS, "B"),
    Architecture("resnet50",  "imagenet", "bottleneck", (3, 4,  6, 3),    _IMAGENET_FILTERS, "B"),
    Architecture("resnet101", "imagenet", "bottleneck", (3, 4, 23, 3),    _IMAGENET_FILTERS, "B"),
    Architecture("resnet152", "imagenet", "bottleneck", (3, 8, 36, 3),    _IMAGENET_FILTERS, "B"),
    # Section 4.2
    *(cifar_architecture(depth) for depth in CIFAR_DEPTHS),
    *(cifar_architecture(depth, residual=False) for depth in CIFAR_PLAIN_DEPTHS),
)})
# fmt: on


def get(name: str) -> Architecture:
    """The network called `name`, such as `"resnet50"`, or `"resnet26"` for CIFAR (any 6n+2).

    Raises:
        ValueError: If no network has that name.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    for prefix, residual in (("resnet", True), ("plain", False)):
        depth = str(name).removeprefix(prefix)
        if depth != name and depth.isdecimal() and int(depth) >= 8 and (int(depth) - 2) % 6 == 0:
            found = cifar_architecture(int(depth), residual)
            if found.name == name:  # "resnet020" is no name
                return found
    raise ValueError(
        f"There is no network {name!r}. Known: {', '.join(ARCHITECTURES)}; further CIFAR nets are "
        "called 'resnet<depth>' or 'plain<depth>' with depth 6n+2 (8, 14, 26, ...)."
    )


def with_options(
    architecture: Architecture,
    shortcut: str | None = None,
    version: str | None = None,
    zero_init_residual: bool | None = None,
    width: float = 1,
) -> Architecture:
    """`architecture` with the given options in place of its own; `None` keeps its own.

    Args:
        architecture: The network.
        shortcut: `"A"`, `"B"` or `"C"`.
        version: `"v1"` or `"v1.5"`.
        zero_init_residual: Whether residual branches start at zero.
        width: Multiplies the filters of every convolution, the first one's too.

    Raises:
        ValueError: If a shortcut is asked of a plain net, an option is unknown, or `width` makes
            fractions of filters.
    """
    if shortcut is not None and not architecture.residual:
        raise ValueError(
            f"{architecture.name} is a plain net, without shortcuts; given shortcut={shortcut!r}. "
            "Leave it out, or take the residual net."
        )
    if width != 1:
        wide = [width * number for number in (architecture.first_filters, *architecture.filters)]
        if not all(number >= 1 and number == int(number) for number in wide):
            raise ValueError(
                f"width={width:g} makes {', '.join(f'{number:g}' for number in wide)} filters of "
                f"{architecture.name}'s: give one that makes whole numbers, such as 0.5 or 2."
            )
        first, *stages = map(int, wide)
        architecture = replace(architecture, stem_filters=first, filters=tuple(stages))
    options = {"shortcut": shortcut, "version": version, "zero_init_residual": zero_init_residual}
    given = {name: value for name, value in options.items() if value is not None}
    return replace(architecture, **given)  # type: ignore[arg-type]

"""A network as plain data: its stages, block by block, with every convolution decided.

Pure Python; `keras_resnet.resnet` makes layers of it. Source: arXiv 1512.03385, Table 1, Fig. 2,
Fig. 5 and section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.architectures import BLOCKS, Architecture


@dataclass(frozen=True)
class Convolution:
    """A convolution and its batch norm: (N, H, W, C) -> (N, H/strides, W/strides, filters)."""

    name: str  # conv3_block1_2, of the layers conv3_block1_2_conv and conv3_block1_2_bn
    filters: int
    kernel_size: int
    strides: int = 1
    dilation: int = 1
    zero_scale: bool = False  # whether the batch norm's scale starts at zero


@dataclass(frozen=True)
class Shortcut:
    """The path around a block's convolutions (section 3.3); `Shortcut()` is the identity."""

    projection: Convolution | None = None  # options B and C: 1x1
    strides: int = 1  # option A: keeps every strides-th pixel
    zero_channels: int = 0  # option A: channels of zeros, half of them on each side


@dataclass(frozen=True)
class Block:
    """One block: (N, H, W, C) -> (N, H/strides, W/strides, filters)."""

    stage: int  # the paper's number, 2 in conv2_x
    number: int  # within the stage, from 1
    convolutions: tuple[Convolution, ...]
    shortcut: Shortcut | None  # None in a plain net

    @property
    def name(self) -> str:
        return f"conv{self.stage}_block{self.number}"

    @property
    def filters(self) -> int:
        """Channels of the block's output."""
        return self.convolutions[-1].filters


def stages(
    architecture: Architecture, output_stride: int | None = None
) -> tuple[tuple[Block, ...], ...]:
    """The blocks of conv2_x, conv3_x and so on.

    The first block of every stage but conv2_x halves height and width.

    Args:
        architecture: The network.
        output_stride: Input pixels per pixel of the last map. Stages that would go beyond it
            dilate their convolutions instead of striding, with the same weights. Default: the
            network's own, 32 (ImageNet) or 4 (CIFAR).

    Raises:
        ValueError: If `output_stride` is not the stride of one of the network's stages.
    """
    own_strides = architecture.stage_strides
    if output_stride not in (None, *own_strides):
        raise ValueError(
            f"output_stride of {architecture.name} is one of its stages' strides, "
            f"{', '.join(map(str, own_strides))}, or None; given {output_stride!r}."
        )
    found = []
    dilation = 1
    for stage, (count, stride) in enumerate(
        zip(architecture.blocks, own_strides, strict=True), start=2
    ):
        strides, dilation_before = 1, dilation
        if stage > 2 and stride <= (output_stride or stride):
            strides = 2
        elif stage > 2:  # where dilation replaces a stride, later convolutions double theirs
            dilation *= 2
        first = _block(architecture, stage, 1, strides, (dilation_before, dilation))
        others = (
            _block(architecture, stage, number, 1, (dilation, dilation))
            for number in range(2, count + 1)
        )
        found.append((first, *others))
    return tuple(found)


def _block(
    architecture: Architecture, stage: int, number: int, strides: int, dilations: tuple[int, int]
) -> Block:
    """One block, with two dilations: up to the convolution that strides, and after it."""
    name = f"conv{stage}_block{number}"
    kind = BLOCKS[architecture.block]
    strided = 1 if architecture.version == "v1.5" else 0
    last = len(kind.kernel_sizes) - 1
    convolutions = tuple(
        Convolution(
            f"{name}_{i + 1}",
            multiple * architecture.filters[stage - 2],
            kernel_size,
            strides=strides if i == strided else 1,
            dilation=dilations[i > strided] if kernel_size > 1 else 1,
            zero_scale=architecture.zero_init_residual and i == last,
        )
        for i, (kernel_size, multiple) in enumerate(
            zip(kind.kernel_sizes, kind.filter_multiples, strict=True)
        )
    )
    widths = (architecture.first_filters, *architecture.stage_outputs)
    channels, outputs = widths[stage - 2 if number == 1 else stage - 1], widths[stage - 1]
    # A stage whose stride is dilated away keeps its projection: the weights have one.
    grows = channels != outputs or (number == 1 and stage > 2)
    if architecture.shortcut is None:
        shortcut = None
    elif architecture.shortcut == "C" or (architecture.shortcut == "B" and grows):
        shortcut = Shortcut(projection=Convolution(f"{name}_0", outputs, 1, strides))
    else:
        shortcut = Shortcut(strides=strides, zero_channels=outputs - channels)
    return Block(stage, number, convolutions, shortcut)

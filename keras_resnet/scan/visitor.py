"""Goes through the layers of a network, whether its blocks are written out or run in a loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import keras
from keras import layers

from keras_resnet.scan.scanned_blocks import ScannedBlocks, StackedBatchNorm


@dataclass(frozen=True)
class WrittenOut:
    """A layer of a network under the name that it has where every block is written out."""

    name: str  # conv2_block3_1_conv
    layer: layers.Layer  # in a loop, the layer that stands for this one in every block
    loop: ScannedBlocks | None = None
    block: int = 0  # which block of the loop, from 0

    def variable(self, name: str) -> Any:
        """The layer's variable such as `kernel`, or `None`; in a loop all blocks', (count, ...)."""
        variable = getattr(self.layer, name, None)
        return variable if self.loop is None or variable is None else self.loop.stack_of(variable)


def is_loop(operation: Any) -> TypeGuard[ScannedBlocks]:
    """Whether an operation of a model's graph runs blocks in a loop."""
    return isinstance(operation, ScannedBlocks)


def walk(model: keras.Model) -> Iterator[layers.Layer]:
    """The layers of a functional model in order, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from walk(layer)
        else:
            yield layer


def written_out(model: keras.Model) -> Iterator[WrittenOut]:
    """The layers as `walk` gives them, and each loop's layers block by block."""
    for layer in walk(model):
        if is_loop(layer):
            for i, block in enumerate(layer.block_names()):
                for ending, inner in layer.block.named_layers:
                    yield WrittenOut(f"{block}_{ending}", inner, layer, i)
        else:
            yield WrittenOut(layer.name, layer)


def loops(model: keras.Model) -> list[ScannedBlocks]:
    """The layers of a model that run blocks in a loop; none if it was built with `scan=False`."""
    return list(dict.fromkeys(one.loop for one in written_out(model) if one.loop is not None))


def batch_norms(model: keras.Model) -> list[layers.BatchNormalization | StackedBatchNorm]:
    """The batch norms in order; each of a loop comes once, for all the loop's blocks."""
    return [
        one.layer
        if one.loop is None
        else StackedBatchNorm(
            one.layer, one.variable("moving_mean"), one.variable("moving_variance")
        )
        for one in written_out(model)
        if isinstance(one.layer, layers.BatchNormalization) and one.block == 0
    ]

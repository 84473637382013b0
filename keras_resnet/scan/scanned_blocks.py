"""The identical blocks of a stage as one layer: a loop over stacked weights.

A graph of a thousand layers takes minutes to build and to trace. Here the graph holds one block of
a stage, and a loop runs it with each block's weights in turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_resnet.scan.loops import scan


@keras.saving.register_keras_serializable(package="keras_resnet")
class ScannedBlocks(layers.Layer):
    """`count` blocks of one kind, one after the other: (N, H, W, C) -> (N, H, W, C).

    Each variable of the block is stacked to one variable for all blocks, (count, ...). Outputs,
    gradients and moving statistics equal those of the blocks written out; without projections the
    initial weights of the same seed are equal, too. Optimizers that take norms of whole variables
    (`clipnorm`, LAMB) see the blocks of a stage as one. TensorFlow cannot compile the loop by XLA,
    or synchronize batch norms in it.

    Args:
        block: A functional model of one block, of the same input and output shape. Its name is the
            first block's, `conv2_block2`, and its layers' names begin with it. The next blocks are
            `conv2_block3` and so on.
        count: Number of blocks.
        rematerialize: Whether a training step keeps only the blocks' inputs for the backward pass,
            and computes the rest again (Chen et al. 2016, arXiv 1604.06174).

    Raises:
        ValueError: If the block changes the shape.
    """

    def __init__(
        self, block: keras.Model, count: int, rematerialize: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if block.input_shape != block.output_shape:
            raise ValueError(
                "The blocks of a loop have outputs of the shape of their inputs; "
                f"{block.name} makes {block.output_shape} of {block.input_shape}."
            )
        self.block = BlockTemplate(block)
        self.count = count
        self.rematerialize = rematerialize
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False

    def build(self, input_shape: Any) -> None:
        initializers: list[list[Any]] = [[] for _ in self.block.variables]
        for i in range(self.count):  # block by block, the order in which a flat net draws seeds
            for each, initializer in zip(initializers, self.block.initializers, strict=True):
                each.append(initializer if i == 0 else _reseeded(initializer))
        self.stacks = [
            self.add_weight(
                name=name.replace("/", "_"),  # 1_conv_kernel
                shape=(self.count, *variable.shape),
                initializer=Stacked(each),
                dtype=variable.dtype,
                trainable=variable.trainable,
                autocast=False,  # the block's layers cast what they read
            )
            for (name, variable), each in zip(self.block.variables, initializers, strict=True)
        ]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        training = bool(training and self.trainable)  # frozen batch norms use moving statistics
        variables = [variable for _, variable in self.block.variables]
        groups = _groups(variables)
        moving = [group for group in groups if training and not variables[group[0]].trainable]

        def run(x: Any, *joined: Any) -> tuple[Any, ...]:
            values = _separate(joined, groups, variables)
            with keras.StatelessScope((variables[i], value) for i, value in values) as scope:
                y = self.block.model(x, training=training)
            return y, *_join([scope.get_current_value(variable) for variable in variables], moving)

        if training and self.rematerialize:
            run = keras.remat(run)

        def step(x: Any, joined: Any) -> tuple[Any, list[Any]]:
            y, *moved = run(x, *joined)
            return y, [ops.stop_gradient(value) for value in moved]

        # The variables are read once: indexing them in the loop would make a gradient of their full
        # size for every block. Statistics are copied, since PyTorch assigns in place.
        stacks = [
            ops.convert_to_tensor(stack)
            if variable.trainable
            else ops.stop_gradient(ops.copy(stack))
            for stack, variable in zip(self.stacks, variables, strict=True)
        ]
        y, moved = scan(step, inputs, _join(stacks, groups), like=_join(stacks, moving))
        for i, statistic in _separate(moved, moving, variables):
            self.stacks[i].assign(statistic)
        return y  # (N, H, W, C)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        return keras.KerasTensor(inputs.shape, dtype=self.block.model.output.dtype)

    def stack_of(self, variable: keras.Variable) -> keras.Variable:
        """The values that a variable of `block` has in every block, (count, ...)."""
        own = [one for _, one in self.block.variables]
        return next(s for one, s in zip(own, self.stacks, strict=True) if one is variable)

    def block_arrays(self) -> dict[str, np.ndarray]:
        """The weights of the blocks written out: `{"conv2_block2_1_conv/kernel": ...}`."""
        values = [np.array(ops.convert_to_numpy(stack)) for stack in self.stacks]
        return {
            f"{block}_{name}": array[i]
            for i, block in enumerate(self.block_names())
            for (name, _), array in zip(self.block.variables, values, strict=True)
        }

    def assign_blocks(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assigns the weights of the blocks written out; `arrays` may hold other weights, too."""
        for (name, _), stack in zip(self.block.variables, self.stacks, strict=True):
            stack.assign(np.stack([arrays[f"{block}_{name}"] for block in self.block_names()]))

    def block_names(self) -> list[str]:
        """The names of the blocks written out: `conv2_block2` and so on."""
        stage, first = re.fullmatch(r"(.*?)(\d+)", self.block.model.name).groups()  # type: ignore[union-attr]
        return [f"{stage}{int(first) + i}" for i in range(self.count)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "block": keras.saving.serialize_keras_object(self.block.model),
            "count": self.count,
            "rematerialize": self.rematerialize,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScannedBlocks:
        return cls(**{**config, "block": keras.saving.deserialize_keras_object(config["block"])})


@keras.saving.register_keras_serializable(package="keras_resnet")
class Stage(ScannedBlocks):
    """`ScannedBlocks` under its former name, which finds class and weights in older files."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScannedBlocks:
        renamed = {"block" if key == "unit" else key: value for key, value in config.items()}
        return super().from_config(renamed)


@dataclass(frozen=True)
class BlockTemplate:
    """The graph of a block, whose variables take the values of each block of a loop in turn.

    It is not a layer, since Keras would then count its variables among the loop's.
    """

    model: keras.Model

    @property
    def named_layers(self) -> Iterator[tuple[str, layers.Layer]]:
        """The layers, each with its name without the block's: `1_conv`."""
        for layer in self.model.layers:
            yield layer.name.removeprefix(f"{self.model.name}_"), layer

    @property
    def variables(self) -> list[tuple[str, Any]]:
        """The variables, each with its name: `1_conv/kernel`."""
        return [
            (f"{name}/{variable.name}", variable)
            for name, layer in self.named_layers
            for variable in layer.variables
        ]

    @property
    def initializers(self) -> list[Any]:
        """The initializers of `variables`, in their order."""
        return [
            getattr(layer, f"{variable.name}_initializer")
            for _, layer in self.named_layers
            for variable in layer.variables
        ]


@dataclass
class StackedBatchNorm:
    """The batch norm of all blocks of a loop at once: statistics of shape (count, C)."""

    layer: layers.BatchNormalization
    moving_mean: Any
    moving_variance: Any

    @property
    def momentum(self) -> float:
        return float(self.layer.momentum)

    @momentum.setter
    def momentum(self, value: float) -> None:
        self.layer.momentum = value


@dataclass(frozen=True)
class Stacked:
    """An initializer of stacked variables, which draws each block's part by its own initializer."""

    initializers: Sequence[Any]

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        drawn = {draw: draw(shape[1:], dtype) for draw in set(self.initializers)}
        return ops.stack([drawn[draw] for draw in self.initializers])


def _groups(variables: Sequence[Any]) -> list[list[int]]:
    """Groups the indices of the variables that pass through the loop as one array.

    TensorFlow's loop spends several operations per block on each array, more than the work on a
    vector. So vectors are joined: those that are trained, and the moving statistics.
    """
    groups: dict[Any, list[int]] = {}
    for i, variable in enumerate(variables):
        vector = len(variable.shape) == 1
        key = (variable.dtype, variable.trainable) if vector else i
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _join(values: Sequence[Any], groups: Sequence[Sequence[int]]) -> list[Any]:
    """One array for each group; vectors (..., C) are joined along their last axis."""
    return [
        ops.concatenate([values[i] for i in group], axis=-1) if len(group) > 1 else values[group[0]]
        for group in groups
    ]


def _separate(
    joined: Sequence[Any], groups: Sequence[Sequence[int]], variables: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """The reverse of `_join`: the index and the value of every variable."""
    for array, group in zip(joined, groups, strict=True):
        if len(group) == 1:
            yield group[0], array
            continue
        ends = np.cumsum([variables[i].shape[0] for i in group])
        yield from zip(group, ops.split(array, ends[:-1].tolist(), axis=-1), strict=True)


def _reseeded(initializer: Any) -> Any:
    """The initializer with another seed, if it has one."""
    config = initializer.get_config()
    if "seed" not in config:
        return initializer
    return type(initializer).from_config({**config, "seed": None})

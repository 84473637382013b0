"""Streams of encoded photographs: (drawn, the file's bytes, label, the file's name).

`drawn` is what decoding needs beside the bytes: in training the photograph's random numbers, in
evaluation its number in the split.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from training.common.as_written import as_written
from training.data import random_order
from training.data.decoding import image_decoding
from training.data.draws import Draws, PhotographDraw
from training.data.shares import WHOLE, Share
from training.data.splits import FileSplit, RecordSplit
from training.data.streams import drawn_datasets

# Record files are read in sequence. TFDS has shuffled their records once; every epoch shuffles
# the files, reads some at a time and shuffles blocks of examples (some 0.1 MB each).
PARALLEL_FILES = 16
SHUFFLE_BLOCK = 2048
TOGETHER = 32  # images that one thread decodes, 20 MB of them where they have 224 x 224 pixels

Decode = Callable[[tf.Tensor, Any], tf.Tensor]  # from (the file's bytes, drawn) to an image
Fields = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # the file's bytes, label, the file's name


def shuffled(
    split: FileSplit | RecordSplit, draws: Draws, first_step: int, share: Share = WHOLE
) -> tf.data.Dataset:
    """Returns the endless training stream from a step on, in a random order for each epoch.

    A process reads the files of its own share only. Records lie one behind the other in large
    files: a process reads the bytes of all of them and drops those of other shares undecoded.

    Args:
        split: The photographs.
        draws: The random numbers of every step.
        first_step: The first step.
        share: The part of each step's batch that this process reads.
    """
    spans = share.spans(draws.batch_size, draws.batch_size)
    own = slice(spans[0, 0], spans[-1, 1])
    if isinstance(split, RecordSplit):
        mine = np.zeros(draws.batch_size, bool)
        mine[own] = True
        stream = tf.data.Dataset.zip(
            drawn_datasets.of_steps(draws.photographs, first_step).unbatch(),
            _shuffled_records(split, draws.seed, first_step * draws.batch_size),
            tf.data.Dataset.from_tensor_slices(mine).repeat(),
        )
        read = _record_reader(split)
        return stream.filter(lambda drawn, record, is_mine: is_mine).map(
            lambda drawn, record, is_mine: (drawn, *read(record)), tf.data.AUTOTUNE
        )

    def drawn(step: int) -> tuple[PhotographDraw, np.ndarray]:
        numbers = PhotographDraw(*(values[own] for values in draws.photographs(step)))
        return numbers, draws.places(step)[own]

    read = _file_reader(split)
    return (
        drawn_datasets.of_steps(drawn, first_step)
        .unbatch()
        .map(lambda numbers, place: (numbers, *read(place)), tf.data.AUTOTUNE)
    )


def in_order(split: FileSplit | RecordSplit, chosen: np.ndarray | None = None) -> tf.data.Dataset:
    """Returns every image once, in the split's order.

    Args:
        split: The photographs.
        chosen: bool (split.examples,): leaves out the others, unread (records: undecoded).
    """
    if isinstance(split, RecordSplit):
        examples = split.builder.as_dataset(split=split.instruction, decoders=_ENCODED).enumerate()
        if chosen is not None:
            kept = tf.constant(chosen)
            examples = examples.filter(lambda number, _: kept[number])
        return examples.map(lambda number, example: (number, *_fields(example)))
    read = _file_reader(split)
    numbers = np.arange(split.examples) if chosen is None else np.flatnonzero(chosen)
    return tf.data.Dataset.from_tensor_slices(numbers).map(
        lambda number: (number, *read(number)), tf.data.AUTOTUNE
    )


def decoder(
    decode: Decode,
    shape: tuple[int | None, int | None, int],
    dtype: tf.DType = tf.float32,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function from a stream's elements to (image, label) whose error names the image.

    Args:
        decode: From (the file's bytes, drawn) to an image.
        shape: The images' shape (H, W, C); `None` stands for any height or width.
        dtype: The images' type.
    """

    def fail(name: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
        message = tf.strings.join(["The image ", name, " ", image_decoding.reason(encoded)])
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(name, ""), [message])]):
            return tf.zeros([1 if n is None else n for n in shape], dtype)

    def decoded(
        drawn: Any, encoded: tf.Tensor, label: tf.Tensor, name: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # TensorFlow's decoders do not know the name, and a graph has no `except`. So: a data set
        # of one image, which is empty if decoding fails; then comes the one that fails by name.
        attempt = tf.data.Dataset.from_tensors(encoded).map(lambda bytes_: decode(bytes_, drawn))
        failure = tf.data.Dataset.from_tensors((name, encoded)).map(fail)
        image = attempt.ignore_errors().concatenate(failure).take(1).get_single_element()
        return image, label

    return decoded


def batches(
    stream: tf.data.Dataset,
    decode: Decode,
    shape: tuple[int, int, int],
    sizes: int | np.ndarray,
) -> tf.data.Dataset:
    """Returns a stream's batches of (images, labels), with an error that names a damaged image.

    Args:
        stream: What `shuffled` or `in_order` returned.
        decode: From (the file's bytes, drawn) to a float32 image.
        shape: The images' shape (H, W, C).
        sizes: Images in every batch of an endless stream; or in each, (batches,) int64.
    """
    one = decoder(decode, shape)

    def unnamed(
        drawn: Any, encoded: tf.Tensor, label: tf.Tensor, name: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.ensure_shape(decode(encoded, drawn), shape), label

    @as_written
    def together(*fields: Any) -> tuple[tf.Tensor, tf.Tensor]:
        # Making `decoder`'s data sets for each image takes a sixth of training's time for it. So
        # one is made for all of them, and only where an image fails come theirs, to name it.
        images = tf.data.Dataset.from_tensor_slices(fields)
        count = tf.size(fields[-1], tf.int64)
        whole = images.map(unnamed).ignore_errors().batch(count, drop_remainder=True)
        named = images.map(one).batch(count)
        return whole.concatenate(named).take(1).get_single_element()

    parts = stream.batch(TOGETHER).map(together, tf.data.AUTOTUNE)
    return parts.rebatch(sizes, drop_remainder=isinstance(sizes, int))


def _file_reader(split: FileSplit) -> Callable[[tf.Tensor], Fields]:
    with tf.device("CPU"):
        # As bytes, since names of files may be in another encoding than UTF-8.
        paths = tf.constant([os.fsencode(path) for path in split.paths], tf.string)
        labels = tf.constant(split.labels)

    def read(place: tf.Tensor) -> Fields:
        return tf.io.read_file(paths[place]), labels[place], paths[place]

    return read


# Records

_ENCODED = {"image": tfds.decode.SkipDecoding()}


def _shuffled_records(split: RecordSplit, seed: int, first: int) -> tf.data.Dataset:
    """Returns serialized records from the stream's place `first` on.

    The stream enters the epoch of that place and skips the epoch's records before it.
    """
    parts = split.builder.info.splits[split.instruction].file_instructions
    names = tf.constant([str(part.filename) for part in parts])
    skips = tf.constant([part.skip for part in parts], tf.int64)
    takes = tf.constant([part.take for part in parts], tf.int64)

    def order(count: int | tf.Tensor, purpose: int, *numbers: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(
            lambda n, *place: random_order.permutation(
                int(n), seed, *map(int, place), purpose=purpose
            ),
            (count, *numbers),
            tf.int32,
            stateful=False,
        )

    def read(part: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(names[part]).skip(skips[part]).take(takes[part])

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        def shuffle(index: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
            return tf.gather(block, order(tf.size(block), random_order.BLOCK, number, index))

        files = tf.ensure_shape(order(len(parts), random_order.EPOCH, number), (len(parts),))
        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            read,
            cycle_length=PARALLEL_FILES,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return records.batch(SHUFFLE_BLOCK).enumerate().map(shuffle).unbatch()

    epochs = tf.data.Dataset.counter(first // split.examples).flat_map(epoch)
    return epochs.skip(first % split.examples)


def _record_reader(split: RecordSplit) -> Callable[[tf.Tensor], Fields]:
    features = split.builder.info.features
    return lambda record: _fields(features.deserialize_example(record, decoders=_ENCODED))


def _fields(example: dict[str, tf.Tensor]) -> Fields:
    return example["image"], tf.cast(example["label"], tf.int32), example["file_name"]

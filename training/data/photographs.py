"""Streams of encoded photographs: (number in the stream, file's bytes, label, file's name)."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_datasets as tfds

from training.data import random_order
from training.data.splits import FileSplit, RecordSplit

# Record files are read in sequence. TFDS has shuffled what is in them once; every epoch shuffles
# the files, reads some at a time and shuffles blocks of examples (some 0.1 MB each).
PARALLEL_FILES = 16
SHUFFLE_BLOCK = 2048
TOGETHER = 32  # images that one thread decodes, 20 MB of them where they have 224 x 224 pixels

Fields = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def shuffled(split: FileSplit | RecordSplit, seed: int, first: int) -> tf.data.Dataset:
    """Endless, from example `first` on; every image once in an epoch, an order for each."""
    if isinstance(split, RecordSplit):
        return _shuffled_records(split, seed, first)
    read = _reader(split)
    places = random_order.shuffled(split.examples, seed, first)
    return tf.data.Dataset.zip(tf.data.Dataset.counter(first), places).map(read, tf.data.AUTOTUNE)


def in_order(split: FileSplit | RecordSplit) -> tf.data.Dataset:
    """Every image once."""
    if isinstance(split, RecordSplit):
        examples = split.builder.as_dataset(split=split.instruction, decoders=_ENCODED)
        return examples.enumerate().map(_fields)
    read = _reader(split)
    return tf.data.Dataset.range(split.examples).enumerate().map(read, tf.data.AUTOTUNE)


def decoder(
    decode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    shape: tuple[int | None, int | None, int],
    dtype: tf.DType = tf.float32,
) -> Callable:
    """From a stream's elements to (image, label), with an error that names the image.

    Args:
        decode: Of (bytes, number in the stream): an image.
        shape: Of the images, (H, W, C); `None` for any height and width.
        dtype: Of the images.
    """

    def fail(name: tf.Tensor) -> tf.Tensor:
        message = tf.strings.join(["The image ", name, " is damaged, or neither JPEG nor PNG."])
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(name, ""), [message])]):
            return tf.zeros([1 if n is None else n for n in shape], dtype)

    def decoded(
        number: tf.Tensor, encoded: tf.Tensor, label: tf.Tensor, name: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # TensorFlow's decoders do not know the name, and a graph has no `except`. So: a data set
        # of one image, which is empty if decoding fails; then comes the one that fails by name.
        attempt = tf.data.Dataset.from_tensors(encoded).map(lambda bytes_: decode(bytes_, number))
        failure = tf.data.Dataset.from_tensors(name).map(fail)
        image = attempt.ignore_errors().concatenate(failure).take(1).get_single_element()
        return image, label

    return decoded


def batches(
    stream: tf.data.Dataset,
    decode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    shape: tuple[int, int, int],
    batch_size: int,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """A stream's batches of (images, labels), with an error that names an image.

    Args:
        stream: Of this module's.
        decode: As of `decoder`, to float32.
        shape: Of the images.
        batch_size: Images in a batch.
        drop_remainder: Leaves out a smaller last batch.
    """
    one = decoder(decode, shape)

    def unnamed(
        number: tf.Tensor, encoded: tf.Tensor, label: tf.Tensor, name: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.ensure_shape(decode(encoded, number), shape), label

    def together(*fields: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Making `decoder`'s data sets for each image takes a sixth of training's time for it. So
        # one is made for all of them, and only where an image fails come theirs, to name it.
        images = tf.data.Dataset.from_tensor_slices(fields)
        count = tf.size(fields[0], tf.int64)
        whole = images.map(unnamed).ignore_errors().batch(count, drop_remainder=True)
        named = images.map(one).batch(count)
        return whole.concatenate(named).take(1).get_single_element()

    parts = stream.batch(TOGETHER).map(together, tf.data.AUTOTUNE)
    return parts.rebatch(batch_size, drop_remainder)


def _reader(split: FileSplit) -> Callable[[tf.Tensor, tf.Tensor], Fields]:
    with tf.device("CPU"):
        paths, labels = tf.constant(split.paths), tf.constant(split.labels)

    def read(number: tf.Tensor, i: tf.Tensor) -> Fields:
        return number, tf.io.read_file(paths[i]), labels[i], paths[i]

    return read


# Records

_ENCODED = {"image": tfds.decode.SkipDecoding()}


def _shuffled_records(split: RecordSplit, seed: int, first: int) -> tf.data.Dataset:
    """Enters the epoch that has example `first` and passes over its records, undecoded, so far."""
    parts = split.builder.info.splits[split.instruction].file_instructions
    features = split.builder.info.features
    names = tf.constant([str(part.filename) for part in parts])
    skips = tf.constant([part.skip for part in parts], tf.int64)
    takes = tf.constant([part.take for part in parts], tf.int64)

    def read(part: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(names[part]).skip(skips[part]).take(takes[part])

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = random_order.seed_of(seed, number)

        def shuffle(index: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
            block_seed = tf.random.fold_in(epoch_seed, index)
            return tf.gather(block, random_order.permutation(tf.size(block), block_seed))

        files = tf.data.Dataset.from_tensor_slices(random_order.permutation(len(parts), epoch_seed))
        records = files.interleave(
            read,
            cycle_length=PARALLEL_FILES,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return records.batch(SHUFFLE_BLOCK).enumerate().map(shuffle).unbatch()

    epochs = tf.data.Dataset.counter(first // split.examples).flat_map(epoch)
    records = epochs.skip(first % split.examples)
    return tf.data.Dataset.zip(tf.data.Dataset.counter(first), records).map(
        lambda number, record: _fields(
            number, features.deserialize_example(record, decoders=_ENCODED)
        ),
        tf.data.AUTOTUNE,
    )


def _fields(number: tf.Tensor, example: dict[str, tf.Tensor]) -> Fields:
    return number, example["image"], tf.cast(example["label"], tf.int32), example["file_name"]

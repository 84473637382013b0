"""From a split to batches: a training stream that resumes anywhere, and every image in order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from training import augmentation as augment
from training.datasets import ArraySplit, FileSplit, RecordSplit, Split

AUGMENTATIONS = ("none", "crop", "cifar", "imagenet")

# ImageNet's mean RGB, 0..255, of the published VGG nets (Simonyan and Zisserman 2015).
IMAGENET_MEAN = (123.68, 116.779, 103.939)

# Record files are read in sequence. TFDS has shuffled what is in them once; every epoch shuffles
# the files, reads some at a time and shuffles blocks of the examples (of some 0.1 MB each).
PARALLEL_FILES = 16
SHUFFLE_BLOCK = 2048

FOREVER = np.iinfo(np.int64).max


def pixel_mean(split: Split) -> np.ndarray:
    """What to subtract: float32, 0..255; (H, W, C) of arrays, (1, 1, 3) for photographs."""
    if not isinstance(split, ArraySplit):
        return np.array(IMAGENET_MEAN, np.float32).reshape(1, 1, 3)
    total = np.zeros(split.images.shape[1:], np.float64)
    for start in range(0, split.examples, 1000):  # not all of it in float64 at once
        total += split.images[start : start + 1000].sum(axis=0, dtype=np.float64)
    return (total / split.examples).astype(np.float32)


def train_batches(
    split: Split,
    *,
    augmentation: str,
    batch_size: int,
    mean: np.ndarray,
    seed: int,
    first_step: int = 0,
    image_size: int | None = None,
) -> tf.data.Dataset:
    """An endless stream of augmented batches, each epoch in an order of its own.

    Batch k is a function of the arguments and k alone, so a stream from `first_step=k` is what is
    left of one from 0 after k batches. Batches cross the borders of epochs; every image comes
    exactly once in each.

    Args:
        split: The training images.
        augmentation: One of `AUGMENTATIONS`.
        batch_size: Images in every batch.
        mean: As of `pixel_mean`; subtracted before images are padded.
        seed: Of the order and the augmentation.
        first_step: Number of batches to leave out.
        image_size: Side of the crops of photographs (default: 224); arrays keep their size.

    Returns:
        Of (images float32 (batch_size, H, W, C), labels int32 (batch_size,)).

    Raises:
        ValueError: If the augmentation is unknown or not for such images, or the split is empty.
    """
    if augmentation not in AUGMENTATIONS:
        raise ValueError(
            f"There is no augmentation {augmentation!r}; there are {', '.join(AUGMENTATIONS)}."
        )
    if split.examples < 1 or batch_size < 1 or first_step < 0:
        raise ValueError(
            "Training takes images, batches of at least one and no negative step; given "
            f"{split.examples} images, batch_size={batch_size}, first_step={first_step}."
        )
    if isinstance(split, ArraySplit):
        if augmentation == "imagenet":
            raise ValueError(
                "The augmentation 'imagenet' is for photographs of varying size, and these images "
                f"are all of {split.images.shape[1:]}: take 'cifar', 'crop' or 'none'."
            )
        _check_size(split, image_size)
        batches = _array_batches(split, batch_size, seed, first_step)
    else:
        size = image_size or augment.CROP

        def decode(encoded: tf.Tensor, example: tf.Tensor) -> tf.Tensor:
            if augmentation == "imagenet":
                return augment.imagenet(encoded, _pair(seed, example), size)
            return augment.central(encoded, size)

        first = first_step * batch_size
        stream = _shuffled_files if isinstance(split, FileSplit) else _shuffled_records
        batches = (
            stream(split, seed, first)
            .map(_decoding(decode), tf.data.AUTOTUNE)
            .batch(batch_size, drop_remainder=True)
        )
        batches = tf.data.Dataset.zip(tf.data.Dataset.range(first_step, FOREVER), batches)

    def finish(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(batch[0], tf.float32) - mean
        if augmentation == "crop":
            images = augment.pad_crop(images, _pair(seed, step), padding=2)
        elif augmentation == "cifar":
            images = augment.pad_crop(images, _pair(seed, step), padding=4, mirror=True)
        return images, batch[1]

    return _run_ahead(batches.map(finish, tf.data.AUTOTUNE))


def eval_batches(
    split: Split,
    *,
    batch_size: int,
    mean: np.ndarray | None = None,
    image_size: int | None = None,
) -> tf.data.Dataset:
    """Every image once, in the split's order; the last batch may be smaller.

    Args:
        split: The images.
        batch_size: Images in a batch.
        mean: As of `pixel_mean`; None leaves the pixels at 0..255.
        image_size: Side of the central crop of photographs (default: 224); arrays keep their size.

    Returns:
        Of (images float32 (N, H, W, C), labels int32 (N,)).
    """
    if isinstance(split, ArraySplit):
        _check_size(split, image_size)
        images, labels = _constant(split.images), _constant(split.labels)
        starts = tf.data.Dataset.range(0, split.examples, batch_size)
        batches = starts.map(
            lambda start: (images[start : start + batch_size], labels[start : start + batch_size])
        )
    else:
        size = image_size or augment.CROP
        stream = _ordered_files if isinstance(split, FileSplit) else _ordered_records
        decode = _decoding(lambda encoded, _: augment.central(encoded, size))
        batches = stream(split).map(decode, tf.data.AUTOTUNE).batch(batch_size)
        batches = batches.apply(
            tf.data.experimental.assert_cardinality(-(-split.examples // batch_size))
        )
    zero = 0.0 if mean is None else mean
    return _run_ahead(
        batches.map(lambda images, labels: (tf.cast(images, tf.float32) - zero, labels))
    )


# Arrays: a step is gathered at once


def _array_batches(split: ArraySplit, batch_size: int, seed: int, first: int) -> tf.data.Dataset:
    """Of (step, (images, labels)), the images uint8."""
    images, labels = _constant(split.images), _constant(split.labels)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        examples = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        chosen = _places(examples, split.examples, seed)
        return step, (tf.gather(images, chosen), tf.gather(labels, chosen))

    return tf.data.Dataset.range(first, FOREVER).map(batch, tf.data.AUTOTUNE)


def _places(examples: tf.Tensor, n: int, seed: int) -> tf.Tensor:
    """The places in a split of n of the stream's examples (N,): a permutation per epoch."""
    return _permuted(examples % n, _pair(seed, examples // n), tf.constant(n - 1, tf.int64))


def _permuted(index: tf.Tensor, seed: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Where `index` (...) of 0..last goes in the permutation of `seed` (2,) or (..., 2)."""
    # tf.random.experimental.index_shuffle pads the seed by its third number itself, but takes
    # a seed for each index only in its documentation.
    third = tf.zeros_like(seed[..., :1])
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=tf.concat((seed, third), axis=-1), max_index=last, rounds=4
    )


def _pair(seed: int, number: tf.Tensor) -> tf.Tensor:
    """A seed (..., 2) for each of the numbers (...)."""
    return tf.stack((tf.fill(tf.shape(number), tf.constant(seed, tf.int64)), number), axis=-1)


def _constant(array: np.ndarray) -> tf.Tensor:
    """In the host's memory also where there is an accelerator."""
    with tf.device("CPU"):
        return tf.constant(array)


# Encoded photographs: streams of (number in the stream, encoded bytes, label, name)


def _shuffled_files(split: FileSplit, seed: int, first: int) -> tf.data.Dataset:
    numbers = tf.data.Dataset.range(first, FOREVER)
    read = _reading(split)
    return numbers.map(
        lambda number: read(number, _places(number, split.examples, seed)), tf.data.AUTOTUNE
    )


def _ordered_files(split: FileSplit) -> tf.data.Dataset:
    read = _reading(split)
    return tf.data.Dataset.range(split.examples).map(lambda i: read(i, i), tf.data.AUTOTUNE)


def _reading(split: FileSplit) -> Callable[..., tuple[tf.Tensor, ...]]:
    paths, labels = _constant(split.paths), _constant(split.labels)

    def read(number: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return number, tf.io.read_file(paths[place]), labels[place], paths[place]

    return read


def _shuffled_records(split: RecordSplit, seed: int, first: int) -> tf.data.Dataset:
    """Starts within the epoch that holds example `first`, skipping examples before decoding."""
    parts = split.builder.info.splits[split.instruction].file_instructions
    names = tf.constant([str(part.filename) for part in parts])
    skips, takes = (
        tf.constant([getattr(part, field) for part in parts], tf.int64)
        for field in ("skip", "take")
    )

    def read(part: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(names[part]).skip(skips[part]).take(takes[part])

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        files = tf.data.Dataset.range(len(parts)).map(
            lambda i: _places(number * len(parts) + i, len(parts), seed)
        )
        blocks = files.interleave(
            read,
            cycle_length=PARALLEL_FILES,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        ).batch(SHUFFLE_BLOCK)

        def shuffle(block: tf.Tensor) -> tf.Tensor:
            n = tf.size(block, tf.int64)
            return tf.gather(block, _permuted(tf.range(n), _pair(seed, number), n - 1))

        return blocks.map(shuffle).unbatch()

    epochs = tf.data.Dataset.range(first // split.examples, FOREVER).flat_map(epoch)
    records = epochs.skip(first % split.examples)
    return _parsed(split, tf.data.Dataset.zip(tf.data.Dataset.range(first, FOREVER), records))


def _ordered_records(split: RecordSplit) -> tf.data.Dataset:
    examples = split.builder.as_dataset(
        split=split.instruction,
        shuffle_files=False,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return examples.enumerate().map(_fields)


def _parsed(split: RecordSplit, records: tf.data.Dataset) -> tf.data.Dataset:
    features = split.builder.info.features
    skip = {"image": tfds.decode.SkipDecoding()}
    return records.map(
        lambda number, record: _fields(number, features.deserialize_example(record, decoders=skip)),
        tf.data.AUTOTUNE,
    )


def _fields(number: tf.Tensor, example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    return number, example["image"], tf.cast(example["label"], tf.int32), example["file_name"]


def _decoding(
    decode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """`decode` of (encoded bytes, number in the stream), with an error that names the image."""

    def decoded(
        number: tf.Tensor, encoded: tf.Tensor, label: tf.Tensor, name: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # TensorFlow's decoders do not know the name, and a graph has no `except`: if decoding
        # fails and is ignored, the second data set is asked instead.
        def fail(name: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([tf.debugging.Assert(False, ["Unreadable image:", name])]):
                return decode(encoded, number)

        attempt = tf.data.Dataset.from_tensors(encoded).map(lambda e: decode(e, number))
        failure = tf.data.Dataset.from_tensors(name).map(fail)
        image = attempt.ignore_errors().concatenate(failure).take(1).get_single_element()
        return image, label

    return decoded


# All


def _run_ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # There are no files to share out among workers, only examples.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)


def _check_size(split: ArraySplit, image_size: int | None) -> None:
    height, width = split.images.shape[1:3]
    if image_size not in (None, height):
        raise ValueError(
            f"These images are {height} by {width} and stay so; given image_size={image_size}."
        )

"""From a split to batches: a training stream that resumes anywhere, and every image in order."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from training.data import augmentation as augment
from training.data import photographs, random_order
from training.data.splits import ArraySplit, Split

AUGMENTATIONS = ("none", "crop", "cifar", "imagenet")


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
        augmentation: One of `AUGMENTATIONS`: nothing; pad 2 and crop; pad 4, crop and mirror
            (section 4.2 of the paper); or that of section 3.4, for photographs. Under the other
            three a photograph is the central crop that tests see.
        batch_size: Images in every batch.
        mean: As of `training.data.pixel_mean.pixel_mean`; subtracted before images are padded.
        seed: Of the order and the augmentation.
        first_step: Number of batches to leave out.
        image_size: Side of the crops of photographs (default: 224); arrays keep their size.

    Returns:
        Of (images float32 (batch_size, H, W, C), labels int32 (batch_size,)).

    Raises:
        ValueError: If the augmentation is unknown or not for such images, or there are no images.
    """
    _check(split, image_size)
    if augmentation not in AUGMENTATIONS:
        raise ValueError(
            f"There is no augmentation {augmentation!r}; there are {', '.join(AUGMENTATIONS)}."
        )
    if batch_size < 1 or first_step < 0:
        raise ValueError(
            "A batch has at least one image and steps count from 0; given "
            f"batch_size={batch_size}, first_step={first_step}."
        )
    if isinstance(split, ArraySplit):
        if augmentation == "imagenet":
            raise ValueError(
                "The augmentation 'imagenet' is for photographs, and these images are all of shape "
                f"{split.images.shape[1:]}: take 'cifar', 'crop' or 'none'."
            )
        batches = _shuffled_arrays(split, batch_size, seed, first_step)
    else:
        size = image_size or augment.CROP

        def decode(encoded: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            if augmentation == "imagenet":
                return augment.imagenet(encoded, random_order.seed_of(seed, number), size)
            return augment.central(encoded, size)

        stream = photographs.shuffled(split, seed, first_step * batch_size)
        shape = (size, size, 3)
        batches = photographs.batches(stream, decode, shape, batch_size, drop_remainder=True)
        # Whole: TensorFlow subtracts three numbers at a time twice as slowly.
        mean = np.broadcast_to(mean, shape)

    def finish(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        images = tf.cast(images, tf.float32) - mean
        if augmentation == "crop":
            images = augment.pad_crop(images, random_order.seed_of(seed, step), padding=2)
        elif augmentation == "cifar":
            images = augment.pad_crop(
                images, random_order.seed_of(seed, step), padding=4, mirror=True
            )
        return images, labels

    numbered = tf.data.Dataset.zip(tf.data.Dataset.counter(first_step), batches)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return _ahead(numbered.map(finish, tf.data.AUTOTUNE).apply(endless))


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
        mean: As of `training.data.pixel_mean.pixel_mean`; None leaves the pixels at 0..255.
        image_size: Side of the central crop of photographs (default: 224); arrays keep their size.

    Returns:
        Of (images float32 (N, H, W, C), labels int32 (N,)).
    """
    _check(split, image_size)
    if isinstance(split, ArraySplit):
        batches = _ordered_arrays(split, batch_size)
    else:
        size = image_size or augment.CROP
        batches = photographs.batches(
            photographs.in_order(split),
            lambda encoded, _: augment.central(encoded, size),
            (size, size, 3),
            batch_size,
        )
        count = math.ceil(split.examples / batch_size)
        batches = batches.apply(tf.data.experimental.assert_cardinality(count))
    subtracted = 0.0 if mean is None else mean
    return _ahead(
        batches.map(lambda images, labels: (tf.cast(images, tf.float32) - subtracted, labels))
    )


def _shuffled_arrays(
    split: ArraySplit, batch_size: int, seed: int, first_step: int
) -> tf.data.Dataset:
    """Of (images uint8 (batch_size, H, W, C), labels)."""
    images, labels = _tensors(split)
    places = random_order.shuffled(split.examples, seed, first_step * batch_size)
    return places.batch(batch_size, drop_remainder=True).map(
        lambda chosen: (tf.gather(images, chosen), tf.gather(labels, chosen)), tf.data.AUTOTUNE
    )


def _ordered_arrays(split: ArraySplit, batch_size: int) -> tf.data.Dataset:
    images, labels = _tensors(split)
    starts = tf.data.Dataset.range(0, split.examples, batch_size)
    return starts.map(
        lambda start: (images[start : start + batch_size], labels[start : start + batch_size])
    )


def _tensors(split: ArraySplit) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.device("CPU"):  # also where there is an accelerator
        return tf.constant(split.images), tf.constant(split.labels)


def _ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Made while the step before is computed, in their order."""
    options = tf.data.Options()
    options.deterministic = True
    # tf.data's tuner sleeps 10 ms, 20 ms, ... 60 s, and a `fit` or `evaluate` that is through waits
    # for it to wake. Without it, AUTOTUNE is a thread for every core, which is what is wanted.
    options.autotune.enabled = False
    # Distributed, every worker takes its part of each batch: there are no files to share out.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)


def _check(split: Split, image_size: int | None) -> None:
    if split.examples < 1:
        raise ValueError("There are no images in this split.")
    if isinstance(split, ArraySplit) and image_size not in (None, split.images.shape[1]):
        raise ValueError(
            f"These images are of shape {split.images.shape[1:]} and stay so; given "
            f"image_size={image_size}."
        )

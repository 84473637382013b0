"""From a split to batches: a training stream that resumes anywhere, and every image in order."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from training.common.as_written import as_written
from training.data.augmentation import photograph_augmentation
from training.data.augmentation.batch_augmentation import augmented
from training.data.augmentation.randaugment import randaugment
from training.data.decoding import cropping
from training.data.draws import BatchDraw, Draws, PhotographDraw
from training.data.shares import WHOLE, Share, Turn
from training.data.splits import ArraySplit, FileSplit, RecordSplit, Split
from training.data.streams import drawn_datasets, photographs


@as_written
def train_batches(
    split: Split,
    draws: Draws,
    *,
    mean: np.ndarray,
    first_step: int = 0,
    image_size: int | None = None,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """Returns an endless stream of augmented batches, where Keras runs on TensorFlow.

    Batch k is a function of the arguments and k alone, so a stream from `first_step=k` is what a
    stream from 0 has left after k batches. Batches cross the borders of epochs; every image comes
    exactly once in each.

    Args:
        split: The training images.
        draws: The random numbers of every step. Section 3.4's augmentation is of photographs;
            under each other one a photograph is the central crop that tests see.
        mean: What `training.data.pixel_mean.pixel_mean` returns; subtracted before images are
            padded.
        first_step: Number of batches to leave out.
        image_size: Side of the crops of photographs (default: 224); arrays keep their size.
        share: The part of each batch that this process reads: a batch for each of its replicas.

    Returns:
        Batches of (images float32 (batch_size, H, W, C), labels int32 (batch_size,)).

    Raises:
        ValueError: If the augmentation is not for such images, or there are none.
    """
    _check(split, image_size)
    draws.check(split)
    if first_step < 0:
        raise ValueError(f"Steps count from 0; given first_step={first_step}.")
    drawn = _drawn(draws, share, first_step)
    if isinstance(split, ArraySplit):
        images, labels = _tensors(split)
        stream = drawn.map(
            lambda draw: augmented(
                tf.cast(tf.gather(images, draw.places), tf.float32) - mean,
                tf.gather(labels, draw.places),
                draw,
                draws,
            ),
            tf.data.AUTOTUNE,
        )
    else:
        decoded = decoded_batches(
            split, draws, mean=mean, first_step=first_step, image_size=image_size, share=share
        )
        stream = tf.data.Dataset.zip(decoded, drawn).map(
            lambda batch, draw: augmented(batch[0], batch[1], draw, draws), tf.data.AUTOTUNE
        )
    return _prefetched(_endless(stream))


def _drawn(draws: Draws, share: Share, first_step: int) -> tf.data.Dataset:
    """Yields the draws of this process's share of every batch."""
    spans = share.spans(draws.batch_size, draws.batch_size)

    def own(step: int) -> BatchDraw:
        return BatchDraw(*(numbers[spans[0, 0] : spans[-1, 1]] for numbers in draws.batch(step)))

    drawn = drawn_datasets.of_steps(own, first_step)
    return (
        drawn.rebatch(spans[0, 1] - spans[0, 0], drop_remainder=True) if len(spans) > 1 else drawn
    )


@as_written
def decoded_batches(
    split: FileSplit | RecordSplit,
    draws: Draws,
    *,
    mean: np.ndarray,
    first_step: int = 0,
    image_size: int | None = None,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """Returns the photographs' batches of `train_batches`, before `augmented`; for every backend.

    The arguments are those of `train_batches`.
    """
    size = image_size or cropping.CROP
    shape = (size, size, 3)

    def decode(encoded: tf.Tensor, drawn: PhotographDraw) -> tf.Tensor:
        if draws.augmentation == "imagenet":
            return photograph_augmentation.imagenet(encoded, drawn, size, draws.mirror)
        if draws.augmentation == "random_resized_crop":
            image = photograph_augmentation.random_resized(
                encoded, drawn, draws.crop_area, draws.mirror, size
            )
            if not draws.randaugment:
                return image
            return randaugment(image, drawn.operations, drawn.negative, draws.randaugment)
        return cropping.central(encoded, size)

    first, after_last = share.spans(draws.batch_size, draws.batch_size)[0]
    stream = photographs.shuffled(split, draws, first_step, share)
    # A mean for every pixel: TensorFlow subtracts three numbers at a time twice as slowly.
    whole_mean = np.broadcast_to(mean, shape)
    batches = photographs.batches(stream, decode, shape, int(after_last - first)).map(
        lambda images, labels: (images - whole_mean, labels), tf.data.AUTOTUNE
    )
    return _prefetched(_endless(batches))


@as_written
def eval_batches(
    split: Split,
    *,
    batch_size: int,
    mean: np.ndarray | None = None,
    image_size: int | None = None,
    share: Share | Turn = WHOLE,
) -> tf.data.Dataset:
    """Returns every image once, in the split's order; the last batch may be smaller.

    Args:
        split: The images.
        batch_size: Images in a batch.
        mean: What `training.data.pixel_mean.pixel_mean` returns; None leaves the pixels at 0..255.
        image_size: Side of the central crop of photographs (default: 224); arrays keep their size.
        share: What this process reads: of each batch a part for each of its replicas, or its turns.

    Returns:
        Batches of (images float32 (N, H, W, C), labels int32 (N,)).
    """
    _check(split, image_size)
    spans = share.spans(split.examples, batch_size)
    if isinstance(split, ArraySplit):
        batches = _ordered_arrays(split, spans)
    else:
        batches = _ordered_photographs(split, spans, image_size or cropping.CROP)
    subtracted = 0.0 if mean is None else mean
    return _prefetched(
        batches.map(lambda images, labels: (tf.cast(images, tf.float32) - subtracted, labels))
    )


def _ordered_arrays(split: ArraySplit, spans: np.ndarray) -> tf.data.Dataset:
    images, labels = _tensors(split)
    return tf.data.Dataset.from_tensor_slices(spans).map(
        lambda span: (images[span[0] : span[1]], labels[span[0] : span[1]])
    )


def _ordered_photographs(
    split: FileSplit | RecordSplit, spans: np.ndarray, size: int
) -> tf.data.Dataset:
    chosen = np.zeros(split.examples, bool)
    for first, after_last in spans:
        chosen[first:after_last] = True
    batches = photographs.batches(
        photographs.in_order(split, chosen),
        lambda encoded, _: cropping.central(encoded, size),
        (size, size, 3),
        spans[:, 1] - spans[:, 0] if len(spans) else 1,  # none to take: any size will do
    )
    return batches.apply(tf.data.experimental.assert_cardinality(len(spans)))


def _tensors(split: ArraySplit) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.device("CPU"):  # also where there is an accelerator
        return tf.constant(split.images), tf.constant(split.labels)


def _endless(batches: tf.data.Dataset) -> tf.data.Dataset:
    return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))


def _prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Prefetches the next batches while the network computes, in deterministic order."""
    options = tf.data.Options()
    options.deterministic = True
    # tf.data's tuner sleeps 10 ms, 20 ms, ... 60 s, and a `fit` or `evaluate` that has ended waits
    # for it to wake. Without it, AUTOTUNE is a thread for every core, as it should be.
    options.autotune.enabled = False
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)


def _check(split: Split, image_size: int | None) -> None:
    if split.examples < 1:
        raise ValueError("There are no images in this split.")
    if isinstance(split, ArraySplit) and image_size not in (None, split.images.shape[1]):
        raise ValueError(
            f"These images are of shape {split.images.shape[1:]} and keep it; given "
            f"image_size={image_size}."
        )

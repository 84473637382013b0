"""Keyword recognition: ten words in noise, from the spectrogram as an image.

The voices that test are not among those that train.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import keras_resnet
from examples import common, utterances
from examples.utterances import RATE, WORDS, Utterance
from keras_resnet import Architecture
from training.common.figures import finish_axes

SAMPLES = RATE  # one second
RATIOS = (-10.0, 20.0)  # dB, word to noise, in training
TEST_RATIOS = (-10, -5, 0, 5, 10, 20)  # dB
PER_WORD = 6  # utterances of each word by each voice
BATCH_SIZE = 32
LEARNING_RATE = 3e-3  # Adam's, falling to 0 along a cosine

ARCHITECTURE = Architecture(
    "speech20",
    stem="cifar",
    block="basic",
    blocks=(3, 3, 3),
    filters=(8, 16, 32),
    shortcut="A",
    stem_filters=8,
)


@dataclass(frozen=True)
class Outcome:
    """A trained net's measures, loss curve, and errors by the ratio of word to noise."""

    numbers: dict[str, float]
    losses: list[float]
    errors: list[float]  # %, one for each of TEST_RATIOS


def spectrogram() -> list[layers.Layer]:
    """Returns layers: sound (N, SAMPLES) -> log-mel images (N, 32, 44, 1) of mean 0, variance 1."""
    mel = layers.MelSpectrogram(
        fft_length=1024,  # 46 ms
        sequence_stride=512,  # 23 ms
        sampling_rate=RATE,
        num_mel_bins=32,
        max_freq=8000,
        top_db=1000,  # off: the layer would cut off below the loudest sound of the batch
    )
    even = layers.LayerNormalization(axis=(1, 2), center=False, scale=False)  # as loud as any other
    return [mel, even, layers.Reshape((*mel.compute_output_shape((1, SAMPLES))[1:], 1))]


def build(architecture: Architecture) -> keras.Model:
    """Builds a net: sound (N, SAMPLES) -> probabilities of the words (N, words)."""
    x = keras.Input((SAMPLES,))
    for layer in spectrogram():
        x = layer(x)
    return keras_resnet.ResNet(architecture, input_tensor=x, classes=len(WORDS))


def labels(spoken: Sequence[Utterance]) -> np.ndarray:
    """Returns the number of each utterance's word."""
    return np.array([WORDS.index(utterance.word) for utterance in spoken])


def mixtures(spoken: Sequence[Utterance], seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields endless training batches of words in noise that is drawn each time."""
    generator = np.random.default_rng(seed)
    words = labels(spoken)
    while True:
        chosen = generator.integers(len(spoken), size=BATCH_SIZE)
        ratios = generator.uniform(*RATIOS, size=BATCH_SIZE)
        yield _mixed([spoken[i] for i in chosen], ratios, generator), words[chosen]


def _mixed(
    spoken: Sequence[Utterance], ratios: Iterable[float], generator: np.random.Generator
) -> np.ndarray:
    """Mixes every utterance with noise at its ratio: (utterances, SAMPLES)."""
    pairs = zip(spoken, ratios, strict=True)
    return np.stack([utterances.mix(u.sound, SAMPLES, ratio, generator) for u, ratio in pairs])


def error(model: keras.Model, spoken: Sequence[Utterance], ratio: float) -> float:
    """Returns the error in per cent; every model hears the same noise."""
    sounds = _mixed(spoken, [ratio] * len(spoken), np.random.default_rng(0))
    answers = model.predict(sounds, batch_size=64, verbose=0).argmax(axis=-1)
    return 100 * float(np.mean(answers != labels(spoken)))


def train(
    architecture: Architecture,
    training: Sequence[Utterance],
    test: Sequence[Utterance],
    seed: int,
    steps: int,
) -> Outcome:
    """Trains a net and measures it on the test voices."""
    model = build(architecture)
    model.compile(common.adam(LEARNING_RATE, steps), loss="sparse_categorical_crossentropy")
    with common.Stopwatch() as watch:
        losses = common.fit(model, mixtures(training, seed), steps, architecture.name)
    errors = [error(model, test, ratio) for ratio in TEST_RATIOS]
    numbers = {
        "test error, %": statistics.mean(errors),
        **{f"at {ratio} dB": e for ratio, e in zip(TEST_RATIOS, errors, strict=True)},
        "seconds": watch.seconds,
    }
    return Outcome(numbers, losses, errors)


def draw(outcomes: Mapping[str, Outcome], test: Sequence[Utterance], steps: int) -> Figure:
    """Draws a word as the nets see it, and below it the losses and the error by the noise."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.6))
    ratios = (20, 5, -5)
    for axes, ratio in zip(above.subplots(1, len(ratios), sharey=True), ratios, strict=True):
        _draw_word(axes, test[0], ratio)
    left, right = below.subplots(1, 2)
    common.draw_losses(left, {net: outcome.losses for net, outcome in outcomes.items()}, steps)
    for net, outcome in outcomes.items():
        right.plot(TEST_RATIOS, outcome.errors, "o-", color=common.COLOURS[net], label=net)
    labels = {"xlabel": "word to noise, dB", "ylabel": "test error, %"}
    finish_axes(right, title="unheard voices", ylim=(0, None), **labels)
    return figure


def _draw_word(axes: Axes, utterance: Utterance, ratio: float) -> None:
    x = keras.ops.convert_to_tensor(_mixed([utterance], [ratio], np.random.default_rng(0)))
    for layer in spectrogram():
        x = layer(x)
    image = keras.ops.convert_to_numpy(x)[0, :, :, 0]
    axes.imshow(image, origin="lower", aspect="auto", extent=(0, SAMPLES / RATE, 0, len(image)))
    axes.set_title(f"“{utterance.word}”, {utterance.voice}, {ratio} dB", fontsize=10)
    axes.set(xlabel="seconds", ylabel="mel band")
    axes.label_outer()


def run(options: argparse.Namespace) -> None:
    synthesizer = utterances.Synthesizer()
    training = utterances.speak(synthesizer, utterances.TRAINING_VOICES, PER_WORD, seed=0)
    test = utterances.speak(synthesizer, utterances.TEST_VOICES, PER_WORD, seed=1)
    comparison = common.compare(
        lambda architecture, seed: train(architecture, training, test, seed, options.steps),
        common.twins(ARCHITECTURE),
        options.seeds,
    )
    title = (
        f"{len(WORDS)} words by {len(utterances.TEST_VOICES)} unheard voices in noise: "
        f"{len(test)} utterances, {len(training)} to train on, {ARCHITECTURE.depth} layers"
    )
    figure = draw(comparison.first, test, options.steps)
    common.finish(options, title, comparison.numbers, figure)


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main(
        "speech",
        "Tell ten spoken words apart in noise, by a residual net and its plain twin on "
        "spectrograms. eSpeak NG speaks; the voices that test are not among those that train.",
        steps=800,
        run=run,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())

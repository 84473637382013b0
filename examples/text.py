"""Text as a matrix: a sentence's language from its characters.

Each character is a learnt vector, and a sentence the matrix of them: an image, as long as the
sentence, for a residual net.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import keras_resnet
from examples import common, translations
from keras_resnet import Architecture

LENGTH = 48  # characters; longer sentences are cut, shorter ones padded with UNKNOWN
WIDTH, CHANNELS = 4, 16  # the picture that a character's vector becomes: 1 high, 4 wide
UNKNOWN = 0  # padding, and characters that no training sentence has
BLOTTED = 0.1  # share of the training characters that become UNKNOWN
BATCH_SIZE = 64
LEARNING_RATE = 3e-3  # Adam's, falling to 0 along a cosine
CODES = tuple(translations.LANGUAGES)

ARCHITECTURE = Architecture(
    "text20",
    stem="cifar",
    block="basic",
    blocks=(3, 3, 3),
    filters=(16, 32, 64),
    shortcut="A",
)
LINEAR = "n-grams, logistic regression"


@dataclass(frozen=True)
class Texts:
    """The training and test sentences."""

    training: list[translations.Sentence]
    test: list[translations.Sentence]

    @property
    def alphabet(self) -> str:
        """The characters of the training sentences, sorted."""
        return "".join(sorted(set("".join(sentence.text for sentence in self.training))))


@dataclass(frozen=True)
class Outcome:
    """A trained net's measures, loss curve, and answers to the test sentences."""

    numbers: dict[str, float]
    losses: list[float]
    answers: np.ndarray  # (sentences,), numbers of languages


def encode(texts: Sequence[str], alphabet: str) -> np.ndarray:
    """Returns the first `LENGTH` characters as numbers, from 1: (texts, LENGTH)."""
    numbers = {character: number for number, character in enumerate(alphabet, start=UNKNOWN + 1)}
    encoded = np.full((len(texts), LENGTH), UNKNOWN, "int32")
    for row, text in zip(encoded, texts, strict=True):
        found = [numbers.get(character, UNKNOWN) for character in text[:LENGTH]]
        row[: len(found)] = found
    return encoded


def labels(sentences: Sequence[translations.Sentence]) -> np.ndarray:
    """Returns the number of each sentence's language."""
    return np.array([CODES.index(sentence.language) for sentence in sentences])


def crops(texts: Texts, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields endless training batches of random stretches of `LENGTH` characters, some blotted."""
    generator = np.random.default_rng(seed)
    alphabet, languages = texts.alphabet, labels(texts.training)
    while True:
        chosen = generator.integers(len(languages), size=BATCH_SIZE)
        parts = []
        for text in (texts.training[number].text for number in chosen):
            start = generator.integers(max(0, len(text) - LENGTH) + 1)
            parts.append(text[start : start + LENGTH])
        encoded = encode(parts, alphabet)
        blotted = generator.random(encoded.shape) < BLOTTED
        yield np.where(blotted, UNKNOWN, encoded), languages[chosen]


def build(architecture: Architecture, alphabet: str) -> keras.Model:
    """Builds a net: characters' numbers (N, LENGTH) -> probabilities (N, languages)."""
    characters = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(
        len(alphabet) + 1,
        WIDTH * CHANNELS,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
    )(characters)  # (N, 48, 64)
    x = layers.Reshape((LENGTH, WIDTH, CHANNELS))(x)  # (N, 48, 4, 16)
    return keras_resnet.ResNet(architecture, input_tensor=x, classes=len(CODES))


def train(architecture: Architecture, texts: Texts, seed: int, steps: int) -> Outcome:
    """Trains a net and measures it on the test sentences."""
    model = build(architecture, texts.alphabet)
    model.compile(common.adam(LEARNING_RATE, steps), loss="sparse_categorical_crossentropy")
    with common.Stopwatch() as watch:
        losses = common.fit(model, crops(texts, seed), steps, architecture.name)
    test = encode([sentence.text for sentence in texts.test], texts.alphabet)
    answers = model.predict(test, batch_size=256, verbose=0).argmax(axis=-1)
    return Outcome(_numbers(answers, texts, watch.seconds), losses, answers)


def train_linear(texts: Texts, seed: int) -> dict[str, float]:
    """Trains and measures the usual baseline, which counts n-grams of the same characters."""
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), sublinear_tf=True),
        LogisticRegression(C=10, solver="saga", max_iter=20, tol=0.01, random_state=seed),
    )
    with common.Stopwatch() as watch:
        model.fit([s.text[:LENGTH] for s in texts.training], labels(texts.training))
    answers = model.predict([s.text[:LENGTH] for s in texts.test])
    return _numbers(answers, texts, watch.seconds)


def _numbers(answers: np.ndarray, texts: Texts, seconds: float) -> dict[str, float]:
    error = float(np.mean(answers != labels(texts.test)))
    return {"test error, %": 100 * error, "seconds": seconds}


def draw(outcomes: Mapping[str, Outcome], texts: Texts, steps: int) -> Figure:
    """Draws the losses, and the residual net's confusion matrix."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    common.draw_losses(left, {net: outcome.losses for net, outcome in outcomes.items()}, steps)
    confusion = np.zeros((len(CODES), len(CODES)))
    np.add.at(confusion, (labels(texts.test), outcomes["residual"].answers), 1)
    image = right.imshow(100 * confusion / confusion.sum(axis=1, keepdims=True), cmap="Blues")
    figure.colorbar(image, label="% of the language's test sentences")
    names = [f"{name}  {code}" for code, name in translations.LANGUAGES.items()]
    right.set_xticks(range(len(CODES)), CODES, fontsize=7)
    right.set_yticks(range(len(CODES)), names, fontsize=7)
    right.set(title="the residual net's answers", xlabel="answer", ylabel="language")
    return figure


def run(options: argparse.Namespace) -> None:
    texts = Texts(*translations.split(translations.read()))
    comparison = common.compare(
        lambda architecture, seed: train(architecture, texts, seed, options.steps),
        common.twins(ARCHITECTURE),
        options.seeds,
    )
    linear = {LINEAR: [train_linear(texts, seed) for seed in options.seeds]}
    title = (
        f"The language of {len(texts.test)} sentences: {len(CODES)} languages, "
        f"{len(texts.training)} training sentences, {ARCHITECTURE.depth} layers"
    )
    figure = draw(comparison.first, texts, options.steps)
    common.finish(options, title, comparison.numbers | linear, figure)


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main(
        "text",
        "Tell a sentence's language from its characters, by a residual net, its plain twin, and "
        "a logistic regression on n-grams. The sentences are Django's translated messages.",
        steps=1200,
        run=run,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())

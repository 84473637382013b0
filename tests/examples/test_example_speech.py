"""Keyword recognition: the voices are what they say, and the net learns the words."""

from __future__ import annotations

import json
from dataclasses import replace

import keras
import numpy as np
import pages
import pytest

pytest.importorskip("espeakng_loader", reason="eSpeak NG (extra `examples`) is not installed")

from examples import speech, utterances


@pytest.fixture(scope="module")
def synthesizer() -> utterances.Synthesizer:
    return utterances.Synthesizer()


@pytest.fixture(scope="module")
def spoken(synthesizer) -> list[utterances.Utterance]:
    return utterances.speak(synthesizer, utterances.TEST_VOICES, 1, seed=3)


def test_no_voice_is_in_both_splits():
    assert not set(utterances.TRAINING_VOICES) & set(utterances.TEST_VOICES)
    assert len(set(utterances.TRAINING_VOICES)) == len(utterances.TRAINING_VOICES)


def test_every_voice_says_every_word(synthesizer, spoken):
    said = {(u.voice, u.word) for u in spoken}
    assert said == {(v, w) for v in utterances.TEST_VOICES for w in utterances.WORDS}
    for utterance in spoken:
        assert 0.1 < len(utterance.sound) / utterances.RATE < 1
        assert np.sqrt(np.mean(utterance.sound**2)) == pytest.approx(1, abs=1e-3)
    voices = [
        synthesizer.say("right", "en", voice, 175, 50)
        for voice in (*utterances.TRAINING_VOICES, *utterances.TEST_VOICES)
    ]
    assert len({sound.tobytes() for sound in voices}) == len(voices)  # no name is a synonym


def test_an_unknown_voice_is_an_error(synthesizer):
    for accent, voice in (("en", "nobody"), ("xx-nowhere", "f1")):
        with pytest.raises(ValueError, match=f"{accent}.{voice}"):
            synthesizer.say("go", accent, voice, 175, 50)


@pytest.mark.parametrize("ratio", [-10, 0, 20])
def test_the_noise_is_as_loud_as_asked(ratio):
    generator = np.random.default_rng(0)
    time = np.arange(utterances.RATE) / utterances.RATE
    tone = np.sqrt(2) * np.sin(2 * np.pi * 440 * time)
    noise = utterances.mix(tone, utterances.RATE, ratio, generator) - tone
    assert -10 * np.log10(np.mean(noise**2)) == pytest.approx(ratio, abs=0.01)
    power = np.abs(np.fft.rfft(noise)) ** 2  # pink: each octave has the power of the next
    assert power[250:500].sum() == pytest.approx(power[2000:4000].sum(), rel=0.3)


def test_spectrograms_depend_on_neither_loudness_nor_the_rest_of_the_batch(spoken):
    sounds = np.zeros((2, speech.SAMPLES), "float32")
    for row, utterance in zip(sounds, spoken, strict=False):
        row[:] = utterances.mix(utterance.sound, len(row), 10, np.random.default_rng(0))

    def image(batch: np.ndarray) -> np.ndarray:
        x = keras.ops.convert_to_tensor(batch)
        for layer in speech.spectrogram():
            x = layer(x)
        return keras.ops.convert_to_numpy(x)

    both = image(sounds)
    np.testing.assert_allclose(image(sounds[:1]), both[:1], atol=1e-4)
    np.testing.assert_allclose(image(30 * sounds[:1]), both[:1], atol=1e-3)
    tone = np.sin(2 * np.pi * 1000 * np.arange(speech.SAMPLES) / utterances.RATE)
    # The mel scale, 2595 log10(1 + f/700), puts 1 kHz into band 11 of 32 up to 8 kHz.
    assert image(tone[None].astype("float32"))[0].mean(axis=(1, 2)).argmax() in (10, 11)


@pytest.mark.nightly
def test_the_command_in_small(tmp_path, monkeypatch, eagerly):
    small = replace(speech.ARCHITECTURE, blocks=(1, 1, 1))
    monkeypatch.setattr(speech, "ARCHITECTURE", small)
    monkeypatch.setattr(speech, "PER_WORD", 1)
    monkeypatch.setattr(speech, "TEST_RATIOS", (10, 20))
    assert speech.main(["--steps", "80", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    assert set(results) == {"residual", "plain"}
    assert results["residual"][0]["test error, %"] < 80  # chance: 90
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_code_of_the_page(spoken, eagerly):
    sounds = np.zeros((20, utterances.RATE), "float32")
    for row, utterance in zip(sounds, spoken, strict=False):
        row[: len(utterance.sound)] = utterance.sound
    given = {"sounds": sounds, "words": speech.labels(spoken[:20])}
    exec(pages.code("speech"), given)
    np.testing.assert_allclose(given["probabilities"].sum(axis=1), np.ones(20), rtol=1e-4)


@pytest.mark.nightly
def test_the_command(tmp_path):
    assert speech.main(["--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    assert results["residual"][0]["at 20 dB"] < 20

"""Generates speech: eSpeak NG speaks keywords in many voices, speeds and pitches."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 22_050  # samples per second, eSpeak NG's own
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
ACCENTS = ("en", "en-us", "en-us-nyc", "en-gb-scotland", "en-gb-x-rp", "en-029")
# eSpeak NG's variants: formants, breath and pitch of a speaker. Test voices never train.
# fmt: off
TRAINING_VOICES = (
    "f1", "f2", "f4", "m1", "m2", "m3", "m5", "m7", "Alex", "Andrea", "Andy", "Annie", "Denis",
    "Gene", "pablo", "Jacky", "Lee", "Marco", "anika", "belinda", "david", "ed", "linda", "robert",
)
TEST_VOICES = ("f3", "f5", "m4", "m6", "m8", "Alicia", "Henrique", "Michael", "steph", "travis")
# fmt: on
SPEEDS = (120, 260)  # words per minute; eSpeak NG's default is 175
PITCHES = (20, 80)  # of 0..99; its default is 50

# speak_lib.h of eSpeak NG
_SYNCHRONOUS = 2
_CHARACTERS, _UTF8 = 1, 1
_SPEED, _PITCH = 1, 3
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True)
class Utterance:
    """One spoken word."""

    word: str  # of WORDS
    voice: str
    sound: np.ndarray  # (samples,) float32 of root mean square 1, at RATE


class Synthesizer:
    """eSpeak NG's library, of which a process can have one instance.

    A sound depends on all sounds before it, in the same way in every process.

    Raises:
        OSError: If the library is not installed, or does not start.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ModuleNotFoundError as error:
            raise OSError("eSpeak NG is not installed: pip install espeakng-loader") from error
        self._data = Path(espeakng_loader.get_data_path())
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(self._data).encode(), 0)
        if rate != RATE:
            raise OSError(f"eSpeak NG did not start: {rate} instead of {RATE} samples per second.")
        # The seed of breath and flutter; by default the time of day.
        self._library.espeak_ng_SetRandSeed(1)
        self._heard: list[np.ndarray] = []
        self._callback = _Callback(self._hear)  # kept: C has no reference to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: int) -> int:
        if count > 0:
            self._heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, word: str, accent: str, voice: str, speed: int, pitch: int) -> np.ndarray:
        """Returns the word's sound without the silence around it: (samples,) int16.

        Raises:
            ValueError: If eSpeak NG has no such accent or voice.
        """
        # eSpeak NG ignores an unknown variant without a message.
        known = (self._data / "voices" / "!v" / voice).is_file()
        if not known or self._library.espeak_SetVoiceByName(f"{accent}+{voice}".encode()):
            raise ValueError(f"eSpeak NG has no voice {accent}+{voice}; `voices/!v` lists them.")
        self._library.espeak_SetParameter(_SPEED, speed, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        self._heard.clear()
        text = word.encode()
        self._library.espeak_Synth(text, len(text) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        sound = np.concatenate(self._heard)
        loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
        return sound[loud[0] : loud[-1] + 1]


def speak(
    synthesizer: Synthesizer, voices: tuple[str, ...], per_word: int, seed: int
) -> list[Utterance]:
    """Lets every voice say every word `per_word` times, in random accents, speeds and pitches."""
    generator = np.random.default_rng(seed)
    utterances = []
    for voice in voices:
        for word in WORDS * per_word:
            accent = ACCENTS[generator.integers(len(ACCENTS))]
            speed, pitch = (int(generator.integers(*range_)) for range_ in (SPEEDS, PITCHES))
            sound = synthesizer.say(word, accent, voice, speed, pitch).astype("float32")
            utterances.append(Utterance(word, voice, sound / np.sqrt(np.mean(sound**2))))
    return utterances


def mix(
    sound: np.ndarray, samples: int, ratio: float, generator: np.random.Generator
) -> np.ndarray:
    """Mixes the word into pink noise at a random place: (samples,) float32.

    Args:
        sound: The word, of root mean square 1; it is cut to `samples`.
        samples: Length of the mixture.
        ratio: The word's power over the noise's, in dB.
        generator: Draws the place and the noise.
    """
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))  # pink: power falls as 1/frequency
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, samples)
    mixed = noise * (10 ** (-ratio / 20) / np.sqrt(np.mean(noise**2)))
    sound = sound[:samples]
    start = generator.integers(samples - len(sound) + 1)
    mixed[start : start + len(sound)] += sound
    return mixed.astype("float32")

"""Sentences by language: the translated messages of Django's applications.

Django (BSD licence) is installed with the translations of its own interface, one catalogue per
application and language. Nothing is copied: the catalogues are read where pip put them.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Families of close relatives, in the Latin alphabet, so that no script gives a language away.
LANGUAGES = {
    "da": "Danish",
    "nb": "Bokmål",
    "sv": "Swedish",
    "de": "German",
    "nl": "Dutch",
    "af": "Afrikaans",
    "es": "Spanish",
    "gl": "Galician",
    "pt": "Portuguese",
    "ca": "Catalan",
    "it": "Italian",
    "fr": "French",
    "cs": "Czech",
    "sk": "Slovak",
    "pl": "Polish",
    "sl": "Slovenian",
    "hr": "Croatian",
    "fi": "Finnish",
    "et": "Estonian",
    "lv": "Latvian",
}
# A document is an application: those here train, all others test.
TRAINING_APPLICATIONS = ("conf", "contrib/admin")
SHORTEST = 12  # characters: less is often a name, the same in every language

_MARKUP = re.compile(r"%\(\w+\)\w|%\w|\{\w*\}|<[^>]*>|&\w+;")


@dataclass(frozen=True)
class Sentence:
    """One translated message, in lower case, without placeholders and markup."""

    text: str
    language: str  # a key of LANGUAGES
    application: str  # such as "contrib/auth"


def read(languages: tuple[str, ...] = tuple(LANGUAGES)) -> list[Sentence]:
    """Reads all translated messages of at least `SHORTEST` characters, in a fixed order.

    Raises:
        OSError: If Django, or polib, which reads its catalogues, is not installed, or Django lies
            here without them.
    """
    found = importlib.util.find_spec("django")
    if found is None or found.origin is None or importlib.util.find_spec("polib") is None:
        raise OSError("The sentences are in Django's catalogues: pip install django polib")
    root = Path(found.origin).parent
    sentences = [
        Sentence(text, language, catalogue.relative_to(root).as_posix().split("/locale/")[0])
        for language in languages
        for catalogue in sorted(root.glob(f"**/locale/{language}/LC_MESSAGES/*.po"))
        for text in _texts(catalogue)
    ]
    if missing := set(languages) - {sentence.language for sentence in sentences}:
        raise OSError(  # a Linux distribution's Django has compiled catalogues only
            f"{root} has no catalogues (*.po) of {', '.join(sorted(missing))}: take Django from "
            "PyPI, pip install django."
        )
    return sentences


def _texts(catalogue: Path) -> Iterator[str]:
    import polib  # only here: without it `read` says what to install

    for entry in polib.pofile(str(catalogue)):
        if not entry.translated():
            continue
        for translation in [entry.msgstr] if entry.msgstr else entry.msgstr_plural.values():
            text = " ".join(_MARKUP.sub(" ", translation).lower().split())
            if len(text) >= SHORTEST and translation != entry.msgid:
                yield text


def split(sentences: list[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
    """Splits the sentences so that no application and no text both trains and tests."""
    training = [s for s in sentences if s.application in TRAINING_APPLICATIONS]
    known = {sentence.text for sentence in training}
    test = [
        s for s in sentences if s.application not in TRAINING_APPLICATIONS and s.text not in known
    ]
    return training, test

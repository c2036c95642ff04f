"""Texts in thirty languages and more, in the encodings that files of that language are found in."""

import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from embed_pipeline.corpus.parsers.blocks import UnreadableError
from embed_pipeline.corpus.parsers.encoding import decode

CASES = Path(__file__).parent / "cases" / "encodings"
SHORT = 100
ENCODINGS = {
    "en": "cp1252 mac-roman",
    "de": "cp1252 iso8859-15 mac-roman cp850 utf-16-be",
    "fr": "cp1252 mac-roman cp850",
    "es": "cp1252 cp850",
    "pt": "cp1252 cp850",
    "it": "cp1252",
    "nl": "cp1252",
    "sv": "cp1252 cp850",
    "nb": "cp1252",
    "da": "cp1252",
    "fi": "cp1252",
    "is": "cp1252",
    "pl": "cp1250 iso8859-2 cp852",
    "cs": "cp1250 iso8859-2 cp852",
    "sk": "cp1250",
    "hu": "cp1250 iso8859-2",
    "ro": "cp1250 iso8859-2",
    "hr": "cp1250 iso8859-2",
    "ru": "cp1251 koi8-r cp866 iso8859-5 mac-cyrillic utf-16-le",
    "uk": "cp1251 koi8-u",
    "bg": "cp1251",
    "sr": "cp1251",
    "el": "cp1253 iso8859-7",
    "tr": "cp1254 cp857",
    "he": "cp1255",
    "ar": "cp1256 iso8859-6",
    "lt": "cp1257",
    "lv": "cp1257",
    "et": "cp1257",
    "th": "cp874",
    "vi": "cp1258",
    "ja": "cp932 euc_jp iso2022_jp",
    "zh": "gb18030 utf-16-le",
    "zh-hant": "big5",
    "ko": "cp949 iso2022_kr",
}
_PLAIN = {"’": "'", "“": '"', "”": '"', "„": '"', "–": "-", "½": "1/2", "œ": "oe", "·": ";"}
PAIRS = [(language, encoding) for language, encodings in ENCODINGS.items() for encoding in encodings.split()]


class Outcome(NamedTuple):
    """How a sample was read: ``right``, ``skipped`` or ``garbled``."""

    language: str
    encoding: str
    characters: int
    how: str


Reader = Callable[[bytes], str]


def read(data: bytes) -> str:
    return decode(data)


def outcomes(characters: int | None = None, reader: Reader = read) -> list[Outcome]:
    """Every sample in each of its encodings, cut at so many characters."""
    return [_outcome(language, encoding, characters, reader) for language, encoding in PAIRS]


def _outcome(language: str, encoding: str, characters: int | None, reader: Reader) -> Outcome:
    text = _composed(texts()[language][:characters], encoding)
    data = text.encode(encoding)
    try:
        how = "right" if reader(data) == data.decode(encoding) else "garbled"
    except (UnreadableError, UnicodeDecodeError):
        how = "skipped"
    return Outcome(language, encoding, len(text), how)


@cache
def texts() -> dict[str, str]:
    return yaml.safe_load((CASES / "samples.yaml").read_text("utf-8"))


def _composed(text: str, encoding: str) -> str:
    """The text as the encoding can say it: with plain quotes for want of curly ones, Vietnamese tone marks apart."""
    return "".join(_sayable(character, encoding) for character in text)


def _sayable(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN[character] if character in _PLAIN else _parted(character)
    return character


def _parted(character: str) -> str:
    *base, tone = list(unicodedata.normalize("NFD", character))
    if tone in "\u0302\u0306\u031b":  # a part of the letter; the tone stands before it
        return unicodedata.normalize("NFC", base[0] + tone) + "".join(base[1:])
    return unicodedata.normalize("NFC", "".join(base)) + tone

"""Small raised characters of a line: exponents keep their meaning, marks of notes are left out."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from embed_pipeline.corpus.parsers.pdf_glyphs import Glyphs

_SMALLER = 0.88
_RAISED = 0.13  # of the line's height
_UNITS = frozenset(
    [
        "m",
        "cm",
        "dm",
        "mm",
        "km",
        "µm",
        "μm",
        "nm",
        "ft",
        "in",
        "yd",
        "mi",
        "s",
        "h",
        "kg",
        "g",
        "mol",
        "l",
        "hz",
        "k",
        "c",
        "cm",
        "pa",
        "bar",
        "ha",
        "sec",
        "min",
    ]
)
_SIGNED = re.compile(r"^[+−–-]\s?[\dnkxym]+$")
_NUMBER_BEFORE = re.compile(r"(?:^|[^\w.,])(\d+)$|(?:[×·x*]\s?)(\d+)$")
_WORD_BEFORE = re.compile(r"([^\W\d_]+)$")
_FACTOR_BEFORE = re.compile(r"[=+*/^×·<>−±]\s*[^\W\d_]{1,3}$")
_YEAR = re.compile(r"^(?:1[0-9]|20|21)\d\d$")
_ORDINALS = frozenset(
    [
        "st",
        "nd",
        "rd",
        "th",
        "er",
        "re",
        "e",
        "o",
        "a",
        "os",
        "as",
        "ª",
        "º",
        "tm",
        "sm",
        "r",
        "®",
        "™",
        "°",
        "lle",
        "me",
    ]
)
_SIGNS = str.maketrans("−–", "--")


def is_small(height: float, usual: float) -> bool:
    """Whether a character is smaller than its line's own size, as raised ones are."""
    return height < _SMALLER * usual


def with_marks(glyphs: Glyphs, part: Sequence[int], main: int, height: float) -> tuple[str, tuple[str, ...]]:
    """A line's text with ``10^6`` for a raised 6, and the marks of notes that are left out of it.

    Args:
        part: places of its characters; one below zero stands for a space.
        main: place of a character of the line's own size; ``height`` is that of its box.
    """
    text, lost = "", []
    for raised, run in _runs(glyphs, part, glyphs.baseline(main), height):
        if not raised or not text.strip():
            gap = " " if text == "" and raised else ""
            text += run + gap
            continue
        kind = _kind(text, run.strip())
        if kind == "mark":
            lost.append(run.strip())
            text += " " * run.endswith(" ")
        else:
            text = text.rstrip() if kind == "exponent" else text
            text += ("^" if kind == "exponent" else "") + run.translate(_SIGNS if kind == "exponent" else {})
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), tuple(lost)


def _runs(glyphs: Glyphs, part: Sequence[int], baseline: float, height: float) -> Iterator[tuple[bool, str]]:
    flags: list[bool] = []
    for index in part:
        if index < 0:
            flags.append(bool(flags and flags[-1]))
        else:
            small = is_small(glyphs.height(index), height)
            flags.append(small and glyphs.baseline(index) - baseline > _RAISED * height)
    for raised, run in groupby(zip(flags, part, strict=True), key=lambda pair: pair[0]):
        yield raised, "".join(glyphs.characters[index] if index >= 0 else " " for _, index in run)


def _kind(before: str, raised: str) -> str:
    """``exponent``, ``mark`` of a note, or ``plain`` (1st, a trademark)."""
    if raised.casefold() in _ORDINALS and not (len(raised) == 1 and before[-1:].isalpha()):
        return "plain"
    if _SIGNED.match(raised):
        return "exponent"
    if before[-1:].isspace() or not raised.isalnum():
        return "mark" if re.fullmatch(r"[\d,;*†‡§¶\s()\[\]–-]+", raised) else "plain"
    number = _NUMBER_BEFORE.search(before)
    if number and not _YEAR.match(number.group(1) or number.group(2)):
        return "exponent" if len(raised) <= 3 else "plain"
    word = _WORD_BEFORE.search(before)
    if _FACTOR_BEFORE.search(before):
        return "exponent"
    if word and (len(word.group()) == 1 or word.group().casefold() in _UNITS):
        return "exponent"
    if before.endswith(")") and re.search(r"\([^()]{1,12}\)$", before) and re.search(r"[-+/*=^\d]", before[-12:]):
        return "exponent"
    return "mark" if raised.isdigit() or len(raised) == 1 else "plain"

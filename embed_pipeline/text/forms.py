"""When two texts are the same, and the words of a text."""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from embed_pipeline.text.scripts import HANGUL, UNSPACED, combining_marks, non_starters

# Characters that Unicode calls "default ignorable": they show nothing and only guide rendering.
_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ARMENIAN_TONES = "\u055b\u055c\u055e"  # exclamation and question marks that stand inside a word
_HALF_A_LINE = re.compile(r"[\xb2\xb3\xb9\u2070-\u2089]")  # raised and lowered digits
_RAISED = re.compile(r"([\xb2\xb3\xb9\u2070\u2071\u2074-\u207f]+)(?=(\d?))")
_LOWERED = re.compile(r"(?<=\d)(?=[\u2080-\u2089])|(?<=[\u2080-\u2089])(?=\d)")
_SUPERSCRIPT, _SUBSCRIPT = "<super>", "<sub>"
_WITH_RAISED = range(0x339F, 0x33B0)  # square metre and others in one character

_SIGNS = "#%&*/@\\_§‰‱′٪"
"""Punctuation, as Unicode has it, that carries meaning; so do all its symbols but the backtick."""
_IN_CONTEXT = ".:!-"
_READ_AS = {"⁄": "/", "∕": "/", "−": "-", "〜": "~", "`": " ", "ʼ": " ", "ʻ": " "}
_LONG_DASHES = "\u2014\u2015\u2e3a\u2e3b\ufe31\ufe58"  # parts of a sentence, never of a word
_MARK = "\0"  # beside each sign: blank space there does not count

# Each alternative begins with a plain character, which lets the regular expression skip to the next of them.
_STOP = r" .:!"
_IDLE = re.compile(
    r"\.\.\.+"
    rf"|\.(?<!\.\.)\.?(?![^ :!\-{UNSPACED}])"
    rf"|:(?!{_MARK}=)"
    rf"|!(?!{_MARK}=)"
    rf"|-(?<![^{_STOP}]-)(?<!\d -)-*(?! \d)(?!\.{{0,2}}[^{_STOP}])"
)
_MOST_MARKS = 30
_MARKS_OF_ONE_CHARACTER = 5  # more than any character decomposes into


def same_text_key(text: str) -> str:
    """Equal for two texts if and only if they are the same text: one that says the same, sign for sign.

    It decides wherever texts are compared: duplicate questions, texts that must not be torn apart by a split, other
    wordings of a question, rows that must not meet in a batch. What does not count:

    - case and Unicode form: as Unicode's NFKC_Casefold, so full-width letters, ligatures, composed and decomposed
      letters, invisible characters. Combining marks count: vowel signs of India, Arabic vowel marks, accents; but of
      more than 30 on one character, which no language has, only the first 30;
    - how much blank space there is, and whether there is any beside a sign (``x>5``, ``5 %``) or beside a character
      of a script without spaces (Chinese, Japanese, Thai ...). Between other words it counts: ``e mail``, ``email``;
    - sentence punctuation of any script: quotation marks, apostrophes, brackets, ``? ! , ; :``, ellipses, bullets,
      a full stop that ends a word, a long dash, a dash with blank space on both sides. It parts words, so
      ``don't`` is not ``dont``, and ``1,5`` neither ``15`` nor ``1.5``.

    What counts:

    - letters, digits and their marks; ``10²`` is ``10^2`` and not ``102``, ``½`` is ``1/2``, ``H₂O`` is ``H2O``;
    - symbols wherever they stand: ``+ < > = ~ ^ | $ € ° ± × ÷ ≠ ≤ ≥``, emoji; also ``# % & * / @ _ § ‰ ′`` and the
      backslash. So ``C``, ``C++`` and ``C#`` differ, and so do ``x > 5`` and ``x < 5``, ``a/b`` and ``ab``. Two signs
      that mean the same (``>=`` and ``≥``) are different ones;
    - a full stop before a letter, digit or sign: ``1.5``, ``.NET``, ``example.com``;
    - a hyphen, minus sign or short dash beside a letter, digit or sign, or with blank space beside a number:
      ``e-mail``, ``-5``, ``--force``, ``grade C-``, ``5 - 3``. Hyphen, minus and short dash are one sign;
    - ``!`` and ``:`` before ``=``: ``!=``, ``:=``.

    A text of nothing that counts is its own key, blank space aside. The key of a key is the key. If a text stands in
    another between blank space, its key stands in the other's, as far as it does not begin or end amid punctuation.
    """
    ascii_only = text.isascii()
    line = text.replace(_MARK, " ")
    line = _replaced(line.lower() if ascii_only else _folded(line), _WEIGHED)
    line = _IDLE.sub(" ", " ".join(line.split())).replace("-", f"{_MARK}-{_MARK}")
    key = " ".join(line.split())
    if _MARK in key:
        key = key.replace(f"!{_MARK}=", f"{_MARK}!=").replace(f":{_MARK}=", f"{_MARK}:=")
        key = key.replace(f" {_MARK}", _MARK).replace(f"-{_MARK} ", "-")
        key = _after_sign().sub("", key).replace(_MARK, "").strip()
    if not ascii_only:
        key = unicodedata.normalize("NFC", _beside_unspaced().sub("", key))
    return key or " ".join(unicodedata.normalize("NFC", text).split())


def _folded(text: str) -> str:
    """NFKC and case folded, invisible characters left out; raised and lowered digits stay apart from others."""
    told = _replaced(text, _APART)
    if _HALF_A_LINE.search(told):
        told = _RAISED.sub(lambda raised: f"^{raised[1]} " if raised[2] else f"^{raised[1]}", told)
        told = _LOWERED.sub("_", told)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", _without_more_marks(told)).casefold())


def _without_more_marks(text: str) -> str:
    """Of each run of combining marks the first 30, as many as Unicode's Stream-Safe Text Format has (UAX #15).

    ``unicodedata`` puts a run in order in quadratic time. Equal for equivalent texts: the first in canonical order.
    """
    if text.isascii() or _marks().isdisjoint(text) or not _long_run().search(text):
        return text
    return _many_marks().sub(_first_marks, text)


def _first_marks(found: re.Match[str]) -> str:
    chars = "".join(unicodedata.normalize("NFKD", char) for char in found[0])
    starter = max((place for place, char in enumerate(chars[:-1]) if not unicodedata.combining(char)), default=-1)
    marks = sorted(chars[starter + 1 :], key=unicodedata.combining)
    return found[0] if len(marks) <= _MOST_MARKS else chars[: starter + 1] + "".join(marks[:_MOST_MARKS])


@cache
def _marks() -> frozenset[str]:
    return frozenset(non_starters())


@cache
def _long_run() -> re.Pattern[str]:
    return re.compile(f"[{non_starters()}]{{{_MOST_MARKS - _MARKS_OF_ONE_CHARACTER},}}")


@cache
def _many_marks() -> re.Pattern[str]:
    return re.compile(f"(?s:.?){_long_run().pattern}")


@cache
def _after_sign() -> re.Pattern[str]:
    """A blank that does not count after a sign; before a combining mark it does, which would change the sign."""
    return re.compile(f"{_MARK} (?![{non_starters()}])")


@cache
def _beside_unspaced() -> re.Pattern[str]:
    """As :func:`_after_sign`, on either side of a character of scripts without spaces; marks would change places."""
    return re.compile(rf" (?![{non_starters()}])(?:(?=[{UNSPACED}])|(?<=[{UNSPACED}] ))")


def _replaced(text: str, table: Mapping[str, str]) -> str:
    """Each character as the table has it; faster than ``str.translate``, since texts have few different ones."""
    for char in set(text):
        new = table[char]
        if new != char:
            text = text.replace(char, new)
    return text


class _Apart(dict[str, str]):
    """Character -> what stands for it before NFKC, which would make 102 of 10² and 11/2 of 1½; each looked up once."""

    def __missing__(self, char: str) -> str:
        self[char] = self._of(char)
        return self[char]

    def _of(self, char: str) -> str:
        if char in _ARMENIAN_TONES or _INVISIBLE.match(char):
            return ""
        if char in "\xb4\u1ffd":  # an acute accent alone, used as an apostrophe; NFKC would set it above a blank
            return " "
        kind, *parts = unicodedata.decomposition(char).split() or [""]
        if ord(char) in _WITH_RAISED:
            return "".join(chr(int(part, 16)) for part in parts)
        plain = unicodedata.normalize("NFKC", char)
        numbered = plain != char and not char.isdecimal() and any(map(str.isdecimal, plain))
        return f" {char} " if numbered and kind not in (_SUPERSCRIPT, _SUBSCRIPT) else char


class _Weighed(dict[str, str]):
    """Character -> itself, with marks beside it if it is a sign, or a blank; each looked up once."""

    def __missing__(self, char: str) -> str:
        self[char] = self._of(_READ_AS.get(char, char))
        return self[char]

    def _of(self, char: str) -> str:
        kind = unicodedata.category(char)
        if kind == "Pd":
            return " " if char in _LONG_DASHES else "-"
        if char in _SIGNS or kind[0] == "S":
            return f"{_MARK}{char}{_MARK}"
        return char if kind[0] in "LMN" or char in _IN_CONTEXT else " "


_APART = _Apart()
_WEIGHED = _Weighed()


# Every character of these counts as a word.
_ALONE = f"[{UNSPACED}{HANGUL}]"


def words(text: str) -> list[str]:
    """The words, for counting them and for what two texts have in common; signs and punctuation are none.

    Case folded, NFKC; each character of a script without spaces, and each Korean syllable, is a word. Whether two
    texts are the same is :func:`same_text_key`'s to say.
    """
    return _word().findall(unicodedata.normalize("NFKC", _without_more_marks(text)).casefold())


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"{_ALONE}|[^\W_]+(?:[{combining_marks()}]+[^\W_]*)*")

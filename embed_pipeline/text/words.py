"""Words, sentences and how rare they are: what the offline generator knows about language.

Everything else comes from the corpus itself, so any language works. Chinese, Japanese and Thai, written without
spaces, are cut into words by BudouX; Lao, Khmer and Burmese into pairs of characters.
"""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embed_pipeline.text.scripts import UNSPACED, combining_marks

if TYPE_CHECKING:
    from budoux import Parser

MAX_UNIT_WORDS = 40
MIN_UNIT_WORDS = 5
MIN_LETTER_SHARE = 0.6
FUNCTION_WORD_SHARE = 0.15
SMALL_CORPUS = (5, 0.6)

_UNSPACED_RUN = re.compile(rf"[{UNSPACED}]+")
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_THAI = re.compile("[\u0e00-\u0e7f]")
_CLAUSE = re.compile(r"(?<=[;:,،؛、，；：])\s*|\s+(?=[–—-]\s)")
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)")
_MARKER = re.compile(
    r"\s*(?:[-*•]\s+|\d+[.)]\s+|\((?:[a-z]{1,4}|[A-Z]|\d{1,3})\)\s*|[a-z][.)]\s+|"
    r"\d+(?:\.\d+)+\.?(?:\s+(?=[\"“(]?[A-ZÀ-ÞА-Я])|(?=[A-ZÀ-ÞА-Я][a-zß-ÿа-я])))"
)
_TABLE_ROW = re.compile(r"^.*\|.*$", re.MULTILINE)
_TAG_LINE = re.compile(r"^\s*</?[\w:.-]+(?:\s+[\w:.-]+\s*=|\s*/?>\s*$)|/s/")
_CODE_WORD = re.compile(r"[\w)\]\"']=[\w\"'$\[({]|[{}]|</|/>|\(\)|;$|::|->|^[$@][\w{]|^\w+(?:\.\w+){2,}$")
LARGEST_CODE_SHARE = 0.3


class Word(NamedTuple):
    """A word as it stands in its text, its form for counting (case folded), and its place."""

    surface: str
    form: str
    start: int
    end: int

    @property
    def is_number(self) -> bool:
        """Holds a digit."""
        return any(character.isdigit() for character in self.form)


def words(text: str) -> list[Word]:
    """The words of a text in order."""
    listed = []
    for match in _token().finditer(text):
        run, start = match.group(), match.start()
        for piece in _cut(run) if _UNSPACED_RUN.match(run) else (run,):
            listed.append(Word(piece, _fold(piece), start, start + len(piece)))
            start += len(piece)
    return listed


@cache
def _token() -> re.Pattern[str]:
    """A run of an unspaced script, or a word with its combining marks, parts joined by hyphens, dots and the like."""
    marks = re.sub(f"[{UNSPACED}]", "", combining_marks())
    letters = rf"[^\W_{UNSPACED}]+(?:[{marks}]+[^\W_{UNSPACED}]*)*"
    return re.compile(rf"[{UNSPACED}]+|{letters}(?:[-_.'’/·‐‑]{letters})*")


@lru_cache(maxsize=2**16)
def _cut(run: str) -> tuple[str, ...]:
    """A run of an unspaced script in words, where they can be told, else in pairs of characters."""
    if _KANA.search(run):
        return tuple(_parser("ja_word").parse(run))
    if _HAN.search(run):
        return tuple(_parser("zh-hant" if _is_traditional(run) else "zh-hans").parse(run))
    if _THAI.search(run):
        return tuple(_parser("th").parse(run))
    return tuple(run[start : start + 2] for start in range(0, len(run), 2))


@cache
def _parser(model: str) -> "Parser":
    import budoux

    return budoux.Parser(json.loads((Path(budoux.__file__).parent / "models" / f"{model}.json").read_text("utf-8")))


def _is_traditional(run: str) -> bool:
    """Whether the simplified Chinese character set lacks one of the characters and the traditional one does not."""
    try:
        run.encode("gb2312")
    except UnicodeEncodeError:
        try:
            run.encode("big5")
        except UnicodeEncodeError:
            return False
        return True
    return False


def _fold(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()


def _length(text: str) -> int:
    """How many words there are."""
    runs = _token().findall(text)
    return sum((len(run) + 1) // 2 if _UNSPACED_RUN.match(run) else 1 for run in runs)


def join(parts: Sequence[Word]) -> str:
    """Words back into a line; pieces that touch in the text (unspaced scripts) stay together."""
    line, end = "", -1
    for part in parts:
        line += part.surface if part.start == end or not line else f" {part.surface}"
        end = part.end
    return line


def units(text: str, language: str, max_chars: int) -> list[str]:
    """Distinct sentences of a passage, verbatim and in order; a longer one is cut at its clauses.

    List markers and clause numbers are cut off. Headings, table rows, signatures and code (few words, few
    letters, many signs of code) are left out.

    Args:
        language: ISO 639-1 code or und.
        max_chars: longest unit.
    """
    from sentencex import segment

    known = "en" if language == "und" else language
    blocks = _BLOCK.split(_TABLE_ROW.sub("\n", text))
    sentences = (sentence for block in blocks for sentence in segment(known, _unmarked(block)))
    pieces = (_unmarked(piece) for sentence in sentences for piece in _clauses(sentence.strip(), max_chars))
    return list(dict.fromkeys(piece for piece in pieces if _is_prose(piece, max_chars)))


def _unmarked(text: str) -> str:
    """Without the marker of a list item or the number of a clause at its start."""
    match = _MARKER.match(text)
    return text[match.end() :] if match else text


def _clauses(sentence: str, max_chars: int) -> list[str]:
    """The sentence, or groups of its clauses as long as fit."""
    pieces, start, fitting = [], 0, 0
    for border in [*(match.end() for match in _CLAUSE.finditer(sentence)), len(sentence)]:
        if fitting > start and not _fits(sentence[start:border], max_chars):
            pieces.append(sentence[start:fitting].strip())
            start = fitting
        fitting = border
    return [*pieces, sentence[start:].strip()]


def _fits(piece: str, max_chars: int) -> bool:
    return len(piece) <= max_chars and _length(piece) <= MAX_UNIT_WORDS


def _is_prose(unit: str, max_chars: int) -> bool:
    letters = sum(unicodedata.category(character)[0] in "LM" for character in unit)
    dense = letters >= MIN_LETTER_SHARE * len("".join(unit.split()))
    fits = len(unit) <= max_chars and MIN_UNIT_WORDS <= _length(unit) <= 2 * MAX_UNIT_WORDS
    return fits and dense and not _is_code(unit)


def _is_code(unit: str) -> bool:
    parts = unit.split()
    signs = sum(_CODE_WORD.search(part) is not None for part in parts)
    return _TAG_LINE.search(unit) is not None or signs >= LARGEST_CODE_SHARE * len(parts)


Counted = tuple[str, str, int, int, int, bool]
"""A :class:`Word` where it first stands in its text, how often it does, and whether it holds a digit."""


def counted_words(text: str) -> list[Counted]:
    """The distinct words of a text that are longer than one character, in order."""
    first: dict[str, Word] = {}
    times: Counter[str] = Counter()
    for word in words(text):
        if len(word.form) > 1:
            first.setdefault(word.form, word)
            times[word.form] += 1
    return [(*word, times[form], word.is_number) for form, word in first.items()]


def passages_of_words(texts: Iterable[str]) -> Counter[str]:
    """In how many of the texts each word stands, by its form."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update({word.form for word in words(text)})
    return found


class TermStatistics:
    """In how many passages each word occurs.

    Args:
        texts: of the passages.
        frequency: as :func:`passages_of_words` gives it of them, where it is known.
    """

    def __init__(self, texts: Collection[str], frequency: Counter[str] | None = None) -> None:
        self.passages = len(texts)
        self.frequency = passages_of_words(texts) if frequency is None else frequency

    @cached_property
    def function_words(self) -> frozenset[str]:
        """Words in so many passages that they say nothing about any of them.

        That is 15 % of the passages; in a small corpus five of them, in a very small one 60 %.
        """
        few, share = SMALL_CORPUS
        least = max(2, FUNCTION_WORD_SHARE * self.passages, min(few, share * self.passages))
        return frozenset(form for form, count in self.frequency.items() if count >= least)

    def idf(self, form: str) -> float:
        """ln(1 + N / df). A word of one passage only counts as df 2: it is often a slip or a number."""
        return math.log(1 + self.passages / max(self.frequency[form], 2))

    def content_words(self, text: str) -> list[Word]:
        """Words of a text that are not function words and longer than one character, in order."""
        return [word for word in words(text) if word.form not in self.function_words and len(word.form) > 1]

    def rarest(self, text: str) -> list[Word]:
        """The distinct content words of a text by (1 + ln tf) · idf, best first; numbers weigh half."""
        return self.rarest_of(counted_words(text))

    def rarest_of(self, counted: Iterable[Counted]) -> list[Word]:
        """The same of a text whose words are counted (:func:`counted_words`)."""
        functions, weighed = self.function_words, []
        for surface, form, start, end, times, is_number in counted:
            if form not in functions:
                weight = (1 + math.log(times)) * self.idf(form) * (0.5 if is_number else 1.0)
                weighed.append((-weight, start, Word(surface, form, start, end)))
        weighed.sort()
        return [word for *_, word in weighed]

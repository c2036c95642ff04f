"""Words, sentences and how rare they are: all the offline generator knows about language.

Everything comes from the corpus itself, so any language works. Scripts written without spaces (Chinese,
Japanese, Thai, Lao, Khmer, Burmese) are cut into pairs of characters instead of words.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\U00020000-\U0003134f"
)
MAX_UNIT_WORDS = 40
MIN_UNIT_WORDS = 5
FUNCTION_WORD_SHARE = 0.15
MIN_FUNCTION_WORD_PASSAGES = 3

_TOKEN = re.compile(rf"[{UNSPACED}]+|[^\W_{UNSPACED}]+(?:[-_.'’/·‐‑][^\W_{UNSPACED}]+)*")
_UNSPACED_RUN = re.compile(rf"[{UNSPACED}]+")
_CLAUSE = re.compile(r"(?<=[;:,،؛、，；：])\s*|\s+(?=[–—-]\s)")


@dataclass(frozen=True)
class Word:
    """A word as it stands in its text, with its form for counting (case folded) and its place."""

    surface: str
    form: str
    start: int
    end: int

    @property
    def is_number(self) -> bool:
        """Holds a digit."""
        return any(character.isdigit() for character in self.form)


def words(text: str) -> list[Word]:
    """The words of a text in order; unspaced scripts give character pairs (one character if alone)."""
    found = []
    for match in _TOKEN.finditer(text):
        run, start = match.group(), match.start()
        pieces = _pairs(run) if _UNSPACED_RUN.fullmatch(run) else [(0, len(run))]
        found += [Word(run[a:b], _fold(run[a:b]), start + a, start + b) for a, b in pieces]
    return found


def _pairs(run: str) -> list[tuple[int, int]]:
    return [(start, min(start + 2, len(run))) for start in range(0, len(run), 2)]


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()


def join(parts: Sequence[Word]) -> str:
    """Words back into a line: spaces between, except inside unspaced scripts."""
    line = ""
    for part in parts:
        glued = bool(line) and _UNSPACED_RUN.fullmatch(line[-1]) and _UNSPACED_RUN.match(part.surface)
        line += part.surface if glued or not line else f" {part.surface}"
    return line


def units(text: str, language: str, max_chars: int) -> list[str]:
    """Sentences of a passage, verbatim and in order; a longer one is cut at its clauses.

    Headings, table rows and code (few words, or few letters) are left out.

    Args:
        language: ISO 639-1 code or und.
        max_chars: longest unit.
    """
    from sentencex import segment

    found: list[str] = []
    for line in re.split(r"\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)", text):
        for sentence in segment("en" if language == "und" else language, line):
            found += [unit for unit in _shortened(sentence.strip(), max_chars) if _is_prose(unit)]
    return list(dict.fromkeys(found))


def _shortened(sentence: str, max_chars: int) -> list[str]:
    if len(sentence) <= max_chars and len(words(sentence)) <= MAX_UNIT_WORDS:
        return [sentence]
    start, pieces = 0, []
    borders = [match.end() for match in _CLAUSE.finditer(sentence)] + [len(sentence)]
    last = 0
    for border in borders:
        part = sentence[start:border]
        if last > start and (len(part) > max_chars or len(words(part)) > MAX_UNIT_WORDS):
            pieces.append(sentence[start:last].strip())
            start = last
        last = border
    pieces.append(sentence[start:].strip())
    return [piece for piece in pieces if len(piece) <= max_chars and len(words(piece)) <= 2 * MAX_UNIT_WORDS]


def _is_prose(unit: str) -> bool:
    letters = sum(character.isalpha() or unicodedata.combining(character) > 0 for character in unit)
    return len(words(unit)) >= MIN_UNIT_WORDS and letters >= 0.6 * len(unit.replace(" ", ""))


class TermStatistics:
    """In how many passages each word occurs."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.passages = 0
        self.frequency: Counter[str] = Counter()
        for text in texts:
            self.passages += 1
            self.frequency.update({word.form for word in words(text)})

    def idf(self, form: str) -> float:
        """Inverse document frequency over passages, ln(1 + N / df); unknown words count as df 1."""
        return math.log(1 + self.passages / max(self.frequency[form], 1))

    @cached_property
    def function_words(self) -> frozenset[str]:
        """Words in so many passages that they say nothing about any of them."""
        least = max(MIN_FUNCTION_WORD_PASSAGES, FUNCTION_WORD_SHARE * self.passages)
        return frozenset(form for form, count in self.frequency.items() if count >= least)

    def content_words(self, text: str) -> list[Word]:
        """Words of a text that are not function words and longer than one character, in order."""
        return [word for word in words(text) if word.form not in self.function_words and len(word.form) > 1]

    def rarest(self, text: str, count: int) -> list[Word]:
        """The ``count`` distinct content words with the highest tf · idf in ``text``, best first.

        Words that occur twice or more beat words met once in the whole corpus, which are often typing
        errors or numbers: a word of df 1 counts as if it had df 2, a number half.
        """
        first: dict[str, Word] = {}
        often: Counter[str] = Counter()
        for word in self.content_words(text):
            first.setdefault(word.form, word)
            often[word.form] += 1
        return sorted(first.values(), key=lambda word: (-self._weight(word, often[word.form]), word.start))[:count]

    def _weight(self, word: Word, occurrences: int) -> float:
        idf = math.log(1 + self.passages / max(self.frequency[word.form], 2))
        return (1 + math.log(occurrences)) * idf * (0.5 if word.is_number else 1.0)

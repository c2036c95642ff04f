"""Which training texts repeat a held-out one; by code of its own, so that it can check how texts were grouped.

Texts are compared by the Jaccard similarity of their sets of shingles: word 3-grams, or character 5-grams where
words are not parted by spaces. The candidates come from prefix filtering (Chaudhuri, Ganti, Kaushik 2006; Bayardo,
Ma, Srikant 2007): with the shingles of both in one order, here the rarest first, two sets whose similarity is at
least t have one in common among the first n - ceil(t n) + 1 of each, n being its size. So no pair is missed, and
text that stands everywhere is hardly looked at.
"""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.text.scripts import UNSPACED

SKETCH_SIZE, DEVIATIONS = 128, 5.0
_GRAM = {"words": 3, "characters": 5}
_MOSTLY = 0.3
_WORD, _LETTER, _PARTLESS = re.compile(r"\w+"), re.compile(r"[^\W\d_]"), re.compile(f"[{UNSPACED}]")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
Hashes = NDArray[np.uint64]
Ranks = NDArray[np.int64]


_LETTERS_OF_WIDTH = range(0xFF00, 0xFFF0)
_PARTS_WORDS = frozenset("?,;\"'()[]{}¿¡«»‹›‘’‚“”„…、。〈〉《》「」『』【】،؛؟।॥")
_ENDS_WORDS = re.compile(r"[.!:]+(?=[ ]|$)")


class _Plain(dict[int, str]):
    """Code point -> itself, of the usual width; a blank for punctuation that parts words; looked up once each."""

    def __missing__(self, code: int) -> str:
        char = unicodedata.normalize("NFKC", chr(code)) if code in _LETTERS_OF_WIDTH else chr(code)
        if unicodedata.category(char[0]) == "Cf":
            char = ""
        self[code] = " " if char in _PARTS_WORDS else char
        return self[code]


_PLAIN = _Plain()


def wording_of(text: str) -> str:
    """What a text says whatever its case, width, blank space and sentence punctuation; punctuation alone says itself.

    Simple code of its own, so that it can find what :func:`embed_pipeline.text.forms.same_text_key` gets wrong; that
    one takes a few more texts for the same (hyphens and minus signs, Chinese with and without blanks), but never
    tells two apart that say the same here: what the splits may separate is no alarm.
    """
    plain = " ".join(unicodedata.normalize("NFC", text).translate(_PLAIN).split())
    folded = unicodedata.normalize("NFC", plain).casefold()
    return " ".join(_ENDS_WORDS.sub(" ", folded).split()) or " ".join(text.split())


class Text(NamedTuple):
    """A passage or document.

    Attributes:
        name: its id.
        same: equal for texts that say the same word for word.
        asked: whether a question asks about it.
    """

    name: str
    text: str
    same: str
    asked: bool


def certain_duplicate(threshold: float) -> float:
    """Similarity from which the grouping, which estimates it, as good as never misses a pair.

    Groups are made of pairs whose similarity, estimated from 128 min-hashes, reaches ``threshold``. The estimate
    of a pair of similarity t has the standard deviation sqrt(t (1 - t) / 128); this is the t that lies five of
    them above the threshold (0.948 for 0.85; the upper bound of Wilson's interval), where a pair is missed less
    than once in a million. An alarm from the threshold itself on would stop runs for the noise of the estimate.
    """
    k = DEVIATIONS**2 / SKETCH_SIZE
    middle = 2 * threshold + k
    return (middle + math.sqrt(max(0.0, middle**2 - 4 * (1 + k) * threshold**2))) / (2 * (1 + k))


def find_repeats(train: Iterable[Text], held_out: Sequence[Text], least: float) -> list[tuple[str, str]]:
    """Training texts that are near-duplicates of a held-out one; pairs nobody asks about do not count.

    Args:
        train: read one at a time; only the held-out texts' shingles are kept, 8 bytes each.
        held_out: all of them.
        least: similarity in (0, 1].

    Returns:
        ``(training name, held-out name)``, each training text once, with one held-out text that it repeats and
        that is not the same word for word.
    """
    held = _Index(held_out, least)
    found = []
    for text in train:
        repeated = held.first_like(text)
        if repeated is not None:
            found.append((text.name, repeated))
    return found


class _Index:
    """The held-out texts as sorted ranks of their shingles, rarest first, and where the first ones occur."""

    def __init__(self, texts: Sequence[Text], least: float) -> None:
        self.texts, self.least = texts, least
        self.word_ids: dict[str, int] = {}
        grams = [_shingles(text.text, self.word_ids) for text in texts]
        self.vocabulary, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *grams]), return_counts=True)
        self.rank_of = np.empty(len(counts), np.int64)
        self.rank_of[np.argsort(counts, kind="stable")] = np.arange(len(counts))
        self.ranks = [self._ranks(gram) for gram in grams]
        self.holders: dict[int, list[int]] = defaultdict(list)
        for row, ranks in enumerate(self.ranks):
            for rank in ranks[: len(ranks) - self._needed(len(ranks)) + 1].tolist():
                self.holders[rank].append(row)

    def _ranks(self, grams: Hashes) -> Ranks:
        """Sorted ranks of those shingles that any held-out text has."""
        if len(self.vocabulary) == 0:
            return np.zeros(0, np.int64)
        place = np.minimum(np.searchsorted(self.vocabulary, grams), len(self.vocabulary) - 1)
        return np.sort(self.rank_of[place[self.vocabulary[place] == grams]])

    def _needed(self, size: int) -> int:
        """Shingles that a text of this size must share with another."""
        return math.ceil(self.least * size - 1e-9)

    def first_like(self, text: Text) -> str | None:
        """Name of a held-out text that this one repeats, the first that is found."""
        grams = _shingles(text.text, self.word_ids)
        ranks, needed = self._ranks(grams), self._needed(len(grams))
        if len(grams) == 0 or len(ranks) < needed:
            return None
        seen: set[int] = set()
        prefix = ranks[: len(ranks) - needed + 1].tolist()  # what no held-out text has is rarer still, and no match
        for row in (row for rank in prefix for row in self.holders.get(rank, ())):
            other = self.texts[row]
            if row in seen:
                continue
            seen.add(row)
            if other.same == text.same or not (text.asked or other.asked):
                continue
            common = len(np.intersect1d(ranks, self.ranks[row], assume_unique=True))
            if common >= self.least * (len(grams) + len(self.ranks[row]) - common) - 1e-9:
                return other.name
        return None


def _shingles(text: str, word_ids: dict[str, int]) -> Hashes:
    """Distinct hashes of the word 3-grams or character 5-grams; a shorter text is its only gram. New words get ids."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    partless = len(_PARTLESS.findall(folded))
    if partless and partless >= _MOSTLY * len(_LETTER.findall(folded)):
        units, size = [ord(char) for char in folded if not char.isspace()], _GRAM["characters"]
    else:
        units, size = [word_ids.setdefault(word, len(word_ids)) for word in _WORD.findall(folded)], _GRAM["words"]
    size = min(size, len(units))
    if size == 0:
        return np.zeros(0, np.uint64)
    values = np.array(units, np.uint64) + np.uint64(1)
    hashed = np.zeros(len(values) - size + 1, np.uint64)
    for place in range(size):
        hashed = hashed * _MULTIPLIER + values[place : len(values) - size + 1 + place]
    return np.unique(hashed)

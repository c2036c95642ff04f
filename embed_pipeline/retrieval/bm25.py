"""BM25 in any script: the lexical ranking beside the dense one, in the filters and in the evaluation.

::

    passages ── words ── counts ── shards of 16,384 passages: for each word, the passages that hold it with its score
"""

import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.progress import track
from embed_pipeline.text.scripts import HANGUL, UNSPACED

K1, B = 1.5, 0.75
SHARD = 16_384
"""Passages of a shard: few enough for two bytes each, and for their scores to stay in the processor's cache."""
# Korean particles are glued to the word. Lucene's CJKBigramFilter takes Han, Hiragana, Katakana and Hangul; Thai,
# Lao, Khmer and Burmese are treated alike here.
_IN_PAIRS = re.compile(f"[{UNSPACED}{HANGUL}]+")

Scores = NDArray[np.float32]
Analysis = Callable[[str], list[str]]
"""The words of a text by which it is found."""


def words_of(text: str) -> list[str]:
    """The words by which BM25 compares, in their order."""
    return _with_bigrams(text).translate(_WITHOUT_PUNCTUATION).split()


class Bm25Index:
    """BM25 as Lucene computes it.

    A word scores ``log(1 + (N - n + 0.5) / (n + 0.5)) * f / (k1 * (1 - b + b * length / average) + f)``: it stands f
    times in the passage and in n of the N passages (the variant without a constant factor k1 + 1; Kamphuis and others
    2020, "Which BM25 Do You Mean?"). Words are casefolded runs of letters, digits and combining marks, without stop
    words or stemming; scripts without spaces are cut into overlapping pairs of characters. A passage that shares no
    word with a query scores 0.

    Passages are read once, one by one. The index takes 6 bytes for each different word of a passage.

    Args:
        analysis: what stands in place of these words, in passages and queries:
            :class:`embed_pipeline.retrieval.stems.WithStems`.
        k1: how much more a word counts that stands in a passage more often; 0: not at all.
        b: 0 to 1, how much a passage that is longer than the average is held back.
        asked: the only queries there will be; words of passages that stand in none of them are not indexed, and these
            queries score the same.
    """

    def __init__(
        self,
        passages: Collection[str],
        analysis: Analysis = words_of,
        k1: float = K1,
        b: float = B,
        asked: Iterable[str] | None = None,
    ) -> None:
        self.size = len(passages)
        self._analysis = analysis
        self._words: dict[str, int] = {}
        lengths = np.zeros(self.size, np.int64)
        texts = track(passages, "index words", self.size)
        only = None if asked is None else frozenset(word for query in asked for word in analysis(query))
        counted = [
            _count(map(analysis, islice(texts, SHARD)), self._words, lengths[start:], only)
            for start in range(0, self.size, SHARD)
        ]
        list(texts)  # ends its progress
        rarity = _rarity(_passages_of_words(counted, len(self._words)), self.size)
        penalties = _penalties(lengths, k1, b)
        self._shards = []
        for number in range(len(counted)):
            start = number * SHARD
            self._shards.append(_scored(counted[number], rarity, penalties[start : start + SHARD]))
            counted[number] = _NOTHING  # frees its counts

    def top_k(self, queries: Iterable[str], k: int) -> list[list[tuple[int, float]]]:
        """For each query the ``k`` best passages as (index, score), best first; only those that share a word.

        Equal scores are ordered by index.
        """
        return [_best(self._scores(query), k) for query in queries]

    def scores(self, queries: Sequence[str]) -> Scores:
        """[queries, passages]: the score of every passage; keep the number of queries small."""
        found = np.zeros((len(queries), self.size), np.float32)
        for row, query in enumerate(queries):
            found[row] = self._scores(query)
        return found

    def _scores(self, query: str) -> Scores:
        scores = np.zeros(self.size, np.float32)
        words = np.array([self._words[word] for word in self._analysis(query) if word in self._words], np.int32)
        for number, shard in enumerate(self._shards):
            shard.add(words, scores[number * SHARD : (number + 1) * SHARD])
        return scores


def _with_bigrams(text: str) -> str:
    """Casefolded text in which every run of an unspaced script is replaced by its character pairs."""
    if text.isascii():
        return text.lower()
    return _IN_PAIRS.sub(_pairs, unicodedata.normalize("NFKC", text).casefold())


def _pairs(run: re.Match[str]) -> str:
    characters = run[0]
    pairs = [characters[start : start + 2] for start in range(len(characters) - 1)]
    return f" {' '.join(pairs or [characters])} "


class _Spaces(dict[int, str]):
    """A space for every character that is of no word, itself for any other. Five times as fast as a pattern."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        of_word = re.match(r"\w", character) or unicodedata.category(character).startswith("M")
        self[code] = character if of_word else " "
        return self[code]


_WITHOUT_PUNCTUATION = _Spaces()


# -- shards ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Shard:
    """What stands in some passages, word by word.

    Attributes:
        words: [w], the numbers of the words that occur, ascending.
        starts: [w + 1], where the entries of each begin.
        passages: [entries], counted from the first one of the shard, ascending for each word.
        values: [entries], how often the word stands there, or its score.
    """

    words: NDArray[np.int32]
    starts: NDArray[np.int64]
    passages: NDArray[np.uint16]
    values: NDArray[Any]

    def add(self, words: NDArray[np.int32], scores: Scores) -> None:
        """Add to ``scores`` what each of the words scores."""
        for place in _places(self.words, words):
            start, end = self.starts[place], self.starts[place + 1]
            np.add.at(scores, self.passages[start:end], self.values[start:end])


_NOTHING = _Shard(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.uint16), np.zeros(0))


def _places(words: NDArray[np.int32], asked: NDArray[np.int32]) -> Iterator[int]:
    """Where each word asked for stands among ``words``, in the order asked; those that do not are left out."""
    places = np.searchsorted(words, asked)
    for place, word in zip(places.tolist(), asked.tolist(), strict=True):
        if place < len(words) and words[place] == word:
            yield place


def _count(
    passages: Iterable[list[str]], numbers: dict[str, int], lengths: NDArray[np.int64], only: Collection[str] | None
) -> _Shard:
    """Count the words of some passages, or of ``only`` those among them; new ones get the next number.

    ``lengths`` gets the words of each passage, all of them.
    """
    words, counts, different = array("i"), array("i"), array("i")
    for row, of_passage in enumerate(passages):
        found = Counter(of_passage if only is None else [word for word in of_passage if word in only])
        words.extend([numbers.setdefault(word, len(numbers)) for word in found])
        counts.extend(found.values())
        different.append(len(found))
        lengths[row] = len(of_passage)
    passages = np.repeat(np.arange(len(different), dtype=np.uint16), np.frombuffer(different, np.int32))
    numbered, times = np.frombuffer(words, np.int32), np.frombuffer(counts, np.int32)
    order = np.argsort(numbered, kind="stable")
    occurring, starts = np.unique(numbered[order], return_index=True)
    narrow = np.min_scalar_type(times.max(initial=0))
    return _Shard(occurring, np.append(starts, len(order)), passages[order], times[order].astype(narrow))


def _passages_of_words(shards: Sequence[_Shard], words: int) -> NDArray[np.int64]:
    """In how many passages each word stands."""
    found = np.zeros(words, np.int64)
    for shard in shards:
        found[shard.words] += np.diff(shard.starts)
    return found


def _rarity(passages: NDArray[np.int64], size: int) -> Scores:
    """Lucene's inverse document frequency of each word, from the number of passages that hold it."""
    different, places = np.unique(passages, return_inverse=True)
    values = [math.log(1 + (size - count + 0.5) / (count + 0.5)) for count in different.tolist()]
    found: Scores = np.array(values, np.float32)[places]
    return found


def _penalties(lengths: NDArray[np.int64], k1: float, b: float) -> NDArray[np.float64]:
    """What is added to the count of a word in each passage, so that long ones do not win by their length."""
    average = float(lengths.mean()) if len(lengths) else 0.0
    if not average:
        return np.zeros(len(lengths))
    return np.asarray(k1 * ((1 - b) + b * lengths / average), np.float64)


def _scored(counted: _Shard, rarity: Scores, penalties: NDArray[np.float64]) -> _Shard:
    """The same with scores in place of counts; worked out word by word in float64, kept as float32."""
    counts = counted.values.astype(np.float64)
    of_words = np.repeat(rarity[counted.words], np.diff(counted.starts))
    scores = of_words * (counts / (penalties[counted.passages] + counts))
    return _Shard(counted.words, counted.starts, counted.passages, scores.astype(np.float32))


def _best(scores: Scores, k: int) -> list[tuple[int, float]]:
    """The ``k`` highest above 0 as (index, score), equal ones by index."""
    places = np.flatnonzero(scores > 0)
    if 0 < k < len(places):
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= edge)
    places = places[np.argsort(-scores[places], kind="stable")][:k]
    return list(zip(places.tolist(), scores[places].tolist(), strict=True))

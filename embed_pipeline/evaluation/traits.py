"""What can be told of a question from its words, by which gains are looked at: length, overlap, language."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import words_of
from embed_pipeline.text.forms import words
from embed_pipeline.text.language import UNKNOWN, detect_language

ENOUGH = 5
"""Questions of each of two values that make a trait worth looking at."""
COMMON = 0.1
"""A word in more than this share of the questions, or of the passages, says little of what is asked."""
_FEW = 2
_SAMPLED = 2_000
"""Passages, evenly spread, in which common words are counted."""


def with_traits(test_set: RetrievalSet) -> RetrievalSet:
    """The same set with slices by question length, overlap and language, as far as the questions differ in them.

    - ``words``: of the question, 1-4, 5-9 or 10+;
    - ``overlap``: the share of its content words that its best judged passage holds, in thirds of the set;
    - ``language``: of its best judged passage, whose text is longer and so more telling than the question's.
    """
    shares = overlaps(test_set)
    thirds = _thirds(shares)
    traits = {
        "words": {query: _length(text) for query, text in test_set.queries.items()},
        "overlap": {query: thirds[query] for query in test_set.queries},
        "language": {query: detect_language(best_text(test_set, query)) for query in test_set.queries},
    }
    told = {name: values for name, values in traits.items() if _differ(values)}
    slices = {
        query: dict(test_set.query_slices.get(query, {}))
        | {name: values[query] for name, values in told.items() if values[query] != UNKNOWN}
        for query in test_set.queries
    }
    return replace(test_set, query_slices=slices)


def overlaps(test_set: RetrievalSet) -> dict[str, float]:
    """Query -> share of its content words that stand in its best judged passage, 0 to 1.

    Words are BM25's; content words those in at most a tenth of the questions and of the passages, in any language
    without a list of stop words. A question without any counts with all its words.
    """
    passages = list(test_set.passages.values())
    sample = passages[:: max(1, len(passages) // _SAMPLED)]
    common = _common(test_set.queries.values()) | _common(sample)
    return {query: _share(test_set, query, common) for query in test_set.queries}


def best_judged(judged: Mapping[str, int]) -> str:
    """The passage with the highest relevance, the first of several."""
    return max(judged, key=lambda passage: judged[passage])


def best_text(test_set: RetrievalSet, query: str) -> str:
    """Text of the best judged passage; empty where the set lacks it."""
    return test_set.passages.get(best_judged(test_set.qrels[query]), "")


def _share(test_set: RetrievalSet, query: str, common: set[str]) -> float:
    asked = set(words_of(test_set.queries[query]))
    content = (asked - common) or asked
    return len(content & set(words_of(best_text(test_set, query)))) / len(content) if content else 0.0


def _common(texts: Iterable[str]) -> set[str]:
    read = [set(words_of(text)) for text in texts]
    counted = Counter(word for found in read for word in found)
    return {word for word, times in counted.items() if times > max(_FEW, COMMON * len(read))}


def _length(question: str) -> str:
    number = len(words(question))
    return "1-4" if number < 5 else "5-9" if number < 10 else "10+"


def _thirds(shares: Mapping[str, float]) -> dict[str, str]:
    """Equal shares fall into one third, that of their middle, so that thirds may be uneven."""
    ordered = sorted(shares.values())

    def third(share: float) -> str:
        middle = (bisect_left(ordered, share) + bisect_right(ordered, share)) / (2 * len(ordered))
        return "low" if middle < 1 / 3 else "middle" if middle < 2 / 3 else "high"

    return {query: third(share) for query, share in shares.items()}


def _differ(values: Mapping[str, str]) -> bool:
    counted = Counter(value for value in values.values() if value != UNKNOWN)
    return sum(number >= ENOUGH for number in counted.values()) > 1

"""BM25 in any script: the lexical ranking beside the dense one, in the filters and in the evaluation."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.progress import track
from embed_pipeline.text.scripts import HANGUL, UNSPACED, combining_marks

# Korean particles are glued to the word. Lucene's CJKBigramFilter takes Han, Hiragana, Katakana and Hangul; Thai,
# Lao, Khmer and Burmese are treated alike here.
_IN_PAIRS = re.compile(f"[{UNSPACED}{HANGUL}]+")


class Bm25Index:
    """BM25 (Lucene's formula, k1 1.5, b 0.75) by bm25s.

    Words are casefolded runs of letters, digits and combining marks, without stop words or stemming; scripts
    without spaces are cut into overlapping pairs of characters. A passage that shares no word with a query
    scores 0.
    """

    def __init__(self, passages: Collection[str]) -> None:
        import bm25s

        self.size = len(passages)
        tokens = _tokenize(track(passages, "tokenize passages", len(passages)))
        self._index = bm25s.BM25() if any(tokens) else None
        if self._index is not None:
            self._index.index(tokens, show_progress=False)

    def top_k(self, queries: Iterable[str], k: int) -> list[list[tuple[int, float]]]:
        """For each query the ``k`` best passages as (index, score), best first; only those that share a word."""
        texts = list(queries)
        if self._index is None or not texts:
            return [[] for _ in texts]
        found = self._index.retrieve(
            _tokenize(texts), k=min(k, self.size), show_progress=False, backend_selection="numpy"
        )
        return [
            [(int(index), float(score)) for index, score in zip(indices, scores, strict=True) if score > 0]
            for indices, scores in zip(found.documents, found.scores, strict=True)
        ]

    def scores(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """[queries, passages]: the score of every passage; keep the number of queries small."""
        found = np.zeros((len(queries), self.size), np.float32)
        if self._index is None:
            return found
        for row, tokens in enumerate(_tokenize(queries)):
            if tokens:
                found[row] = self._index.get_scores(tokens)
        return found


def _tokenize(texts: Iterable[str]) -> list[list[str]]:
    import bm25s

    tokens: list[list[str]] = bm25s.tokenize(
        [_with_bigrams(text) for text in texts],
        lower=False,
        token_pattern=_word_pattern(),
        stopwords=None,
        return_ids=False,
        show_progress=False,
    )
    return tokens


def _with_bigrams(text: str) -> str:
    """Casefolded text in which every run of an unspaced script is replaced by its character pairs."""
    return _IN_PAIRS.sub(_pairs, unicodedata.normalize("NFKC", text).casefold())


def _pairs(run: re.Match[str]) -> str:
    characters = run[0]
    pairs = [characters[start : start + 2] for start in range(len(characters) - 1)]
    return f" {' '.join(pairs or [characters])} "


@cache
def _word_pattern() -> str:
    return f"[\\w{combining_marks()}]+"

"""What stands beside the dense models: BM25, and BM25 and dense fused."""

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from embed_pipeline.evaluation.retrieve import Run, ranked
from embed_pipeline.progress import track
from embed_pipeline.records import RetrievalSet

# Scripts written without spaces between words, and Hangul, whose particles are glued to the word. Lucene's
# CJKBigramFilter takes the first four scripts; Thai, Lao, Khmer and Myanmar are treated alike here.
_UNSPACED = (
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\uac00-\ud7a3"  # Hangul
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
)


def bm25_run(retrieval_set: RetrievalSet, k: int) -> Run:
    """BM25 (Lucene's formula, k1 1.5, b 0.75) over the whole corpus, by bm25s.

    Words are casefolded runs of letters, digits and combining marks, without stop words or stemming; scripts
    without spaces are cut into overlapping pairs of characters. Passages that share no word with a query are
    not found.

    Args:
        retrieval_set: passages and queries in any language.
        k: passages per query.
    """
    import bm25s

    passage_ids = list(retrieval_set.passages)
    tokens = _tokenize(track(retrieval_set.passages.values(), "tokenize passages", len(passage_ids)))
    if not any(tokens):
        return {query: {} for query in retrieval_set.queries}
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    found = index.retrieve(
        _tokenize(retrieval_set.queries.values()),
        k=min(k, len(passage_ids)),
        show_progress=False,
        backend_selection="numpy",
    )
    return {
        query: {passage_ids[index]: float(score) for index, score in zip(indices, scores, strict=True) if score > 0}
        for query, indices, scores in zip(retrieval_set.queries, found.documents, found.scores, strict=True)
    }


def hybrid_run(runs: Sequence[Run], k: int, c: int = 60) -> Run:
    """Reciprocal rank fusion: the score of a passage is the sum over the runs of 1 / (c + rank), rank from 1.

    Source: Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods", with their c = 60. The ``k`` best of each query are kept.
    """
    fused: Run = {}
    for query in dict.fromkeys(query for run in runs for query in run):
        scores: dict[str, float] = {}
        for run in runs:
            for rank, passage in enumerate(ranked(run.get(query, {})), start=1):
                scores[passage] = scores.get(passage, 0.0) + 1.0 / (c + rank)
        fused[query] = {passage: scores[passage] for passage in ranked(scores)[:k]}
    return fused


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
    return re.sub(f"[{_UNSPACED}]+", _pairs, unicodedata.normalize("NFKC", text).casefold())


def _pairs(run: re.Match[str]) -> str:
    characters = run[0]
    pairs = [characters[start : start + 2] for start in range(len(characters) - 1)]
    return f" {' '.join(pairs or [characters])} "


@cache
def _word_pattern() -> str:
    r"""``\w`` and the combining marks, which Python's ``\w`` leaves out and most Indic words contain."""
    marks = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M")]
    return f"[\\w{''.join(marks)}]+"

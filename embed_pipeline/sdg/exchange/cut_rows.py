"""Which pieces of a row a judgement of the whole row is about (``corpus.split_long_rows``).

A row that is longer than the encoder takes was cut into passages, and whoever judged it did not say where it answers.
The piece that shares most of the question's words is taken, rare words of the row counting more; where no piece shares
any, all of them are. The others are of the same document, so that none is ever mined as a negative of the question.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

import polars as pl

from embed_pipeline.records import passage_text
from embed_pipeline.retrieval.bm25 import words_of

_SATURATION = 1.5
"""As BM25's k1: a word said again counts less than the first time."""


class CutRows:
    """The rows that were cut, and their pieces.

    Args:
        passages: :class:`embed_pipeline.tables.Passages` of a corpus whose documents are rows.
    """

    def __init__(self, passages: pl.DataFrame) -> None:
        ordered = passages.sort("doc_id", "position").select("doc_id", "passage_id", "title", "text")
        grouped = ordered.group_by("doc_id", maintain_order=True).agg("passage_id", "title", "text")
        cut = grouped.filter(pl.col("passage_id").list.len() > 1)
        self.pieces = dict(cut.select("doc_id", "passage_id").iter_rows())
        self._texts = {
            doc_id: (titles, texts) for doc_id, titles, texts in cut.select("doc_id", "title", "text").iter_rows()
        }
        self._row_of = {piece: doc_id for doc_id, pieces in self.pieces.items() for piece in pieces}
        self._words: dict[str, list[Counter[str]]] = {}

    @cached_property
    def whole(self) -> list[tuple[str, str, str]]:
        """(row, its title, its text with a space where pieces meet) of every row that was cut."""
        return [(doc_id, titles[0], " ".join(texts)) for doc_id, (titles, texts) in self._texts.items()]

    def narrowed(self, question: str, passage_ids: Iterable[str], negatives: bool = False) -> list[str]:
        """Passages in their order; where all pieces of a row are among them, those that answer are left of it.

        Args:
            negatives: of every row one piece is left, that which looks most like an answer, since none is one.
        """
        given = list(dict.fromkeys(passage_ids))
        of_row: dict[str, list[str]] = defaultdict(list)
        for passage_id in given:
            if passage_id in self._row_of:
                of_row[self._row_of[passage_id]].append(passage_id)
        dropped: set[str] = set()
        for doc_id, some in of_row.items():
            if len(some) == len(self.pieces[doc_id]):
                left = self._answering(question, doc_id)
                dropped.update(set(some) - set(left[:1] if negatives else left))
        return [passage_id for passage_id in given if passage_id not in dropped]

    def _answering(self, question: str, doc_id: str) -> Sequence[str]:
        pieces, asked = self.pieces[doc_id], set(words_of(question))
        if doc_id not in self._words:
            self._words[doc_id] = [Counter(words_of(text)) for text in self._texts[doc_id][1]]
        counted = self._words[doc_id]
        scores = [0.0] * len(pieces)
        for word in sorted(asked):
            holding = sum(word in words for words in counted)
            rarity = math.log(1 + (len(pieces) - holding + 0.5) / (holding + 0.5))
            for place, words in enumerate(counted):
                scores[place] += rarity * words[word] / (words[word] + _SATURATION)
        best = max(scores)
        return pieces if best == 0 else [pieces[scores.index(best)]]


def shown_as(title: str, text: str) -> set[str]:
    """The forms in which a row stands in files of others."""
    return {passage_text(title, text), text}

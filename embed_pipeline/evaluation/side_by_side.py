"""What each system finds for a typed query, side by side, and where they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.evaluation.figures import capital
from embed_pipeline.evaluation.systems import DEPTH, name_of
from embed_pipeline.files import sha256_text
from embed_pipeline.records import passage_text
from embed_pipeline.retrieval.fusion import EQUAL_WEIGHT, Run, convex, ranked, rrf
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.retrieval.word_index import word_index
from embed_pipeline.settings import EvalSettings

MOST = 50
"""Passages shown of a system."""


@dataclass(frozen=True, eq=False)
class Passages:
    """The passages that are searched; all three of one length."""

    ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]

    @cached_property
    def encoded(self) -> list[str]:
        """What an encoder and BM25 see of each."""
        return [passage_text(title, text) for title, text in zip(self.titles, self.texts, strict=True)]

    @cached_property
    def places(self) -> dict[str, int]:
        """Passage id -> place."""
        return {passage_id: place for place, passage_id in enumerate(self.ids)}

    def hash_of(self, place: int) -> str:
        """Of what was read when a passage is judged."""
        return sha256_text(self.encoded[place])


@dataclass(frozen=True, eq=False)
class DenseSide:
    """A model that searches.

    Attributes:
        about: which model it is.
        vectors: of the passages, [passages, dimensions].
        encode: vectors of queries, [queries, dimensions].
    """

    about: str
    vectors: Vectors
    encode: Callable[[Sequence[str]], Vectors]


class SideBySide:
    """Base, tuned, BM25 and the hybrid over one set of passages.

    Args:
        dense: "base", and "tuned" where a model has been trained; the last one is fused with BM25.
        settings: ``fusion`` and ``bm25`` are used.
        weight: of the dense side in the convex combination.
    """

    def __init__(
        self,
        passages: Passages,
        dense: Mapping[str, DenseSide],
        settings: EvalSettings,
        weight: float = EQUAL_WEIGHT,
    ) -> None:
        self.passages = passages
        self._dense = dense
        self._rrf = settings.fusion == "rrf"
        self._weight = weight
        self._bm25 = word_index(passages.encoded, passages.titles, settings.bm25)

    @property
    def hybrid(self) -> str:
        """Name of the fused system; see :mod:`embed_pipeline.evaluation.systems`."""
        name = "hybrid" if self._rrf else "convex"
        return f"{name}_tuned" if "tuned" in self._dense else name

    @property
    def systems(self) -> dict[str, dict[str, str]]:
        """Name -> label, and what it is, in the order in which they are shown."""
        weights = f"BM25 weighs {1 - self._weight:g}, the model {self._weight:g}"
        about = {name: side.about for name, side in self._dense.items()}
        about |= {"bm25": "words, without a model", self.hybrid: "reciprocal ranks" if self._rrf else weights}
        return {name: {"label": capital(name_of(name)), "about": one} for name, one in about.items()}

    def runs(self, queries: Mapping[str, str]) -> dict[str, Run]:
        """What each system finds: system -> query id -> {passage id: score}, 100 of each.

        Args:
            queries: id -> text.
        """
        texts, ids = list(queries.values()), self.passages.ids
        found: dict[str, Run] = {}
        for name, side in self._dense.items():
            scores, places = top_k(side.encode(texts), side.vectors, DEPTH)
            found[name] = {
                query: {ids[place]: score for place, score in zip(row, values, strict=True)}
                for query, row, values in zip(queries, places.tolist(), scores.tolist(), strict=True)
            }
        by_words = self._bm25.top_k(texts, DEPTH)
        found["bm25"] = {
            query: {ids[place]: score for place, score in best} for query, best in zip(queries, by_words, strict=True)
        }
        sparse, dense = found["bm25"], found[list(self._dense)[-1]]
        fused = rrf([dense, sparse], DEPTH) if self._rrf else convex(sparse, dense, DEPTH, self._weight)
        return {**found, self.hybrid: fused}

    def search(self, query: str, k: int) -> dict[str, Any]:
        """The ``k`` best of each system, as plain values.

        Returns:
            ``{"query", "k", "systems": [{"name", "label", "about", "hits": [{"rank", "passage_id", "score",
            "only_here", "moved"}]}], "passages": {id: {"title", "text", "hash", "ranks": {system: rank}}}}``.
            ``only_here``: no other system has it among its ``k``. ``moved``: places it stands higher than with the
            base; None where that does not have it among its hundred. ``ranks``: among the hundred of each.
        """
        k = max(1, min(k, MOST))
        scores = {name: run.get("q", {}) for name, run in self.runs({"q": query}).items()}
        order = {name: ranked(of_system) for name, of_system in scores.items()}
        ranks = {name: {passage: rank for rank, passage in enumerate(ids, 1)} for name, ids in order.items()}
        shown = {passage for ids in order.values() for passage in ids[:k]}
        return {
            "query": query,
            "k": k,
            "systems": [
                {"name": name, **about, "hits": _hits(name, order[name][:k], scores[name], ranks, k)}
                for name, about in self.systems.items()
            ],
            "passages": {passage: self._shown(passage, ranks) for passage in sorted(shown)},
        }

    def _shown(self, passage: str, ranks: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        place = self.passages.places[passage]
        return {
            "title": self.passages.titles[place],
            "text": self.passages.texts[place],
            "hash": self.passages.hash_of(place),
            "ranks": {name: of_system[passage] for name, of_system in ranks.items() if passage in of_system},
        }


def _hits(
    name: str,
    found: Sequence[str],
    scores: Mapping[str, float],
    ranks: Mapping[str, Mapping[str, int]],
    k: int,
) -> list[dict[str, Any]]:
    others = [of_system for system, of_system in ranks.items() if system != name]
    hits = []
    for rank, passage in enumerate(found, 1):
        before = ranks["base"].get(passage)
        hits.append(
            {
                "rank": rank,
                "passage_id": passage,
                "score": round(float(scores[passage]), 6),
                "only_here": all(of_system.get(passage, k + 1) > k for of_system in others),
                "moved": None if before is None else before - rank,
            }
        )
    return hits

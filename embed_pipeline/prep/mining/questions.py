"""Training questions, their positives, and what is barred for them, by row numbers."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple, overload

import numpy as np
import polars as pl

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.prep.evidence import EvidenceHolders
from embed_pipeline.prep.mining.known_answers import NONE, Groups, codes, near_duplicates, siblings
from embed_pipeline.prep.mining.miner import Denoiser, MiningResult
from embed_pipeline.prep.mining.relabel import RELABELLED, relabelled, sifted
from embed_pipeline.prep.mining.rules import CODE, REASONS, Barred
from embed_pipeline.records import passage_text
from embed_pipeline.retrieval.search import Indices
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import RejectedNegatives, empty

MinedRow = dict[str, Any]


class PassageTexts(Sequence[str]):
    """What an encoder sees of each passage, put together when asked for: millions need not stand in memory twice."""

    def __init__(self, passages: pl.DataFrame) -> None:
        self._titles, self._texts = passages["title"], passages["text"]

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        return map(passage_text, self._titles, self._texts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return list(map(passage_text, self._titles[place], self._texts[place]))
        return passage_text(self._titles[place], self._texts[place])


class TrainingQuestions:
    """Training questions, their positives, and what is barred for them, by row numbers."""

    def __init__(
        self, qa_pairs: pl.DataFrame, passages: pl.DataFrame, splits: pl.DataFrame, settings: PrepSettings
    ) -> None:
        self.settings = settings
        self.names = passages["passage_id"]
        training = _training(splits, "question")
        pairs = qa_pairs.filter(pl.col("question_id").is_in(list(training))).sort("question_id")
        self.row_of = _rows_of(self.names, pl.concat([pairs[ids].explode() for ids in ("passage_ids", "negative_ids")]))
        self.questions: list[str] = pairs["question_id"].to_list()
        named = pairs.select("question_id", "passage_ids").iter_rows()
        self.positives = [self._rows(question, ids) for question, ids in named]
        self.positive_names = self._named(self.positives)
        self.given = [
            self._rows(question, ids) for question, ids in pairs.select("question_id", "negative_ids").iter_rows()
        ]
        self.evidence = [[str(hop["evidence"]) for hop in hops] for hops in pairs["hops"].to_list()]
        self.mining = np.array([row for row, ids in enumerate(self.given) if not len(ids)], np.int64)
        self._groups = Groups(passages["group_id"].rank("dense").cast(pl.Int64).to_numpy())
        self._texts = pairs.select("question_id", "question")
        self._know(self.positives)
        self.allowed = passages["doc_id"].is_in(list(_training(splits, "document"))).to_numpy()
        home = {(kind, name): group for kind, name, group in splits.select("item_type", "item_id", "component").rows()}
        self.passage_home, self.query_home = codes(
            [home["document", doc] for doc in passages["doc_id"]], [home["question", name] for name in self.questions]
        )

    def _know(self, positives: list[Indices]) -> None:
        """Take these for the positives of the questions, and for answers what follows from them."""
        self._known, self.near = positives, near_duplicates(positives, self._groups)
        positives_of = dict(zip(self.questions, positives, strict=True))
        self.siblings = siblings(self._texts, self.questions, positives_of, self._groups)

    def _rows(self, question: str, ids: Sequence[str]) -> Indices:
        unknown = [name for name in ids if name not in self.row_of]
        if unknown:
            raise InputError(f"Question {question} names passage {unknown[0]}, which is not in the corpus.")
        return np.array([self.row_of[name] for name in dict.fromkeys(ids)], np.int64)

    def barred(self, rows: Indices) -> Barred:
        """What is barred for the questions ``rows``."""
        apart = self.settings.exclude_same_document
        return Barred(
            allowed=self.allowed,
            passage_home=self.passage_home if apart else None,
            query_home=self.query_home[rows] if apart else None,
            near_duplicates=[self.near[row] for row in rows.tolist()],
            siblings=[self.siblings[row] for row in rows.tolist()],
        )

    def denoisers(self, rows: Indices, texts: Sequence[str]) -> list[Denoiser]:
        """Who looks at the negatives of the questions ``rows`` in any case: at evidence, where any is known."""
        evidence = [self.evidence[row] for row in rows.tolist()]
        return [EvidenceHolders(evidence, texts)] if any(map(any, evidence)) else []

    def relabel(self, result: MiningResult, sure: Collection[tuple[int, int]]) -> MiningResult:
        """Make positives of the denoised candidates that are ``sure``, and leave out the negatives that they bar.

        Args:
            result: of mining for the questions that have no given negatives.
            sure: pairs of a place among these questions and a row of the passages.
        """
        rejected = relabelled(result.rejected, sure)
        chosen = rejected.reasons == CODE[RELABELLED]
        positives = list(self.positives)
        for row, passage in zip(self.mining[rejected.queries[chosen]].tolist(), rejected.passages[chosen], strict=True):
            positives[row] = np.append(positives[row], passage)
        self._know(positives)
        known = replace(result, rejected=rejected)
        return sifted(known, lambda place, passage: self._answer(int(self.mining[place]), passage))

    def mined_rows(self, result: MiningResult) -> Iterator[MinedRow]:
        """Rows of the table of the questions that were mined."""
        negatives = self._named(result.indices)
        for place, row in enumerate(self.mining.tolist()):
            limit = float(result.threshold[place])
            found = self._row(row, result.positive_scores[place], negatives[place], result.scores[place])
            yield found | {"source": "mined", "threshold": round(limit, 6) if np.isfinite(limit) else None}

    def mined_rejections(self, result: MiningResult) -> pl.DataFrame:
        """Their part of the audit."""
        dropped = result.rejected
        questions = np.array(self.questions, object)[self.mining]
        return pl.DataFrame(
            {
                "question_id": pl.Series(questions[dropped.queries], dtype=pl.String),
                "passage_id": self.names.gather(dropped.passages),
                "rank": dropped.ranks,
                "score": dropped.scores.astype(np.float64).round(6),
                "reason": pl.Series(np.array(REASONS, object)[dropped.reasons], dtype=pl.String),
            }
        )

    def sifted(self, queries: Vectors, vectors: Vectors) -> "GivenNegatives":
        """The given negatives: those that may stay, and the others with the reason."""
        rows, rejections = [], []
        for row, ids in enumerate(self.given):
            if not len(ids):
                continue
            reasons = [self._answer(row, passage) for passage in ids.tolist()]
            scores = vectors[ids] @ queries[row]
            kept = np.array([reason is None for reason in reasons], bool)
            negatives = self.names.gather(ids[kept]).to_list()
            found = self._row(row, vectors[self.positives[row]] @ queries[row], negatives, scores[kept])
            rows.append(found | {"source": "given", "threshold": None, "asked": len(ids)})
            rejections += [
                (self.questions[row], self.names[passage], place, round(float(score), 6), reason)
                for place, (passage, score, reason) in enumerate(zip(ids.tolist(), scores, reasons, strict=True), 1)
                if reason is not None
            ]
        return GivenNegatives(rows, pl.DataFrame(rejections, schema=empty(RejectedNegatives).schema, orient="row"))

    def _answer(self, row: int, passage: int) -> str | None:
        """As what a passage answers a question; None if nobody knows it does."""
        known = {"positive": self._known, "near_duplicate": self.near, "sibling": self.siblings}
        return next((reason for reason, rows in known.items() if passage in rows[row]), None)

    def _named(self, lists: Sequence[Indices]) -> list[list[str]]:
        """The names of the passages of each list."""
        names = iter(self.names.gather(np.concatenate([NONE, *lists])).to_list())
        return [list(islice(names, len(rows))) for rows in lists]

    def _row(self, row: int, positive_scores: Vectors, negatives: list[str], scores: Vectors) -> MinedRow:
        return {
            "question_id": self.questions[row],
            "positive_ids": self.positive_names[row],
            "positive_scores": _rounded(positive_scores),
            "negative_ids": negatives,
            "negative_scores": _rounded(scores),
            "asked": self.settings.hard_negatives,
        }


class GivenNegatives(NamedTuple):
    """Rows of the table, and of the audit, of the questions that came with negatives."""

    rows: list[MinedRow]
    rejections: pl.DataFrame


def _rows_of(names: pl.Series, wanted: pl.Series) -> dict[str, int]:
    """Where the wanted ones among the names stand."""
    found = names.is_in(wanted.implode()).arg_true()
    return dict(zip(names.gather(found), found, strict=True))


def _training(splits: pl.DataFrame, item_type: str) -> set[str]:
    return set(splits.filter((splits["item_type"] == item_type) & (splits["split"] == "train"))["item_id"])


def _rounded(scores: Vectors) -> list[float]:
    return [round(float(score), 6) for score in scores]

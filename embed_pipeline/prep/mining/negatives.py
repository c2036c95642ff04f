"""Mined negatives as tables: of every training question, with an audit of what was not taken."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, overload

import numpy as np
import polars as pl

from embed_pipeline.encoders.torch_encoder import Encoder, Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.prep.evidence import EvidenceHolders
from embed_pipeline.prep.mining.known_answers import NONE, Groups, codes, near_duplicates, siblings
from embed_pipeline.prep.mining.miner import Denoiser, MiningResult, mine
from embed_pipeline.prep.mining.rankings import Lexical, Rankings
from embed_pipeline.prep.mining.rules import REASONS, Barred, Rules
from embed_pipeline.progress import say
from embed_pipeline.records import passage_text
from embed_pipeline.retrieval.bm25 import Bm25Index
from embed_pipeline.retrieval.passage_index import PassageIndex
from embed_pipeline.retrieval.search import Indices
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import MinedNegatives, RejectedNegatives, empty, validate

MANY = 0.5
"""Share of the candidates that a margin may drop before a user whose questions fall short is told."""
RECALL_AT = 32
Row = dict[str, Any]
DenoiserOf = Callable[[Sequence[str], Sequence[str]], Denoiser]
"""Question texts, passage texts -> who looks at them once more."""


@dataclass(frozen=True)
class Mined:
    """Negatives of every training question.

    Attributes:
        table: :class:`embed_pipeline.tables.MinedNegatives`, by question id; scores have six decimals.
        rejected: :class:`embed_pipeline.tables.RejectedNegatives`, by question id and rank.
        summary: totals.
    """

    table: pl.DataFrame
    rejected: pl.DataFrame
    summary: dict[str, float]


def mine_negatives(
    qa_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    splits: pl.DataFrame,
    encoder: Encoder,
    settings: PrepSettings,
    denoiser_of: DenoiserOf | None = None,
    device: str = "cpu",
) -> Mined:
    """Mine hard negatives for every training question among the passages of the training documents.

    What holds the question's evidence word for word is no negative. Questions that came with negatives keep those, in
    their order: only what is a positive, a sibling or a near-duplicate of one is left out.

    Args:
        denoiser_of: makes who looks at the negatives once more, if anybody shall.
        device: where an exact search runs.

    Raises:
        InputError: a question names an unknown passage.
    """
    work = _Work(qa_pairs, passages, splits, settings)
    texts = dict(qa_pairs.select("question_id", "question").iter_rows())
    shown = PassageTexts(passages)
    queries = encoder.encode([texts[name] for name in work.questions], "query")
    vectors = encoder.encode(shown, "passage")
    index = PassageIndex(vectors, settings.approximate_above, settings.approximate_index, device)
    mining = work.mining
    asked = [texts[work.questions[row]] for row in mining]
    result = mine(
        queries[mining],
        index,
        [work.positives[row] for row in mining],
        work.barred(mining),
        rules_of(settings),
        Rankings(queries[mining], index, settings.mining_candidates, _lexical(asked, shown, settings)),
        work.denoisers(mining, shown) + ([denoiser_of(asked, shown)] if denoiser_of is not None else []),
        [_seed(settings.seed, work.questions[row]) for row in mining],
    )
    given = work.sifted(queries, vectors)
    table = _table([*work.mined_rows(result), *given.rows])
    rejected = _audit([work.mined_rejections(result), given.rejections])
    recall = {} if index.exact else {f"recall_at_{RECALL_AT}": round(index.recall(queries[mining], RECALL_AT), 4)}
    summary = _summary(table, rejected) | recall
    _tell(summary, settings)
    return Mined(table, rejected, summary)


def rules_of(settings: PrepSettings) -> Rules:
    """What the settings ask for."""
    return Rules(
        count=settings.hard_negatives,
        margin=settings.hard_negative_margin,
        absolute_margin=settings.hard_negative_absolute_margin,
        first_rank=settings.hard_negative_first_rank,
        last_rank=settings.hard_negative_last_rank,
        choice=settings.hard_negative_choice,
    )


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


class _Work:
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
        positives_of = {question: self._rows(question, ids) for question, ids in named}
        self.positives = list(positives_of.values())
        self.positive_names = self._named(self.positives)
        self.given = [
            self._rows(question, ids) for question, ids in pairs.select("question_id", "negative_ids").iter_rows()
        ]
        self.evidence = [[str(hop["evidence"]) for hop in hops] for hops in pairs["hops"].to_list()]
        self.mining = np.array([row for row, ids in enumerate(self.given) if not len(ids)], np.int64)
        groups = Groups(passages["group_id"].rank("dense").cast(pl.Int64).to_numpy())
        self.near = near_duplicates(self.positives, groups)
        self.siblings = siblings(pairs, self.questions, positives_of, groups)
        self.allowed = passages["doc_id"].is_in(list(_training(splits, "document"))).to_numpy()
        home = {(kind, name): group for kind, name, group in splits.select("item_type", "item_id", "component").rows()}
        self.passage_home, self.query_home = codes(
            [home["document", doc] for doc in passages["doc_id"]], [home["question", name] for name in self.questions]
        )

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

    def mined_rows(self, result: MiningResult) -> Iterator[Row]:
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

    def sifted(self, queries: Vectors, vectors: Vectors) -> "_Given":
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
        return _Given(rows, pl.DataFrame(rejections, schema=empty(RejectedNegatives).schema, orient="row"))

    def _answer(self, row: int, passage: int) -> str | None:
        """As what a passage answers a question; None if nobody knows it does."""
        known = {"positive": self.positives, "near_duplicate": self.near, "sibling": self.siblings}
        return next((reason for reason, rows in known.items() if passage in rows[row]), None)

    def _named(self, lists: Sequence[Indices]) -> list[list[str]]:
        """The names of the passages of each list."""
        names = iter(self.names.gather(np.concatenate([NONE, *lists])).to_list())
        return [list(islice(names, len(rows))) for rows in lists]

    def _row(self, row: int, positive_scores: Vectors, negatives: list[str], scores: Vectors) -> Row:
        return {
            "question_id": self.questions[row],
            "positive_ids": self.positive_names[row],
            "positive_scores": _rounded(positive_scores),
            "negative_ids": negatives,
            "negative_scores": _rounded(scores),
            "asked": self.settings.hard_negatives,
        }


class _Given(NamedTuple):
    """Rows of the table, and of the audit, of the questions that came with negatives."""

    rows: list[Row]
    rejections: pl.DataFrame


def _table(rows: Sequence[Row]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=empty(MinedNegatives).schema)
    return validate(MinedNegatives, frame.sort("question_id"))


def _audit(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return validate(RejectedNegatives, pl.concat(parts).sort("question_id", "rank", "passage_id"))


def _lexical(asked: Sequence[str], shown: Sequence[str], settings: PrepSettings) -> Lexical | None:
    if settings.mining_candidates == "dense":
        return None
    bm25 = Bm25Index(shown)

    def best(rows: Indices, k: int) -> list[list[int]]:
        return [[index for index, _ in found] for found in bm25.top_k([asked[row] for row in rows], k)]

    return best


def _rows_of(names: pl.Series, wanted: pl.Series) -> dict[str, int]:
    """Where the wanted ones among the names stand."""
    found = names.is_in(wanted.implode()).arg_true()
    return dict(zip(names.gather(found), found, strict=True))


def _training(splits: pl.DataFrame, item_type: str) -> set[str]:
    return set(splits.filter((splits["item_type"] == item_type) & (splits["split"] == "train"))["item_id"])


def _seed(seed: int, question: str) -> int:
    """A question's own, so that other questions do not change its choice."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{question}".encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _rounded(scores: Vectors) -> list[float]:
    return [round(float(score), 6) for score in scores]


def _summary(table: pl.DataFrame, rejected: pl.DataFrame) -> dict[str, float]:
    """Totals for the UI; the reasons in the order in which they are looked for."""
    found = table["negative_ids"].list.len()
    by_reason = dict(rejected.group_by("reason").len().iter_rows())
    margin, taken = by_reason.get("above_margin", 0), int(found.sum())
    return {
        "questions": table.height,
        "questions_with_given_negatives": int((table["source"] == "given").sum()),
        "negatives": taken,
        "questions_short_of_negatives": int((found < table["asked"]).sum()),
        **{f"dropped_{reason}": by_reason[reason] for reason in REASONS if reason in by_reason},
        "share_dropped_by_margin": round(margin / (margin + taken), 4) if margin + taken else 0.0,
    }


def _tell(summary: Mapping[str, float], settings: PrepSettings) -> None:
    short, share = int(summary["questions_short_of_negatives"]), summary["share_dropped_by_margin"]
    if short and share > MANY:
        say(
            f"The margin dropped {share:.0%} of the candidates as probable answers; nothing takes their place. In a "
            "small corpus, or one that says the same often, set prep.hard_negative_margin to null or to 1."
        )
    if short:
        say(f"{short} of {int(summary['questions'])} questions have fewer than {settings.hard_negatives} negatives.")

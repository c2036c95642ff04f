"""Mined negatives as tables: of every training question, with an audit of what was not taken."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.prep.mining.miner import Judge, mine
from embed_pipeline.prep.mining.plausible import Watched, check_judge
from embed_pipeline.prep.mining.questions import MinedRow, PassageTexts, TrainingQuestions
from embed_pipeline.prep.mining.rankings import Lexical, Rankings
from embed_pipeline.prep.mining.relabel import RELABELLED
from embed_pipeline.prep.mining.rules import REASONS, Rules
from embed_pipeline.progress import say
from embed_pipeline.retrieval.bm25 import Bm25Index
from embed_pipeline.retrieval.passage_index import PassageIndex
from embed_pipeline.retrieval.search import Indices
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import MinedNegatives, RejectedNegatives, empty, validate

MANY = 0.5
"""Share of the candidates that a margin may drop before a user whose questions fall short is told."""
RECALL_AT = 32


DenoiserOf = Callable[[Sequence[str], Sequence[str]], Judge]
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

    With ``prep.relabel`` the negatives that surely answer their question are rejected as ``relabelled``, and count as
    positives of it: neither their near-duplicates nor, for related questions, they themselves stay negatives.

    Args:
        denoiser_of: makes who looks at the negatives once more, if anybody shall.
        device: where an exact search runs.

    Raises:
        InputError: a question names an unknown passage.
        StageError: most negatives would become positives, see :mod:`embed_pipeline.prep.mining.plausible`.
    """
    work = TrainingQuestions(qa_pairs, passages, splits, settings)
    texts = dict(qa_pairs.select("question_id", "question").iter_rows())
    shown = PassageTexts(passages)
    queries = encoder.encode([texts[name] for name in work.questions], "query")
    vectors = encoder.encode(shown, "passage")
    index = PassageIndex(vectors, settings.approximate_above, settings.approximate_index, device)
    mining = work.mining
    asked = [texts[work.questions[row]] for row in mining]
    judge = Watched(denoiser_of(asked, shown)) if denoiser_of is not None else None
    result = mine(
        queries[mining],
        index,
        [work.positives[row] for row in mining],
        work.barred(mining),
        rules_of(settings),
        Rankings(queries[mining], index, settings.mining_candidates, _lexical(asked, shown, settings)),
        work.denoisers(mining, shown) + ([judge] if judge is not None else []),
        [_seed(settings.seed, work.questions[row]) for row in mining],
    )
    if judge is not None:
        check_judge(judge, settings)
        result = work.relabel(result, judge.sure) if settings.relabel else result
    given = work.sifted(queries, vectors)
    table = _table([*work.mined_rows(result), *given.rows])
    rejected = _audit([work.mined_rejections(result), given.rejections])
    recall = {} if index.exact else {f"recall_at_{RECALL_AT}": round(index.recall(queries[mining], RECALL_AT), 4)}
    summary = _summary(table, rejected) | recall | (judge.summary() if judge is not None else {})
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


def _table(rows: Sequence[MinedRow]) -> pl.DataFrame:
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


def _seed(seed: int, question: str) -> int:
    """A question's own, so that other questions do not change its choice."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{question}".encode("utf-8", "surrogatepass")).digest()[:8], "big")


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
        **{_counted(reason): by_reason[reason] for reason in REASONS if reason in by_reason},
        "share_dropped_by_margin": round(margin / (margin + taken), 4) if margin + taken else 0.0,
    }


def _counted(reason: str) -> str:
    return reason if reason == RELABELLED else f"dropped_{reason}"


def _tell(summary: Mapping[str, float], settings: PrepSettings) -> None:
    short, share = int(summary["questions_short_of_negatives"]), summary["share_dropped_by_margin"]
    if short and share > MANY:
        say(
            f"The margin dropped {share:.0%} of the candidates as probable answers; nothing takes their place. In a "
            "small corpus, or one that says the same often, set prep.hard_negative_margin to null or to 1."
        )
    if short:
        say(f"{short} of {int(summary['questions'])} questions have fewer than {settings.hard_negatives} negatives.")

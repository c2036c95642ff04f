"""Hard negatives: passages that look like an answer to the base model and are not one.

The margin rule is the reference recipe's and sentence-transformers' ``relative_margin``: what scores above 95 %
of the lowest positive is probably an unlabelled positive and is dropped for good. With positives of negative
cosine a share of the score would loosen the rule, so the distance counts: ``p - 0.05 * |p|``.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoder import Encoder, Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.prep.picker import Picker, Taken
from embed_pipeline.progress import track
from embed_pipeline.records import passage_text
from embed_pipeline.search import Indices, top_k
from embed_pipeline.settings import PrepSettings

if TYPE_CHECKING:
    import polars as pl

FIRST_LOOK = 64
"""Passages looked at per query before looking further."""
SLACK = 1e-5
"""Rounding allowed between a stored score and the stored threshold."""


@dataclass(frozen=True)
class MiningResult:
    """What was mined for each query, in the order of the queries.

    Attributes:
        indices: per query the hard negatives (rows of the passage vectors), best first; may be fewer than asked.
        scores: their inner products.
        positive_scores: inner product of each positive.
        threshold: [queries]; candidates scoring above it were dropped.
        dropped_by_margin: [queries]; candidates dropped by the threshold.
        dropped_excluded: [queries]; excluded or not allowed passages ranked before the last negative taken.
    """

    indices: list[Indices]
    scores: list[Vectors]
    positive_scores: list[Vectors]
    threshold: NDArray[np.float64]
    dropped_by_margin: Indices
    dropped_excluded: Indices


def mine(
    query_vectors: Vectors,
    passage_vectors: Vectors,
    positives: Sequence[Indices],
    allowed: NDArray[np.bool_],
    excluded: Sequence[Indices],
    count: int,
    margin: float | None,
    block: int = 4096,
) -> MiningResult:
    """Mine hard negatives by exact search; needs numpy and faiss only.

    Args:
        query_vectors: [q, d].
        passage_vectors: [p, d].
        positives: per query the rows of its positives, at least one.
        allowed: [p]; False for passages that must never become a negative (held-out documents).
        excluded: per query further rows that must never become its negatives.
        count: negatives wanted per query.
        margin: share of the lowest positive's score from which a candidate counts as a positive, 0.95; None: no margin.
        block: queries searched at once.

    Raises:
        InputError: a query without positives, or a vector that is not finite.
    """
    if not (np.isfinite(query_vectors).all() and np.isfinite(passage_vectors).all()):
        raise InputError("The encoder returned vectors that are not finite numbers; check encoder settings and model.")
    if any(len(rows) == 0 for rows in positives):
        raise InputError("Mining needs at least one positive passage per question.")
    positive_scores = [passage_vectors[rows] @ query for rows, query in zip(positives, query_vectors, strict=True)]
    lowest = np.array([scores.min() for scores in positive_scores], np.float64)
    threshold = lowest - (1 - margin) * np.abs(lowest) if margin is not None else np.full(len(lowest), np.inf)
    picker = Picker(positives, allowed, excluded, threshold, count)
    taken: dict[int, Taken] = {}
    for start in track(range(0, len(query_vectors), block), "mine hard negatives"):
        rows = np.arange(start, min(start + block, len(query_vectors)))
        taken |= _mine_block(query_vectors, passage_vectors, rows, picker)
    ordered = [taken[row] for row in range(len(query_vectors))]
    return MiningResult(
        indices=[one.indices for one in ordered],
        scores=[one.scores for one in ordered],
        positive_scores=positive_scores,
        threshold=threshold,
        dropped_by_margin=np.array([one.dropped_by_margin for one in ordered], np.int64),
        dropped_excluded=np.array([one.dropped_excluded for one in ordered], np.int64),
    )


def _mine_block(queries: Vectors, passages: Vectors, rows: Indices, picker: Picker) -> dict[int, Taken]:
    """Search, pick, and search twice as deep for the queries that are still short."""
    taken: dict[int, Taken] = {}
    k = FIRST_LOOK
    while len(rows):
        scores, indices = top_k(queries[rows], passages, k)
        for place, row in enumerate(rows.tolist()):
            taken[row] = picker.pick(row, scores[place], indices[place], exhausted=k >= len(passages))
        rows = np.array([row for row in rows.tolist() if not taken[row].final], np.int64)
        k *= 2
    return taken


def mine_negatives(
    qa_pairs: "pl.DataFrame",
    passages: "pl.DataFrame",
    splits: "pl.DataFrame",
    encoder: Encoder,
    settings: PrepSettings,
) -> "pl.DataFrame":
    """Mine hard negatives for every training question among the passages of the training documents.

    Never taken: the question's positives, their near-duplicates, passages of the question's component (they
    may answer it as well), passages of held-out documents, passages scoring above the threshold.

    Returns:
        A table :class:`embed_pipeline.tables.MinedNegatives`, sorted by question id; scores have six decimals.

    Raises:
        InputError: a question names an unknown passage.
    """
    import polars as pl

    from embed_pipeline.tables import MinedNegatives, empty, validate

    names = passages["passage_id"].to_list()
    positives_of = _training_positives(qa_pairs, splits, names)
    questions = sorted(positives_of)
    texts = dict(qa_pairs.select("question_id", "question").iter_rows())
    result = mine(
        encoder.encode([texts[name] for name in questions], "query"),
        encoder.encode([passage_text(*row) for row in passages.select("title", "text").iter_rows()], "passage"),
        [positives_of[name] for name in questions],
        _allowed(passages, splits),
        _excluded(passages, splits, [(name, positives_of[name]) for name in questions]),
        settings.hard_negatives,
        settings.hard_negative_margin,
    )
    rows = [
        {
            "question_id": name,
            "positive_ids": [names[index] for index in positives_of[name]],
            "positive_scores": _rounded(result.positive_scores[place]),
            "negative_ids": [names[index] for index in result.indices[place]],
            "negative_scores": _rounded(result.scores[place]),
            "threshold": round(float(result.threshold[place]), 6),
            "asked": settings.hard_negatives,
            "dropped_by_margin": int(result.dropped_by_margin[place]),
            "dropped_excluded": int(result.dropped_excluded[place]),
        }
        for place, name in enumerate(questions)
    ]
    return validate(MinedNegatives, pl.DataFrame(rows, schema=empty(MinedNegatives).schema))


def _rounded(scores: Vectors) -> list[float]:
    return [round(float(score), 6) for score in scores]


def _training_positives(qa_pairs: "pl.DataFrame", splits: "pl.DataFrame", names: Sequence[str]) -> dict[str, Indices]:
    row_of = {name: row for row, name in enumerate(names)}
    training = _training(splits, "question")
    found = {}
    for question, passage_ids in qa_pairs.select("question_id", "passage_ids").iter_rows():
        if question not in training:
            continue
        unknown = [name for name in passage_ids if name not in row_of]
        if unknown:
            raise InputError(f"Question {question} names passage {unknown[0]}, which is not in the corpus.")
        found[question] = np.array([row_of[name] for name in dict.fromkeys(passage_ids)], np.int64)
    return found


def _training(splits: "pl.DataFrame", item_type: str) -> set[str]:
    return set(splits.filter((splits["item_type"] == item_type) & (splits["split"] == "train"))["item_id"])


def _allowed(passages: "pl.DataFrame", splits: "pl.DataFrame") -> NDArray[np.bool_]:
    training = _training(splits, "document")
    return np.array([doc in training for doc in passages["doc_id"]], np.bool_)


def _excluded(
    passages: "pl.DataFrame", splits: "pl.DataFrame", positives: Sequence[tuple[str, Indices]]
) -> list[Indices]:
    """Per question the passages of its component and the near-duplicates of its positives.

    Questions of one component share one array, so that a large component does not cost its size per question.
    """
    items = splits.select("item_type", "item_id", "component")
    component_of = {(kind, name): group for kind, name, group in items.iter_rows()}
    homes = [component_of["document", doc] for doc in passages["doc_id"]]
    groups = passages["group_id"].to_list()
    by_component, by_group = _rows_by(homes), _rows_by(groups)
    found = []
    for name, rows in positives:
        home = component_of["question", name]
        near = np.concatenate([by_group[groups[row]] for row in rows.tolist()])
        outside = np.array([row for row in near.tolist() if homes[row] != home], np.int64)
        found.append(np.concatenate([by_component[home], outside]) if len(outside) else by_component[home])
    return found


def _rows_by(values: Sequence[str]) -> dict[str, Indices]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, value in enumerate(values):
        rows[value].append(row)
    return {value: np.array(found, np.int64) for value, found in rows.items()}


def check_negatives(
    mined: "pl.DataFrame", qa_pairs: "pl.DataFrame", passages: "pl.DataFrame", splits: "pl.DataFrame"
) -> list[str]:
    """Broken invariants of mined negatives, one sentence each; empty when all hold.

    Checked: lists of equal length, finite scores, no positive and no near-duplicate of one, no passage of a
    held-out document, no score above the threshold (slack 1e-5), no question outside training.
    """
    doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
    group_of = dict(passages.select("passage_id", "group_id").iter_rows())
    positives_of = dict(qa_pairs.select("question_id", "passage_ids").iter_rows())
    documents, questions = _training(splits, "document"), _training(splits, "question")
    broken = []
    for row in mined.iter_rows(named=True):
        name, negatives, scores = row["question_id"], row["negative_ids"], row["negative_scores"]
        if name not in questions:
            broken.append(f"{name} is not a training question.")
        if len(negatives) != len(scores) or len(row["positive_ids"]) != len(row["positive_scores"]):
            broken.append(f"{name}: ids and scores differ in number.")
        if not all(math.isfinite(score) for score in (*scores, *row["positive_scores"], row["threshold"])):
            broken.append(f"{name}: a score is not finite.")
        if len(set(negatives)) != len(negatives):
            broken.append(f"{name}: a negative is listed twice.")
        positives = {*row["positive_ids"], *positives_of.get(name, [])}
        groups = {group_of.get(positive) for positive in positives}
        for negative, score in zip(negatives, scores, strict=False):
            if negative in positives:
                broken.append(f"{name}: negative {negative} is a positive.")
            elif negative not in doc_of:
                broken.append(f"{name}: negative {negative} is not in the corpus.")
            elif group_of[negative] in groups:
                broken.append(f"{name}: negative {negative} is a near-duplicate of a positive.")
            elif doc_of[negative] not in documents:
                broken.append(f"{name}: negative {negative} comes from the held-out document {doc_of[negative]}.")
            if score > row["threshold"] + SLACK:
                broken.append(f"{name}: negative {negative} scores {score}, above the threshold {row['threshold']}.")
    return broken

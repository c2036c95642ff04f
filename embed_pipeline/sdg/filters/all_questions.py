"""Filters that compare questions with one another and with all passages.

Each returns what goes: position in ``rows`` -> why. The rows come in the order of preference.
"""

import random
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.batched import batched
from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.progress import track
from embed_pipeline.records import TableRow
from embed_pipeline.retrieval.bm25 import Bm25Index
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.sdg.filters.one_question import imported
from embed_pipeline.settings import SdgSettings
from embed_pipeline.text.forms import same_text_key

BLOCK = 1024
CELLS = 2**25
"""Scores held at once: questions times passages (128 MiB)."""


def exact_duplicates(rows: Sequence[TableRow]) -> dict[int, str]:
    """Questions that are the same text as an earlier one."""
    first: dict[str, TableRow] = {}
    dropped = {}
    for position, row in enumerate(rows):
        kept = first.setdefault(same_text_key(row["question"]), row)
        if kept is not row:
            dropped[position] = f"same as question {_named(kept)}"
    return dropped


def near_duplicates(rows: Sequence[TableRow], vectors: Vectors, threshold: float) -> dict[int, str]:
    """Greedy, first come first kept: a question goes if its cosine with a kept earlier one is above ``threshold``."""
    return {
        position: f"cosine {cosine:.2f} with {_named(rows[kept])}"
        for position, (kept, cosine) in closest_kept(vectors, threshold).items()
    }


def closest_kept(vectors: Vectors, threshold: float) -> dict[int, tuple[int, float]]:
    """Position of each vector too close to a kept earlier one -> position of a kept one, and their cosine."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    kept = np.empty_like(unit)
    kept_positions: list[int] = []
    dropped: dict[int, tuple[int, float]] = {}
    for start in track(range(0, len(unit), BLOCK), "compare questions"):
        block = unit[start : start + BLOCK]
        new = np.zeros(len(block), bool)
        earlier, nearest = top_k(block, kept[: len(kept_positions)], 1)
        among = block @ block.T
        for row in range(len(block)):
            here = np.where(new[:row], among[:row, row], -np.inf)
            if kept_positions and earlier[row, 0] > threshold:
                dropped[start + row] = kept_positions[int(nearest[row, 0])], float(earlier[row, 0])
            elif row and here.max() > threshold:
                dropped[start + row] = start + int(here.argmax()), float(here.max())
            else:
                new[row] = True
        kept[len(kept_positions) : len(kept_positions) + np.count_nonzero(new)] = block[new]
        kept_positions += [start + int(row) for row in np.flatnonzero(new)]
    return dropped


def _named(row: TableRow) -> str:
    return f"{row['question_id']}: {row['question']}"


def failed_round_trip(
    rows: Sequence[TableRow], vectors: Vectors, text_of: Mapping[str, str], encoder: Encoder, k: int
) -> dict[int, str]:
    """Questions whose own evidence neither the base model nor BM25 finds among its first ``k`` passages.

    Of a multi-hop question one positive must be found, by either of the two: the others are often reached only
    through what the first says. Imported questions are trusted.

    Args:
        vectors: of the questions.
        text_of: every passage, in an order that does not depend on the run; equal scores rank by it.
    """
    asked = [position for position, row in enumerate(rows) if not imported(row)]
    if k >= len(text_of) or not asked:
        return {}
    number = {passage_id: index for index, passage_id in enumerate(text_of)}
    own = {position: [number[passage_id] for passage_id in rows[position]["passage_ids"]] for position in asked}
    passages = encoder.encode(list(text_of.values()), "passage")
    size = max(1, CELLS // len(text_of))
    dense: dict[int, int] = {}
    for block in track(list(batched(asked, size)), "round trip"):
        scores = vectors[block] @ passages.T
        dense |= {position: first_rank(row, own[position]) for position, row in zip(block, scores, strict=True)}
    missed = [position for position in asked if dense[position] > k]
    lexical = _lexical_ranks({position: rows[position]["question"] for position in missed}, own, text_of, size)
    return {
        position: _not_found(len(own[position]), k, dense[position], lexical[position])
        for position in missed
        if lexical[position] is None or (lexical[position] or 0) > k
    }


def _lexical_ranks(
    questions: Mapping[int, str], own: Mapping[int, Sequence[int]], text_of: Mapping[str, str], size: int
) -> dict[int, int | None]:
    """Rank of the best positive by BM25; None where it shares no word with the question."""
    if not questions:
        return {}
    index = Bm25Index(text_of.values(), asked=questions.values())
    ranks: dict[int, int | None] = {}
    for block in track(list(batched(list(questions), size)), "round trip by words"):
        scores = index.scores([questions[position] for position in block])
        for position, row in zip(block, scores, strict=True):
            ranks[position] = first_rank(row, own[position]) if row[own[position]].max() > 0 else None
    return ranks


def first_rank(scores: NDArray[np.float32], own: Sequence[int]) -> int:
    """Rank from 1 of the best of ``own`` among all; equal scores rank by index."""
    best = min(own, key=lambda index: (-scores[index], index))
    return 1 + int(np.count_nonzero(scores > scores[best])) + int(np.count_nonzero(scores[:best] == scores[best]))


def _not_found(positives: int, k: int, dense: int, lexical: int | None) -> str:
    evidence = "its evidence is not" if positives == 1 else f"none of its {positives} passages is"
    words = "no word in common" if lexical is None else f"rank {lexical}"
    return f"{evidence} among the first {k} passages of base model (rank {dense}) or BM25 ({words})"


def over_limit(rows: Sequence[TableRow], settings: SdgSettings) -> dict[int, str]:
    """All beyond ``max_questions``, taking imported ones first and then one per passage in turn.

    The passages take their turns in an order drawn from ``seed``.
    """
    order = sorted({row["passage_ids"][0] for row in rows})
    random.Random(settings.seed).shuffle(order)  # noqa: S311 - reproducible, not secret
    place = {passage_id: index for index, passage_id in enumerate(order)}
    taken: dict[str, int] = {}
    turns = []
    for position, row in enumerate(rows):
        passage_id = row["passage_ids"][0]
        taken[passage_id] = taken.get(passage_id, 0) + 1
        turns.append((not imported(row), taken[passage_id], place[passage_id], position))
    return {
        position: f"sdg.max_questions is {settings.max_questions}; this is number {turn} of passage {passage_id}"
        for _, turn, _, position in sorted(turns)[settings.max_questions :]
        for passage_id in rows[position]["passage_ids"][:1]
    }

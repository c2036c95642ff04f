"""Looking for leaks in finished splits, without trusting how they were made."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from embed_pipeline.encoder import Encoder
from embed_pipeline.prep.text import SIMILAR_QUESTION, boilerplate_limit, normalise

HELD_OUT = ("test", "validation")
_SCHEMA = {"kind": pl.String, "train_item": pl.String, "test_item": pl.String}
_BLOCK = 1024


def find_leaks(
    qa_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    splits: pl.DataFrame,
    encoder: Encoder | None = None,
    documents: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What stands on both sides of the split: test against training, and validation against training.

    The passages of a side are those of its documents and the evidence of its questions. Repeated text that is
    nobody's evidence and stands in more than a tenth of the documents (footers) does not count.

    Args:
        qa_pairs, passages, splits: the stored tables.
        encoder: when given, questions with a cosine above 0.95 count as well.
        documents: when given, documents of one near-duplicate group count as well.

    Returns:
        ``[kind, train_item, test_item]``, sorted; empty when nothing leaks. Kinds: same_passage, same_group,
        same_text (passage ids), same_document_group (document ids), same_question, similar_question
        (question ids), split_document (a question whose own document lies elsewhere: document id, question id)
        and unassigned (no split at all).
    """
    assigned = {kind: _assigned(splits, kind) for kind in ("document", "question")}
    found = [
        _shared_passages(qa_pairs, passages, assigned),
        _shared_questions(qa_pairs, assigned["question"]),
        _split_documents(qa_pairs, passages, assigned),
    ]
    if documents is not None:
        found.append(_shared_groups(documents, assigned["document"]))
    if encoder is not None:
        found.append(_similar_questions(qa_pairs, assigned["question"], encoder))
    return pl.concat(found).unique().sort("kind", "train_item", "test_item")


def _assigned(splits: pl.DataFrame, kind: str) -> dict[str, str]:
    return dict(splits.filter(pl.col("item_type") == kind).select("item_id", "split").iter_rows())


def _frame(rows: Sequence[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _shared_passages(
    qa_pairs: pl.DataFrame, passages: pl.DataFrame, assigned: dict[str, dict[str, str]]
) -> pl.DataFrame:
    described = passages.select(
        "passage_id",
        "doc_id",
        pl.col("group_id").alias("same_group"),
        pl.col("text").map_elements(normalise, return_dtype=pl.String).alias("same_text"),
        pl.col("passage_id").alias("same_passage"),
    )
    evidence = qa_pairs.select("question_id", pl.col("passage_ids").alias("passage_id")).explode("passage_id")
    by_document = described.select(
        "passage_id", pl.col("doc_id").replace_strict(assigned["document"], default=None).alias("split")
    )
    by_question = evidence.select(
        "passage_id", pl.col("question_id").replace_strict(assigned["question"], default=None).alias("split")
    )
    sides = pl.concat([by_document, by_question]).unique().join(described, on="passage_id")
    train = sides.filter(pl.col("split") == "train")
    held_out = sides.filter(pl.col("split").is_in(HELD_OUT))
    asked = described.filter(pl.col("passage_id").is_in(evidence["passage_id"].implode()))
    limit = boilerplate_limit(passages["doc_id"].n_unique())
    found = []
    for kind in ("same_passage", "same_group", "same_text"):
        spread = described.group_by(kind).agg(pl.col("doc_id").n_unique().alias("documents"))
        counted = spread.filter((pl.col("documents") <= limit) | pl.col(kind).is_in(asked[kind].implode()))
        both = train.join(counted, on=kind, how="semi").join(held_out, on=kind, suffix="_held_out")
        found.append(
            both.select(
                pl.lit(kind).alias("kind"),
                pl.col("passage_id").alias("train_item"),
                pl.col("passage_id" if kind == "same_passage" else "passage_id_held_out").alias("test_item"),
            )
        )
    return pl.concat(found)


def _shared_groups(documents: pl.DataFrame, split_of: dict[str, str]) -> pl.DataFrame:
    placed = documents.select(
        "doc_id", "group_id", pl.col("doc_id").replace_strict(split_of, default=None).alias("split")
    )
    train = placed.filter(pl.col("split") == "train")
    both = train.join(placed.filter(pl.col("split").is_in(HELD_OUT)), on="group_id", suffix="_held_out")
    return both.select(
        pl.lit("same_document_group").alias("kind"),
        pl.col("doc_id").alias("train_item"),
        pl.col("doc_id_held_out").alias("test_item"),
    )


def _shared_questions(qa_pairs: pl.DataFrame, split_of: dict[str, str]) -> pl.DataFrame:
    texts = qa_pairs.select(
        "question_id",
        pl.col("question").map_elements(normalise, return_dtype=pl.String).alias("text"),
        pl.col("question_id").replace_strict(split_of, default=None).alias("split"),
    )
    train = texts.filter(pl.col("split") == "train")
    both = train.join(texts.filter(pl.col("split").is_in(HELD_OUT)), on="text", suffix="_held_out")
    return both.select(
        pl.lit("same_question").alias("kind"),
        pl.col("question_id").alias("train_item"),
        pl.col("question_id_held_out").alias("test_item"),
    )


def _split_documents(
    qa_pairs: pl.DataFrame, passages: pl.DataFrame, assigned: dict[str, dict[str, str]]
) -> pl.DataFrame:
    doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
    rows = []
    for question, passage_ids, doc_ids in qa_pairs.select("question_id", "passage_ids", "doc_ids").iter_rows():
        home = assigned["question"].get(question)
        if home is None:
            rows.append(("unassigned", "", question))
        documents = {*doc_ids, *(doc_of[name] for name in passage_ids if name in doc_of)}
        elsewhere = sorted(doc for doc in documents if assigned["document"].get(doc) != home)
        rows += [("split_document", doc, question) for doc in elsewhere]
    return _frame(rows)


def _similar_questions(qa_pairs: pl.DataFrame, split_of: dict[str, str], encoder: Encoder) -> pl.DataFrame:
    ordered = qa_pairs.sort("question_id")
    names = np.array(ordered["question_id"].to_list(), dtype=object)
    vectors = encoder.encode(ordered["question"].to_list(), "query")
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    side = np.array([split_of.get(name, "") for name in names])
    train, held_out = np.flatnonzero(side == "train"), np.flatnonzero(np.isin(side, HELD_OUT))
    rows = []
    for start in range(0, len(held_out), _BLOCK):
        block = held_out[start : start + _BLOCK]
        close = np.argwhere(vectors[block] @ vectors[train].T > SIMILAR_QUESTION)
        rows += [("similar_question", names[train[column]], names[block[row]]) for row, column in close]
    return _frame(rows)

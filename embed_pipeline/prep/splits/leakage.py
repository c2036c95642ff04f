"""Looking for leaks in finished splits, without trusting how they were made.

Nothing here is shared with the code that splits or groups: equal texts, near-duplicates and similar questions are
found anew by code of its own, and the stored group ids are only looked at as well.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.prep.splits.repeats import Text, certain_duplicate, find_repeats, wording_of

HELD_OUT = ("test", "validation")
NEAR_DUPLICATE = 0.85
"""Default of corpus.near_duplicate_threshold."""
SIMILAR = 0.951
"""Cosine of questions above which it is a leak: a thousandth above what the splits keep together, for rounding."""
WIDESPREAD_SHARE, WIDESPREAD_LEAST = 0.1, 3
_SCHEMA = {"kind": pl.String, "train_item": pl.String, "test_item": pl.String}
_CELLS = 16_000_000  # cosines held at once


def find_leaks(
    qa_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    splits: pl.DataFrame,
    encoder: Encoder | None = None,
    documents: pl.DataFrame | None = None,
    threshold: float = NEAR_DUPLICATE,
) -> pl.DataFrame:
    """What stands on both sides of the split: test against training, and validation against training.

    The passages of a side are those of its documents and the evidence of its questions. Near-duplicates count when
    a question asks about one of the two. Text that is the same word for word counts as well when nobody asks about
    it, but not if it stands in more than a tenth of the documents (footers).

    Args:
        qa_pairs, passages, splits: the stored tables.
        encoder: when given, questions with a cosine above 0.951 count as well.
        documents: when given, documents of one near-duplicate group count as well; and, if it has their text,
            near-duplicate documents.
        threshold: corpus.near_duplicate_threshold. Near-duplicates are an alarm from
            :func:`embed_pipeline.prep.splits.repeats.certain_duplicate` of it on.

    Returns:
        ``[kind, train_item, test_item]``, sorted; empty when nothing leaks. Kinds: same_passage, same_group,
        same_text, near_duplicate (passage ids), same_document_group, near_duplicate_document (document ids),
        same_question, similar_question (question ids), split_document (a question whose own document lies
        elsewhere: document id, question id) and unassigned (no split at all).
    """
    assigned = {kind: _assigned(splits, kind) for kind in ("document", "question")}
    sides = _sides(qa_pairs, passages, assigned)
    least = certain_duplicate(threshold)
    found = [
        _shared_passages(passages, sides),
        _frame([("near_duplicate", *pair) for pair in _repeats(sides, least)]),
        _shared_questions(qa_pairs, assigned["question"]),
        _split_documents(qa_pairs, passages, assigned),
    ]
    if documents is not None:
        found += _shared_documents(documents, assigned["document"], least)
    if encoder is not None:
        found.append(_similar_questions(qa_pairs, assigned["question"], encoder))
    return pl.concat(found).unique().sort("kind", "train_item", "test_item")


def _assigned(splits: pl.DataFrame, kind: str) -> dict[str, str]:
    return dict(splits.filter(pl.col("item_type") == kind).select("item_id", "split").iter_rows())


def _frame(rows: Sequence[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


# -- passages ----------------------------------------------------------------------------------------------


def _sides(qa_pairs: pl.DataFrame, passages: pl.DataFrame, assigned: dict[str, dict[str, str]]) -> pl.DataFrame:
    """Every passage once for each split it belongs to, by its document or as evidence of a question.

    Returns:
        ``[split, passage_id, doc_id, same_group, same_text, same_passage, text, asked]``
    """
    evidence = qa_pairs.select("question_id", pl.col("passage_ids").alias("passage_id")).explode("passage_id")
    described = passages.select(
        "passage_id",
        "doc_id",
        "text",
        pl.col("group_id").alias("same_group"),
        pl.col("text").map_elements(wording_of, return_dtype=pl.String).alias("same_text"),
        pl.col("passage_id").alias("same_passage"),
        pl.col("passage_id").is_in(evidence["passage_id"].unique().implode()).alias("asked"),
    )
    by_document = described.select(
        "passage_id", pl.col("doc_id").replace_strict(assigned["document"], default=None).alias("split")
    )
    by_question = evidence.select(
        "passage_id", pl.col("question_id").replace_strict(assigned["question"], default=None).alias("split")
    )
    return pl.concat([by_document, by_question]).unique().join(described, on="passage_id")


def _shared_passages(passages: pl.DataFrame, sides: pl.DataFrame) -> pl.DataFrame:
    train, held_out = sides.filter(split="train"), sides.filter(pl.col("split").is_in(HELD_OUT))
    limit = max(WIDESPREAD_LEAST, WIDESPREAD_SHARE * passages["doc_id"].n_unique())
    found = []
    for kind in ("same_passage", "same_group", "same_text"):
        spread = sides.group_by(kind).agg(documents=pl.col("doc_id").n_unique(), asked=pl.col("asked").any())
        counted = spread.filter((pl.col("documents") <= limit) | pl.col("asked"))
        both = train.join(counted, on=kind, how="semi").join(held_out, on=kind, suffix="_held_out")
        found.append(
            both.select(
                pl.lit(kind).alias("kind"),
                pl.col("passage_id").alias("train_item"),
                pl.col("passage_id" if kind == "same_passage" else "passage_id_held_out").alias("test_item"),
            )
        )
    return pl.concat(found)


def _repeats(sides: pl.DataFrame, least: float) -> list[tuple[str, str]]:
    """Near-duplicates across the sides, each distinct text looked at once."""
    distinct = (
        sides.with_columns(held_out=pl.col("split").is_in(HELD_OUT))
        .filter(pl.col("held_out") | (pl.col("split") == "train"))
        .group_by("held_out", "text", "same_text")
        .agg(pl.col("passage_id").min(), pl.col("asked").any())
        .sort("passage_id")
    )
    train, held_out = (
        distinct.filter(held_out=side).select("passage_id", "text", "same_text", "asked") for side in (False, True)
    )
    return find_repeats(map(Text._make, train.iter_rows()), [Text(*row) for row in held_out.iter_rows()], least)


# -- documents ---------------------------------------------------------------------------------------------


def _shared_documents(documents: pl.DataFrame, split_of: dict[str, str], least: float) -> list[pl.DataFrame]:
    placed = documents.with_columns(split=pl.col("doc_id").replace_strict(split_of, default=None))
    train, held_out = placed.filter(split="train"), placed.filter(pl.col("split").is_in(HELD_OUT))
    both = train.join(held_out, on="group_id", suffix="_held_out")
    groups = both.select(
        pl.lit("same_document_group").alias("kind"),
        pl.col("doc_id").alias("train_item"),
        pl.col("doc_id_held_out").alias("test_item"),
    )
    if "text" not in documents.columns:
        return [groups]
    texts, asked = (
        [Text(name, text, name, True) for name, text in side.select("doc_id", "text").iter_rows()]
        for side in (train, held_out)
    )
    return [groups, _frame([("near_duplicate_document", *pair) for pair in find_repeats(texts, asked, least)])]


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


# -- questions ---------------------------------------------------------------------------------------------


def _shared_questions(qa_pairs: pl.DataFrame, split_of: dict[str, str]) -> pl.DataFrame:
    texts = qa_pairs.select(
        "question_id",
        pl.col("question").map_elements(wording_of, return_dtype=pl.String).alias("text"),
        pl.col("question_id").replace_strict(split_of, default=None).alias("split"),
    )
    both = texts.filter(split="train").join(
        texts.filter(pl.col("split").is_in(HELD_OUT)), on="text", suffix="_held_out"
    )
    return both.select(
        pl.lit("same_question").alias("kind"),
        pl.col("question_id").alias("train_item"),
        pl.col("question_id_held_out").alias("test_item"),
    )


def _similar_questions(qa_pairs: pl.DataFrame, split_of: dict[str, str], encoder: Encoder) -> pl.DataFrame:
    placed = qa_pairs.sort("question_id").select(
        "question_id", "question", pl.col("question_id").replace_strict(split_of, default=None).alias("split")
    )
    sides = placed.filter(split="train"), placed.filter(pl.col("split").is_in(HELD_OUT))
    names, texts = zip(*((side["question_id"].to_list(), side["question"].to_list()) for side in sides), strict=True)
    pairs = similar_texts(texts[0], texts[1], encoder)
    return _frame([("similar_question", names[0][train], names[1][held]) for train, held in pairs])


def similar_texts(train: Sequence[str], held_out: Sequence[str], encoder: Encoder) -> list[tuple[int, int]]:
    """Places of the questions whose cosine is above 0.951, as (training, held out)."""
    if not train or not held_out:
        return []
    known, asked = (_unit(encoder.encode(list(texts), "query")) for texts in (train, held_out))
    found = []
    block = max(1, _CELLS // len(known))
    for start in range(0, len(asked), block):
        close = np.argwhere(asked[start : start + block] @ known.T > SIMILAR)
        found += [(int(column), start + int(row)) for row, column in close]
    return found


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit

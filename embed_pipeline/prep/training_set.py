"""The training set: one row per (question, positive), with its hard negatives as text."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from embed_pipeline.prep.copying import less_copied
from embed_pipeline.prep.evidence import holders
from embed_pipeline.prep.naming import named
from embed_pipeline.records import passage_text
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import TrainingSet, empty, validate

_PARTS = ("title", "text", "group_id", "doc_id")
MIN_CHARS_LEFT = 30
"""A passage that would keep less text than this after the cut stays whole."""


def cut_evidence(text: str, evidences: Sequence[str]) -> str:
    """``text`` without the evidence, white space ignored in the comparison.

    The whole text comes back when nothing matches, or when fewer than 30 characters would be left.
    """
    rest = text
    for evidence in evidences:
        if evidence.split():
            rest = _pattern(evidence).sub(" ", rest)
    if rest == text:
        return text
    rest = " ".join(rest.split())
    return rest if len(rest) >= MIN_CHARS_LEFT else text


def _pattern(evidence: str) -> re.Pattern[str]:
    """The evidence with any white space between its words."""
    return re.compile(r"\s+".join(map(re.escape, evidence.split())))


def unroll(qa_pairs: pl.DataFrame, mined: pl.DataFrame, passages: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """One row per training question and positive.

    A question with ``mask_evidence`` (inverse cloze: the question is a sentence of the passage) gets its
    positive without that sentence, lest the model learn to match words; the title stays.

    Returns:
        A table :class:`embed_pipeline.tables.TrainingSet`, sorted by question; row ids are the question id, or
        ``<question id>_<i>`` for the i-th of several positives, as in the reference recipe.
    """
    chosen = splits.filter((pl.col("item_type") == "question") & (pl.col("split") == "train"))
    component_of = dict(chosen.select("item_id", "component").iter_rows())
    negatives_of = dict(mined.select("question_id", "negative_ids").iter_rows())
    training = qa_pairs.filter(pl.col("question_id").is_in(list(component_of))).sort("question_id")
    pairs = list(training.iter_rows(named=True))
    used = {name for pair in pairs for name in (*pair["passage_ids"], *negatives_of.get(pair["question_id"], []))}
    shown = passages.select("passage_id", *_PARTS).filter(pl.col("passage_id").is_in(list(used)))
    parts = {row["passage_id"]: row for row in shown.iter_rows(named=True)}
    holding = _holding(pairs, {name: parts[name]["text"] for name in sorted(used)})
    rows = []
    for pair, holds in zip(pairs, holding, strict=True):
        negatives = negatives_of.get(pair["question_id"], [])
        shared = {
            "question_id": pair["question_id"],
            "question": pair["question"],
            "negative_ids": negatives,
            "negatives": [passage_text(parts[name]["title"], parts[name]["text"]) for name in negatives],
            "negative_groups": [parts[name]["group_id"] for name in negatives],
            "component": component_of[pair["question_id"]],
            "evidence_ids": [name for name in holds if name not in pair["passage_ids"]],
        }
        rows += [{**shared, **positive} for positive in _positives(pair, parts)]
    return validate(TrainingSet, pl.DataFrame(rows, schema=empty(TrainingSet).schema))


def worded(
    qa_pairs: pl.DataFrame, passages: pl.DataFrame, written: Collection[str], settings: PrepSettings
) -> pl.DataFrame:
    """The questions in the wording that is trained on.

    Args:
        written: ids of the questions of the offline generator; the others stay as they are.
        settings: ``leave_out_shared_words`` and ``name_documents``.
    """
    if settings.leave_out_shared_words:
        qa_pairs = less_copied(qa_pairs, passages, written, settings.leave_out_shared_words)
    if settings.name_documents:
        qa_pairs = named(qa_pairs, passages, written, settings.name_documents)
    return qa_pairs


def weighted(training_set: pl.DataFrame, qa_pairs: pl.DataFrame, weight: int) -> pl.DataFrame:
    """The rows of imported questions ``weight`` times; the n-th has ``~n`` after its row id.

    Rows of one question never meet in a batch, so that repeats are no negatives of each other.
    """
    if weight == 1:
        return training_set
    imported = qa_pairs.filter(pl.col("generator") == "imported")["question_id"]
    rows = training_set.filter(pl.col("question_id").is_in(imported.implode()))
    again = [rows.with_columns(row_id=pl.col("row_id") + f"~{number}") for number in range(2, weight + 1)]
    return validate(TrainingSet, pl.concat([training_set, *again]).sort("question_id", maintain_order=True))


def _holding(pairs: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> list[list[str]]:
    """Per question the names of the texts that hold evidence of it."""
    names = list(texts)
    found = holders([[hop["evidence"] for hop in pair["hops"]] for pair in pairs], list(texts.values()))
    return [[names[row] for row in rows] for rows in found]


def _positives(pair: Mapping[str, Any], parts: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(pair["passage_ids"]))
    rows = []
    for number, name in enumerate(names):
        title, text, group, document = (parts[name][part] for part in _PARTS)
        evidence = [hop["evidence"] for hop in pair["hops"] if hop["passage_id"] == name]
        shown = cut_evidence(text, evidence) if pair["mask_evidence"] else text
        found = _place(text, shown, evidence)
        positive = passage_text(title, shown)
        untrimmed = f"{title} {shown}"
        before = len(title) + 1 - (len(untrimmed) - len(untrimmed.lstrip()))  # characters before the text's own
        row_id = pair["question_id"] if len(names) == 1 else f"{pair['question_id']}_{number}"
        start, end = (None if place is None else min(max(0, before + place), len(positive)) for place in found)
        where = {"evidence_start": start, "evidence_end": end, "title_length": max(0, before)}
        passage = {"positive_id": name, "positive": positive, "positive_group": group, "document": document}
        rows.append({"row_id": row_id, **passage, **where})
    return rows


def _place(text: str, shown: str, evidences: Sequence[str]) -> tuple[int | None, int | None]:
    """First and last character of the evidence in ``shown``, which is ``text`` or what is left of it without it."""
    found = [match for evidence in evidences if evidence.split() and (match := _pattern(evidence).search(text))]
    if not found:
        return None, None
    start, end = min(match.start() for match in found), max(match.end() for match in found)
    if shown == text:
        return start, end
    cut = min(len(shown), len(" ".join(text[:start].split())))
    return cut, cut

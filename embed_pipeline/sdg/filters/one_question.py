"""Filters that look at one question at a time; each says why it refuses, or None."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from embed_pipeline.records import CRITERIA, TableRow
from embed_pipeline.sdg.filters.wording import longest_run, text_reference
from embed_pipeline.settings import SdgSettings
from embed_pipeline.text.forms import words

CHARS_PER_WORD = 3


class Refusal(NamedTuple):
    """Which filter refused a question, and what it refused, in words."""

    reason: str
    detail: str


def refused_by_form(row: TableRow, text_of: Mapping[str, str], settings: SdgSettings) -> Refusal | None:
    """What can be told without a language model about a row of :class:`embed_pipeline.tables.QaCandidates`.

    Args:
        text_of: passage id -> title and text.
    """
    return (
        _length(row, settings)
        or _unknown_passage(row, text_of)
        or _points_at_text(row)
        or _copies_passage(row, text_of, settings)
    )


def refused_by_model(row: TableRow, settings: SdgSettings) -> Refusal | None:
    """What the judge and the check without documents found."""
    return _judge_score(row, settings) or _closed_book(row, settings)


def imported(row: TableRow) -> bool:
    """Whether a user brought the question."""
    return bool(row["generator"] == "imported")


def _length(row: TableRow, settings: SdgSettings) -> Refusal | None:
    """Characters of the question; imported ones may be short.

    A character of a script without spaces is a word of its own and counts as three in a short question.
    """
    length = len(row["question"].strip())
    if length > settings.max_question_chars:
        return Refusal("too_long", f"{length} characters; sdg.max_question_chars is {settings.max_question_chars}")
    weight = max(length, CHARS_PER_WORD * len(words(row["question"])))
    if weight < settings.min_question_chars and not imported(row):
        return Refusal("too_short", f"{length} characters; sdg.min_question_chars is {settings.min_question_chars}")
    return None


def _unknown_passage(row: TableRow, text_of: Mapping[str, str]) -> Refusal | None:
    """Every positive must exist."""
    missing = [passage_id for passage_id in row["passage_ids"] if passage_id not in text_of]
    return Refusal("unknown_passage", f"no passage {', '.join(missing)}") if missing else None


def _points_at_text(row: TableRow) -> Refusal | None:
    """A question that points at its text makes no sense to a search engine."""
    reference = text_reference(row["question"])
    return Refusal("refers_to_text", f'"{reference}"') if reference else None


def _judge_score(row: TableRow, settings: SdgSettings) -> Refusal | None:
    """The judge's score; a language model's question that nobody judged is not trusted."""
    score, threshold = row["score"], settings.judge_threshold
    if score is None:
        unjudged = row["generator"].startswith("llm/")
        return Refusal("not_judged", "the judge gave no scores") if unjudged else None
    if score >= threshold:
        return None
    detail = f"mean {score:.4g} is below sdg.judge_threshold {threshold:g}"
    scores = sorted((row[name], name) for name in CRITERIA if row[name] is not None)
    if scores:
        detail += ": " + ", ".join(f"{name} {value:g}" for value, name in scores)
    return Refusal("low_score", f"{detail}; {row['judgement']}" if row["judgement"] else detail)


def _closed_book(row: TableRow, settings: SdgSettings) -> Refusal | None:
    """What a language model knows by heart needs no retrieval, where such questions are unwanted."""
    if not (settings.closed_book_check and row["closed_book"]):
        return None
    return Refusal("answerable_without", "the model answers it without the documents (sdg.closed_book_check)")


def _copies_passage(row: TableRow, text_of: Mapping[str, str], settings: SdgSettings) -> Refusal | None:
    """The longest run of question words that stands in a positive, as share of the question's words.

    Questions whose evidence training cuts out of the passage may copy it; so may imported ones.
    """
    if row["mask_evidence"] or imported(row):
        return None
    asked = words(row["question"])
    longest, passage_id = _longest_copy(asked, row["passage_ids"], text_of)
    if longest <= settings.max_overlap * len(asked):
        return None
    return Refusal("copies_passage", f"{longest} of {len(asked)} words stand in order in passage {passage_id}")


def _longest_copy(asked: Sequence[str], passage_ids: Sequence[str], text_of: Mapping[str, str]) -> tuple[int, str]:
    runs = [(longest_run(asked, words(text_of[passage_id])), passage_id) for passage_id in passage_ids]
    return max(runs, key=lambda run: run[0])

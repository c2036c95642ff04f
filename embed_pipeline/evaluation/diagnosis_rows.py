"""What the diagnosis found, as rows of the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from embed_pipeline.evaluation.diagnosis import COPY, FIRST, NEVER
from embed_pipeline.records import RetrievalSet

SHOWN = 20
"""Suspected judgements of each test set; diagnosis.json has more."""
CHARACTERS = 300
KINDS: Mapping[str, str] = {
    FIRST: "all systems put it first, nobody judged it",
    COPY: "nearly the words of a judged passage, before it, not judged",
    NEVER: "judged relevant, found by none among 100",
}


def diagnosis_rows(sets: Sequence[RetrievalSet], diagnosis: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per test set that was diagnosed, in the order of the sets.

    Returns:
        ``[{"name", "overlap", "documents", "suspects": [{"why", "text", "passage", "beside"}], "more": n}]``, the
        passages with their texts.
    """
    return [_row(one, diagnosis[one.name]) for one in sets if one.name in diagnosis]


def _row(test_set: RetrievalSet, found: Mapping[str, Any]) -> dict[str, Any]:
    suspects = found["suspects"]
    return {
        "name": test_set.name,
        "overlap": found["overlap"],
        "documents": found["documents"],
        "suspects": [
            {
                "why": KINDS[one["kind"]],
                "text": one["text"],
                "passage": _passage(test_set, one["passage"]),
                "beside": "" if one["beside"] == one["passage"] else _passage(test_set, one["beside"]),
            }
            for one in suspects[:SHOWN]
        ],
        "more": max(0, len(suspects) - SHOWN),
    }


def _passage(test_set: RetrievalSet, passage: str) -> str:
    text = test_set.passages.get(passage, "")
    return f"{passage}: {text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + '…'}"

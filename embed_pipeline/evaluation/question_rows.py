"""Every question of an evaluation with what was found for it, as data for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from embed_pipeline.evaluation.compare import DECIDING_METRIC
from embed_pipeline.evaluation.report import ordered
from embed_pipeline.evaluation.systems import name_of
from embed_pipeline.records import RetrievalSet

MOST_QUESTIONS = 2_000
MOST_CHARACTERS = 3_000_000
"""Of all passages together; about 4 MB of page."""
PASSAGE_CHARACTERS = 300
QUESTION_CHARACTERS = 500
FOUND = 10
"""Passages of base and tuned shown for each question; fewer where there are many questions."""


class _Passages:
    """Texts of passages, each once, as far as they fit."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.full = False
        self._places: dict[tuple[str, str], int] = {}
        self._characters = 0

    def place(self, test_set: RetrievalSet, passage: str) -> int:
        """Where its text stands; -1 where there was no more room."""
        key = (test_set.name, passage)
        if key not in self._places:
            text = f"{passage}: {_shortened(test_set.passages.get(passage, ''), PASSAGE_CHARACTERS)}"
            self._characters += len(text)
            if self._characters > MOST_CHARACTERS:
                self.full = True
                return -1
            self._places[key] = len(self.texts)
            self.texts.append(text)
        return self._places[key]


def question_data(
    sets: Sequence[RetrievalSet], scores: pl.DataFrame, runs: pl.DataFrame
) -> tuple[dict[str, Any], list[str]]:
    """The questions that changed most come first where not all fit.

    Args:
        scores: :class:`embed_pipeline.tables.QueryMetrics` of every system.
        runs: :class:`embed_pipeline.tables.Runs` with base and tuned.

    Returns:
        ``{"sets": [name], "systems": [name], "names": [in words], "questions": [{"set", "text", "ranks", "before",
        "after", "relevant", "base", "tuned"}], "passages": [text]}``, where ranks are those of the first relevant
        passage in the order of the systems, 0 where none was found, and passages are named by their place; and what
        was left out, in words.
    """
    systems = ordered(dict.fromkeys(scores["system"].unique(maintain_order=True).to_list()))
    rows = [row for place, one in enumerate(sets) for row in _rows(place, one, scores, systems)]
    chosen = rows
    if len(rows) > MOST_QUESTIONS:
        chosen = sorted(rows, key=lambda row: (-abs(row["after"] - row["before"]), row["set"]))[:MOST_QUESTIONS]
    depth = FOUND if len(chosen) <= 500 else 3
    passages = _Passages()
    found = {
        (test_set, system, query): ids
        for test_set, system, query, ids in runs.filter(
            (pl.col("rank") <= depth) & pl.col("system").is_in(["base", "tuned"])
        )
        .sort("test_set", "system", "query_id", "rank")
        .group_by("test_set", "system", "query_id", maintain_order=True)
        .agg("passage_id")
        .iter_rows()
    }
    for row in chosen:
        test_set, query = sets[row["set"]], row.pop("query")
        row["relevant"] = [passages.place(test_set, one) for one in list(test_set.qrels[query])[:FOUND]]
        for system in ("base", "tuned"):
            ids = found.get((test_set.name, system, query), [])
            row[system] = [passages.place(test_set, one) for one in ids]
    left_out = []
    if len(chosen) < len(rows):
        left_out.append(f"Of {len(rows):,} questions the {len(chosen):,} that changed most are shown.")
    if passages.full:
        left_out.append("Not every passage found a place.")
    names = {"systems": systems, "names": [name_of(one) for one in systems]}
    data = {"sets": [one.name for one in sets], **names, "questions": chosen, "passages": passages.texts}
    return data, left_out


def _rows(place: int, test_set: RetrievalSet, scores: pl.DataFrame, systems: Sequence[str]) -> list[dict[str, Any]]:
    own = scores.filter(pl.col("test_set") == test_set.name)
    ranks = _first_ranks(own)
    gains = {
        system: dict(
            own.filter((pl.col("system") == system) & (pl.col("metric") == DECIDING_METRIC))
            .select("query_id", "value")
            .iter_rows()
        )
        for system in ("base", "tuned")
    }
    return [
        {
            "query": query,
            "set": place,
            "text": _shortened(text, QUESTION_CHARACTERS),
            "ranks": [ranks.get((system, query), 0) for system in systems],
            "before": round(gains["base"][query], 4),
            "after": round(gains["tuned"][query], 4),
        }
        for query, text in test_set.queries.items()
    ]


def _first_ranks(scores: pl.DataFrame) -> Mapping[tuple[str, str], int]:
    """(system, query) -> rank of the first relevant passage, read off the reciprocal rank at the deepest cut-off."""
    reciprocal = scores.filter(pl.col("metric").str.starts_with("mrr@") & (pl.col("value") > 0))
    best = reciprocal.group_by("system", "query_id").agg(pl.col("value").max())
    return {(system, query): round(1 / value) for system, query, value in best.iter_rows()}


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

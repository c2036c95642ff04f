"""Why some questions were won and others lost: what was found before and after, and what may be judged wrongly."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from embed_pipeline.evaluation.compare import DECIDING_METRIC
from embed_pipeline.evaluation.systems import DEPTH, STORED
from embed_pipeline.evaluation.traits import best_judged, overlaps
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import words_of

MOST = 50
"""Questions listed of each kind."""
WORST_DOCUMENTS = 10
FOUND = 10
ALIKE = 0.9
"""Share of common words (Jaccard) from which two passages say the same."""
FIRST, COPY, NEVER = "unjudged_first", "unjudged_copy", "never_found"
Found = Mapping[str, Mapping[str, Sequence[str]]]
"""System -> query -> passages, best first."""
Gains = Mapping[str, tuple[float, float]]
"""Query -> nDCG@10 of base and of tuned."""


def diagnose(sets: Sequence[RetrievalSet], scores: pl.DataFrame, runs: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Everything below for each test set but the general questions.

    Args:
        scores: :class:`embed_pipeline.tables.QueryMetrics` with base and tuned.
        runs: :class:`embed_pipeline.tables.Runs` of base, BM25 and tuned.

    Returns:
        test set -> ``{"won", "lost", "suspects", "documents", "overlap"}``, ready for JSON; the first two as
        :func:`changed_questions`, then :func:`suspected_labels`, :func:`lost_documents`, and the mean of
        :func:`embed_pipeline.evaluation.traits.overlaps`.
    """
    return {
        one.name: _diagnosed(one, gains_of(scores, one), found_of(runs, one.name))
        for one in sets
        if one.kind != "general" and one.queries
    }


def _diagnosed(test_set: RetrievalSet, gains: Gains, found: Found) -> dict[str, Any]:
    shares = overlaps(test_set)
    won, lost = changed_questions(test_set, gains, found)
    return {
        "won": won,
        "lost": lost,
        "suspects": suspected_labels(test_set, found),
        "documents": lost_documents(test_set, gains),
        "overlap": round(sum(shares.values()) / len(shares), 4),
    }


def gains_of(scores: pl.DataFrame, test_set: RetrievalSet) -> Gains:
    """nDCG@10 of base and tuned, by query."""
    own = scores.filter((pl.col("test_set") == test_set.name) & (pl.col("metric") == DECIDING_METRIC))
    before, after = (
        dict(own.filter(pl.col("system") == system).select("query_id", "value").iter_rows())
        for system in ("base", "tuned")
    )
    return {query: (before[query], after[query]) for query in test_set.queries}


def found_of(runs: pl.DataFrame, test_set: str) -> Found:
    """What each stored system found, by query."""
    own = runs.filter((pl.col("test_set") == test_set) & pl.col("system").is_in(STORED))
    grouped = own.sort("system", "query_id", "rank").group_by("system", "query_id", maintain_order=True)
    found: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for system, query, passages in grouped.agg("passage_id").iter_rows():
        found[system][query] = passages
    return dict(found)


def changed_questions(
    test_set: RetrievalSet, gains: Gains, found: Found, most: int = MOST
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The questions won and those lost, each ordered by how much.

    Returns:
        ``[{"query", "text", "before", "after", "relevant", "base", "tuned"}]`` twice: nDCG@10 before and after, and
        the ids of the passages judged relevant and of the first ten that base and tuned found.
    """

    def row(query: str) -> dict[str, Any]:
        before, after = gains[query]
        return {
            "query": query,
            "text": test_set.queries[query],
            "before": before,
            "after": after,
            "relevant": list(test_set.qrels[query])[:FOUND],
            **{system: list(found.get(system, {}).get(query, ()))[:FOUND] for system in ("base", "tuned")},
        }

    change = {query: after - before for query, (before, after) in gains.items()}
    won = sorted((query for query in change if change[query] > 0), key=lambda query: (-change[query], query))
    lost = sorted((query for query in change if change[query] < 0), key=lambda query: (change[query], query))
    return [row(query) for query in won[:most]], [row(query) for query in lost[:most]]


def suspected_labels(test_set: RetrievalSet, found: Found, most: int = MOST) -> list[dict[str, str]]:
    """Judgements that a person should look at again.

    - ``unjudged_first``: a passage that nobody judged, which BM25, base and tuned all put first;
    - ``unjudged_copy``: a passage that nobody judged stands before the judged ones and has nearly the words of one;
    - ``never_found``: a judged passage that none of the three finds among 100.

    Returns:
        ``[{"kind", "query", "text", "passage", "beside"}]`` in that order of kinds; ``beside`` is a judged passage to
        compare with.
    """
    systems = [found[system] for system in STORED if system in found]
    if len(systems) < len(STORED):
        return []  # a system that found nothing at all agrees with none
    rows: dict[str, list[dict[str, str]]] = {FIRST: [], COPY: [], NEVER: []}
    for query, text in test_set.queries.items():
        of_query = [list(system.get(query, ())) for system in systems]
        for kind, passage, beside in _suspects(test_set, test_set.qrels[query], of_query):
            told = {"kind": kind, "query": query, "text": text, "passage": passage, "beside": beside}
            rows[kind].append(told)
    return [row for kind in (FIRST, COPY, NEVER) for row in rows[kind][:most]]


def _suspects(
    test_set: RetrievalSet, judged: Mapping[str, int], found: Sequence[Sequence[str]]
) -> Iterator[tuple[str, str, str]]:
    """(kind, passage, judged passage beside it) of one question."""
    best = best_judged(judged)
    first, copies = _first_of_all(found), _copies(test_set, found, judged)
    if first is not None and first not in judged and first not in copies:
        yield FIRST, first, best
    for passage, beside in copies.items():
        yield COPY, passage, beside
    if len(test_set.passages) > DEPTH:
        reached = {passage for ids in found for passage in ids[:DEPTH]}
        for passage in judged:
            if passage not in reached and passage in test_set.passages:
                yield NEVER, passage, best


def _first_of_all(found: Sequence[Sequence[str]]) -> str | None:
    firsts = {ids[0] if ids else None for ids in found}
    return firsts.pop() if len(firsts) == 1 else None


def _copies(test_set: RetrievalSet, found: Sequence[Sequence[str]], judged: Mapping[str, int]) -> dict[str, str]:
    """Unjudged passages that stand before every judged one, each with the judged passage that it repeats."""
    above: dict[str, None] = {}
    for ids in found:
        for passage in ids[:FOUND]:
            if passage in judged:
                break
            above[passage] = None
    if not above:
        return {}
    known = {passage: set(words_of(test_set.passages.get(passage, ""))) for passage in judged}
    copies = {}
    for passage in above:
        own = set(words_of(test_set.passages.get(passage, "")))
        alike = next((one for one, its in known.items() if its and len(own & its) >= ALIKE * len(own | its)), None)
        if alike is not None:
            copies[passage] = alike
    return copies


def lost_documents(test_set: RetrievalSet, gains: Gains, most: int = WORST_DOCUMENTS) -> list[dict[str, Any]]:
    """The documents on whose questions most was lost in all.

    A question belongs to the document of its best judged passage; where passages have no document, to the passage.

    Returns:
        ``[{"document", "questions", "before", "after", "delta"}]``, means of nDCG@10; only documents that lost.
    """
    asked: dict[str, list[str]] = defaultdict(list)
    for query, judged in test_set.qrels.items():
        best = best_judged(judged)
        asked[best.rpartition("#")[0] or best].append(query)
    rows: list[dict[str, Any]] = []
    for document, queries in asked.items():
        before, after = (sum(gains[query][place] for query in queries) / len(queries) for place in (0, 1))
        rows.append(
            {
                "document": document,
                "questions": len(queries),
                "before": round(before, 4),
                "after": round(after, 4),
                "delta": round(after - before, 4),
            }
        )
    rows = [row for row in rows if row["delta"] < 0]
    return sorted(rows, key=lambda row: (row["delta"] * row["questions"], row["document"]))[:most]

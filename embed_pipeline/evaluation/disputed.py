"""Queries of a log on which the systems differ most, with what each of them puts first."""

from collections.abc import Mapping
from typing import Any

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.evaluation.lexical import found_by_words
from embed_pipeline.evaluation.query_log import DEPTH, QueryLog, by_disagreement
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import ranked
from embed_pipeline.settings import EvalSettings

MOST = 50
"""Queries told; so many judgements make a gold set."""


def disputed_queries(
    log: QueryLog,
    asked_of: RetrievalSet,
    models: Mapping[str, Encoder],
    settings: EvalSettings,
    most: int = MOST,
) -> dict[str, Any]:
    """Search every query of a log by each model and by BM25, and tell where they differ.

    Args:
        asked_of: a set whose passages are searched; its own queries are not looked at.
        models: name of a system -> its encoder.
        settings: ``bm25`` is used.

    Returns:
        ``{"distinct", "looked_at", "queries": [{"query", "disagreement", "first": {system: passage id or None}}]}``,
        those with the highest disagreement (:func:`embed_pipeline.evaluation.query_log.disagreement`) first.
    """
    queries = {str(place): query for place, query in enumerate(log.queries)}
    asked = RetrievalSet("query_log", asked_of.passages, queries, {}, titles=asked_of.titles)
    runs = {name: dense_run(asked, encoder, DEPTH) for name, encoder in models.items()}
    runs["bm25"] = found_by_words(asked, settings, DEPTH)
    told = [
        {
            "query": asked.queries[query],
            "disagreement": round(rate, 4),
            "first": {name: next(iter(ranked(run.get(query, {}))), None) for name, run in runs.items()},
        }
        for query, rate in by_disagreement(runs)[:most]
    ]
    return {"distinct": log.distinct, "looked_at": len(log.queries), "queries": told}

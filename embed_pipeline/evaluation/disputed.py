"""Queries of a log on which the systems differ most, with what each of them puts first."""

from collections.abc import Mapping
from typing import Any

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.evaluation.query_log import DEPTH, QueryLog, by_disagreement
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import ranked

MOST = 50
"""Queries told; so many judgements make a gold set."""


def disputed_queries(
    log: QueryLog, passages: Mapping[str, str], models: Mapping[str, Encoder], most: int = MOST
) -> dict[str, Any]:
    """Search every query of a log by each model and by BM25, and tell where they differ.

    Args:
        passages: id -> text as the encoder sees it.
        models: name of a system -> its encoder.

    Returns:
        ``{"distinct", "looked_at", "queries": [{"query", "disagreement", "first": {system: passage id or None}}]}``,
        those with the highest disagreement (:func:`embed_pipeline.evaluation.query_log.disagreement`) first.
    """
    asked = RetrievalSet("query_log", passages, {str(place): query for place, query in enumerate(log.queries)}, {})
    runs = {name: dense_run(asked, encoder, DEPTH) for name, encoder in models.items()}
    runs["bm25"] = bm25_run(asked, DEPTH)
    told = [
        {
            "query": asked.queries[query],
            "disagreement": round(rate, 4),
            "first": {name: next(iter(ranked(run.get(query, {}))), None) for name, run in runs.items()},
        }
        for query, rate in by_disagreement(runs)[:most]
    ]
    return {"distinct": log.distinct, "looked_at": len(log.queries), "queries": told}

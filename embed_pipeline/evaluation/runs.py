"""Runs as rows of a table."""

import polars as pl

from embed_pipeline import tables
from embed_pipeline.errors import ArtifactError
from embed_pipeline.retrieval.fusion import Run, ranked


def run_frame(run: Run, test_set: str, system: str) -> pl.DataFrame:
    """As rows of :class:`embed_pipeline.tables.Runs`, by query in the order of the run, best first."""
    order = {query: ranked(scores) for query, scores in run.items()}
    frame = pl.DataFrame(
        {
            "test_set": test_set,
            "system": system,
            "query_id": [query for query, ids in order.items() for _ in ids],
            "rank": [rank for ids in order.values() for rank in range(1, len(ids) + 1)],
            "passage_id": [passage for ids in order.values() for passage in ids],
            "score": [run[query][passage] for query, ids in order.items() for passage in ids],
        },
        schema_overrides={"query_id": pl.String, "rank": pl.Int64, "passage_id": pl.String, "score": pl.Float64},
    )
    return tables.validate(tables.Runs, frame)


def run_of(frame: pl.DataFrame, test_set: str, system: str) -> Run:
    """Read back what :func:`run_frame` wrote; queries that found nothing are missing.

    Raises:
        ArtifactError: the system's run on this test set is not there.
    """
    rows = frame.filter((pl.col("test_set") == test_set) & (pl.col("system") == system)).sort("query_id", "rank")
    if rows.is_empty():
        raise ArtifactError(
            f"the stored runs lack what {system} found on the {test_set} set; run again with --force eval."
        )
    grouped = rows.group_by("query_id", maintain_order=True).agg("passage_id", "score")
    return {query: dict(zip(passages, scores, strict=True)) for query, passages, scores in grouped.iter_rows()}

"""Candidates as the command line shows them."""

import io

from rich.console import Console

from embed_pipeline.cli.candidates import candidate_tables, problems

FIGURES = {
    "ndcg_at_10": 0.51,
    "fused_ndcg_at_10": 0.6,
    "delta": -0.04,
    "p_corrected": 0.2,
    "dimensions": 384,
    "parameters": 22713728,
    "bytes": 90868376,
    "passages_per_second": 99.6,
    "problem": None,
}
REMOTE = FIGURES | {"parameters": None, "bytes": None}
FAILED = dict.fromkeys(FIGURES) | {"problem": "https://b/v1: answered 404"}


def test_a_table_for_each_test_set_and_reasons_below():
    candidates = {"a/[b]": FIGURES, "https://a/v1": REMOTE, "https://b/v1": FAILED}
    rows = [
        {"candidate": name, "test_set": test_set} | row
        for test_set in ("gold", "general")
        for name, row in candidates.items()
    ]
    tables = list(candidate_tables(rows))
    assert [table.row_count for table in tables] == [2, 2]
    written = io.StringIO()
    Console(file=written, width=160).print(tables[0])
    shown = written.getvalue()
    for part in ("gold questions", "a/[b]", "0.510", "-0.040", "22,713,728", "91", "100", "?"):
        assert part in shown
    assert problems(rows) == ["not measured: https://b/v1: https://b/v1: answered 404"]

import polars as pl

from embed_pipeline.corpus.dropped import lost_shares


def test_scripts_comments_and_copies_are_no_loss():
    documents = pl.DataFrame({"doc_id": ["a", "b"], "text": ["ninety chars " * 7, "x" * 90]})
    dropped = pl.DataFrame(
        {
            "doc_id": ["a", "a", "a", "b", "b"],
            "kind": ["code", "comment", "repeated", "navigation", "code"],
            "characters": [9000, 500, 70, 10, 9000],
        }
    )
    assert lost_shares(documents, dropped).rows() == [("b", 0.1)]

import polars as pl

from embed_pipeline.corpus.dropped import dropped_lines, dropped_table, lost_shares
from embed_pipeline.tables import Dropped, empty, validate
from embed_pipeline_tests.corpus.build import documents


def dropped(*rows):
    values = [
        {"doc_id": doc_id, "kind": kind, "count": count, "characters": characters, "examples": []}
        for doc_id, kind, count, characters in rows
    ]
    return validate(Dropped, pl.DataFrame(values, schema=empty(Dropped).schema))


LOST = dropped(
    ("d0.md", "furniture", 2, 20), ("d0.md", "undecodable", 3, 0), ("d1.md", "furniture", 1, 1), ("d1.md", "code", 1, 9)
)


def test_totals_by_kind_and_documents_that_lost_much_are_told():
    frame = documents(["a" * 20], ["b" * 990])
    lines = dropped_lines(frame, LOST)
    assert lines[0].startswith("code: 1 left out, 9 characters, in 1 document (")
    assert lines[1].startswith("furniture: 3 left out, 21 characters, in 2 documents (")
    assert lines[2].startswith("undecodable: 3 replaced, in 1 document (")
    assert lines[3].startswith("warning: 1 document lost more than 10% of the characters: d0.md (50%); ")
    assert len(lines) == 4
    assert dropped_lines(frame, empty(Dropped)) == []


def test_a_share_is_of_all_characters_white_space_not_counted():
    shares = lost_shares(documents(["a b " * 10], ["b" * 990]), LOST)
    assert shares.rows() == [("d0.md", 0.5), ("d1.md", 1 / 991)], "a script is not missed"


def test_the_table_of_the_web_ui():
    head, _, *rows = dropped_table(LOST).splitlines()
    assert head == "| kind | pieces | characters left out | documents | meaning |"
    assert [row.split(" | ")[:4] for row in rows] == [
        ["| code", "1", "9", "1"],
        ["| furniture", "3", "21", "2"],
        ["| undecodable", "3", "0", "1"],
    ]
    assert dropped_table(empty(Dropped)) == ""

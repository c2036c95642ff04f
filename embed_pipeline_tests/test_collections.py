"""The gold sets beside the benchmarks: whole, spread, and of the format the pipeline reads."""

import json
from collections import Counter
from pathlib import Path

import pytest

COLLECTIONS = Path(__file__).parents[1] / "benchmarks" / "collections"


@pytest.mark.parametrize("name", ["ant", "contracts", "nih"])
def test_every_question_is_judged_once_and_they_are_spread(name: str) -> None:
    folder = COLLECTIONS / name
    lines = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    head, *rows = (
        line.split("\t") for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    )
    ids = [line["_id"] for line in lines]
    assert head == ["query-id", "corpus-id", "score"]
    assert len(ids) == len(set(ids)) >= 50
    assert len({line["text"].casefold() for line in lines}) == len(ids)
    assert {row[0] for row in rows} == set(ids)
    assert max(Counter((row[0], row[1]) for row in rows).values()) == 1
    assert len({line["metadata"]["document"] for line in lines}) >= 35
    documents = {(query, passage.rpartition("#")[0]) for query, passage, _ in rows}
    assert all((line["_id"], line["metadata"]["document"]) in documents for line in lines)

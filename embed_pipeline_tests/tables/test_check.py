"""The declared tables: what fits is cast and ordered, what does not is refused by name."""

import inspect

import dataframely as dy
import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.errors import ArtifactError

SCHEMAS = [
    schema
    for _, schema in inspect.getmembers(tables, inspect.isclass)
    if issubclass(schema, dy.Schema) and schema is not dy.Schema
]


def document(**values: object) -> dict[str, object]:
    return {
        "doc_id": "a.md",
        "path": "a.md",
        "title": "",
        "text": "text",
        "sections": [{"heading": "h", "level": 1, "start": 0, "end": 4}],
        "language": "en",
        "group_id": "a.md",
        "sha256": "00",
    } | values


def test_a_table_is_cast_ordered_and_stripped_of_further_columns():
    row = document()
    frame = pl.DataFrame([{"extra": 1, **dict(reversed(row.items()))}])
    frame = frame.with_columns(
        pl.col("sections").cast(
            pl.List(pl.Struct({"heading": pl.String, "level": pl.Int8, "start": pl.Int32, "end": pl.Int32}))
        )
    )
    checked = tables.validate(tables.Documents, frame)
    assert checked.columns == list(row)
    assert checked.row(0, named=True) == row


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([document(), document()], "primary_key"),
        ([document(text="")], "min_length"),
        ([document(title=None)], "nullability"),
    ],
)
def test_a_broken_rule_is_named(rows, rule):
    with pytest.raises(ArtifactError, match=f"Documents: the table breaks its declared schema.*{rule}"):
        tables.validate(tables.Documents, pl.DataFrame(rows))


def test_a_missing_column_or_a_wrong_type_is_refused():
    with pytest.raises(ArtifactError, match="language"):
        tables.validate(tables.Documents, pl.DataFrame([document()]).drop("language"))
    with pytest.raises(ArtifactError, match="level"):
        tables.validate(
            tables.Documents,
            pl.DataFrame([document(sections=[{"heading": "h", "level": "top", "start": 0, "end": 1}])]),
        )


def test_the_caller_can_name_the_table():
    with pytest.raises(ArtifactError, match=r"^my file: "):
        tables.validate(tables.Documents, pl.DataFrame({"doc_id": ["a"]}), "my file")


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_table_can_be_empty_and_describes_every_column(schema):
    empty = tables.empty(schema)
    assert tables.validate(schema, empty).equals(empty)
    described = tables.columns(schema)
    assert [column["name"] for column in described] == empty.columns
    assert all(column["description"] and column["type"] for column in described)
    assert any(column["unique"] for column in described)


def test_constraints_are_described():
    described = {column["name"]: column for column in tables.columns(tables.Splits)}
    assert described["split"]["constraints"] == ["regex=^(train|validation|test)$"]
    assert not described["split"]["nullable"]


def test_every_table_survives_parquet(tmp_path):
    frame = tables.validate(tables.Documents, pl.DataFrame([document(sections=[])]))
    frame.write_parquet(tmp_path / "table.parquet")
    assert tables.validate(tables.Documents, pl.read_parquet(tmp_path / "table.parquet")).equals(frame)

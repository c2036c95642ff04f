"""A frame against the declared schema of its table."""

from typing import Any

import dataframely as dy
import polars as pl

from embed_pipeline.errors import ArtifactError

_LARGE = 2**25
"""Bytes of a column of texts."""


def validate(schema: type[dy.Schema], frame: pl.DataFrame, where: str | None = None) -> pl.DataFrame:
    """Cast to the declared types, check every constraint, order the columns.

    Raises:
        ArtifactError: names the table and each broken rule.
    """
    try:
        chosen = _columns_of(frame, schema.column_names())
        texts = _free_texts(schema, chosen)
        # Of texts their beginning is looked at: of a corpus they fill the memory, and every check copies them.
        light = chosen.clone()
        for name in texts:
            light.replace_column(chosen.get_column_index(name), _whether_there(chosen.get_column(name)))
        if schema.is_valid(light, cast=True):
            checked = schema.cast(light)[schema.column_names()]
            for name in texts:
                checked.replace_column(checked.get_column_index(name), chosen.get_column(name))
            return checked
        return schema.validate(chosen, cast=True)  # says what is wrong
    except (dy.exc.ValidationError, dy.exc.SchemaError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{where or schema.__name__}: the table breaks its declared schema: {reason}") from error


def _columns_of(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Those columns; unlike ``select`` without a copy of their texts.

    Raises:
        polars.exceptions.ColumnNotFoundError: one is missing.
    """
    return frame[names]


def with_column(frame: pl.DataFrame, column: pl.Series) -> pl.DataFrame:
    """The frame with another column in place of that of the same name; unlike ``with_columns`` without a copy of texts.

    Raises:
        polars.exceptions.ColumnNotFoundError: there is none of that name.
    """
    return frame.clone().replace_column(frame.get_column_index(column.name), column)


def _whether_there(texts: pl.Series) -> pl.Series:
    """Of each text its beginning; of large ones one after the other, since polars would copy all of them."""
    if texts.estimated_size() < _LARGE:
        return texts.str.head(1)
    return pl.Series(texts.name, [_beginning(texts[place]) for place in range(len(texts))], pl.String)


def _beginning(text: str | None) -> str | None:
    return text and text[:1]


def _free_texts(schema: type[dy.Schema], frame: pl.DataFrame) -> list[str]:
    """The columns of text in which any text may stand, or any but an empty one."""
    return [
        name
        for name, column in schema.columns().items()
        if isinstance(column, dy.String)
        and frame.schema[name] == pl.String
        and not (column.primary_key or column.regex or column.max_length or column.check)
        and (column.min_length or 0) <= 1
    ]


def empty(schema: type[dy.Schema]) -> pl.DataFrame:
    """A table without rows."""
    return schema.create_empty()


def columns(schema: type[dy.Schema]) -> list[dict[str, Any]]:
    """``[{"name", "type", "description", "constraints"}]`` for the UI and the documentation."""
    rows = []
    for name, column in schema.columns().items():
        constraints = [f"{key}={value}" for key, value in _constraints(column).items()]
        rows.append(
            {
                "name": name,
                "type": str(column.dtype),
                "description": column.description or "",
                "constraints": constraints,
                "nullable": column.nullable,
                "unique": column.primary_key,
            }
        )
    return rows


def _constraints(column: Any) -> dict[str, Any]:
    names = ("regex", "min", "max", "min_length", "max_length")
    return {name: getattr(column, name) for name in names if getattr(column, name, None) is not None}

"""Columns as most tables have them, each with what it holds."""

from typing import Any

import dataframely as dy


def text_column(description: str, **constraints: Any) -> dy.String:
    """Text, never null unless asked for."""
    return dy.String(nullable=constraints.pop("nullable", False), description=description, **constraints)


def count_column(description: str, **constraints: Any) -> dy.Int64:
    """A whole number of 0 or more."""
    return dy.Int64(nullable=False, min=constraints.pop("min", 0), description=description, **constraints)


def score_column(description: str) -> dy.Float64:
    """From 0 to 10, or null."""
    return dy.Float64(nullable=True, min=0, max=10, description=description)


def ids_column(description: str, min_length: int | None = None) -> dy.List:
    """A list of texts, none of them null."""
    return dy.List(dy.String(nullable=False), nullable=False, min_length=min_length, description=description)

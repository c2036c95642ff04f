"""The comparison of variants as Markdown and as a page."""

from typing import Any

import lxml.html
import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.evaluation.variants import APART, HEADER, by_test_set, comparison_page, comparison_text


def row(variant: str, version: str, **others: Any) -> dict[str, Any]:
    return {
        "variant": variant, "test_set": "gold", "test_set_version": version, "verdict": "ship", "base": 0.41,
        "tuned": 0.53, "delta": 0.12, "ci_low": 0.05, "ci_high": 0.19, "p": 0.0004, "recall_base": 0.6,
        "recall_tuned": 0.7, "documents": 1200, "questions": 300, "training_seconds": 61.4, "checkpoint": "abc",
        "differs": "",
    } | others  # fmt: skip


ROWS = [
    row("main", "one"),
    row("contracts", "two", differs="corpus.path: <b>|x</b>"),
    row("thorough", "one", differs="finetune.epochs: 3"),
]


def test_rows_are_what_the_table_declares():
    tables.validate(tables.VariantComparison, pl.DataFrame(ROWS))


def test_figures_of_one_test_set_stand_together():
    assert {key: [one["variant"] for one in found] for key, found in by_test_set(ROWS).items()} == {
        ("gold", "one"): ["main", "thorough"],
        ("gold", "two"): ["contracts"],
    }


def test_the_page_has_a_table_for_each_test_set_and_shows_text_as_text():
    page = lxml.html.fromstring(comparison_page(ROWS))
    assert [heading.text for heading in page.iter("h2")] == [
        "Gold questions, version one",
        "Gold questions, version two",
    ]
    assert APART in page.text_content()
    bodies = [[[cell.text for cell in line] for line in body] for body in page.iter("tbody")]
    assert [line[0] for body in bodies for line in body] == ["main", "thorough", "contracts"]
    assert dict(zip(HEADER, bodies[0][0], strict=True))["interval"] == "+0.0500 to +0.1900"
    assert dict(zip(HEADER, bodies[1][0], strict=True))["differs in"] == "corpus.path: <b>|x</b>"
    assert not list(page.iter("script", "b"))


def test_the_text_is_markdown_whose_cells_are_no_markup():
    text = comparison_text(ROWS)
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    assert {line.count("|") for line in lines} == {len(HEADER) + 1}
    assert "<b>" not in text


@pytest.mark.parametrize("shown", [comparison_text, comparison_page])
def test_one_test_set_needs_no_warning(shown):
    assert APART not in shown([ROWS[0], ROWS[2]])

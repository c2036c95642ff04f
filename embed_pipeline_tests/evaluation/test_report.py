"""The report as HTML, the chart as SVG, the table as Markdown."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lxml import etree, html

from embed_pipeline.evaluation.evaluate import BaseEvaluation, TunedEvaluation, evaluate_base, evaluate_tuned
from embed_pipeline.evaluation.report import (
    comparison_rows,
    markdown_table,
    svg_bars,
    verdict_sentence,
    write_report,
)
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=500)
EVIL = 'topic0 <script>alert(1)</script> & "quotes" </td> {{ 7 * 7 }} \x00\x1b قطر'
SVG = "{http://www.w3.org/2000/svg}"


def sets() -> list[RetrievalSet]:
    plain = numbered_set(14)
    slices = {query: {"kind": "<b>bold</b>"} for query in plain.queries}
    queries = {**plain.queries, "q0": EVIL}
    synthetic = RetrievalSet("synthetic", plain.passages, queries, plain.qrels, slices, kind="synthetic")
    return [synthetic, numbered_set(14, "gold")]


def before() -> BaseEvaluation:
    return evaluate_base(sets(), WordEncoder([f"topic{i}" for i in range(10)]), SETTINGS)


@pytest.fixture(scope="module")
def base_scores() -> pl.DataFrame:
    return before().query_metrics


@pytest.fixture(scope="module")
def evaluation() -> TunedEvaluation:
    return evaluate_tuned(sets(), WordEncoder(["topic13"]), before(), SETTINGS)


def written(folder: Path, base_scores: pl.DataFrame, found: TunedEvaluation) -> str:
    extra = {"base model": "<i>mini</i>"}
    write_report(found.summary, found.metrics, base_scores, found.query_metrics, sets(), folder, extra)
    return (folder / "report.html").read_text("utf-8")


def cells(table: Any) -> list[list[str]]:
    return [[cell.text_content() for cell in row.iter("th", "td")] for row in table.iter("tr")]


def test_report_shows_what_the_summary_says(
    tmp_path: Path, base_scores: pl.DataFrame, evaluation: TunedEvaluation
) -> None:
    page = html.document_fromstring(written(tmp_path, base_scores, evaluation).encode())
    verdict = page.find_class("verdict")[0]
    assert verdict.text_content() == f"ship: {verdict_sentence(evaluation.summary)}"
    assert "on the gold questions" in verdict.text_content().lower()
    table = cells(page.findall(".//table")[0])
    assert table[0] == ["metric", "BM25", "hybrid", "base", "tuned", "change", "interval", "p"]
    assert [row[0] for row in table[1:]] == [
        f"{m}@{k}" for m in ("ndcg", "recall", "precision", "map", "mrr") for k in (1, 5, 10, 100)
    ]
    first = evaluation.summary["comparison"]["synthetic"]["ndcg@1"]
    assert table[1][3:6] == [f"{first['base']:.4f}", f"{first['tuned']:.4f}", f"{first['delta']:+.4f}"]
    headings = [heading.text_content() for heading in page.iter("h2", "h3")]
    assert headings[:4] == [
        "Synthetic set: 14 questions, 14 passages",
        "By kind of question",
        "Most improved questions (nDCG@10)",
        "Most worsened questions (nDCG@10)",
    ]
    improved, worsened = cells(page.findall(".//table")[2]), cells(page.findall(".//table")[3])
    assert 1 < len(improved) <= 11
    assert all(float(row[3]) > 0 for row in improved[1:])
    assert [row[0] for row in worsened[1:]] == ["where is topic13 explained"]


def test_texts_are_escaped_and_nothing_is_loaded(
    tmp_path: Path, base_scores: pl.DataFrame, evaluation: TunedEvaluation
) -> None:
    text = written(tmp_path, base_scores, evaluation)
    page = html.document_fromstring(text.encode())
    assert not list(page.iter("script", "b", "i", "img", "link", "iframe", "object"))
    shown = [cell.text_content() for cell in page.find_class("text")]
    assert EVIL.replace("\x00", "\ufffd").replace("\x1b", "\ufffd") in shown
    assert "<i>mini</i>" in shown
    assert "kind=<b>bold</b>" in page.text_content()
    links = [value for element in page.iter() for name, value in element.items() if name in ("src", "href")]
    assert links == []
    assert "url(" not in text and "@import" not in text and "prefers-color-scheme: dark" in text


def test_same_input_same_bytes(tmp_path: Path, base_scores: pl.DataFrame, evaluation: TunedEvaluation) -> None:
    one = written(tmp_path / "one", base_scores, evaluation)
    assert one == written(tmp_path / "two", base_scores, evaluation)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["report.html"]


def test_chart_is_valid_svg_with_every_bar(evaluation: TunedEvaluation) -> None:
    text = svg_bars(evaluation.summary)
    assert len(text.encode()) < 30_000
    chart = etree.fromstring(text.encode())
    assert chart.tag == f"{SVG}svg"
    bars = [bar for bar in chart.iter(f"{SVG}rect") if bar.get("fill")]
    expected = [
        evaluation.summary["test_sets"][name][system][metric]
        for name in ("synthetic", "gold")
        for metric in ("ndcg@10", "recall@10")
        for system in ("bm25", "hybrid", "base", "tuned")
    ]
    tracks = [float(track.get("width")) for track in chart.iter(f"{SVG}rect") if track.get("class") == "track"]
    assert [float(bar.get("width")) / tracks[0] for bar in bars] == pytest.approx(expected, abs=0.001)
    lowest = max(float(bar.get("y")) + float(bar.get("height")) for bar in bars)
    assert lowest < float(chart.get("height"))


def test_rows_and_markdown_hold_every_metric(evaluation: TunedEvaluation) -> None:
    rows = comparison_rows(evaluation.summary)
    assert len(rows) == 40
    assert list(rows[0]) == ["test_set", "metric", "bm25", "hybrid", "base", "tuned", "delta", "ci", "p"]
    lines = markdown_table(evaluation.summary).splitlines()
    assert lines[0].startswith("**ship**: the tuned model is significantly better")
    assert len(lines) == 2 + 2 + 40
    assert {line.count("|") for line in lines[2:]} == {10}


@pytest.mark.parametrize(
    ("verdict", "delta", "words"),
    [
        ("no_gain", 0.0, "no significant difference between the tuned model and its base could be shown"),
        ("regress", -0.2, "the tuned model is significantly worse than its base"),
    ],
)
def test_every_verdict_has_plain_words(verdict: str, delta: float, words: str) -> None:
    found = {"base": 0.5, "tuned": 0.5 + delta, "delta": delta, "ci95": [delta, delta], "p": 0.0002}
    sentence = verdict_sentence({"comparison": {"synthetic": {"ndcg@10": found}}, "verdict": verdict})
    assert sentence.startswith(words)
    assert sentence.endswith("p < 0.001).")
    assert "On the synthetic questions" in sentence

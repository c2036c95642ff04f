"""report.html: valid, safe with any text, and working in a real browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lxml import html

from embed_pipeline.evaluation.diagnosis import diagnose
from embed_pipeline.evaluation.evaluate import BaseEvaluation, TunedEvaluation, evaluate_base, evaluate_tuned
from embed_pipeline.evaluation.page import About, write_page
from embed_pipeline.evaluation.question_rows import question_data
from embed_pipeline.evaluation.report import verdict_sentence
from embed_pipeline.evaluation.report_script import script, script_hash
from embed_pipeline.evaluation.systems import name_of
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=500)
EVIL = (
    'topic0 </script><script>alert(1)</script> & "quotes" </td> {{ 7 * 7 }} \x00\x1b قطر <img src=x onerror=alert(2)>'
)
ABOUT = About(
    model={"base model": "<i>mini</i>"},
    funnel={"documents": 3, "passages": 40},
    curves={"training loss": [(1, 2.0), (2, 1.5), (3, 1.0)]},
    versions=[("checkpoint", "abc", "4", "12 s")],
    disputed={
        "distinct": 9,
        "looked_at": 7,
        "queries": [{"query": "<b>odd</b>", "disagreement": 0.71, "first": {"base": "one", "bm25": "<i>two</i>"}}],
    },
)


def sets() -> list[RetrievalSet]:
    plain = numbered_set(36)
    slices = {query: {"kind": "<b>bold</b>"} for query in plain.queries}
    queries, passages = {**plain.queries, "q0": EVIL}, {**plain.passages, "p1": f"{plain.passages['p1']} {EVIL}"}
    return [
        RetrievalSet("synthetic", passages, queries, plain.qrels, slices, kind="synthetic"),
        numbered_set(40, "gold"),
    ]


@pytest.fixture(scope="module")
def found() -> tuple[BaseEvaluation, TunedEvaluation]:
    before = evaluate_base(sets(), WordEncoder([f"topic{i}" for i in range(20) if i != 13]), SETTINGS)
    return before, evaluate_tuned(sets(), WordEncoder(["topic13"]), before, SETTINGS)


def tables_of(found: tuple[BaseEvaluation, TunedEvaluation]) -> tuple[pl.DataFrame, pl.DataFrame]:
    before, after = found
    scores = pl.concat([before.query_metrics, after.query_metrics])
    return scores, pl.concat([before.runs, after.runs])


def written(folder: Path, found: tuple[BaseEvaluation, TunedEvaluation]) -> str:
    scores, runs = tables_of(found)
    diagnosis = diagnose(sets(), scores, runs)
    write_page(found[1].summary, found[1].metrics, scores, runs, sets(), folder, ABOUT, diagnosis)
    return (folder / "report.html").read_text("utf-8")


def cells(table: Any) -> list[list[str]]:
    return [[cell.text_content() for cell in row.iter("th", "td")] for row in table.iter("tr")]


def test_it_shows_what_the_summary_says(tmp_path: Path, found: tuple[BaseEvaluation, TunedEvaluation]) -> None:
    page, summary = html.document_fromstring(written(tmp_path, found).encode()), found[1].summary
    verdict = page.find_class("verdict")[0].text_content()
    assert verdict.startswith("ship")
    assert verdict_sentence(summary) in verdict
    assert all(line in verdict for line in (*summary["decision"]["reasons"], *summary["decision"]["advice"]))
    first = cells(page.find_class("systems")[0])
    assert first[0] == [
        "system",
        "ndcg@10",
        "recall@10",
        "mrr@10",
        "ndcg@1",
        "against tuned",
        "interval",
        "p corrected",
    ]
    assert first[1][:2] == ["BM25 alone", f"{summary['test_sets']['synthetic']['bm25']['ndcg@10']:.4f}"]
    assert len(first) == 8
    log = cells(page.find_class("log")[0])
    assert log == [
        ["query", "differ by", "base puts first", "bm25 puts first"],
        ["<b>odd</b>", "71 %", "one", "<i>two</i>"],
    ]
    assert "training loss: 1.000 to 2.000, 3 steps" in page.text_content()
    assert [row[0] for row in cells(page.findall(".//table")[-1])] == ["asset", "checkpoint"]


def test_it_shows_judgements_to_check_and_documents_that_lost(
    tmp_path: Path, found: tuple[BaseEvaluation, TunedEvaluation]
) -> None:
    wrong = {"kind": "unjudged_first", "query": "q1", "text": f"who {EVIL}", "passage": "p1", "beside": "p2"}
    never = {"kind": "never_found", "query": "q2", "text": "what", "passage": "p2", "beside": "p2"}
    lost = {"document": "<b>a</b>.md", "questions": 2, "before": 0.5, "after": 0.25, "delta": -0.25}
    one = {"won": [], "lost": [], "suspects": [wrong] + 24 * [never], "documents": [lost], "overlap": 0.456}
    write_page(found[1].summary, found[1].metrics, *tables_of(found), sets(), tmp_path, ABOUT, {"synthetic": one})
    page = html.document_fromstring((tmp_path / "report.html").read_bytes())
    assert not list(page.iter("b", "img"))
    assert "46 % of a question's content words" in page.text_content()
    assert cells(page.find_class("documents")[0].find(".//table"))[1] == [
        "<b>a</b>.md",
        "2",
        "0.5000",
        "0.2500",
        "-0.2500",
    ]
    suspects = page.find_class("suspects")[0]
    assert "Judgements to check: 25" in suspects.text_content()
    assert "20 are shown, the others stand in diagnosis.json" in suspects.text_content()
    rows = cells(suspects.find(".//table"))
    assert len(rows) == 21
    assert rows[1][0].endswith("all systems put it first, nobody judged it")
    assert rows[1][1].startswith("p1: manual about topic1")
    assert rows[2][1:] == ["p2: manual about topic2 and other2 things", ""]


def test_without_a_diagnosis_there_is_no_section(tmp_path: Path, found: tuple[BaseEvaluation, TunedEvaluation]) -> None:
    write_page(found[1].summary, found[1].metrics, *tables_of(found), sets(), tmp_path, ABOUT)
    assert "What to look at" not in (tmp_path / "report.html").read_text("utf-8")


def test_texts_are_escaped_and_nothing_is_loaded(tmp_path: Path, found: tuple[BaseEvaluation, TunedEvaluation]) -> None:
    text = written(tmp_path, found)
    page = html.document_fromstring(text.encode())
    assert not list(page.iter("b", "i", "img", "link", "iframe", "object"))
    data, code = page.iter("script")
    assert code.text == script()
    assert re.search(r"sha256-[A-Za-z0-9+/]{43}=", script_hash())
    asked = [one["text"] for one in json.loads(data.text)["questions"]]
    assert EVIL.replace("\x00", "\ufffd").replace("\x1b", "\ufffd") in asked
    assert "<i>mini</i>" in page.text_content()
    links = [value for element in page.iter() for name, value in element.items() if name in ("src", "href")]
    assert links == []
    assert "url(" not in text
    assert "@import" not in text


def test_same_input_same_bytes(tmp_path: Path, found: tuple[BaseEvaluation, TunedEvaluation]) -> None:
    assert written(tmp_path / "one", found) == written(tmp_path / "two", found)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["report.html"]


def test_the_data_says_what_was_found(found: tuple[BaseEvaluation, TunedEvaluation]) -> None:
    data, left_out = question_data(sets(), *tables_of(found))
    assert left_out == []
    assert data["sets"] == ["synthetic", "gold"]
    assert data["systems"] == ["bm25", "base", "hybrid", "convex", "tuned", "hybrid_tuned", "convex_tuned"]
    assert data["names"] == [name_of(one) for one in data["systems"]]
    asked = {(row["set"], row["text"]): row for row in data["questions"]}
    row = asked[1, "where is topic5 explained"]
    assert row["ranks"][data["systems"].index("tuned")] == 1
    assert (row["before"] < 1, row["after"]) == (True, 1.0)
    assert data["passages"][row["relevant"][0]].startswith("p5: manual about topic5")
    assert row["tuned"][0] == row["relevant"][0]
    assert len(row["base"]) == len(row["tuned"]) == 10


def test_many_questions_and_long_passages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embed_pipeline.evaluation.question_rows.MOST_QUESTIONS", 10)
    monkeypatch.setattr("embed_pipeline.evaluation.question_rows.MOST_CHARACTERS", 500)
    one = [numbered_set(30, "gold")]
    before = evaluate_base(one, WordEncoder(["topic3"]), SETTINGS)
    data, left_out = question_data(one, *tables_of((before, evaluate_tuned(one, WordEncoder(), before, SETTINGS))))
    assert data["questions"][0]["text"] == "where is topic3 explained"  # it changed most
    assert len(data["questions"]) == 10
    assert sum(map(len, data["passages"])) <= 500
    assert left_out == [
        "Of 30 questions the 10 that changed most are shown.",
        "Not every passage found a place.",
    ]


in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


@pytest.fixture
def page(tmp_path: Path, found: tuple[BaseEvaluation, TunedEvaluation]) -> Iterator[Any]:
    written(tmp_path, found)
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1100, "height": 900})
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("dialog", lambda dialog: said.append(dialog.message))
        opened.on("request", lambda request: said.append(request.url) if "report.html" not in request.url else None)
        opened.goto((tmp_path / "report.html").as_uri())
        yield opened
        assert said == []


@in_a_browser
def test_searching_sorting_and_opening_questions(page: Any) -> None:
    rows = page.locator("#questions tbody tr.question")
    assert page.locator("#count").text_content() == "76 of 76 questions"
    assert page.locator("svg.systems-chart circle").count() == 14
    page.fill("#search", "TOPIC13")
    assert rows.count() == 2
    page.fill("#search", "")
    page.select_option("#change", "lost")
    assert {rows.nth(place).locator("button").text_content() for place in range(rows.count())} == {
        "where is topic13 explained"
    }
    page.select_option("#change", "")
    page.select_option("#set", label="gold questions")
    assert page.locator("#count").text_content() == "40 of 76 questions"
    page.click("th[data-key=text] button")
    texts = [rows.nth(place).locator("button").text_content() for place in range(rows.count())]
    assert texts == sorted(texts)
    page.click("th[data-key=text] button")
    assert rows.first.locator("button").text_content() == texts[-1]
    rows.first.locator("button").click()
    detail = page.locator("tr.detail")
    assert "The tuned model found" in detail.text_content()
    assert "BM25 and the tuned model fused by scores 1" in detail.text_content()
    heads = [head.strip() for head in page.locator("#questions th.rank").all_text_contents()]
    assert heads[0] == "BM25 alone" and heads[-1] == "BM25 and the tuned model fused by scores"
    assert detail.locator("li.right").count() >= 1
    rows.first.locator("button").click()
    assert detail.count() == 0


@in_a_browser
def test_hostile_text_is_text(page: Any) -> None:
    page.fill("#search", "alert(1)")
    page.locator("#questions tbody button").first.click()
    assert page.locator("#questions img").count() == 0
    assert "onerror=alert(2)" in page.locator("#questions tbody").text_content()


@in_a_browser
def test_on_a_phone_nothing_runs_out_of_the_page(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator("#questions tbody button").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360

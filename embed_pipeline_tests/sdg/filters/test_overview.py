"""What the web UI shows of the pairs."""

import dataclasses

import polars as pl
import pytest

from embed_pipeline import charts
from embed_pipeline.sdg.candidates import Hop
from embed_pipeline.sdg.filters.overview import MOST_BYTES, coverage, coverage_table, overview, sample_pairs, spread
from embed_pipeline.sdg.filters.select import REASONS, Selection, select_pairs
from embed_pipeline.settings import SdgSettings
from embed_pipeline_tests.sdg.filters.test_select import PASSAGES, TableEncoder
from embed_pipeline_tests.sdg.sample import candidate, documents_and_passages, table_of

JUDGED = dataclasses.replace(
    candidate("what warns of low gas", generator="llm/m"),
    answer="the alarm",
    relevance=9,
    accuracy=8,
    context_support=9,
    clarity=8,
    score=8.5,
    hops=(Hop("alarm.md#0", "Below 350 Pa the low alarm sounds."),),
)
POOR = dataclasses.replace(JUDGED, question="which pressure has a lung", score=5.0, accuracy=1, clarity=2)


def selection(*candidates, **values) -> Selection:
    return select_pairs(table_of(*candidates), PASSAGES, TableEncoder(), SdgSettings(**values))


def test_the_overview_of_judged_questions():
    shown = overview(selection(JUDGED, POOR, candidate("short")), PASSAGES)
    assert shown.summary == {
        "questions": 1,
        "imported_questions": 0,
        "rejected": 2,
        "passages_asked_about": 1,
        "passages_without_question": 2,
        "documents_without_question": 1,
        **{f"rejected_{reason}": int(reason in ("low_score", "too_short")) for reason in REASONS},
    }
    assert list(shown.charts) == [
        "funnel", "filters", "sources", "judge scores", "hop counts", "query types", "reasoning types", "complexity",
        "sample pairs", "coverage",
    ]  # fmt: skip
    assert all(len(text.encode()) <= charts.LARGEST_BYTES for text in shown.charts.values())
    assert "| low_score | 1 | 33.3 % | the judge's mean is below sdg.judge_threshold |" in shown.charts["filters"]
    sample = shown.charts["sample pairs"].splitlines()
    assert sample[0] == "**1. what warns of low gas**"
    assert sample[2] == (
        "- keyword, factual, complexity 2, llm/m; score 8.5 (relevance 9, accuracy 8, context&#95;support 9, clarity 8)"
    )
    assert sample[3:] == ["- answer: the alarm", "- passage alarm.md&#35;0: Below 350 Pa the low alarm sounds."]


def test_questions_are_counted_by_where_they_come_from():
    own = candidate("what warns of low gas", generator="imported")
    shown = overview(selection(own, candidate("what warns of low gas!"), candidate("short")), PASSAGES)
    assert shown.summary["imported_questions"] == 1
    lines = shown.charts["sources"].splitlines()
    assert lines[2:] == ["| imported | 1 | 1 | 100.0 % |", "| offline/test | 2 | 0 |  |"]


def test_without_a_judge_there_are_no_scores_to_show():
    shown = overview(selection(candidate("what warns of low gas")), PASSAGES)
    assert "judge scores" not in shown.charts
    assert "; not judged" in shown.charts["sample pairs"]


def test_nothing_at_all_can_be_shown():
    shown = overview(selection(), PASSAGES.clear())
    assert set(shown.summary.values()) == {0}
    assert shown.charts["sample pairs"] == "No pairs."
    assert shown.coverage.is_empty()
    assert overview(selection(), PASSAGES).summary["passages_without_question"] == 3


def test_every_reason_is_explained():
    table = overview(selection(), PASSAGES).charts["filters"]
    assert len(table.splitlines()) == 2 + 1 + len(REASONS) + 1
    assert all(f"| {reason} | 0 |  | {meaning} |" in table for reason, meaning in REASONS.items())


HOSTILE = "<img src=x onerror=alert(1)> ![x](http://e/x) | `a`"


def test_texts_are_shown_not_obeyed():
    bad = dataclasses.replace(
        candidate(HOSTILE, "bad|<b>.md#0"), answer=HOSTILE, hops=(Hop("bad|<b>.md#0", f"{HOSTILE}\n\n# big"),)
    )
    passages = documents_and_passages({"bad|<b>.md": [HOSTILE, "Nobody asks about this."]})[1]
    chosen = select_pairs(table_of(bad), passages, TableEncoder(), SdgSettings(max_overlap=1))
    shown = overview(chosen, passages).charts
    for name in ("sample pairs", "coverage"):
        assert not any(character in shown[name] for character in "<>`!")
    assert "| bad&#124;&#60;b&#62;.md | 1 | 2 | 1 |" in shown["coverage"]


def test_the_sample_takes_the_query_types_in_turn_and_is_the_same_every_time():
    rows = [{"question_id": f"{kind}{number}", "query_type": kind} for kind in "cab" for number in range(4)]
    found = [row["question_id"] for row in spread(rows[:-3], 6)]
    assert [name[0] for name in found] == ["a", "b", "c", "a", "c", "a"]
    assert [row["question_id"] for row in spread(rows[:-3][::-1], 6)] == found
    assert len(spread(rows, 50)) == 12


def test_a_sample_of_long_texts_stays_small():
    long = [
        dataclasses.replace(
            candidate(f"{number} " + "氦气是什么" * 70), answer="答" * 900, hops=(Hop("alarm.md#0", "据" * 900),) * 3
        )
        for number in range(20)
    ]
    sample = sample_pairs(table_of(*long))
    assert 0.8 * MOST_BYTES < len(sample.encode()) <= charts.LARGEST_BYTES
    assert "more pairs" in sample.splitlines()[-1]


def test_coverage_counts_near_duplicates_of_what_is_asked_about():
    texts = {"a.md": ["one", "two", "three"], "b.md": ["copy of one", "four"], "c.md": ["copy of one"]}
    passages = documents_and_passages(texts)[1]
    copies = pl.col("text").str.starts_with("copy")
    passages = passages.with_columns(group_id=pl.when(copies).then(pl.lit("a.md#0")).otherwise("passage_id"))
    pairs = table_of(candidate("first", "a.md#0"), candidate("second", "a.md#0", "b.md#1"))
    rows = coverage(passages, pairs).rows()
    assert rows == [("a.md", 3, 1, 2), ("b.md", 2, 2, 1), ("c.md", 1, 1, 0)]
    table = coverage_table(coverage(passages, pairs))
    assert table.startswith("4 of 6 passages are asked about")
    assert "1 of 3 documents have no question" in table
    assert table.splitlines()[-2:] == ["| a.md | 2 | 3 | 2 |", "| c.md | 0 | 1 | 0 |"]


@pytest.mark.parametrize(("documents", "shown"), [(49, 49), (50, 50), (51, 50)])
def test_the_coverage_table_is_cut(documents, shown):
    passages = documents_and_passages({f"{number:03}.md": ["text"] for number in range(documents)})[1]
    table = coverage_table(coverage(passages, table_of()))
    assert table.count("| 1 | 1 | 0 |") == shown
    assert ("and 1 more documents" in table) == (documents > shown)


def test_full_coverage_needs_no_table():
    passages = documents_and_passages({"a.md": ["one"]})[1]
    assert "|" not in coverage_table(coverage(passages, table_of(candidate("first", "a.md#0"))))

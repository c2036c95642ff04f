"""Won and lost questions, suspected judgements, documents that lost: on runs written by hand, and on real ones."""

import json

import polars as pl
import pytest

from embed_pipeline.evaluation.diagnosis import (
    changed_questions,
    diagnose,
    found_of,
    gains_of,
    lost_documents,
    suspected_labels,
)
from embed_pipeline.evaluation.diagnosis_rows import diagnosis_rows
from embed_pipeline.evaluation.evaluate import evaluate_base, evaluate_tuned
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=200)


def small(passages: dict[str, str], judged: dict[str, dict[str, int]]) -> RetrievalSet:
    return RetrievalSet("gold", passages, {query: f"question {query}" for query in judged}, judged)


def agreeing(run: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    return {"base": run, "bm25": run, "tuned": run}


def told(rows: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    return [(row["kind"], row["passage"], row["beside"]) for row in rows]


def test_questions_are_ordered_by_what_they_won_and_lost() -> None:
    test_set = small({"p": "text"}, {query: {"p": 1} for query in "abcd"})
    gains = {"a": (0.0, 0.5), "b": (0.2, 1.0), "c": (0.4, 0.4), "d": (1.0, 0.0)}
    won, lost = changed_questions(test_set, gains, {"base": {"d": ["p"]}, "tuned": {"d": ["x", "p"]}})
    assert [row["query"] for row in won] == ["b", "a"]
    assert lost == [
        {
            "query": "d",
            "text": "question d",
            "before": 1.0,
            "after": 0.0,
            "relevant": ["p"],
            "base": ["p"],
            "tuned": ["x", "p"],
        }
    ]
    assert [len(part) for part in changed_questions(test_set, gains, {}, most=1)] == [1, 1]


def test_a_passage_that_all_put_first_and_nobody_judged() -> None:
    test_set = small({"p": "one thing", "x": "quite another"}, {"q": {"p": 1}})
    assert told(suspected_labels(test_set, agreeing({"q": ["x", "p"]}))) == [("unjudged_first", "x", "p")]
    assert suspected_labels(test_set, agreeing({"q": ["p", "x"]})) == []
    disagree = agreeing({"q": ["x", "p"]}) | {"bm25": {"q": ["p", "x"]}}
    assert suspected_labels(test_set, disagree) == []
    assert suspected_labels(test_set, agreeing({"q": ["x", "p"]}) | {"bm25": {}}) == []  # BM25 found nothing for it


def test_a_copy_of_a_judged_passage_before_it() -> None:
    words = " ".join(f"word{i}" for i in range(20))
    test_set = small({"p": words, "x": f"{words} more", "y": "other"}, {"q": {"p": 1}})
    nothing_shared = {"q": ["y", "x", "p"]}
    found = agreeing({"q": ["p", "x"]}) | {"tuned": nothing_shared}
    assert told(suspected_labels(test_set, found)) == [("unjudged_copy", "x", "p")]
    assert suspected_labels(test_set, agreeing({"q": ["p", "x"]})) == []  # after it: no harm
    assert told(suspected_labels(test_set, agreeing({"q": ["x", "p"]}))) == [("unjudged_copy", "x", "p")]  # told once


def test_a_judged_passage_that_none_finds() -> None:
    passages = {f"p{i}": f"text{i}" for i in range(120)}
    test_set = small(passages, {"q": {"p0": 2, "p110": 1}})
    hundred = agreeing({"q": [f"p{i}" for i in range(100)]})
    assert told(suspected_labels(test_set, hundred)) == [("never_found", "p110", "p0")]
    found = hundred | {"bm25": {"q": ["p110"]}}
    assert suspected_labels(test_set, found) == []
    few = small({"p0": "a", "p1": "b"}, {"q": {"p1": 1}})
    assert suspected_labels(few, agreeing({"q": ["p1"]})) == []


def test_documents_lose_by_the_sum_over_their_questions() -> None:
    judged = {"a": {"d1#0001": 1}, "b": {"d1#0002": 1}, "c": {"d2#0001": 1}, "d": {"plain": 1}, "e": {"d3#0001": 1}}
    test_set = small({passage: "text" for one in judged.values() for passage in one}, judged)
    gains = {"a": (0.5, 0.2), "b": (0.5, 0.2), "c": (1.0, 0.6), "d": (0.4, 0.3), "e": (0.0, 1.0)}
    assert [(row["document"], row["questions"], row["delta"]) for row in lost_documents(test_set, gains)] == [
        ("d1", 2, pytest.approx(-0.3)),
        ("d2", 1, pytest.approx(-0.4)),
        ("plain", 1, pytest.approx(-0.1)),
    ]


def test_a_whole_evaluation_is_diagnosed() -> None:
    gold = numbered_set(40, "gold")
    wrong = {**gold.qrels, "q7": {"p8": 1}}  # a label error: every system finds p7
    sets = [
        RetrievalSet("gold", gold.passages, gold.queries, wrong),
        RetrievalSet("general", gold.passages, gold.queries, gold.qrels, kind="general"),
    ]
    seeing, blind = WordEncoder(), WordEncoder([f"topic{i}" for i in range(0, 40, 2)])
    before = evaluate_base(sets, blind, SETTINGS)
    after = evaluate_tuned(sets, seeing, before, SETTINGS)
    scores, runs = pl.concat([before.query_metrics, after.query_metrics]), pl.concat([before.runs, after.runs])
    found = diagnose(sets, scores, runs)
    assert list(found) == ["gold"]
    assert json.loads(json.dumps(found)) == found
    assert [row["text"] for row in found["gold"]["suspects"]] == ["where is topic7 explained"]
    assert [row["query"] for row in found["gold"]["lost"]] == ["q7"]
    assert found["gold"]["documents"] == []  # the other question of p8 won more
    assert {int(row["query"][1:]) % 2 for row in found["gold"]["won"]} == {0}
    first = found["gold"]["won"][0]
    assert first["tuned"][0] == first["relevant"][0] != first["base"][0]
    assert found["gold"]["overlap"] == pytest.approx(39 / 40)
    gains = gains_of(scores, sets[0])
    assert first["after"] - first["before"] == max(high - low for low, high in gains.values())
    assert set(found_of(runs, "gold")) == {"base", "bm25", "tuned"}
    (row,) = diagnosis_rows(sets, found)
    assert (row["name"], row["more"]) == ("gold", 0)
    assert row["suspects"][0]["passage"] == f"p7: {gold.passages['p7']}"
    assert row["suspects"][0]["beside"] == f"p8: {gold.passages['p8']}"

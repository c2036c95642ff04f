"""Queries of a log on which the systems differ."""

from embed_pipeline.evaluation.disputed import disputed_queries
from embed_pipeline.evaluation.query_log import QueryLog
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

ASKED_OF, SETTINGS = numbered_set(30), EvalSettings()


def test_those_on_which_they_differ_come_first_with_what_each_puts_first() -> None:
    log = QueryLog(["where is topic7 explained", "topic3", "unknown words"], 5, 9)
    found = disputed_queries(log, ASKED_OF, {"base": WordEncoder(["topic7"]), "tuned": WordEncoder()}, SETTINGS)
    assert (found["distinct"], found["looked_at"]) == (5, 3)
    by_query = {row["query"]: row for row in found["queries"]}
    assert by_query["topic3"]["first"] == {"base": "p3", "tuned": "p3", "bm25": "p3"}
    differs = by_query["where is topic7 explained"]
    assert differs["first"]["tuned"] == differs["first"]["bm25"] == "p7"
    assert differs["first"]["base"] != "p7"
    assert by_query["unknown words"]["first"]["bm25"] is None
    rates = [row["disagreement"] for row in found["queries"]]
    assert rates == sorted(rates, reverse=True)


def test_as_many_as_asked_for() -> None:
    log = QueryLog([f"topic{place}" for place in range(20)], 20, 20)
    assert len(disputed_queries(log, ASKED_OF, {"tuned": WordEncoder()}, SETTINGS, most=4)["queries"]) == 4

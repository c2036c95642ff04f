import asyncio
import copy
import json
import re
import time

import httpx
import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.content_cache import ContentCache
from embed_pipeline.errors import LLMAccessError, LLMUnavailableError
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.sdg import generate
from embed_pipeline.sdg.client import ChatClient
from embed_pipeline.sdg.generate import SET_ASIDE, generate_with_llm
from embed_pipeline.sdg.judge import judge_with_llm
from embed_pipeline.sdg.llm import write_questions
from embed_pipeline.settings import SdgSettings
from embed_pipeline_tests.sdg.chat_server import completion, ok, serving, status
from embed_pipeline_tests.sdg.sample import candidate, documents_and_passages, table_of

DOCUMENTS, PASSAGES = documents_and_passages(titles={"alarm.md": "Alarms"})
ALARM = {
    "question": "When does the gas\n warning of the common model go off?",
    "answer": "Below 350 Pa.",
    "query_type": "Multi-Hop",
    "reasoning_type": "causal",
    "complexity": 3,
    "hops": [
        {"passage": 1, "evidence": "420 Pa. Below  350 Pa", "summary": "limit"},
        {"passage": 2, "evidence": "one watch", "summary": ""},
    ],
}
SKEIN = {
    "question": "end of life of the tether",
    "answer": "1,500 credits.",
    "query_type": "keyword",
    "reasoning_type": "factual",
    "complexity": 2,
    "hops": [{"passage": 1, "evidence": "retired at 1,500 credits.", "summary": "retirement"}],
}
SCORES = {name: {"justification": "so", "score": 8} for name in ("relevance", "accuracy", "context_support", "clarity")}


def settings_of(url, max_questions=3200, **values):
    llm = {"base_url": url, "model": "writer", "judge_model": "judge", "max_attempts": 2, "concurrency": 2}
    llm.update(values.pop("llm", {}))
    return SdgSettings(llm=llm, max_questions=max_questions, **values)


def client_of(settings, tmp_path):
    return ChatClient(settings.llm, ContentCache(tmp_path / "cache.sqlite"), None, {}, backoff_seconds=0.01)


def author(_, body):
    """Writes one fitting question per document and judges everything at 8."""
    prompt = body["messages"][-1]["content"]
    if body["model"] == "judge":
        return ok(SCORES)
    return ok({"questions": [ALARM if "Merrin" in prompt else SKEIN]})


def generated(tmp_path, reply=author, documents=DOCUMENTS, passages=PASSAGES, **values):
    with serving(reply) as server:
        settings = settings_of(server.url, **values)
        return generate_with_llm(documents, passages, settings, client_of(settings, tmp_path)), server


def test_questions_become_candidates_with_verbatim_evidence(tmp_path):
    result, server = generated(tmp_path)
    assert tables.validate(tables.QaCandidates, result.candidates).equals(result.candidates)
    assert result.set_aside.is_empty()
    assert len(server.bodies) == 2
    rows = {row["answer"]: row for row in result.candidates.iter_rows(named=True)}
    row = rows["Below 350 Pa."]
    assert row["question"] == "When does the gas warning of the common model go off?"
    assert row["query_type"] == "multi_hop"
    assert row["passage_ids"] == ["alarm.md#0", "alarm.md#1"]
    assert row["hops"][0]["evidence"] == "420 Pa.\nBelow 350 Pa"
    assert row["generator"] == "llm/writer"
    assert row["score"] is None
    assert result.usage == {
        "requests": 2,
        "cached": 0,
        "prompt_tokens": 14,
        "completion_tokens": 6,
        "uncounted": 0,
    }


def test_the_prompt_shows_numbered_passages_and_the_settings(tmp_path):
    _, server = generated(tmp_path, min_questions_per_document=5, max_hops=2)
    prompt = next(text for text in server.prompts if "Merrin" in text)
    assert "[Alarms]" in prompt
    assert re.search(r"passage 1 >>>.*420 Pa.*passage 2 >>>.*loft warden", prompt, flags=re.DOTALL)
    assert "exactly 5 questions" in prompt
    assert "1 to 2 entries" in prompt
    assert server.bodies[0]["temperature"] == 0.6
    assert server.bodies[0]["response_format"]["json_schema"]["schema"]["additionalProperties"] is False


def changed(**values):
    return {**copy.deepcopy(ALARM), **values}


@pytest.mark.parametrize(
    ("question", "values", "reason"),
    [
        (changed(complexity=1), {}, "complexity 1 is below sdg.min_complexity 2"),
        (changed(hops=[]), {}, "0 hops are not within 1 to 3"),
        (changed(), {"max_hops": 1}, "2 hops are not within 1 to 1"),
        (changed(), {"min_hops": 3}, "2 hops are not within 3 to 3"),
        (changed(hops=[{"passage": 3, "evidence": "x", "summary": ""}]), {}, "cites passage 3 of 2"),
        (changed(hops=[{"passage": 0, "evidence": "x", "summary": ""}]), {}, "cites passage 0 of 2"),
        (changed(hops=[{"passage": 2, "evidence": "420 Pa.", "summary": ""}]), {}, "not stand in passage alarm.md#1"),
        (changed(hops=[{"passage": 1, "evidence": " ", "summary": ""}]), {}, "not stand in passage alarm.md#0"),
        (changed(question=" "), {}, "question or answer is empty"),
        (changed(answer=""), {}, "question or answer is empty"),
    ],
)
def test_a_question_that_breaks_the_rules_is_set_aside_alone(question, values, reason, tmp_path):
    def reply(_, body):
        return ok({"questions": [question] if "Merrin" in body["messages"][0]["content"] else [SKEIN]})

    result, _ = generated(tmp_path, reply, **values)
    row = result.set_aside.filter(pl.col("document").str.starts_with("alarm.md (passages 0-1)"))
    assert reason in row["reason"].item()
    kept = result.candidates["question"].to_list()
    assert kept == ([SKEIN["question"]] if "min_hops" not in values else [])


def test_a_document_without_a_usable_answer_is_set_aside_and_the_run_goes_on(tmp_path):
    said = []

    def reply(_, body):
        merrin = "Merrin" in body["messages"][0]["content"]
        return ok("", refusal="weapons") if merrin else ok({"questions": [SKEIN, SKEIN]})

    with reporting(LogReporter(said.append)):
        result, _ = generated(tmp_path, reply)
    assert result.set_aside.rows() == [("alarm.md (passages 0-1)", "the model refused: weapons")]
    assert result.set_aside.schema == SET_ASIDE
    assert result.candidates.height == 1
    assert any("1 set aside, for example alarm.md" in line for line in said)


def test_a_document_for_which_the_endpoint_fails_is_set_aside(tmp_path):
    def reply(_, body):
        return status(500, "boom") if "Merrin" in body["messages"][0]["content"] else ok({"questions": [SKEIN]})

    result, _ = generated(tmp_path, reply, llm={"concurrency": 1})
    assert result.candidates.height == 1
    assert "still fails after 2 attempts: 500: boom" in result.set_aside["reason"].item()


def test_an_endpoint_that_always_fails_stops_the_run(tmp_path):
    with pytest.raises(LLMUnavailableError, match="still fails after 2 attempts"):
        generated(tmp_path, [status(503)])


def test_a_failing_endpoint_is_noticed_although_other_documents_are_cached(tmp_path):
    generated(tmp_path, documents=DOCUMENTS.filter(pl.col("doc_id") == "skein.md"))
    with pytest.raises(LLMUnavailableError):
        generated(tmp_path, [status(503)])


def test_an_endpoint_that_dies_halfway_stops_the_run_soon_and_keeps_its_answers(tmp_path):
    documents, passages = documents_and_passages({f"d{number:02}.md": [f"Text {number}."] for number in range(30)})
    answer = ok({"questions": []})
    with serving(lambda number, _: answer if number < 10 else status(503)) as server:
        settings = settings_of(server.url, llm={"max_attempts": 1})
        with pytest.raises(LLMUnavailableError):
            generate_with_llm(documents, passages, settings, client_of(settings, tmp_path))
        assert len(server.bodies) < 20
    result, server = generated(tmp_path, [answer], documents, passages)
    assert len(server.bodies) == 20
    assert result.set_aside.is_empty()


def test_a_refused_key_stops_the_run_at_once(tmp_path):
    documents, passages = documents_and_passages({f"d{number:02}.md": [f"Text {number}."] for number in range(30)})
    with serving([status(401)]) as server:
        settings = settings_of(server.url)
        with pytest.raises(LLMAccessError):
            generate_with_llm(documents, passages, settings, client_of(settings, tmp_path))
        assert len(server.bodies) <= 4


def test_no_more_requests_are_in_flight_than_set(tmp_path):
    documents, passages = documents_and_passages({f"d{number:02}.md": [f"Text {number}."] for number in range(12)})

    def reply(*_):
        time.sleep(0.05)
        return ok({"questions": []})

    _, server = generated(tmp_path, reply, documents, passages, llm={"concurrency": 3})
    assert 1 < server.most_in_flight <= 3


def test_a_long_document_is_cut_into_even_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "WINDOW_TOKENS", 30)
    texts = [f"Passage number {number} has exactly ten words in it, really." for number in range(7)]
    documents, passages = documents_and_passages({"long.md": texts, "none.md": ["x"]})

    def reply(_, body):
        first = re.search(r"passage 1 >>>\n(.*)", body["messages"][0]["content"]).group(1)
        hop = {"passage": 1, "evidence": first, "summary": ""}
        return ok({"questions": [{**SKEIN, "question": f"about {first}", "hops": [hop]}]})

    result, server = generated(tmp_path, reply, documents.filter(pl.col("doc_id") == "long.md"), passages)
    sizes = sorted(len(re.findall(r"passage \d+ >>>\nPassage number", prompt)) for prompt in server.prompts)
    assert sizes == [2, 2, 3]
    assert result.candidates.height == 3
    assert all(row["passage_ids"][0].startswith("long.md#") for row in result.candidates.iter_rows(named=True))


def test_near_duplicate_passages_are_shown_once(tmp_path):
    copied = PASSAGES.with_columns(
        group_id=pl.when(pl.col("doc_id") == "skein.md").then(pl.lit("alarm.md#0")).otherwise(pl.col("group_id"))
    )
    result, server = generated(tmp_path, passages=copied)
    assert len(server.bodies) == 1
    assert set(result.candidates["doc_ids"].explode()) == {"alarm.md"}


def test_two_runs_give_the_same_table_whatever_the_order_of_answers(tmp_path):
    one, _ = generated(tmp_path / "one", llm={"concurrency": 1})
    two, _ = generated(tmp_path / "two", documents=DOCUMENTS.reverse(), passages=PASSAGES.reverse())
    assert one.candidates.equals(two.candidates)


def test_no_documents(tmp_path):
    result, server = generated(tmp_path, documents=DOCUMENTS.clear(), passages=PASSAGES.clear())
    assert result.candidates.is_empty()
    assert result.set_aside.is_empty()
    assert not server.bodies


def test_it_also_runs_inside_a_running_event_loop(tmp_path):
    async def notebook():
        return generated(tmp_path)[0]

    assert asyncio.run(notebook()).candidates.height == 2


# -- judging -------------------------------------------------------------------------------------------


def judged(tmp_path, reply, *candidates):
    with serving(reply) as server:
        settings = settings_of(server.url)
        frame = table_of(*candidates)
        return judge_with_llm(frame, PASSAGES, settings, client_of(settings, tmp_path)), server


def test_the_score_is_the_mean_of_the_four(tmp_path):
    scores = {**SCORES, "clarity": {"justification": "unclear", "score": 5}}
    frame, server = judged(tmp_path, [ok(scores)], candidate("why?", "skein.md#0", "alarm.md#1"))
    row = frame.row(0, named=True)
    assert [row[name] for name in ("relevance", "accuracy", "context_support", "clarity")] == [8, 8, 8, 5]
    assert row["score"] == 7.25
    assert server.bodies[0]["model"] == "judge"
    prompt = server.prompts[0]
    assert re.search(r"passage 1 >>>\nA skein.*passage 2 >>>\n\[Alarms\]\nThe loft.*why\?", prompt, flags=re.DOTALL)
    assert all(f"\n{name}: " in prompt for name in SCORES)


@pytest.mark.parametrize("score", [0, 11, 7.5, "good"])
def test_scores_off_the_scale_leave_the_question_unjudged(score, tmp_path):
    scores = {**SCORES, "accuracy": {"justification": "so", "score": score}}
    good = {"scores": SCORES}

    def reply(_, body):
        return ok(scores if "first one" in body["messages"][0]["content"] else good["scores"])

    frame, server = judged(tmp_path, reply, candidate("first one"), candidate("second one"))
    assert dict(frame.select("question", "score").iter_rows()) == {"first one": None, "second one": 8.0}
    assert len(server.bodies) == 3


def test_judging_changes_nothing_but_the_scores(tmp_path):
    asked = [candidate(f"question {number}") for number in range(5)]
    frame, _ = judged(tmp_path, [ok(SCORES)], *asked)
    names = ["relevance", "accuracy", "context_support", "clarity", "score"]
    assert frame.drop(names).equals(table_of(*asked).drop(names))


def test_nothing_to_judge(tmp_path):
    frame, server = judged(tmp_path, [ok(SCORES)])
    assert frame.is_empty()
    assert not server.bodies


# -- both --------------------------------------------------------------------------------------------


def test_a_second_run_makes_no_call(tmp_path):
    cache = ContentCache(tmp_path / "cache.sqlite")
    with serving(author) as server:
        settings = settings_of(server.url)
        first = write_questions(DOCUMENTS, PASSAGES, settings, cache, environment={})
        assert len(server.bodies) == 4
        second = write_questions(DOCUMENTS, PASSAGES, settings, cache, environment={})
        assert len(server.bodies) == 4
    assert first.candidates.equals(second.candidates)
    assert first.candidates["score"].to_list() == [8.0, 8.0]
    assert (first.usage["requests"], second.usage["requests"], second.usage["cached"]) == (4, 0, 4)


def test_one_more_document_costs_its_own_calls_only(tmp_path):
    cache = ContentCache(tmp_path / "cache.sqlite")
    calls = []

    def answer(request):
        body = json.loads(request.content)
        calls.append(body["model"])
        content = SCORES
        if body["model"] == "writer":
            content = {"questions": [ALARM if "Merrin" in body["messages"][0]["content"] else SKEIN]}
        return httpx.Response(200, json=completion(json.dumps(content)))

    settings = settings_of("http://127.0.0.1:9/v1")
    transport = httpx.MockTransport(answer)
    less = DOCUMENTS.filter(pl.col("doc_id") == "alarm.md")
    write_questions(less, PASSAGES, settings, cache, transport, {})
    assert sorted(calls) == ["judge", "writer"]
    write_questions(DOCUMENTS, PASSAGES, settings, cache, transport, {})
    assert sorted(calls) == ["judge", "judge", "writer", "writer"]

import copy
import re

import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.llm.engines import open_client
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.sdg.generation.artifacts import KINDS, extract_artifacts
from embed_pipeline.sdg.generation.questions import generate_questions, stored_questions
from embed_pipeline.sdg.generation.windows import Window, document_windows, shown_passages
from embed_pipeline.settings import SdgSettings
from embed_pipeline_tests.llm.chat_server import ok, serving, status
from embed_pipeline_tests.sdg.sample import documents_and_passages

_, PASSAGES = documents_and_passages(titles={"alarm.md": "Alarms"})
DOC_OF = dict(PASSAGES.select("passage_id", "doc_id").iter_rows())
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


def author(_, body):
    return ok({"questions": [ALARM if "Merrin" in body["messages"][0]["content"] else SKEIN]})


def generated(tmp_path, reply=author, windows=None, before=None, **values):
    """(what was written, server); ``before`` is run with (windows, total, settings, client) first."""
    with serving(reply) as server:
        llm = {"base_url": server.url, "model": "writer", "max_attempts": 2, "concurrency": 2, **values.pop("llm", {})}
        settings = SdgSettings(llm=llm, **values)
        shown = list(windows or document_windows(shown_passages(PASSAGES, 2000), settings))
        store = ResponseStore(tmp_path / "responses.sqlite")
        client, _ = open_client(settings, store, "run", environment={})
        if before:
            before(lambda: shown, len(shown), settings, client)
        written = generate_questions(lambda: shown, len(shown), DOC_OF, settings, client)
        again = [outcome is not None for _, outcome in stored_questions(lambda: shown, settings, client)]
        assert all(again) or written.set_aside
        store.close()
        return written, server


def test_questions_become_candidates_with_verbatim_evidence(tmp_path):
    written, server = generated(tmp_path)
    candidates = written.candidates
    assert tables.validate(tables.QaCandidates, candidates).equals(candidates)
    assert written.set_aside == []
    assert len(server.bodies) == 2
    rows = {row["answer"]: row for row in candidates.iter_rows(named=True)}
    row = rows["Below 350 Pa."]
    assert row["question"] == "When does the gas warning of the common model go off?"
    assert row["query_type"] == "multi_hop"
    assert row["passage_ids"] == ["alarm.md#0", "alarm.md#1"]
    assert row["hops"][0]["evidence"] == "420 Pa.\nBelow 350 Pa"
    assert row["generator"] == "llm/writer"
    assert row["score"] is None


def test_the_prompt_shows_numbered_passages_and_the_settings(tmp_path):
    _, server = generated(tmp_path, min_questions_per_document=5, max_hops=2, query_mix={"keyword": 0, "paraphrase": 0})
    prompt = next(text for text in server.prompts if "Merrin" in text)
    assert "[Alarms]" in prompt
    assert re.search(r"passage 1 >>>.*420 Pa.*passage 2 >>>.*loft warden", prompt, flags=re.DOTALL)
    assert "exactly 5 questions" in prompt
    assert "1 to 2 entries" in prompt
    counts = dict(re.findall(r"- (\d+) × (\w+):", prompt))
    assert sum(map(int, counts)) >= 1
    assert "keyword:" not in prompt.split("Rules:")[0]
    assert "of document" not in prompt
    assert server.bodies[0]["response_format"]["json_schema"]["schema"]["additionalProperties"] is False


def test_documents_of_a_bundle_are_told_apart(tmp_path):
    bundle = Window("bundle", PASSAGES.to_dicts(), 3)
    _, server = generated(tmp_path, [ok({"questions": []})], [bundle])
    (prompt,) = server.prompts
    assert "passage 2 of document 1 >>>" in prompt and "passage 3 of document 2 >>>" in prompt
    assert "2 related documents" in prompt
    assert "- 3 × multi_hop" in prompt and "in different documents" in prompt


def test_notes_of_step_one_are_shown_as_data(tmp_path):
    note = {"text": "the low\nalarm", "description": "sounds below 350 Pa", "importance": "safety"}
    notes = {kind: [note] * 3 if kind == "entities" else [] for kind in KINDS}

    def reply(number, body):
        name = body["response_format"]["json_schema"]["name"]
        return ok(notes) if name == "ArtifactsAnswer" else author(number, body)

    def before(*arguments):
        assert [len(found) for _, found, _ in extract_artifacts(*arguments)] == [2, 2]

    written, server = generated(tmp_path, reply, before=before)
    assert written.candidates.height == 2
    asked = [prompt for prompt in server.prompts if "Write exactly" in prompt]
    for prompt in asked:
        (inside,) = re.findall(r"<<< (DATA-\w+) notes >>>\n(.*?)<<< \1 end of notes >>>", prompt, re.DOTALL)
        assert inside[1].count("- entities: the low alarm – sounds below 350 Pa") == 2
    assert all("Note at most 2 artifacts" in prompt for prompt in server.prompts if prompt not in asked)


def test_without_notes_the_questions_are_asked_all_the_same(tmp_path):
    def reply(number, body):
        name = body["response_format"]["json_schema"]["name"]
        return ok("", refusal="no") if name == "ArtifactsAnswer" else author(number, body)

    def before(*arguments):
        assert all("refused" in reason for _, _, reason in extract_artifacts(*arguments))

    written, _ = generated(tmp_path, reply, before=before)
    assert written.candidates.height == 2


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
        (changed(hops=[{"passage": 1, "evidence": "is", "summary": ""}]), {}, "'is' is too short"),
        (changed(question=" "), {}, "question or answer is empty"),
        (changed(answer=""), {}, "question or answer is empty"),
    ],
)
def test_a_question_that_breaks_the_rules_is_set_aside_alone(question, values, reason, tmp_path):
    def reply(_, body):
        return ok({"questions": [question] if "Merrin" in body["messages"][0]["content"] else [SKEIN]})

    written, _ = generated(tmp_path, reply, **values)
    said = [why for step, record, why in written.set_aside if record.startswith("alarm.md (passages 0-1)")]
    assert len(said) == 1 and reason in said[0]
    kept = written.candidates["question"].to_list()
    assert kept == ([SKEIN["question"]] if "min_hops" not in values else [])


def test_multi_hop_with_one_hop_is_contextual(tmp_path):
    single = {**SKEIN, "query_type": "multi_hop"}
    written, _ = generated(tmp_path, lambda _, body: ok({"questions": [] if "Merrin" in str(body) else [single]}))
    assert written.candidates["query_type"].to_list() == ["contextual"]


def test_no_window_gives_more_questions_than_asked_for(tmp_path):
    flood = [{**SKEIN, "question": f"question {number} of a flood"} for number in range(50)]
    written, _ = generated(tmp_path, lambda _, body: ok({"questions": [] if "Merrin" in str(body) else flood}))
    assert written.candidates.height == 2
    assert sum("more than the 2 questions asked for" in why for *_, why in written.set_aside) == 48


def test_a_document_without_a_usable_answer_is_set_aside_and_the_run_goes_on(tmp_path):
    def reply(_, body):
        merrin = "Merrin" in body["messages"][0]["content"]
        return ok("", refusal="weapons") if merrin else ok({"questions": [SKEIN, SKEIN]})

    written, _ = generated(tmp_path, reply)
    assert written.set_aside == [("write questions", "alarm.md (passages 0-1)", "the model refused: weapons")]
    assert written.candidates.height == 1


def test_a_document_for_which_the_endpoint_fails_is_set_aside(tmp_path):
    def reply(_, body):
        return status(500, "boom") if "Merrin" in body["messages"][0]["content"] else ok({"questions": [SKEIN]})

    written, _ = generated(tmp_path, reply, llm={"concurrency": 1})
    assert written.candidates.height == 1
    assert "500: boom" in written.set_aside[0][2]


def test_the_same_question_from_two_windows_is_one_candidate(tmp_path):
    rows = PASSAGES.filter(pl.col("doc_id") == "skein.md").to_dicts()
    written, _ = generated(tmp_path, windows=[Window("a", rows, 2), Window("b", rows, 2)])
    assert written.candidates.height == 1

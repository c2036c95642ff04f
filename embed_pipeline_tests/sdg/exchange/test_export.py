import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embed_pipeline.errors import StageError
from embed_pipeline.records import QUERY_TYPES, REASONING_TYPES
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame
from embed_pipeline.sdg.exchange.export import export_records
from embed_pipeline.sdg.exchange.read import read_questions
from embed_pipeline_tests.sdg.sample import TEXTS, candidate, documents_and_passages, table_of

DOCUMENTS, PASSAGES = documents_and_passages()
DOC_OF = dict(PASSAGES.select("passage_id", "doc_id").iter_rows())
TEXT_OF = dict(PASSAGES.select("passage_id", "text").iter_rows())


def exported(tmp_path, *candidates):
    path = export_records(table_of(*candidates), DOCUMENTS, PASSAGES, tmp_path / "out")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def judged(question, *passage_ids, score=8.0):
    return candidate(question, *passage_ids, generator="llm/m", score=score)


def test_a_record_has_the_fields_of_the_recipe(tmp_path):
    first, second, bundle = exported(
        tmp_path, judged("Who answers?", "alarm.md#1"), judged("Which alarm?", "alarm.md#1", "skein.md#0")
    )
    assert first["file_name"] == first["bundle_members"] == ["alarm.md"]
    assert (first["source_id"], first["bundle_id"], first["is_multi_doc"]) == ("alarm.md", "", False)
    assert first["text"] == DOCUMENTS["text"][0]
    assert first["chunks"][1] == {
        "text": TEXTS["alarm.md"][1],
        "start": 16,
        "end": 25,
        "sentence_count": 1,
        "word_count": 9,
        "chunk_id": 2,
        "doc_chunk_index": 2,
        "doc_id": "alarm.md",
        "doc_path": "alarm.md",
    }
    assert first["sections_structured"][0].startswith(
        "=== Section 1 ===\nSegment 1 [Doc: alarm.md] (00:00:00 - 00:00:00): The lung pressure"
    )
    assert second["deduplicated_qa_pairs"] == second["qa_evaluations"]["evaluations"] == []
    assert bundle["file_name"] == ["alarm.md", "skein.md"]
    assert bundle["is_multi_doc"]
    assert bundle["bundle_id"].startswith(bundle["source_id"])
    assert len(bundle["source_id"]) == 16
    assert [chunk["chunk_id"] for chunk in bundle["chunks"]] == [1, 2, 3]
    (pair,) = bundle["deduplicated_qa_pairs"]
    assert pair["segment_ids"] == [2, 3]
    assert [hop["segment_ids"] for hop in pair["hop_contexts"]] == [[2], [3]]
    assert bundle["qa_generation"]["pairs"] == [pair]


def test_judgements(tmp_path):
    one = replace(judged("Who?", score=8.25), relevance=9.0, clarity=7.5)
    said = "relevance 9: Good; very good; clarity 7.5: So: so; fine"
    frame = table_of(one).with_columns(judgement=pl.lit(said))
    path = export_records(frame, DOCUMENTS, PASSAGES, tmp_path)
    evaluation = json.loads(path.read_text("utf-8").splitlines()[0])["qa_evaluations"]["evaluations"][0]
    assert evaluation["relevance"] == {"score": 9, "justification": "Good; very good"}
    assert evaluation["clarity"] == {"score": 7.5, "justification": "So: so; fine"}
    assert evaluation["overall"] == {"score": 8.25, "assessment": said}
    assert read_questions(path, PASSAGES, DOCUMENTS).candidates["judgement"].item() == said


def test_the_recipe_counts_an_unjudged_question_as_zero(tmp_path):
    (first, _) = exported(tmp_path, candidate("Who?"))
    (evaluation,) = first["qa_evaluations"]["evaluations"]
    assert evaluation.get("overall", {}).get("score", 0) == 0


def test_the_result_file_names_the_records(tmp_path):
    path = export_records(table_of(judged("Who?")), DOCUMENTS, PASSAGES, tmp_path, name="mine")
    result = json.loads((tmp_path / "generation_result.json").read_text())
    assert result == {"schema_version": 1, "dataset_name": "mine", "output_path": "mine.jsonl"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["generation_result.json", "mine.jsonl"]
    assert read_questions(tmp_path, PASSAGES, DOCUMENTS).candidates.height == 1
    assert path == tmp_path / "mine.jsonl"


def test_equal_bytes_whatever_the_order_of_the_rows(tmp_path):
    frame = table_of(*(judged(f"Question {number}?", "skein.md#0") for number in range(9)))
    shuffled = [frame.sample(fraction=1, shuffle=True, seed=seed) for seed in (1, 2)]
    paths = [
        export_records(rows, DOCUMENTS.reverse(), PASSAGES, tmp_path / str(number))
        for number, rows in enumerate(shuffled)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_failure_leaves_what_was_there(tmp_path):
    export_records(table_of(judged("Who?")), DOCUMENTS, PASSAGES, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(StageError, match=r"cites passage alarm\.md#9, which the passages table lacks"):
        export_records(table_of(judged("Lost?", "alarm.md#9")), DOCUMENTS, PASSAGES, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def evidence_of(passage_id):
    text = TEXT_OF[passage_id]
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    return ends.map(lambda span: text[slice(*span)])


HOPS = st.sampled_from(sorted(DOC_OF)).flatmap(
    lambda passage_id: st.builds(
        Hop, st.just(passage_id), evidence_of(passage_id), st.sampled_from(["", "why it counts", "größer als 5"])
    )
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)
SCORE = st.floats(0, 10).map(lambda score: round(score, 6))


@st.composite
def candidates(draw):
    generator = draw(st.sampled_from(["llm/some model", "offline/test", "imported"]))
    score = draw(SCORE if generator.startswith("llm/") else st.none() | SCORE)
    return Candidate(
        question=draw(TEXT).strip(),
        answer=draw(TEXT).strip(),
        query_type=draw(st.sampled_from(QUERY_TYPES)),
        reasoning_type=draw(st.sampled_from(REASONING_TYPES)),
        complexity=draw(st.integers(1, 5)),
        hops=tuple(draw(st.lists(HOPS, min_size=1, max_size=4, unique=True))),
        mask_evidence=draw(st.booleans()),
        generator=generator,
        relevance=draw(st.none() | SCORE),
        clarity=draw(st.none() | SCORE),
        score=score,
        closed_book=draw(st.none() | st.booleans()),
        own_id=draw(st.none() | st.uuids().map(str)),
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(candidates(), min_size=1, max_size=8))
def test_what_is_exported_comes_back(tmp_path: Path, given_candidates):
    frame = candidates_frame(given_candidates, DOC_OF)
    path = export_records(frame, DOCUMENTS, PASSAGES, tmp_path)
    back = read_questions(path, PASSAGES, DOCUMENTS)
    assert back.set_aside.is_empty()
    assert back.candidates.drop("judgement").equals(frame.drop("judgement"))

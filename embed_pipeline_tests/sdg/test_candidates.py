import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline import tables
from embed_pipeline.errors import StageError
from embed_pipeline.sdg.candidates import Hop, candidates_frame, question_id
from embed_pipeline_tests.sdg.sample import candidate, table_of

IDS = st.sampled_from(["a#0", "a#1", "b#0", "c#0"])
CANDIDATES = st.lists(
    st.builds(lambda question, ids: candidate(question, *ids), st.text("xyz", min_size=1), st.lists(IDS, min_size=1))
)


def test_the_id_depends_on_question_and_passages_and_nothing_else():
    known = question_id("Why?", ["a#0", "a#1"])
    assert re.fullmatch("q[0-9a-f]{16}", known)
    assert known == question_id("Why?", ("a#0", "a#1"))
    others = [question_id("Why", ["a#0", "a#1"]), question_id("Why?", ["a#1", "a#0"]), question_id("Why?", ["a#0a#1"])]
    assert known not in others


def test_a_row_names_each_passage_and_document_once_and_every_hop():
    one = dataclasses.replace(
        candidate("Why?"), hops=(Hop("b#1", "x"), Hop("a#0", "y", "s"), Hop("b#1", "z")), score=7.12345678
    )
    row = table_of(one).row(0, named=True)
    assert row["passage_ids"] == ["b#1", "a#0"]
    assert row["doc_ids"] == ["b", "a"]
    assert row["hop_count"] == 3
    assert row["hops"][1] == {"hop_number": 2, "passage_id": "a#0", "evidence": "y", "summary": "s"}
    assert row["score"] == 7.123457


def test_the_first_of_two_equal_questions_is_kept():
    first, second = (dataclasses.replace(candidate("Why?"), answer=answer) for answer in ("one", "two"))
    assert table_of(first, second)["answer"].to_list() == ["one"]


def test_an_imported_question_keeps_its_id():
    assert table_of(candidate("Why?", own_id="mine"))["question_id"].to_list() == ["mine"]


@pytest.mark.parametrize("hops", [(), (Hop("nowhere", ""),)])
def test_a_question_without_a_known_passage_is_an_error(hops):
    with pytest.raises(StageError, match=r"cites"):
        candidates_frame([dataclasses.replace(candidate("Why?"), hops=hops)], {"a#0": "a"})


@given(CANDIDATES)
@settings(deadline=None, max_examples=30)
def test_the_table_is_valid_sorted_and_free_of_duplicates(candidates):
    frame = table_of(*candidates)
    assert tables.validate(tables.QaCandidates, frame).equals(frame)
    assert frame["question_id"].to_list() == sorted(set(frame["question_id"]))
    assert set(frame["question"]) == {one.question for one in candidates}


@settings(max_examples=20)
@given(CANDIDATES, st.integers(1, 5))
def test_the_table_does_not_depend_on_how_many_are_taken_in_at_once(candidates, size):
    doc_of = {name: name[0] for name in ("a#0", "a#1", "b#0", "c#0")}
    whole = candidates_frame(candidates, doc_of)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("embed_pipeline.sdg.candidates.ROWS_AT_ONCE", size)
        assert candidates_frame(iter(candidates), doc_of).equals(whole)

"""Judgements are kept, whoever else judges, and a gold set is read from them."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.judged import JudgedQuestions, what_became
from embed_pipeline.files import sha256_text, write_jsonl, write_text
from embed_pipeline.formats.beir import read_retrieval_set

PASSAGES = {"a.md#0000": "lions", "a.md#0001": "rivers", "b.md#0000": "lamps"}


@pytest.fixture
def judged(tmp_path: Path) -> JudgedQuestions:
    return JudgedQuestions(tmp_path)


def gold(judged: JudgedQuestions):
    return read_retrieval_set(judged.folder, "test", "gold", PASSAGES)


def test_what_is_judged_is_a_gold_set(judged):
    judged.judge("where are  lions?", "a.md#0000", 2, sha256_text("lions"))
    judged.judge("where are lions? ", "b.md#0000", 0)
    judged.judge("rivers", "a.md#0001", 1)
    judged.judge("nothing fits", "a.md#0001", 0)
    found = gold(judged)
    assert sorted(found.queries.values()) == ["rivers", "where are lions?"]
    by_text = {found.queries[query]: dict(relevant) for query, relevant in found.qrels.items()}
    assert by_text == {"where are lions?": {"a.md#0000": 2}, "rivers": {"a.md#0001": 1}}
    assert [one.counts for one in judged.all()] == [True, True, False]
    assert not any(found.query_slices.values())


def test_a_judgement_can_be_changed_and_taken_back(judged):
    assert judged.judge("lions", "a.md#0000", 1) is None
    assert judged.judge("lions", "a.md#0000", 2) == 1
    assert judged.judge("lions", "a.md#0000", None) == 2
    assert judged.all() == []
    assert judged.judge("lions", "a.md#0000", None) is None


def test_a_question_can_be_removed(judged):
    judged.judge("lions", "a.md#0000", 1)
    judged.judge("lamps", "b.md#0000", 1)
    (lions, lamps) = judged.all()
    assert judged.remove(lions.query_id) == lions
    assert judged.remove(lions.query_id) is None
    assert judged.all() == [lamps]
    assert list(gold(judged).queries.values()) == ["lamps"]


@pytest.mark.parametrize(
    ("query", "passage", "score", "text"),
    [("", "a", 1, ""), (" \x00 ", "a", 1, ""), ("q" * 20_001, "a", 1, ""), ("q", " ", 1, ""), ("q", "a", 3, ""),
     ("q", "a", -1, ""), ("q", "a", 1, "not a hash")],
)  # fmt: skip
def test_what_is_no_judgement_is_refused_and_writes_nothing(judged, query, passage, score, text):
    with pytest.raises(InputError):
        judged.judge(query, passage, score, text)
    assert not judged.folder.exists()


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda text: text.strip()), st.sampled_from([0, 1, 2]), min_size=1, max_size=4
    ),
    st.text(min_size=1),
)
def test_any_query_and_any_id_come_back(tmp_path_factory, scores, query):
    judged = JudgedQuestions(tmp_path_factory.mktemp("judged"))
    try:
        for passage, score in scores.items():
            judged.judge(query, passage, score)
    except InputError:
        return  # nothing of the query can be read, or half a character is in the id
    (found,) = judged.all()
    assert found.scores == scores


def test_threads_side_by_side_lose_nothing(judged):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: judged.judge(f"question {number % 10}", f"p{number}", number % 3), range(60)))
    assert sum(len(one.scores) for one in judged.all()) == 60


def _judge(home: str, who: int) -> None:
    judged = JudgedQuestions(Path(home))
    for number in range(15):
        judged.judge(f"question {number}", f"by-{who}", 1)


def test_processes_side_by_side_lose_nothing(judged, tmp_path):
    context = get_context("spawn")
    people = [context.Process(target=_judge, args=(str(tmp_path), who)) for who in range(3)]
    for one in people:
        one.start()
    for one in people:
        one.join(60)
    assert sorted(len(one.scores) for one in judged.all()) == [3] * 15


def test_a_stop_at_any_write_leaves_a_gold_set_that_can_be_read(judged, monkeypatch):
    """Also a removal: judgements never name a question that is not there."""
    from embed_pipeline.evaluation import judged as module

    judged.judge("lions", "a.md#0000", 1)
    judged.judge("lamps", "b.md#0000", 1)
    for survive in range(4):
        left = [survive]

        def counted(write, left=left):
            def wrapped(*arguments):
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
                return write(*arguments)

            return wrapped

        with monkeypatch.context() as patched:
            patched.setattr(module, "write_jsonl", counted(write_jsonl))
            patched.setattr(module, "write_text", counted(write_text))
            for change in (
                lambda: judged.judge("rivers", "a.md#0001", 1),
                lambda: judged.remove(judged.all()[0].query_id),
            ):
                with contextlib.suppress(KeyboardInterrupt):
                    change()
                assert set(gold(judged).queries.values()) <= {"lions", "lamps", "rivers"}
        judged.judge("lions", "a.md#0000", 1)


def test_a_file_changed_by_hand_is_told_by_its_line(judged):
    judged.judge("lions", "a.md#0000", 1)
    with (judged.folder / "queries.jsonl").open("a") as file:
        file.write("no json\n")
    with pytest.raises(InputError, match=r"queries\.jsonl, line 2"):
        judged.all()
    (judged.folder / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": "mine"}) + "\n")
    assert [one.text for one in judged.all()] == ["mine"]


def test_what_becomes_of_judged_passages():
    now = {"a": sha256_text("lions"), "b": sha256_text("lamps"), "c": sha256_text("rivers")}
    places = {digest: passage for passage, digest in now.items()}
    for judged, text, expected in (
        ("a", "lions", ("same", "a")),
        ("b", "rivers", ("moved", "c")),
        ("gone", "rivers", ("moved", "c")),
        ("b", "tables", ("changed", "b")),
        ("gone", "tables", ("gone", "gone")),
    ):
        assert what_became(judged, sha256_text(text), now, places) == expected
    assert what_became("a", "", now, places) == ("same", "a")
    assert what_became("gone", "", now, places) == ("gone", "gone")

"""Questions of training data, whatever its format."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.formats.training_files import document_id
from embed_pipeline.formats.training_questions import GivenQuestion, given_texts, joined, read_given_questions
from embed_pipeline_tests.formats.training_data import FORMS, QUESTIONS, TEXTS, jsonl, recipe


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_questions(form, tmp_path):
    file = FORMS[form](tmp_path)
    read = read_given_questions([file])
    name_of = {document_id(text): name for name, text in TEXTS.items()}
    assert [
        (one.question, [name_of[part] for part in one.positives], [name_of[part] for part in one.negatives])
        for one in read.questions
    ] == [(question, positives, negatives) for question, positives, negatives in QUESTIONS.values()]
    assert read.texts == {document_id(text): text for text in TEXTS.values()}
    assert {one.doc_id: one.text for one in given_texts([file])} == read.texts
    own = [one.own_id for one in read.questions]
    assert own == (list(QUESTIONS) if form.startswith(("recipe", "automodel")) else [None, None])


def test_only_cited_texts_are_held_and_unknown_ids_are_missing(tmp_path):
    file = recipe(tmp_path)
    read = json.loads(file.read_text())
    read["data"] = [{**read["data"][0], "neg_doc": ["nowhere"]}]
    file.write_text(json.dumps(read))
    found = read_given_questions([file])
    assert list(found.texts.values()) == [TEXTS["low"]]
    assert found.questions[0].negatives == ("nowhere",)


def row(question, own_id, *positives, negatives=()):
    return GivenQuestion(question, own_id, positives, tuple(negatives), "here")


def test_unrolled_rows_are_joined_under_their_stem():
    rows = [row("a", "q1_0", "x", negatives="n"), row("b", "q2", "y"), row("a", "q1_1", "z", negatives="nm")]
    assert joined(rows) == [row("a", "q1", "x", "z", negatives="nm"), row("b", "q2", "y")]


def test_other_ids_of_one_question_give_the_first_and_a_taken_stem_is_left_alone():
    assert [one.own_id for one in joined([row("a", "q7", "x"), row("a", "q9", "y")])] == ["q7"]
    assert [one.own_id for one in joined([row("b", "q1", "w"), row("a", "q1_0", "x"), row("a", "q1_1", "y")])] == [
        "q1",
        "q1_0",
    ]


def test_an_id_of_two_questions_is_no_id():
    assert [one.own_id for one in joined([row("a", "1", "x"), row("b", "1", "y"), row("c", "2", "z")])] == [
        None,
        None,
        "2",
    ]


@given(st.dictionaries(st.text("qx_01", min_size=1, max_size=4), st.lists(st.integers(0, 9), min_size=1, unique=True)))
def test_joining_undoes_unrolling(questions):
    texts = {name: f"question {place}" for place, name in enumerate(questions)}
    whole = [row(texts[name], name, *map(str, positives)) for name, positives in questions.items()]
    taken = set(questions) | {f"{name}_{i}" for name, part in questions.items() for i in range(len(part))}
    unrolled = [
        row(one.question, one.own_id if len(one.positives) == 1 else f"{one.own_id}_{place}", positive)
        for one in whole
        for place, positive in enumerate(one.positives)
    ]
    back = joined(unrolled)
    assert [(one.question, one.positives) for one in back] == [(one.question, one.positives) for one in whole]
    ids = [one.own_id for one in back if one.own_id is not None]
    assert len(set(ids)) == len(ids)
    if len(taken) == len(questions) + sum(len(part) for part in questions.values()):  # no id is an unrolled one
        assert [one.own_id for one in back] == list(questions)


GOOD = {"query": "who", "pos": ["The warden."], "neg": ["Salt."]}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({**GOOD, "query": " "}, "there is no question; add it as question, query or anchor"),
        ({**GOOD, "pos": []}, "there is no positive"),
        ({**GOOD, "pos": [7]}, "must be a text, or an object with text, not 7"),
        ({**GOOD, "neg": [{"id": "d"}]}, "must be a text, or an object with text"),
        ({**GOOD, "id": {}}, "its id must be a text or a whole number"),
        ([GOOD], "must be a JSON object"),
    ],
)
def test_broken_rows_are_named_by_file_and_line(bad, says, tmp_path):
    path = jsonl(tmp_path / "train.jsonl", [GOOD, bad])
    with pytest.raises(InputError, match=rf"train\.jsonl, line 2: .*{says}"):
        read_given_questions([path])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"query": "a", "pos": ["b"]}\n{"query": \n', r"a\.jsonl, line 2: not valid JSON"),
        ("a.jsonl", b'{"query": "a", "pos": ["b"]}\n{"query": "\xff"}\n', r"a\.jsonl, line 2: not UTF-8"),
        ("a.json", b'[{"query": "a",\n "pos": ["b"]},\n oops]', r"a\.json: not valid JSON .*line 3"),
        ("a.json", b'{"data": [{"query": "a", "pos": ["b"]}, 3]}', r"a\.json, entry of data 2: must be a JSON object"),
    ],
)
def test_broken_files_are_named(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_given_questions([tmp_path / name])


def test_rows_of_the_recipe_are_named(tmp_path):
    file = recipe(tmp_path)
    read = json.loads(file.read_text())
    read["data"][1]["pos_doc"] = [{"text": "no id"}]
    file.write_text(json.dumps(read))
    with pytest.raises(InputError, match="entry of data 2: a document must be"):
        read_given_questions([file])


def test_damaged_parquet_is_named(tmp_path):
    path = tmp_path / "train.parquet"
    pl.DataFrame([GOOD]).write_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\0" * 40 + whole[44:])
    with pytest.raises(InputError, match=r"train\.parquet"):
        read_given_questions([path])

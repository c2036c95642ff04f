"""Training data with negatives as questions."""

import json

import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.errors import InputError
from embed_pipeline.formats.training_files import document_id
from embed_pipeline.sdg.exchange.read import import_fingerprint, read_questions
from embed_pipeline.settings import CorpusSettings
from embed_pipeline_tests.formats.training_data import FORMS, QUESTIONS, TEXTS, jsonl, recipe
from embed_pipeline_tests.sdg.sample import documents_and_passages

SETTINGS = CorpusSettings()


def own_corpus(root):
    documents = read_documents(root, scan_corpus(root, SETTINGS), SETTINGS).documents
    return chunk_documents(documents, lambda texts: [1] * len(texts), SETTINGS, uncut=True), documents


@pytest.mark.parametrize("form", FORMS)
def test_every_form_with_its_own_texts_as_corpus(form, tmp_path):
    FORMS[form](tmp_path)
    read = read_questions(tmp_path, *own_corpus(tmp_path))
    frame = read.candidates
    assert tables.validate(tables.QaCandidates, frame).equals(frame)
    assert read.set_aside.is_empty()
    assert set(frame["generator"]) == set(frame["query_type"]) == {"imported"}
    ids = {name: document_id(text) for name, text in TEXTS.items()}
    expected = {
        question: ([ids[name] for name in positives], [ids[name] for name in negatives])
        for question, positives, negatives in QUESTIONS.values()
    }
    assert {row["question"]: (row["passage_ids"], row["negative_ids"]) for row in frame.to_dicts()} == expected


def test_parts_are_read_together(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(2):
        row = {"query": f"which {number}", "positive": f"Text {number}.", "negative": "Other."}
        pl.DataFrame([row]).write_parquet(tmp_path / "data" / f"train-{number:05d}-of-00002.parquet")
    before = import_fingerprint(tmp_path)
    found = read_questions(tmp_path, *own_corpus(tmp_path)).candidates
    assert sorted(found["question"]) == ["which 0", "which 1"]
    assert import_fingerprint(tmp_path / "data") == before
    pl.DataFrame([row]).write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet")
    assert import_fingerprint(tmp_path) != before


def test_another_corpus_and_what_it_lacks(tmp_path):
    documents, passages = documents_and_passages()
    text_of = dict(passages.select("passage_id", "text").iter_rows())
    lost = "This text stands in no document of the corpus at all."
    path = jsonl(
        tmp_path / "train.jsonl",
        [
            {"id": "a", "query": "one", "pos": [text_of["alarm.md#1"], lost], "neg": [lost, text_of["skein.md#0"]]},
            {"id": "b", "query": "two", "pos": [lost], "neg": [text_of["skein.md#0"]]},
            {"id": "c", "query": "three", "pos": [text_of["alarm.md#0"]], "neg": [lost]},
            {"id": "d", "query": "four", "pos": [text_of["alarm.md#0"]], "neg": [], "score": 1},
        ],
    )
    read = read_questions(path, passages, documents)
    rows = {row["question_id"]: (row["passage_ids"], row["negative_ids"]) for row in read.candidates.to_dicts()}
    assert rows == {
        "a": (["alarm.md#1"], ["skein.md#0"]),
        "c": (["alarm.md#0"], []),
        "d": (["alarm.md#0"], []),
    }
    reasons = read.set_aside.select("record", "reason").rows()
    assert [record for record, _ in reasons] == ["a", "a", "b", "c"]
    assert all(
        "stands in no passage of the corpus; let corpus.path name the same data" in reason for _, reason in reasons
    )
    assert reasons[1][1].startswith("1 of its 2 negatives cannot be used")
    assert "negatives are mined for it instead" in reasons[3][1]


def test_an_id_that_the_recipes_corpus_lacks_is_named(tmp_path):
    file = recipe(tmp_path)
    read = json.loads(file.read_text())
    read["data"][0]["neg_doc"].insert(0, {"id": "d_gone"})
    file.write_text(json.dumps(read))
    found = read_questions(file, *own_corpus(tmp_path))
    assert found.set_aside["reason"].to_list()[0].startswith("1 of its 3 negatives cannot be used, for example")
    assert "its corpus folder has no text d_gone" in found.set_aside["reason"][0]


def test_nothing_to_use_is_an_error_with_an_example(tmp_path):
    documents, passages = documents_and_passages()
    with pytest.raises(InputError, match=r"no question in it can be used; 3 set aside, for example q1: .*no passage"):
        read_questions(recipe(tmp_path), passages, documents)


def test_the_fingerprint_covers_questions_and_texts(tmp_path):
    file = recipe(tmp_path)
    before = import_fingerprint(tmp_path)
    assert import_fingerprint(file) == before
    file.write_text(file.read_text().replace("low alarm sound", "alarm sound"))
    changed = import_fingerprint(tmp_path)
    assert changed != before
    corpus = tmp_path / "corpus" / "train.parquet"
    corpus.write_bytes(corpus.read_bytes() + b"x")
    assert import_fingerprint(tmp_path) != changed

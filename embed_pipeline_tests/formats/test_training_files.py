"""What training data lies at a path, and what texts it holds."""

import json
import shutil

import pytest

from embed_pipeline.errors import InputError
from embed_pipeline.formats.training_files import corpus_folders, document_id, read_texts, text_files, training_files
from embed_pipeline_tests.formats.training_data import FORMS, QUESTIONS, TEXTS, corpus, flag_embedding, jsonl, recipe


def texts_of(file):
    return list(read_texts(corpus_folders([file])))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised_as_file_and_in_its_folder(form, tmp_path):
    file = FORMS[form](tmp_path)
    assert training_files(file) == [file]
    assert training_files(tmp_path) == [file]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.jsonl", '{"question": "Who?", "passage_ids": ["a#0"]}\n'),
        ("records.jsonl", '{"file_name": ["a"], "chunks": [{"chunk_id": 1, "text": "a \\"positive\\": query"}]}\n'),
        ("corpus.jsonl", '{"_id": "1", "text": "a"}\n'),
        ("queries.jsonl", '{"_id": "1", "text": "a"}\n'),
        ("notes.txt", '{"query": "a", "pos": ["b"]}\n'),
        ("broken.parquet", "no parquet"),
        ("empty.jsonl", ""),
    ],
)
def test_other_files_are_not(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    assert training_files(tmp_path / name) == []
    assert training_files(tmp_path) == []


def test_of_the_recipes_files_the_mined_one_is_taken_before_the_others(tmp_path):
    for name in ("train.json", "train_mined.automodel_unrolled.json", "train_mined.automodel.json"):
        file = recipe(tmp_path, name)
        flag_embedding(tmp_path)
        assert training_files(tmp_path) == [file]


def test_of_several_files_the_train_split_is_taken_else_it_is_asked_for(tmp_path):
    flag_embedding(tmp_path).rename(tmp_path / "dev.jsonl")
    flag_embedding(tmp_path)
    with pytest.raises(InputError, match=r"dev\.jsonl, flag\.jsonl\); name one of them"):
        training_files(tmp_path)
    (tmp_path / "flag.jsonl").rename(tmp_path / "train-en.jsonl")
    assert training_files(tmp_path) == [tmp_path / "train-en.jsonl"]


def test_texts_of_the_recipe_come_from_its_corpus(tmp_path):
    file = recipe(tmp_path)
    assert text_files([file]) == [tmp_path / "corpus" / "train.parquet"]
    assert {given.doc_id: given.text for given in texts_of(file)} == {document_id(t): t for t in TEXTS.values()}
    assert text_files([flag_embedding(tmp_path)]) == [tmp_path / "flag.jsonl"]


def test_a_corpus_named_last_or_by_another_machines_path_is_found(tmp_path):
    file = recipe(tmp_path)
    read = json.loads(file.read_text())
    file.write_text(json.dumps({"data": read["data"], "corpus": [{"path": "/somewhere/else/corpus"}]}))
    assert text_files([file]) == [tmp_path / "corpus" / "train.parquet"]


def test_several_corpora_keep_their_ids_apart(tmp_path):
    for name, text in (("one", "The first."), ("two", "The second.")):
        corpus(tmp_path / name, {"7": text}, corpus_id=name)
    row = {"question_id": "q", "question": "which", "corpus_id": "two", "pos_doc": ["7"], "neg_doc": []}
    file = tmp_path / "train.json"
    file.write_text(json.dumps({"corpus": [{"path": "one"}, {"path": "two"}], "data": [row]}))
    assert {given.doc_id: given.text for given in texts_of(file)} == {"one/7": "The first.", "two/7": "The second."}


def broken(folder, change):
    file = recipe(folder)
    read = json.loads(file.read_text())
    change(read, folder)
    file.write_text(json.dumps(read))
    return file


def _conflict(_, folder):
    shutil.rmtree(folder / "corpus")
    (folder / "corpus").mkdir()
    jsonl(folder / "corpus" / "train.jsonl", [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}])


def _images(_, folder):
    (folder / "corpus" / "merlin_metadata.json").write_text('{"corpus_id": "x", "class": "ColPaliDataset"}')


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _, folder: shutil.rmtree(folder / "corpus"), r"no such folder; put it beside the file"),
        (lambda _, folder: (folder / "corpus" / "train.parquet").unlink(), r"there is no train\.parquet"),
        (lambda read, _: read.update(corpus={"folder": "x"}), r'"corpus" must be'),
        (_images, "only TextQADataset"),
        (_conflict, r"train\.jsonl, line 2: the id a stands for another text already"),
    ],
)
def test_broken_corpora_are_named(change, says, tmp_path):
    with pytest.raises(InputError, match=says):
        texts_of(broken(tmp_path, change))


def test_questions_are_as_this_file_says():
    assert {name for _, positives, negatives in QUESTIONS.values() for name in (*positives, *negatives)} == set(TEXTS)

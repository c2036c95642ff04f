"""What training data lies at a path, and what texts it holds."""

import json
import shutil

import polars as pl
import pytest

from embed_pipeline.errors import InputError
from embed_pipeline.formats.training_files import corpus_folders, document_id, read_texts, text_files, training_files
from embed_pipeline.formats.training_questions import given_texts, read_given_questions
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


def parts(folder, *names, suffix=".parquet"):
    """Files of one row each, whose question and texts are the file's name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        row = {"query": f"which {name}", "positive": f"This is {name}.", "negative": "Something else."}
        if suffix == ".parquet":
            pl.DataFrame([row]).write_parquet(folder / f"{name}{suffix}")
        else:
            jsonl(folder / f"{name}{suffix}", [row])
    return [folder / f"{name}{suffix}" for name in names]


@pytest.mark.parametrize("inner", [".", "data"])
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize(
    "names",
    [
        ("train-00000-of-00002", "train-00001-of-00002"),
        ("train-00000-of-00002-a09b74b3ef9c3b56", "train-00001-of-00002-0123456789abcdef"),
        ("default-00000-of-00003", "default-00001-of-00003", "default-00002-of-00003"),
        ("part-00000-6f1c-c000.snappy", "part-00001-6f1c-c000.snappy"),
        ("part.0", "part.1"),
    ],
)
def test_parts_are_one_data_set(names, suffix, inner, tmp_path):
    files = parts(tmp_path / inner, *names, suffix=suffix)
    assert training_files(tmp_path) == files
    assert training_files(files[1]) == [files[1]]
    assert text_files(files) == files
    assert [one.question for one in read_given_questions(files).questions] == [f"which {name}" for name in names]
    found = [(given.text, given.file) for given in given_texts(files)]
    assert found[:2] == [(f"This is {names[0]}.", files[0]), ("Something else.", files[0])]
    assert found[2:] == [(f"This is {name}.", file) for name, file in zip(names[1:], files[1:], strict=True)]


def test_of_several_splits_in_parts_the_train_split_is_taken(tmp_path):
    parts(tmp_path / "data", "test-00000-of-00001", "validation-00000-of-00001")
    with pytest.raises(InputError, match=r"test-00000-of-00001\.parquet, validation-.*; name one of them"):
        training_files(tmp_path)
    train = parts(tmp_path / "data", "train-00000-of-00002", "train-00001-of-00002")
    assert training_files(tmp_path) == train


def test_versions_of_one_file_are_no_parts(tmp_path):
    parts(tmp_path, "train_1", "train_2")
    with pytest.raises(InputError, match="several files of training data"):
        training_files(tmp_path)


def test_a_missing_part_is_named(tmp_path):
    parts(tmp_path, "train-00000-of-00010", "train-00003-of-00010")
    with pytest.raises(InputError, match=r"of the 10 parts .* 8 are not there, the first train-00001-of-00010\."):
        training_files(tmp_path)
    assert training_files(tmp_path / "train-00003-of-00010.parquet")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_missing_part_of_a_job_is_named(suffix, tmp_path):
    parts(tmp_path, "part.0", "part.2", "part.10", suffix=suffix)
    with pytest.raises(InputError, match=rf"of the 11 parts .* 8 are not there, the first part\.1\{suffix}\."):
        training_files(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1 damaged"])
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_an_empty_or_damaged_part_is_not_called_missing(suffix, content, tmp_path):
    parts(tmp_path, "train-00000-of-00002", suffix=suffix)
    (tmp_path / f"train-00001-of-00002{suffix}").write_bytes(content)
    with pytest.raises(InputError, match=rf"train-00001-of-00002\{suffix}: this part .* is empty, unreadable or"):
        training_files(tmp_path)


@pytest.mark.parametrize("inner", [".", "data"])
@pytest.mark.parametrize(("there", "missing"), [("train-00000-of-00002", "train-00001-of-00002"), ("part.1", "part.0")])
def test_a_missing_part_of_a_corpus_is_named(there, missing, inner, tmp_path):
    file = recipe(tmp_path)
    whole = tmp_path / "corpus" / "train.parquet"
    (tmp_path / "corpus" / inner).mkdir(exist_ok=True)
    part = whole.rename(tmp_path / "corpus" / inner / f"{there}.parquet")
    with pytest.raises(InputError, match=rf"of the 2 parts of the corpus 1 are not there, the first {missing}\."):
        text_files([file])
    shutil.copyfile(part, part.with_stem(missing))
    assert text_files([file]) == sorted([part, part.with_stem(missing)])


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

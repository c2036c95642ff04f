"""Training data in other tools' formats as the corpus."""

import polars as pl
import pytest

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import corpus_fingerprint, scan_corpus
from embed_pipeline.corpus.sources.detect import corpus_kind
from embed_pipeline.errors import InputError
from embed_pipeline.formats.training_files import document_id
from embed_pipeline.settings import CorpusSettings
from embed_pipeline_tests.formats.training_data import FORMS, TEXTS, flag_embedding, jsonl, recipe

SETTINGS = CorpusSettings()


def read(root):
    parsed = read_documents(root, scan_corpus(root, SETTINGS), SETTINGS)
    assert parsed.kind == corpus_kind(root) == "training"
    return parsed


def passages_of(parsed):
    frame = chunk_documents(parsed.documents, lambda texts: [len(text.split()) for text in texts], SETTINGS, uncut=True)
    return dict(frame.select("passage_id", "text").iter_rows())


@pytest.mark.parametrize("whole_folder", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_text_is_a_passage(form, whole_folder, tmp_path):
    file = FORMS[form](tmp_path)
    assert passages_of(read(tmp_path if whole_folder else file)) == {document_id(text): text for text in TEXTS.values()}


def test_parts_in_the_data_folder_are_one_corpus(tmp_path):
    (tmp_path / "data").mkdir()
    names = [f"data/train-{number:05d}-of-00002.parquet" for number in range(2)]
    for name in names:
        pl.DataFrame([{"query": "q", "positive": f"Text of {name}.", "negative": "Other."}]).write_parquet(
            tmp_path / name
        )
    assert scan_corpus(tmp_path, SETTINGS)["path"].to_list() == names
    found = read(tmp_path).documents.select("text", "path").rows()
    assert found == [(f"Text of {names[0]}.", names[0]), ("Other.", names[0]), (f"Text of {names[1]}.", names[1])]
    before = corpus_fingerprint(tmp_path)
    (tmp_path / names[1]).write_bytes((tmp_path / names[0]).read_bytes())
    assert corpus_fingerprint(tmp_path) != before


def test_only_the_texts_count(tmp_path):
    file = recipe(tmp_path)
    before = corpus_fingerprint(tmp_path)
    file.write_text(file.read_text().replace("low alarm sound", "alarm sound"))
    assert corpus_fingerprint(tmp_path) == before
    flag = flag_embedding(tmp_path)
    before = corpus_fingerprint(flag)
    flag.write_text(flag.read_text().replace("Salt", "Sand"))
    assert corpus_fingerprint(flag) != before


def test_the_corpus_may_lie_beside_the_folder(tmp_path):
    (tmp_path / "data").mkdir()
    file = recipe(tmp_path)
    moved = file.rename(tmp_path / "data" / file.name)
    moved.write_text(moved.read_text().replace("./corpus/", "../corpus/"))
    assert scan_corpus(moved.parent, SETTINGS)["path"].to_list() == ["../corpus/train.parquet"]
    assert len(passages_of(read(moved.parent))) == len(TEXTS)


def test_texts_are_cleaned_and_empty_ones_named(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", [{"query": "q", "pos": ["two\u00a0words \r\n", " "], "neg": ["z\u0301"]}])
    parsed = read(file)
    assert sorted(parsed.documents["text"]) == ["two words", "ź"]
    assert parsed.skipped.rows() == [(document_id(" "), "its text is empty")]


def test_documents_beside_training_data_are_the_corpus(tmp_path):
    recipe(tmp_path)
    (tmp_path / "guide.md").write_text("# Guide\n\nText.")
    assert corpus_kind(tmp_path) == "files"


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.md").write_text("# Notes")
    with pytest.raises(InputError, match=r"this is a file \(and holds no SDG records or training data\)"):
        scan_corpus(tmp_path / "notes.md", SETTINGS)

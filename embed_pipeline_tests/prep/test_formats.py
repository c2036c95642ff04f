"""Other tools' formats, and the training rows read back."""

import hashlib
import json

import datasets
import polars as pl
import pytest

from embed_pipeline.errors import ArtifactError
from embed_pipeline.prep.formats import read_training_rows, write_recipe_files, write_triplets
from embed_pipeline.prep.mine import mine_negatives
from embed_pipeline.prep.split import split_items
from embed_pipeline.prep.unroll import unroll
from embed_pipeline.records import TrainingRow, passage_text
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, pairs_of, passages_of

LONG = "Valves close first. The pump runs at 40 bar. Then the operator reads the gauge and writes it down."


@pytest.fixture
def tables():
    encoder, chosen = WordEncoder(), PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
    passages = passages_of({"a": [LONG, "second"], "b": ["naïve façade"], "c": ["second thoughts"]}, title="T")
    questions = {"q": ("The pump runs at 40 bar.", ["a#0"]), "r": ("façade and thoughts", ["b#0", "c#0"])}
    pairs = pairs_of(questions, masked={"q": "The pump runs at 40 bar."})
    splits = split_items(pairs, passages, encoder, chosen)
    return unroll(pairs, mine_negatives(pairs, passages, splits, encoder, chosen), passages, splits), passages


def test_recipe_files_field_for_field(tables, tmp_path):
    training, passages = tables
    write_recipe_files(training, passages, tmp_path)
    recipe = json.loads((tmp_path / "train_mined.automodel_unrolled.json").read_text("utf-8"))
    assert recipe["corpus"] == {"path": "./corpus/"}
    corpus = pl.read_parquet(tmp_path / "corpus" / "train.parquet")
    assert corpus.columns == ["id", "text"]
    text_of = dict(corpus.iter_rows())
    assert all(key == "d_" + hashlib.sha256(text.encode()).hexdigest()[:16] for key, text in text_of.items())
    every = {passage_text(*row) for row in passages.select("title", "text").iter_rows()}
    assert set(text_of.values()) == every | set(training["positive"])
    rows = {row["row_id"]: row for row in training.to_dicts()}
    assert [record["question_id"] for record in recipe["data"]] == list(rows) == ["q", "r_0", "r_1"]
    for record in recipe["data"]:
        row = rows[record["question_id"]]
        assert list(record) == ["question_id", "question", "corpus_id", "pos_doc", "neg_doc"]
        assert record["question"] == row["question"]
        assert [text_of[doc["id"]] for doc in record["pos_doc"]] == [row["positive"]]
        assert [text_of[doc["id"]] for doc in record["neg_doc"]] == row["negatives"]
    metadata = json.loads((tmp_path / "corpus" / "merlin_metadata.json").read_text("utf-8"))
    assert metadata == {"corpus_id": recipe["data"][0]["corpus_id"], "class": "TextQADataset"}


def test_triplets_load_with_datasets(tables, tmp_path):
    training, _ = tables
    write_triplets(training, tmp_path / "triplets.jsonl")
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "triplets.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["anchor"][:] == training["question"].to_list()
    assert loaded["positive"][:] == training["positive"].to_list()
    first = training["negatives"].list.get(0, null_on_oob=True).to_list()
    assert loaded["negative_1"][:] == first


def test_rows_of_the_stored_table(tables, tmp_path):
    training, _ = tables
    training.write_parquet(tmp_path / "table.parquet")
    rows = read_training_rows(tmp_path)
    assert rows == [TrainingRow(**row) for row in training.to_dicts()]


def test_writing_is_deterministic(tables, tmp_path):
    training, passages = tables
    for name in ("one", "two"):
        write_recipe_files(training, passages, tmp_path / name)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*") if path.is_file()]
    assert len(files) == 3
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_broken_tables_are_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"table\.parquet"):
        read_training_rows(tmp_path)
    (tmp_path / "table.parquet").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"table\.parquet"):
        read_training_rows(tmp_path)
    pl.DataFrame({"row_id": ["a"]}).write_parquet(tmp_path / "table.parquet")
    with pytest.raises(ArtifactError, match="question_id"):
        read_training_rows(tmp_path)

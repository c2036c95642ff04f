"""Other tools' formats, and the training rows read back."""

import hashlib
import json

import datasets
import numpy as np
import polars as pl
import pytest

from embed_pipeline.errors import ArtifactError
from embed_pipeline.finetune.job import read_training_rows
from embed_pipeline.formats.training_export import mining_args, write_recipe_files, write_triplets
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.prep.training_set import unroll
from embed_pipeline.records import TrainingRow, passage_text
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.finetune.build import tiny_model
from embed_pipeline_tests.prep.build import WordEncoder, pairs_of, passages_of

SETTINGS = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
LONG = "Valves close first. The pump runs at 40 bar. Then the operator reads the gauge and writes it down."


SPEC = WordEncoder().spec.model_copy(update={"query_prompt": "query: "})
ARGS = mining_args({"prep.hard_negatives": 5, "prep.hard_negative_margin": 0.95}, SPEC, "words")


def mined_and_unrolled(passages, questions, chosen=SETTINGS, masked=None):
    pairs = pairs_of(questions, masked=masked)
    splits = split_items(pairs, passages, WordEncoder(), chosen)
    mined = mine_negatives(pairs, passages, splits, WordEncoder(), chosen).table
    return unroll(pairs, mined, passages, splits), mined


@pytest.fixture
def tables():
    passages = passages_of({"a": [LONG, "second"], "b": ["naïve façade"], "c": ["second thoughts"]}, title="T")
    questions = {"q": ("The pump runs at 40 bar.", ["a#0"]), "r": ("façade and thoughts", ["b#0", "c#0"])}
    return *mined_and_unrolled(passages, questions, masked={"q": "The pump runs at 40 bar."}), passages


def read(path):
    return json.loads(path.read_text("utf-8"))


def test_recipe_files_field_for_field(tables, tmp_path):
    training, mined, passages = tables
    write_recipe_files(training, mined, passages, ARGS, tmp_path)
    corpus = pl.read_parquet(tmp_path / "corpus" / "train.parquet")
    assert corpus.columns == ["id", "text"]
    text_of = dict(corpus.iter_rows())
    assert all(key == "d_" + hashlib.sha256(text.encode()).hexdigest()[:16] for key, text in text_of.items())
    every = {passage_text(*row) for row in passages.select("title", "text").iter_rows()}
    assert set(text_of.values()) == every | set(training["positive"])
    recipe, rows = read(tmp_path / "train_mined.automodel_unrolled.json"), training.to_dicts()
    assert list(recipe) == ["corpus", "data"]
    assert recipe["corpus"] == {"path": "./corpus/"}
    assert [record["question_id"] for record in recipe["data"]] == ["q", "r_0", "r_1"]
    for record, row in zip(recipe["data"], rows, strict=True):
        assert list(record) == ["question_id", "question", "corpus_id", "pos_doc", "neg_doc"]
        assert record["question_id"] == row["row_id"]
        assert record["question"] == row["question"]
        assert [text_of[doc["id"]] for doc in record["pos_doc"]] == [row["positive"]]
        assert [text_of[doc["id"]] for doc in record["neg_doc"]] == row["negatives"]
    metadata = read(tmp_path / "corpus" / "merlin_metadata.json")
    assert metadata == {"corpus_id": recipe["data"][0]["corpus_id"], "class": "TextQADataset"}


def test_the_mined_file_has_a_record_a_question_scores_and_how_it_was_mined(tables, tmp_path):
    training, mined, passages = tables
    write_recipe_files(training, mined, passages, ARGS, tmp_path)
    recipe = read(tmp_path / "train_mined.automodel.json")
    assert recipe["corpus"] == {"path": "./corpus/"}
    assert [record["question_id"] for record in recipe["data"]] == ["q", "r"]
    for record, row in zip(recipe["data"], mined.to_dicts(), strict=True):
        assert [doc["score"] for doc in record["pos_doc"]] == row["positive_scores"]
        assert [doc["score"] for doc in record["neg_doc"]] == row["negative_scores"]
    args = recipe["mining"]["args"]
    assert (args["hard_negatives_to_mine"], args["hard_neg_margin"], args["hard_neg_margin_type"]) == (5, 0.95, "perc")
    assert (args["model_name_or_path"], args["query_prefix"]) == ("words", "query: ")


def test_an_absolute_margin_is_named_so():
    args = mining_args({"prep.hard_negative_margin": None, "prep.hard_negative_absolute_margin": 0.1}, SPEC, "m")
    assert (args["hard_neg_margin"], args["hard_neg_margin_type"]) == (0.1, "abs")


@pytest.fixture
def uneven():
    """Rows with four negatives, with one, and with none."""
    passages = passages_of({name: [f"{name} text"] for name in "abcde"})
    questions = {name: (f"{name} what", [f"{name}#0"]) for name in "abc"}
    training, mined = mined_and_unrolled(passages, questions)
    cut = {"a": 4, "b": 1, "c": 0}
    columns = ("negative_ids", "negatives", "negative_groups")
    rows = [{**row, **{name: row[name][: cut[row["question_id"]]] for name in columns}} for row in training.to_dicts()]
    return pl.DataFrame(rows, schema=training.schema), mined, passages


def test_rows_without_negatives_are_left_out_of_what_trainers_read(uneven, tmp_path):
    training, mined, passages = uneven
    write_recipe_files(training, mined, passages, ARGS, tmp_path)
    assert [one["question_id"] for one in read(tmp_path / "train_mined.automodel_unrolled.json")["data"]] == ["a", "b"]
    whole = read(tmp_path / "train_mined.automodel.json")["data"]
    assert [len(one["neg_doc"]) for one in whole] == [4, 1, 0]


def load(folder):
    return datasets.load_dataset(
        "json", data_files=str(folder / "triplets.jsonl"), split="train", cache_dir=str(folder / "cache")
    )


def test_triplets_have_equal_columns_without_gaps(uneven, tmp_path):
    training = uneven[0]
    write_triplets(training, tmp_path / "triplets.jsonl")
    loaded = load(tmp_path)
    assert loaded.column_names == ["anchor", "positive", "negative_1", "negative_2", "negative_3", "negative_4"]
    assert loaded["anchor"][:] == ["a what", "b what"]
    assert loaded["positive"][:] == ["a text", "b text"]
    first, second = ([row[f"negative_{place}"] for place in range(1, 5)] for row in loaded)
    assert first == training["negatives"].to_list()[0]
    assert second == training["negatives"].to_list()[1] * 4


def test_without_any_negative_there_are_pairs(uneven, tmp_path):
    training, mined, passages = uneven
    none = training.with_columns(
        pl.lit([], dtype=pl.List(pl.String)).alias(name) for name in ("negatives", "negative_ids")
    )
    write_triplets(none, tmp_path / "triplets.jsonl")
    assert load(tmp_path).column_names == ["anchor", "positive"]
    write_recipe_files(none, mined, passages, ARGS, tmp_path)
    assert len(read(tmp_path / "train_mined.automodel_unrolled.json")["data"]) == 3


def test_sentence_transformers_trains_on_the_triplets_as_they_load(uneven, tmp_path):
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

    tiny_model(tmp_path / "model")
    transformer = Transformer(str(tmp_path / "model"), max_seq_length=32)
    model = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
    write_triplets(uneven[0], tmp_path / "triplets.jsonl")
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True
    )
    trainer = SentenceTransformerTrainer(model, settings, load(tmp_path), loss=MultipleNegativesRankingLoss(model))
    assert np.isfinite(trainer.train().training_loss)


def test_rows_of_the_stored_table(tables, tmp_path):
    training, _, _ = tables
    training.write_parquet(tmp_path / "table.parquet")
    rows = read_training_rows(tmp_path)
    assert rows == [TrainingRow(**row) for row in training.to_dicts()]


def test_writing_is_deterministic(tables, tmp_path):
    training, mined, passages = tables
    for name in ("one", "two"):
        write_recipe_files(training, mined, passages, ARGS, tmp_path / name)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*") if path.is_file()]
    assert len(files) == 4
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

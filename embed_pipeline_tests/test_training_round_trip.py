"""What we export for other tools, imported again, and the whole way on the command line."""

import polars as pl
import pytest

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.formats.training_export import write_recipe_files, write_triplets
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.prep.training_set import unroll
from embed_pipeline.sdg.exchange.read import read_questions
from embed_pipeline.settings import CorpusSettings, PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus, pairs_of

SETTINGS = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
EVIDENCE = "alpha3 beta3p0"


def exported(folder) -> pl.DataFrame:
    """Our files of twelve documents with 24 questions, one with two positives and one with its evidence cut."""
    pairs, passages = corpus(12)
    asked = {row["question_id"]: (row["question"], row["passage_ids"]) for row in pairs.to_dicts()}
    asked["q000_0"] = (asked["q000_0"][0], ["doc000#0", "doc001#1"])
    longer = pl.col("text") + " which is said at length, so that a cut leaves enough of it"
    passages = passages.with_columns(text=longer)
    pairs = pairs_of(asked, masked={"q003_0": EVIDENCE})
    splits = split_items(pairs, passages, WordEncoder(), SETTINGS)
    mined = mine_negatives(pairs, passages, splits, WordEncoder(), SETTINGS).table
    training = unroll(pairs, mined, passages, splits)
    write_recipe_files(training, mined, passages, {}, folder)
    write_triplets(training, folder / "triplets.jsonl")
    return training


def expected(training: pl.DataFrame) -> dict[str, tuple[list[str], list[str]]]:
    found: dict[str, tuple[list[str], list[str]]] = {}
    for row in training.to_dicts():
        found.setdefault(row["question"], ([], row["negatives"]))[0].append(row["positive"])
    return found


@pytest.mark.parametrize(
    "name", [None, "train_mined.automodel.json", "train_mined.automodel_unrolled.json", "triplets.jsonl"]
)
def test_our_files_come_back_as_they_were(name, tmp_path):
    training = exported(tmp_path)
    assert any("beta3p0" not in row["positive"] for row in training.to_dicts() if row["question_id"] == "q003_0")
    place, settings = tmp_path / name if name else tmp_path, CorpusSettings()
    documents = read_documents(place, scan_corpus(place, settings), settings).documents
    passages = chunk_documents(documents, lambda texts: [1] * len(texts), settings, uncut=True)
    read = read_questions(place, passages, documents)
    assert read.set_aside.is_empty()
    text_of = dict(passages.select("passage_id", "text").iter_rows())
    found = {
        row["question"]: tuple([text_of[one] for one in row[column]] for column in ("passage_ids", "negative_ids"))
        for row in read.candidates.to_dicts()
    }
    rows = expected(training)
    without = {question for question, (_, negatives) in rows.items() if not negatives}
    assert len(without) < 6
    if name in ("train_mined.automodel_unrolled.json", "triplets.jsonl"):  # trainers cannot use those
        rows = {question: row for question, row in rows.items() if question not in without}
    assert found == rows
    if name != "triplets.jsonl":
        ids = dict(training.select("question", "question_id").iter_rows())
        assert dict(read.candidates.select("question", "question_id").iter_rows()).items() <= ids.items()

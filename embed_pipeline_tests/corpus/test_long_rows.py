"""Rows longer than the encoder takes: counted, told, and cut where that is asked for."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from embed_pipeline.corpus.chunking.tokens import token_counter
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.passages import cut_passages, unseen_of, way_out
from embed_pipeline.corpus.unseen import count_unseen
from embed_pipeline.errors import InputError
from embed_pipeline.files import write_jsonl, write_text
from embed_pipeline.records import passage_text
from embed_pipeline.sdg.exchange.read import read_questions
from embed_pipeline.settings import CorpusSettings

CASE = Path(__file__).parent / "cases" / "chunk" / "corpus.jsonl"
SPLIT = CorpusSettings(split_long_rows=True)


@pytest.fixture
def folder(tmp_path):
    """The case, and a short row."""
    root = tmp_path / "beir"
    root.mkdir()
    shutil.copy(CASE, root / "corpus.jsonl")
    with (root / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "short", "title": "Note", "text": "The archive opens at nine."}\n')
    return root


def passages_of(root, spec, settings):
    parsed = read_documents(root, scan_corpus(root, settings), settings)
    return cut_passages(parsed.documents, parsed.kind, parsed.chunks, spec, settings), parsed


def test_what_is_not_seen_is_counted_as_the_tokenizer_counts(folder, base_model_spec):
    from tokenizers import Tokenizer

    passages, _ = passages_of(folder, base_model_spec, CorpusSettings())
    tokenizer = Tokenizer.from_file(f"{base_model_spec.model}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lengths = [len(tokenizer.encode(passage_text(*row)).ids) for row in passages.select("title", "text").iter_rows()]
    limit = base_model_spec.max_passage_length
    found = unseen_of(passages, base_model_spec)
    assert found.cut_off == sum(length > limit for length in lengths) == 4
    assert found.unseen == sum(length - limit for length in lengths if length > limit)
    assert found.longest == max(lengths)
    assert 0.7 < found.share < 0.9


def test_it_is_told_with_the_setting_that_helps(folder, base_model_spec):
    passages, _ = passages_of(folder, base_model_spec, CorpusSettings())
    line = unseen_of(passages, base_model_spec).line("passages", way_out("beir", CorpusSettings()))
    assert line.startswith(
        "warning: 4 of 5 passages are longer than the encoder takes (256 tokens, encoder.max_passage_"
    )
    assert "corpus.split_long_rows" in line


def test_where_everything_is_seen_nothing_is_told(base_model_spec):
    count = token_counter(base_model_spec)
    found = count_unseen([("A", "b c", 2), ("", "d", 1)], base_model_spec, count)
    assert (found.cut_off, found.unseen, found.share, found.tokens) == (0, 0, 0.0, 4)
    assert found.line("passages", "") is None
    assert count_unseen([], base_model_spec, count).share == 0.0


@pytest.mark.parametrize(("words", "cut_off"), [(254, 0), (255, 1)])
def test_special_tokens_count(words, cut_off, base_model_spec):
    count = token_counter(base_model_spec)
    assert count_unseen([("", "word " * words, words)], base_model_spec, count).cut_off == cut_off


def test_a_prompt_takes_room(base_model_spec):
    count = token_counter(base_model_spec)
    spec = base_model_spec.model_copy(update={"passage_prompt": "passage "})
    assert [count_unseen([("", "word " * n, n)], spec, count).cut_off for n in (253, 254)] == [0, 1]


def test_long_rows_are_cut_and_the_others_stay(folder, base_model_spec):
    passages, parsed = passages_of(folder, base_model_spec, SPLIT)
    texts = dict(parsed.documents.select("doc_id", "text").iter_rows())
    assert unseen_of(passages, base_model_spec).cut_off == 0
    assert passages.filter(pl.col("doc_id") == "short")["passage_id"].to_list() == ["short"]
    assert list(dict.fromkeys(passages["doc_id"])) == list(texts)
    for row in passages.iter_rows(named=True):
        assert row["text"] == texts[row["doc_id"]][row["start"] : row["end"]]
    for doc_id in ("L0", "L1"):
        ids = passages.filter(pl.col("doc_id") == doc_id)["passage_id"].to_list()
        assert ids == [f"{doc_id}#{number:04d}" for number in range(len(ids))]
        assert len(ids) > 4


def test_an_id_that_a_piece_would_have_is_refused(folder, base_model_spec):
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "L0#0001", "title": "", "text": "Another row."}\n')
    with pytest.raises(InputError, match="L0#0001: a row has this id"):
        passages_of(folder, base_model_spec, SPLIT)


def long_text(number, answer):
    filler = [f"Paragraph {n} of report {number} explains routine matter of the office at length." for n in range(60)]
    return " ".join([*filler[:40], answer, *filler[40:]])


ANSWERS = {"r0": "The crane was painted violet in spring.", "r1": "Herons nest above the northern sluice gate."}


@pytest.fixture
def judged(tmp_path):
    root = tmp_path / "judged"
    rows = [{"_id": f"r{n}", "title": f"Report {n}", "text": long_text(n, ANSWERS[f"r{n}"])} for n in range(2)]
    write_jsonl(root / "corpus.jsonl", rows)
    write_jsonl(root / "queries.jsonl", [{"_id": "q0", "text": "which crane is violet"}, {"_id": "q1", "text": "zzz"}])
    write_text(root / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\nq0\tr0\t1\nq1\tr1\t1\n")
    return root


def holding(passages, answer):
    return passages.filter(pl.col("text").str.contains(answer, literal=True))["passage_id"].to_list()


def test_a_judgement_follows_to_the_piece_that_answers(judged, base_model_spec):
    passages, parsed = passages_of(judged, base_model_spec, SPLIT)
    found = read_questions(judged, passages, parsed.documents, cut_rows=True).candidates
    positives = dict(found.select("question_id", "passage_ids").iter_rows())
    assert positives["q0"] == holding(passages, ANSWERS["r0"])
    assert positives["q1"] == passages.filter(pl.col("doc_id") == "r1")["passage_id"].to_list(), "nobody knows which"


def test_rows_named_in_jsonl_follow_too(judged, base_model_spec, tmp_path):
    passages, parsed = passages_of(judged, base_model_spec, SPLIT)
    file = tmp_path / "own.jsonl"
    write_jsonl(file, [{"question": "where do herons nest", "passage_ids": ["r1"]}])
    (row,) = read_questions(file, passages, parsed.documents, cut_rows=True).candidates["passage_ids"].to_list()
    assert row == holding(passages, ANSWERS["r1"])


def test_training_data_with_long_texts_follows_as_positive_and_as_negative(tmp_path, base_model_spec):
    file = tmp_path / "train.jsonl"
    write_jsonl(
        file,
        [
            {
                "query": "which crane is violet",
                "pos": [long_text(0, ANSWERS["r0"])],
                "neg": [long_text(1, ANSWERS["r1"])],
            },
            {
                "query": "where do herons nest",
                "pos": [long_text(1, ANSWERS["r1"])],
                "neg": [long_text(0, ANSWERS["r0"])],
            },
        ],
    )
    passages, parsed = passages_of(file, base_model_spec, SPLIT)
    assert parsed.kind == "training"
    read = read_questions(file, passages, parsed.documents, cut_rows=True)
    assert read.set_aside.is_empty()
    by_question = {row["question"]: row for row in read.candidates.to_dicts()}
    row = by_question["where do herons nest"]
    assert row["passage_ids"] == holding(passages, ANSWERS["r1"])
    assert len(row["negative_ids"]) == 1

"""Files that other tools wrote, as corpus, as training questions and as gold: one reader, one answer."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import corpus_fingerprint, scan_corpus
from embed_pipeline.corpus.sources.detect import corpus_kind
from embed_pipeline.errors import InputError
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.formats.training_files import training_files
from embed_pipeline.formats.training_questions import read_given_questions
from embed_pipeline.sdg.exchange.read import read_questions
from embed_pipeline.settings import CorpusSettings

CASES = Path(__file__).parent / "cases"
SETTINGS = CorpusSettings()


def corpus(root):
    documents = read_documents(root, scan_corpus(root, SETTINGS), SETTINGS).documents
    return chunk_documents(documents, lambda texts: [1] * len(texts), SETTINGS, uncut=True), documents


def judged(folder):
    """What gold and what import make of the same judgements: question -> passages."""
    gold = read_retrieval_set(folder, "test", "gold")
    imported = read_questions(folder, *corpus(folder)).candidates
    return (
        {gold.queries[query]: sorted(relevant) for query, relevant in gold.qrels.items()},
        {row["question"]: sorted(row["passage_ids"]) for row in imported.to_dicts()},
    )


def judgements(folder, text):
    """The folder of a case with other judgements, for both uses."""
    shutil.copytree(CASES / "beir" / "float", folder)
    for split in ("test", "train"):
        (folder / "qrels" / f"{split}.tsv").write_text(text, "utf-8")
    return folder


HEADER = "query-id\tcorpus-id\tscore\n"
SOLDER, WELD, PIPE = "How hot is the solder for copper pipes?", "Who may weld steel pipes?", "What holds the pipe?"


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("header_underscore", {SOLDER: ["d1"]}),
        ("id_field", {"a": ["d1"]}),
        ("trec4_tab", {SOLDER: ["d1"], WELD: ["d2"]}),
    ],
)
def test_cases_of_judgements(case, expected):
    assert judged(CASES / "beir" / case) == (expected, expected)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "q1\td1\t1.0\n4\t4\t2.0\nq2\td1\t0.0\n",  # floats
        HEADER + "q1\td1\t1e0\n4\t4\t1\nq2\td1\t-1.0\n",
        "query_id\tdoc_id\trelevance\nq1\td1\t1\n4\t4\t1\n",  # header
        "Query ID\titeration\tPassage ID\tLabel\nq1\t0\td1\t1\n4\t0\t4\t1\n",
        "q1 0 d1 1\n4 0 4 1\n",  # TREC
        "q1\t1\td1\t1\n4\t1\t4\t1\n",
        "q1  2 d1 1\n4 2 4 1\n",
    ],
)
def test_siblings_of_judgements(text, tmp_path):
    expected = {SOLDER: ["d1"], PIPE: ["4"]}
    assert judged(judgements(tmp_path / "beir", text)) == (expected, expected)


@pytest.mark.parametrize(
    ("text", "line", "score"),
    [(None, 3, "0.5"), (HEADER + "q1\td1\t1\nq2\td2\t0.99\n", 3, "0.99"), ("q1 0 d1 1\nq2 0 d2 nan\n", 2, "nan")],
)
def test_a_score_between_is_refused_by_its_line_in_either_use(text, line, score, tmp_path):
    folder = CASES / "beir" / "float" if text is None else judgements(tmp_path / "beir", text)
    says = rf"line {line}: the score '{score}' is not a whole number"
    with pytest.raises(InputError, match=rf"test\.tsv, {says}"):
        read_retrieval_set(folder, "test", "gold")
    with pytest.raises(InputError, match=rf"train\.tsv, {says}"):
        read_questions(folder, *corpus(folder))


def test_a_system_s_results_are_no_judgements(tmp_path):
    folder = judgements(tmp_path / "beir", "q1 Q0 d1 1 12.5 bm25\n")
    with pytest.raises(InputError, match="looks like a TREC run"):
        read_retrieval_set(folder, "test", "gold")


def test_case_of_queries_that_have_the_ids_of_their_passages():
    gold = read_retrieval_set(CASES / "beir" / "same_ids", "test", "gold")
    assert len(gold.queries) == 24
    assert all(query not in relevant for query, relevant in gold.qrels.items())
    assert all(query in gold.passages for query in gold.queries)


@pytest.mark.parametrize("number", [7, 7.0, "7"])
def test_numbers_as_ids(number, tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text(HEADER + "7\t7\t1\n", "utf-8")
    (tmp_path / "qrels" / "test.tsv").write_text(HEADER + "7\t7\t1\n", "utf-8")
    lines(tmp_path / "corpus.jsonl", {"_id": number, "title": "", "text": "The pipe is soldered."})
    lines(tmp_path / "queries.jsonl", {"_id": number, "text": "How?"})
    assert judged(tmp_path) == ({"How?": ["7"]}, {"How?": ["7"]})
    own = lines(tmp_path / "own.jsonl", {"question": "Why?", "passage_ids": [number], "question_id": number})
    row = read_questions(own, *corpus(tmp_path)).candidates.to_dicts()[0]
    assert (row["question_id"], row["passage_ids"]) == ("7", ["7"])


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read(path):
    """question -> (positives, negatives), as texts."""
    found = read_given_questions(training_files(path))
    return {
        one.question: tuple([found.texts[name] for name in part] for part in (one.positives, one.negatives))
        for one in found.questions
    }


COPPER, PLASTIC = (
    "The copper pipe is soldered at four hundred degrees.",
    "The plastic pipe is glued with the blue glue.",
)
HOT, MAY = "How hot is the solder?", "Who may weld?"
CLAMP, STEEL = "The clamp holds the pipe at the wall.", "The steel pipe is welded by a certified welder."


@pytest.mark.parametrize("case", ["flag", "flag_crlf", "pq_shards"])
def test_cases_of_training_data(case):
    negatives = [PLASTIC] if case == "pq_shards" else [PLASTIC, CLAMP]
    assert read(CASES / "training" / case) == {HOT: ([COPPER], negatives), MAY: ([STEEL], [CLAMP])}


def test_case_of_rows_with_labels():
    assert read(CASES / "training" / "label_rows") == {HOT: ([COPPER], []), MAY: ([], [PLASTIC])}


@pytest.mark.parametrize(
    "rows",
    [
        [{"query": "q", "positive": "good", "label": 1.0}, {"query": "q", "positive": "bad", "label": 0.0}],
        [{"query": "q", "positive": "good", "label": True}, {"query": "q", "positive": "bad", "label": False}],
        [{"query": "q", "passage": "good", "label": "1"}, {"query": "q", "passage": "bad", "label": "0"}],
        [{"sentence1": "q", "sentence2": "bad", "label": -1}, {"sentence1": "q", "sentence2": "good", "label": 3}],
        [{"query": "q", "docs": ["bad", "good"], "labels": [0, 1]}],
        [{"query": "q", "positive": "good", "negative": "bad", "label": 1}],
    ],
)
def test_siblings_of_rows_with_labels(rows, tmp_path):
    assert read(lines(tmp_path / "train.jsonl", *rows)) == {"q": (["good"], ["bad"])}
    pl.DataFrame(rows).write_parquet(tmp_path / "train.parquet")
    assert read(tmp_path / "train.parquet") == {"q": (["good"], ["bad"])}


def test_a_margin_beside_a_negative_is_no_judgement(tmp_path):
    row = {"query": "q", "positive": "good", "negative": "bad", "label": -2.25}
    assert read(lines(tmp_path / "train.jsonl", row)) == {"q": (["good"], ["bad"])}


@pytest.mark.parametrize("label", [0.5, "finance", {"a": 1}, float("nan"), "1_0", "\uff11"])
def test_a_label_that_judges_nothing_is_refused_by_its_line(label, tmp_path):
    good = {"query": "q", "positive": "good", "label": 1}
    path = lines(tmp_path / "train.jsonl", good, {**good, "label": label})
    with pytest.raises(InputError, match=r"train\.jsonl, line 2: the label .* is not a whole number.*rename the field"):
        read_given_questions(training_files(path))


def test_as_many_labels_as_texts(tmp_path):
    path = lines(tmp_path / "train.jsonl", {"query": "q", "docs": ["a", "b", "c"], "labels": [1, 0]})
    with pytest.raises(InputError, match="line 1: has 2 labels for 3 texts"):
        read_given_questions(training_files(path))


def test_a_question_with_negatives_alone_is_set_aside_by_name():
    folder = CASES / "training" / "label_rows"
    found = read_questions(folder, *corpus(folder))
    assert found.candidates["question"].to_list() == [HOT]
    assert ["all its texts are negatives (label 0)" in reason for reason in found.set_aside["reason"]] == [True]


@pytest.mark.parametrize(
    "names",
    [
        ("0000.parquet", "0001.parquet", "0002.parquet"),
        ("train_0.jsonl", "train_1.jsonl", "train_2.jsonl"),
        ("shard-01.jsonl", "shard-02.jsonl", "shard-03.jsonl"),
        ("default/train/0000.parquet", "default/train/0001.parquet", "default/train/0002.parquet"),
        (
            "triplet/train-00000-of-00003.jsonl",
            "triplet/train-00001-of-00003.jsonl",
            "triplet/train-00002-of-00003.jsonl",
        ),
    ],
)
def test_siblings_of_a_folder_of_shards(names, tmp_path):
    for number, name in enumerate(names):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        row = {"query": f"which {number}", "positive": f"Text {number}."}
        pl.DataFrame([row]).write_parquet(file) if file.suffix == ".parquet" else lines(file, row)
    assert list(read(tmp_path)) == ["which 0", "which 1", "which 2"]
    assert corpus_kind(tmp_path) == "training"
    assert sorted(corpus(tmp_path)[1]["text"]) == ["Text 0.", "Text 1.", "Text 2."]
    (tmp_path / names[1]).unlink()
    with pytest.raises(InputError, match="not there"):
        training_files(tmp_path)


@pytest.mark.parametrize("names", [("train_2023.jsonl", "train_2024.jsonl"), ("train_v1.jsonl", "train_v2.jsonl")])
def test_years_and_versions_are_no_shards(names, tmp_path):
    for name in names:
        lines(tmp_path / name, {"query": "q", "positive": "good"})
    with pytest.raises(InputError, match="several files of training data"):
        training_files(tmp_path)


def test_of_several_configurations_one_must_be_named(tmp_path):
    for name in ("pair", "triplet"):
        (tmp_path / name).mkdir()
        lines(tmp_path / name / "train.jsonl", {"query": "q", "positive": "good"})
    with pytest.raises(InputError, match=r"several folders of training data lie in this folder \(pair, triplet\)"):
        training_files(tmp_path)


RECORD = {
    "file_name": ["guide.md"],
    "chunks": [{"chunk_id": 1, "text": "The pump is primed."}, {"chunk_id": 2, "text": "The valve is shut."}],
    "deduplicated_qa_pairs": [{"question": "What is primed?", "text": "x", "label": "positive"}],
}


@pytest.mark.parametrize("name", ["out.jsonl", "out.json", "out.parquet"])
def test_a_file_of_sdg_records_is_a_corpus(name, tmp_path):
    file, other = tmp_path / name, tmp_path / "notes.txt"
    pl.DataFrame([RECORD]).write_parquet(file) if name.endswith("parquet") else lines(file, RECORD)
    other.write_text("Not part of it.")
    assert corpus_kind(file) == "records"
    parsed = read_documents(file, scan_corpus(file, SETTINGS), SETTINGS)
    assert parsed.documents.select("doc_id", "path", "text").rows() == [
        ("guide.md", name, "The pump is primed.\n\nThe valve is shut.")
    ]
    assert parsed.chunks is not None and parsed.chunks.height == 2
    before = corpus_fingerprint(file)
    other.write_text("Changed.")
    assert corpus_fingerprint(file) == before


def test_the_result_of_a_generation_and_a_corpus_jsonl_can_be_named_themselves(tmp_path):
    lines(tmp_path / "out.jsonl", RECORD)
    (tmp_path / "generation_result.json").write_text('{"output_path": "/elsewhere/out.jsonl"}')
    assert corpus_kind(tmp_path / "generation_result.json") == "records"
    assert corpus(tmp_path / "generation_result.json")[1]["path"].to_list() == ["out.jsonl"]
    beir = CASES / "beir" / "float"
    assert corpus(beir / "corpus.jsonl")[1].equals(corpus(beir)[1])
    assert corpus_fingerprint(beir / "corpus.jsonl") == corpus_fingerprint(beir)

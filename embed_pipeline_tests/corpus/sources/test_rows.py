"""Rows of tables as documents: whatever wrote them, the same documents; and nothing taken by guess."""

import datetime
import json

import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import corpus_fingerprint, listed_fingerprint, scan_corpus
from embed_pipeline.corpus.passages import cut_passages
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline.formats.beir import write_retrieval_set
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.settings.sources import load_settings

COLUMNS = {"id": "no", "title": "head", "text": "body", "url": "link", "date": "day", "tags": "topics", "author": "by"}
ROWS = [
    {
        "no": 7,
        "head": "Pumps",
        "body": "The pump, primed; is ready.\n\nIt runs.",
        "link": "https://a.example/7",
        "day": "2026-01-31",
        "topics": "water, pumps",
        "by": "Ada",
    },
    {"no": 8, "head": "", "body": 'A "valve" shuts.', "link": "", "day": "", "topics": "water", "by": ""},
]
TOLD = [
    ("7", "url", "https://a.example/7"),
    ("7", "date", "2026-01-31"),
    ("7", "tags", "water"),
    ("7", "tags", "pumps"),
    ("7", "author", "Ada"),
    ("8", "tags", "water"),
]


def csv(path, separator=",", rows=ROWS, mark=""):
    path.write_text(mark + pl.DataFrame(rows).write_csv(separator=separator, quote_style="necessary"), "utf-8")
    return path


def jsonl(path, rows=ROWS):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def json_list(path):
    path.write_text(json.dumps(ROWS), "utf-8")
    return path


def parquet(path):
    rows = [{**row, "topics": str(row["topics"]).split(", "), "day": _day(row["day"])} for row in ROWS]
    pl.DataFrame(rows).write_parquet(path)
    return path


def _day(text):
    return datetime.date.fromisoformat(text) if text else None


def read(path, columns=COLUMNS):
    settings = CorpusSettings(columns=columns)
    return read_documents(path, scan_corpus(path, settings), settings)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: csv(folder / "a.csv"),
        lambda folder: csv(folder / "a.csv", ";", mark="\ufeff"),
        lambda folder: csv(folder / "a.csv", ";", mark="\ufeffsep=;\n"),
        lambda folder: csv(folder / "a.csv", "\t", mark="sep=\t\n"),
        lambda folder: csv(folder / "a.tsv", "\t"),
        lambda folder: jsonl(folder / "a.jsonl"),
        lambda folder: json_list(folder / "a.json"),
        lambda folder: parquet(folder / "a.parquet"),
    ],
    ids=[
        "csv",
        "csv of a spreadsheet",
        "csv that says what parts it",
        "tabs that it says",
        "tsv",
        "jsonl",
        "json",
        "parquet",
    ],
)
def test_every_kind_of_table_gives_the_same_documents(write, tmp_path):
    file = write(tmp_path)
    parsed = read(tmp_path)
    assert parsed.kind == "rows"
    assert parsed.documents.select("doc_id", "path", "title", "text").rows() == [
        ("7", file.name, "Pumps", "The pump, primed; is ready.\n\nIt runs."),
        ("8", file.name, "", 'A "valve" shuts.'),
    ]
    assert parsed.metadata is not None
    assert parsed.metadata.rows() == TOLD
    assert tables.validate(tables.Metadata, parsed.metadata).equals(parsed.metadata)
    assert read(file).documents.equals(parsed.documents)


def test_lines_of_csv_may_end_with_a_carriage_return_alone(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"id;body\r1;The valve shuts.\r2;It opens again.\r")

    assert read(tmp_path, {"text": "body", "id": "id"}).documents["text"].to_list() == [
        "The valve shuts.",
        "It opens again.",
    ]


def test_they_are_cut_into_passages_like_other_documents(tmp_path, base_model_spec):
    text = "\n\n".join(
        f"Pump number {number} is primed before it runs and checked after it stops." for number in range(60)
    )
    jsonl(tmp_path / "a.jsonl", [{"body": text, "head": "Pumps"}])
    parsed = read(tmp_path, {"text": "body", "title": "head"})
    passages = cut_passages(parsed.documents, parsed.kind, None, base_model_spec, CorpusSettings())
    assert passages.height > 3
    assert set(passages["doc_id"]) == set(parsed.documents["doc_id"])


def test_without_ids_a_row_is_named_by_its_content_and_a_repeat_is_told(tmp_path):
    rows = [{"body": "One."}, {"body": "Two."}, {"body": " "}, {"body": "One."}]
    parsed = read(jsonl(tmp_path / "a.jsonl", rows), {"text": "body"})
    before = parsed.documents["doc_id"].to_list()
    assert [reason.rpartition("a.jsonl, ")[2] for reason in parsed.skipped["reason"]] == [
        "line 3 has no text",
        "line 1",
    ]
    again = read(jsonl(tmp_path / "a.jsonl", [{"body": "New."}, *rows]), {"text": "body"})
    assert again.documents["doc_id"].to_list()[1:] == before


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [
        ([{"body": "a"}], {"text": "txt"}, r"line 1: there is no column 'txt' \(corpus\.columns\); it has 'body'"),
        (
            [{"body": "a", "no": 1}, {"body": "b", "no": 1}],
            {"text": "body", "id": "no"},
            "line 2: the id '1' stands already",
        ),
        ([{"body": "a", "no": None}], {"text": "body", "id": "no"}, "line 1: the column 'no' must hold an id"),
        ([{"body": 5}], {"text": "body"}, "line 1: the column 'body' must hold text, not 5"),
        ([{"body": "a", "by": {"b": 1}}], {"text": "body", "author": "by"}, "line 1: the value of author must be"),
    ],
)
def test_broken_rows_are_named(rows, columns, says, tmp_path):
    with pytest.raises(InputError, match=says):
        read(jsonl(tmp_path / "a.jsonl", rows), columns)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no,body\n1,a,b\n", "line 2: 3 cells, but 2 columns"),
        (b'no,body\n1,"a\n', "not readable as CSV"),
        (b"no,body\n1,\xff\n", "line 2: not UTF-8"),
        (b"body,body\na,b\n", "two columns have the same name"),
        (b"no,txt\n1,a\n", "there is no column 'body'"),
        (b"no,body\n", "no document of the corpus can be used"),
    ],
)
def test_broken_csv_is_named(content, says, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=says):
        read(tmp_path, {"text": "body"})


def test_a_cell_may_hold_a_whole_document(tmp_path):
    text = "word " * 50_000
    parsed = read(csv(tmp_path / "a.csv", rows=[{"body": text}]), {"text": "body"})
    assert parsed.documents["text"].to_list() == [text.strip()]


def test_parts_are_one_corpus_and_other_files_do_not_count(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(2):
        pl.DataFrame([{"body": f"Text {number}."}]).write_parquet(
            tmp_path / "data" / f"train-{number:05d}-of-00002.parquet"
        )
    settings = CorpusSettings(columns={"text": "body"})
    before = corpus_fingerprint(tmp_path, selection_of(settings))
    assert listed_fingerprint(scan_corpus(tmp_path, settings)) == before
    (tmp_path / "README.md").write_text("# About")
    assert corpus_fingerprint(tmp_path, selection_of(settings)) == before
    assert read(tmp_path, {"text": "body"}).documents.height == 2
    (tmp_path / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="not there"):
        scan_corpus(tmp_path, settings)


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.md").write_text("# A")
    with pytest.raises(InputError, match="names columns, but there is no table"):
        read(tmp_path)
    csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"this is a file .*corpus\.columns"):
        scan_corpus(tmp_path / "a.csv", CorpusSettings())
    jsonl(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match=r"tables of several kinds \(\.csv \.jsonl\)"):
        read(tmp_path)


@pytest.mark.parametrize("given", ['{"id": "no"}', '{"text": "body", "url": " "}'])
def test_settings_need_a_column_of_texts(given):
    with pytest.raises(SettingsError, match=r"corpus\.columns"):
        load_settings(None, None, [f"corpus.columns={given}"], {})


def test_the_stages_hand_on_what_is_told(tmp_path):
    from embed_pipeline.settings import Settings
    from embed_pipeline.settings.sources import with_overrides
    from embed_pipeline.stages import corpus
    from embed_pipeline.stages.inputs import told_of
    from embed_pipeline.stages.run import run_stage
    from embed_pipeline.store.artifacts import Artifact, Store

    given = [f"corpus.path={csv(tmp_path / 'a.csv')}", f"corpus.columns={json.dumps(COLUMNS)}"]
    settings, store, made = with_overrides(Settings(), given), Store(tmp_path / "home"), dict[str, Artifact]()
    for declared in (corpus.corpus_manifest, corpus.documents, corpus.passages):
        made[declared.name] = run_stage(declared, settings, store, made).artifact
    assert made["documents"].frame("metadata").rows() == TOLD
    told = told_of(made["documents"], made["passages"])
    assert told["7#0000"]["tags"] == ["water", "pumps"] and told["8#0000"] == {"tags": ["water"]}
    built = RetrievalSet("set", {"7#0000": "Pumps", "9#0000": "Other"}, {"q": "which?"}, {"q": {"7#0000": 1}})
    write_retrieval_set(built, tmp_path / "beir", "test", told)
    first, second = (json.loads(line) for line in (tmp_path / "beir" / "corpus.jsonl").read_text().splitlines())
    assert first["metadata"] == {
        **{name: value for _, name, value in TOLD[:2]},
        "tags": ["water", "pumps"],
        "author": "Ada",
    }
    assert second["metadata"] == {}

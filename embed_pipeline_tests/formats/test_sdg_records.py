import json

import polars as pl
import pytest

from embed_pipeline.corpus.sources.detect import corpus_source
from embed_pipeline.errors import InputError
from embed_pipeline.formats.sdg_records import ChunkPlace, chunk_places, holds_records, read_records, record_files

ONE = {"file_name": ["a.md"], "text": "x", "chunks": [{"chunk_id": 1, "text": "One."}, {"chunk_id": 2, "text": "Two."}]}
BUNDLE = {
    "file_name": ["a.md", "sub/b.md"],
    "text": "x",
    "chunks": [
        {"chunk_id": 1, "text": "One.", "doc_id": "a.md", "doc_path": "/home/u/docs/a.md"},
        {"chunk_id": 2, "text": "Two.", "doc_id": "a.md", "doc_path": "/home/u/docs/a.md"},
        {"chunk_id": 3, "text": "Three.", "doc_id": "doc_1", "doc_path": "/home/u/docs/sub/b.md"},
    ],
}


def jsonl(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def write(path, *records):
    if path.suffix == ".parquet":
        pl.DataFrame(records).write_parquet(path)
    else:
        path.write_text(json.dumps(records) if path.suffix == ".json" else jsonl(*records), "utf-8")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_every_kind_of_file_and_folder(tmp_path, suffix):
    write(tmp_path / f"records{suffix}", ONE, ONE)
    for path in (tmp_path, tmp_path / f"records{suffix}"):
        assert holds_records(path)
        assert [dict(record) for record in read_records(path)] == [ONE, ONE]


def test_a_single_object_and_lists_on_lines(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(ONE))
    (tmp_path / "lists.jsonl").write_text(json.dumps([ONE, BUNDLE]) + "\n\n" + json.dumps(ONE))
    assert len(list(read_records(tmp_path / "one.json"))) == 1
    found = list(read_records(tmp_path / "lists.jsonl"))
    assert [record.where.rpartition("lists.jsonl, ")[2] for record in found] == [
        "line 1, entry 1",
        "line 1, entry 2",
        "line 3",
    ]


def test_columns_of_parquet(tmp_path):
    write(tmp_path / "r.parquet", ONE)
    assert [set(record) for record in read_records(tmp_path, ["file_name", "absent"])] == [{"file_name"}]


def test_the_folder_of_a_downloaded_dataset(tmp_path):
    (tmp_path / "data").mkdir()
    for number in (1, 0):
        write(tmp_path / "data" / f"train-0000{number}-of-00002.parquet", ONE)
    assert [path.name[:11] for path in record_files(tmp_path)] == ["train-00000", "train-00001"]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize(("there", "missing"), [("r-00000-of-00002", "r-00001-of-00002"), ("part.1", "part.0")])
def test_a_missing_part_is_named(there, missing, suffix, tmp_path):
    write(tmp_path / f"{there}{suffix}", ONE)
    assert holds_records(tmp_path)
    for read in (record_files, lambda path: list(read_records(path)), corpus_source):
        with pytest.raises(InputError, match=rf"of the 2 parts .* 1 are not there, the first {missing}\{suffix}\."):
            read(tmp_path)
    assert list(read_records(tmp_path / f"{there}{suffix}"))
    write(tmp_path / f"{missing}{suffix}", ONE)
    assert len(list(read_records(tmp_path))) == 2


def test_parts_that_are_no_records_are_not_counted(tmp_path):
    (tmp_path / "part.2.jsonl").write_text('{"text": "x"}\n')
    assert corpus_source(tmp_path).kind == "files"


def test_generation_result_names_the_file(tmp_path):
    write(tmp_path / "wanted.jsonl", ONE)
    write(tmp_path / "other.parquet", ONE)
    (tmp_path / "config_provenance.json").write_text("{}")
    result = tmp_path / "generation_result.json"
    for named in ("wanted.jsonl", "/elsewhere/output/wanted.jsonl", str(tmp_path / "wanted.jsonl")):
        result.write_text(json.dumps({"schema_version": 1, "output_path": named}))
        assert record_files(tmp_path) == [tmp_path / "wanted.jsonl"]
    for broken, reason in (
        ("{", "not valid JSON"),
        ("[]", "output_path"),
        ('{"output_path": "gone.jsonl"}', "there is no such file"),
    ):
        result.write_text(broken)
        with pytest.raises(InputError, match=reason):
            record_files(tmp_path)


def test_old_batches_stand_beside_other_json(tmp_path):
    write(tmp_path / "generated_batch0_0_9.json", ONE)
    (tmp_path / "notes.json").write_text("{}")
    assert [path.name for path in record_files(tmp_path)] == ["generated_batch0_0_9.json"]


def test_several_kinds_are_refused(tmp_path):
    write(tmp_path / "a.jsonl", ONE)
    write(tmp_path / "b.parquet", ONE)
    with pytest.raises(InputError, match=r"several kinds \(\.jsonl: a\.jsonl; \.parquet: b\.parquet\)"):
        list(read_records(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [("q.jsonl", b'{"question": "x"}\n'), ("b.parquet", b"PAR1"), ("e.json", b""), ("t.txt", b'"chunks" "chunk_id"')],
)
def test_other_files_hold_no_records(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert not holds_records(tmp_path / name)
    assert not holds_records(tmp_path)
    assert not holds_records(tmp_path / "missing.jsonl")


def test_parquet_without_chunks_holds_no_records(tmp_path):
    pl.DataFrame({"file_name": ["a"], "chunks": ["text"]}).write_parquet(tmp_path / "a.parquet")
    assert not holds_records(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (jsonl(ONE).encode() + b"{broken\n", "line 2: not valid JSON"),
        (jsonl(ONE).encode() + b"3\n", "line 2: must be a JSON object"),
        (b'{"file_name": "\xe9"}\n', "line 1: not UTF-8"),
        (b'{"file_name": "\\ud800"}\n', "line 1: holds half of a surrogate pair"),
    ],
)
def test_broken_lines_are_named(tmp_path, content, reason):
    (tmp_path / "r.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=rf"r\.jsonl, {reason}"):
        list(read_records(tmp_path))


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing")
    for path, reason in (
        (tmp_path / "b.parquet", "not a readable Parquet"),
        (tmp_path / "gone.json", "no such file"),
        (__file__, r"only \.jsonl"),
    ):
        with pytest.raises(InputError, match=reason):
            list(read_records(type(tmp_path)(path)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no \.jsonl"):
        list(read_records(tmp_path / "empty"))


def test_chunk_places_of_one_document_and_of_a_bundle():
    assert chunk_places(ONE) == [ChunkPlace(1, "a.md", "One.", 0), ChunkPlace(2, "a.md", "Two.", 1)]
    assert chunk_places({**ONE, "file_name": "a.md"}) == chunk_places(ONE)
    places = chunk_places(BUNDLE)
    assert [(place.chunk_id, place.passage_id) for place in places] == [
        (1, "a.md#0000"),
        (2, "a.md#0001"),
        (3, "sub/b.md#0000"),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"file_name": []}, "file_name must be"),
        ({"file_name": [3]}, "file_name must be"),
        ({"chunks": None}, "chunks must be a list"),
        ({"chunks": ["x"]}, "chunk 1: chunk_id must be a whole number"),
        ({"chunks": [{"chunk_id": 1.5, "text": "x"}]}, "chunk 1: chunk_id must be a whole number"),
        ({"chunks": [{"chunk_id": 1.0, "text": None}]}, "chunk 1: text must be a text"),
        ({"chunks": [{"chunk_id": 1, "text": "x"}] * 2}, "chunk 2: the chunk_id 1 stands twice"),
        ({"file_name": ["a", "b"]}, "chunk 1: its doc_id or doc_path must name one of the record's 2 documents"),
    ],
)
def test_malformed_records_are_named(tmp_path, change, reason):
    write(tmp_path / "r.jsonl", {**ONE, **change})
    (record,) = read_records(tmp_path)
    with pytest.raises(InputError, match=rf"r\.jsonl, line 1(, |: ){reason}"):
        chunk_places(record)

"""A folder of the reference recipe's SDG records as the corpus."""

import json
import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import corpus_fingerprint, scan_corpus
from embed_pipeline.corpus.sources.detect import corpus_kind
from embed_pipeline.errors import InputError
from embed_pipeline.formats.sdg_records import chunk_places, read_records
from embed_pipeline.settings import CorpusSettings

SETTINGS = CorpusSettings()


def record(*documents, **more):
    """A record of (name, chunk texts); of more than one it is a bundle."""
    chunks = [
        {"text": text, "doc_id": name, "doc_path": f"/docs/{name}"} if len(documents) > 1 else {"text": text}
        for name, texts in documents
        for text in texts
    ]
    return {
        "file_name": [name for name, _ in documents],
        "text": "\n".join(text for _, texts in documents for text in texts),
        "chunks": [{"chunk_id": number, **chunk} for number, chunk in enumerate(chunks, 1)],
        "deduplicated_qa_pairs": [],
        **more,
    }


ALPHA = ("guides/alpha.md", ["Alpha is first. It stands alone.", "Alpha ends\u00a0here."])
BETA = ("beta.txt", ["Beta comes next."])


def write(root, *records, name="records.jsonl"):
    root.mkdir(exist_ok=True)
    (root / name).write_text("".join(json.dumps(one) + "\n" for one in records), "utf-8")


def read(root):
    return read_documents(root, scan_corpus(root, SETTINGS), SETTINGS)


def passages_of(parsed):
    return chunk_documents(
        parsed.documents, lambda texts: [len(text.split()) for text in texts], SETTINGS, False, parsed.chunks
    )


def test_documents_are_joined_chunks_and_passages_are_the_chunks(tmp_path):
    write(tmp_path, record(ALPHA), record(BETA))
    parsed = read(tmp_path)
    assert parsed.kind == corpus_kind(tmp_path) == "records"
    assert parsed.documents.select("doc_id", "path", "title", "text").rows() == [
        ("guides/alpha.md", "records.jsonl", "", "Alpha is first. It stands alone.\n\nAlpha ends here."),
        ("beta.txt", "records.jsonl", "", "Beta comes next."),
    ]
    passages = passages_of(parsed)
    assert passages.select("passage_id", "position", "title", "text", "token_count").rows() == [
        ("guides/alpha.md#0000", 0, "", "Alpha is first. It stands alone.", 6),
        ("guides/alpha.md#0001", 1, "", "Alpha ends here.", 3),
        ("beta.txt#0000", 0, "", "Beta comes next.", 3),
    ]


def test_a_document_in_bundles_and_alone_is_one(tmp_path):
    write(tmp_path, record(BETA, ALPHA), record(ALPHA), record(ALPHA, BETA))
    parsed = read(tmp_path)
    assert parsed.documents["doc_id"].to_list() == ["beta.txt", "guides/alpha.md"]
    assert passages_of(parsed).height == 3


def test_other_chunks_of_the_same_document_are_refused(tmp_path):
    write(tmp_path, record(ALPHA), record(("guides/alpha.md", ["Something else."])))
    with pytest.raises(InputError, match=r"line 2: the document 'guides/alpha\.md' has other chunks than in .*line 1"):
        read(tmp_path)


def test_the_same_text_under_two_names_is_a_near_duplicate(tmp_path):
    write(tmp_path, record(ALPHA), record(("copy.md", ALPHA[1])))
    assert read(tmp_path).documents["group_id"].to_list() == ["copy.md", "copy.md"]


def test_chunks_without_text_give_no_passage_but_keep_their_number(tmp_path):
    write(tmp_path, record(("a.md", ["One.", " \u00ad", "Three."])), record(("b.md", [" "])))
    parsed = read(tmp_path)
    assert passages_of(parsed)["passage_id"].to_list() == ["a.md#0000", "a.md#0002"]
    assert parsed.skipped.rows() == [("b.md", "its chunks have no text")]


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("abcd"), st.lists(st.text("xy. \n\u0301中", max_size=12), min_size=1, max_size=4)
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda one: one[0],
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_chunk_with_text_finds_its_passage(tmp_path_factory, contents):
    texts: dict[str, list[str]] = {}
    for bundle in contents:
        for name, parts in bundle:
            texts.setdefault(name, ["always something", *parts])
    root = tmp_path_factory.mktemp("records")
    write(root, *[record(*[(name, texts[name]) for name, _ in bundle]) for bundle in contents])
    parsed = read(root)
    passages = passages_of(parsed)
    whole = dict(parsed.documents.select("doc_id", "text").iter_rows())
    found = {row["passage_id"]: row for row in passages.to_dicts()}
    assert len(found) == sum(bool(part.strip()) for parts in texts.values() for part in parts)
    for one in read_records(root):
        for place in chunk_places(one):
            if place.text.strip():
                row = found[place.passage_id]
                assert row["text"] == whole[place.doc_id][row["start"] : row["end"]]
                assert row["text"].split() == unicodedata.normalize("NFC", place.text).split()
                assert row["position"] == place.position


def test_only_record_files_are_listed_and_count(tmp_path):
    (tmp_path / "data").mkdir()
    pl.DataFrame([record(ALPHA)]).write_parquet(tmp_path / "data" / "train.parquet")
    (tmp_path / "README.md").write_text("# The data set")
    (tmp_path / ".gitattributes").write_text("x")
    before = corpus_fingerprint(tmp_path)
    frame = scan_corpus(tmp_path, CorpusSettings(max_file_mb=0.0001))
    assert frame.select("path", "status").rows() == [("data/train.parquet", "read")]
    (tmp_path / "README.md").write_text("# Changed")
    assert corpus_fingerprint(tmp_path) == before
    assert read(tmp_path).documents["path"].to_list() == ["data/train.parquet"]


def test_records_beside_documents_or_in_a_beir_folder_are_no_corpus(tmp_path):
    write(tmp_path / "mixed", record(ALPHA))
    (tmp_path / "mixed" / "sub").mkdir()
    (tmp_path / "mixed" / "sub" / "a.md").write_text("# A\n\n" + "A document of its own. " * 9)
    assert corpus_kind(tmp_path / "mixed") == "files"
    write(tmp_path / "beir", record(ALPHA), name="corpus.jsonl")
    assert corpus_kind(tmp_path / "beir") == "beir"
    write(tmp_path / "other", {"question": "?"})
    assert corpus_kind(tmp_path / "other") == "files"
    with pytest.raises(InputError, match=r"unsupported format \.jsonl"):
        scan_corpus(tmp_path / "other", SETTINGS)


def test_a_malformed_row_is_named(tmp_path):
    write(tmp_path, record(ALPHA), {**record(BETA), "chunks": [{"chunk_id": 1}]})
    with pytest.raises(InputError, match=r"records\.jsonl, line 2, chunk 1: text must be a text"):
        read(tmp_path)


def test_a_file_that_changes_meanwhile_stops_the_run(tmp_path):
    write(tmp_path, record(ALPHA))
    manifest = scan_corpus(tmp_path, SETTINGS)
    write(tmp_path, record(BETA))
    with pytest.raises(InputError, match="changed while it was being read"):
        read_documents(tmp_path, manifest, SETTINGS)


def test_the_stages_hand_the_chunks_on(tmp_path):
    from embed_pipeline.settings import Settings
    from embed_pipeline.settings.sources import with_overrides
    from embed_pipeline.stages import corpus
    from embed_pipeline.stages.run import run_stage
    from embed_pipeline.store.artifacts import Artifact, Store

    write(tmp_path / "corpus", record(ALPHA), record(BETA, ALPHA))
    settings = with_overrides(Settings(), [f"corpus.path={tmp_path / 'corpus'}"])
    store, made = Store(tmp_path / "home"), dict[str, Artifact]()
    for declared in (corpus.corpus_manifest, corpus.documents, corpus.passages):
        made[declared.name] = run_stage(declared, settings, store, made).artifact
    assert made["documents"].json("corpus") == {"kind": "records"}
    assert made["documents"].frame("chunks").height == 3
    assert made["passages"].frame()["text"].to_list() == [*(text.replace("\u00a0", " ") for text in ALPHA[1]), *BETA[1]]

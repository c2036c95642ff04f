import io
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.addresses import archives
from embed_pipeline.corpus.addresses.listing import plain_path
from embed_pipeline.corpus.addresses.looking import looking_only
from embed_pipeline.corpus.addresses.mirror import Mirror
from embed_pipeline.corpus.addresses.reading import address_version, corpus_at
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.errors import InputError
from embed_pipeline.settings import CorpusSettings
from embed_pipeline_tests.corpus.addresses.conftest import zipped

TEXT = "The loft warden checks the skein before every lofting and writes it into the gust ledger."
SETTINGS = CorpusSettings()
BAD = "its name cannot be that of a file below the corpus"


@pytest.fixture
def put(tmp_path):
    def _put(data, name="docs.zip"):
        (tmp_path / name).write_bytes(data)
        return f"file://{tmp_path}/{name}"

    return _put


def reasons(address, home, settings=SETTINGS):
    address_version(address, home, selection_of(settings))
    with corpus_at(address, home) as root:
        return dict(scan_corpus(root, settings).select("path", "reason").rows())


def tarred(files, mode="w:gz", **links):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
        fifo = tarfile.TarInfo("pipe.md")
        fifo.type = tarfile.FIFOTYPE
        archive.addfile(fifo)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "mode"), [("d.tar", "w"), ("d.tgz", "w:gz"), ("d.tar.xz", "w:xz"), ("d.tar.bz2", "w:bz2")]
)
def test_tar_archives_of_every_packing_are_read(name, mode, put, home):
    files = {"./a.md": TEXT, "sub/b.md": TEXT * 2, "../up.md": TEXT, "/etc/abs.md": TEXT}
    found = reasons(put(tarred(files, mode, **{"link.md": "/etc/passwd"}), name), home)
    assert found == {
        "a.md": None,
        "sub/b.md": None,
        "../up.md": BAD,
        "/etc/abs.md": BAD,
        "link.md": "link in an archive",
        "pipe.md": "not a regular file",
    }


def test_names_in_a_zip_that_lead_out_of_it_are_skipped_by_name(put, home, tmp_path):
    names = ["../../evil.md", "/abs.md", "a/../../b.md", "C:/windows.md", "back\\..\\up.md", f"{'n' * 300}.md"]
    found = reasons(put(zipped({"a.md": TEXT} | dict.fromkeys(names, TEXT))), home)
    assert found["a.md"] is None
    assert {name for name, reason in found.items() if reason == BAD} == set(names)
    assert sorted(path.name for path in tmp_path.rglob("*.md")) == ["a.md"]


def test_links_and_encrypted_files_in_a_zip_are_skipped_by_name(put, home):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.md", TEXT)
        link = zipfile.ZipInfo("link.md")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("locked.md", TEXT)
    data = bytearray(packed.getvalue())
    place = data.rindex(b"PK\x01\x02")
    data[place + 8] |= 1  # the flag of the last entry in the directory
    assert reasons(put(bytes(data)), home) == {
        "a.md": None,
        "link.md": "link in an archive",
        "locked.md": "encrypted in its archive",
    }


def test_one_folder_around_everything_is_no_part_of_the_paths(put, home):
    files = {"repo-main/a.md": TEXT, "repo-main/sub/b.md": TEXT * 2, "__MACOSX/repo-main/._a.md": "x"}
    assert reasons(put(zipped(files)), home) == {"a.md": None, "sub/b.md": None}


def test_a_packed_beir_folder_is_one(put, home):
    row = f'{{"_id": "1", "title": "", "text": "{TEXT}"}}\n'
    address = put(zipped({"scifact/corpus.jsonl": row, "scifact/queries.jsonl": "", "scifact/qrels/test.tsv": ""}))
    assert reasons(address, home) == {"corpus.jsonl": None}


def test_a_folder_inside_is_named_before_the_archive(put, home):
    address = put(zipped({"docs/de/a.md": TEXT, "docs/en/b.md": TEXT, "c.md": TEXT}))
    assert reasons(f"zip://docs/en::{address}", home) == {"b.md": None}
    with pytest.raises(InputError, match=r"docs\.zip: the archive holds no folder docs/fr"):
        reasons(f"zip://docs/fr::{address}", home)


def test_the_last_of_two_with_one_name_counts_and_a_folder_wins(put, home):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.md", TEXT)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.md", TEXT * 2)
        archive.writestr("sub.md", TEXT)
        archive.writestr("sub.md/b.md", TEXT)
    address = put(packed.getvalue())
    assert reasons(address, home) == {"a.md": None, "sub.md": "a folder has the same name", "sub.md/b.md": None}
    assert (Mirror.of(address, home).tree / "a.md").read_text() == TEXT * 2


def test_settings_choose_before_anything_is_unpacked(put, home):
    settings = CorpusSettings(exclude=("drafts/",), max_file_mb=0.001)
    files = {
        "a.md": TEXT,
        "drafts/b.md": TEXT,
        "big.md": "x" * 2000,
        "p.png": "x",
        ".embedignore": "c.md\n",
        "c.md": TEXT,
    }
    address = put(zipped(files))
    assert {name for name, reason in reasons(address, home, settings).items() if reason is None} == {"a.md"}
    tree = Mirror.of(address, home).tree
    assert sorted(path.name for path in tree.rglob("*")) == [".embedignore", "a.md"]


def test_who_only_looks_does_not_fetch_an_archive(put, home):
    address = put(zipped({"a.md": TEXT}))
    with looking_only():
        address_version(address, home, selection_of(SETTINGS))
    assert not (Mirror.of(address, home).folder / "archive").exists()
    known = address_version(address, home, selection_of(SETTINGS))
    with looking_only():
        assert address_version(address, home, selection_of(SETTINGS)) == known


def test_bombs_are_refused_before_anything_is_written(put, home, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 100_000)
    for address in (
        put(zipped({f"{n}.md": "0" * 1_000_000 for n in range(9)})),
        put(tarred({"a.md": "0" * 9_000_000}), "b.tgz"),
    ):
        with pytest.raises(InputError, match=r"would unpack to more than 100 times its size"):
            reasons(address, home)
        assert not list(Mirror.of(address, home).tree.rglob("*"))


def test_too_many_files_are_refused(put, home, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    with pytest.raises(InputError, match="more than 3 files"):
        reasons(put(zipped({f"{n}.md": TEXT for n in range(5)})), home)


def test_a_zip_that_lies_about_a_size_writes_no_more_than_it_said(put, home):
    data = bytearray(zipped({"a.md": TEXT * 1000}))
    place = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, place + 24, 10)  # the size that the directory tells
    with pytest.raises(InputError, match=r"docs\.zip: cannot be unpacked"):
        reasons(put(bytes(data)), home)


def test_a_header_of_a_tar_that_would_fill_the_memory_is_refused(put, home):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.XHDTYPE, 3_000_000
        archive.addfile(info, io.BytesIO(b"0" * 3_000_000))
    with pytest.raises(InputError, match="cannot be unpacked"):
        reasons(put(packed.getvalue(), "d.tar.gz"), home)


@pytest.mark.parametrize(
    "data", [b"", b"no archive at all", zipped({"a.md": TEXT})[:-30], tarred({"a.md": TEXT * 99})[:-60]]
)
def test_what_is_no_archive_or_damaged_is_told(data, put, home):
    with pytest.raises(InputError, match=r"docs\.zip: (cannot be unpacked|.*cannot be read|is no zip or tar archive)"):
        reasons(put(data), home)


@given(st.text())
def test_a_plain_path_never_leads_out_of_its_folder(path):
    plain = plain_path(path)
    if plain is not None:
        parts = plain.split("/")
        assert ".." not in parts and "" not in parts and not plain.startswith("/") and "\\" not in plain


def test_a_page_for_a_login_is_told_as_one(put, home):
    with pytest.raises(InputError, match=r"docs\.zip: is a web page, as servers send one for a login"):
        address_version(put(b"\n<!DOCTYPE html><title>Sign in</title>"), home, selection_of(SETTINGS))

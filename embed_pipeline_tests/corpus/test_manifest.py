import os
import shutil
import socket
import subprocess
import time

import pytest

from embed_pipeline.corpus import manifest as manifest_module
from embed_pipeline.corpus.manifest import corpus_fingerprint, listed_fingerprint, scan_corpus
from embed_pipeline.corpus.parsers import registry
from embed_pipeline.corpus.sources.detect import corpus_kind
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_bytes
from embed_pipeline.settings import CorpusSettings

SETTINGS = CorpusSettings()


def reasons(root, settings=SETTINGS):
    return dict(scan_corpus(root, settings).select("path", "reason").rows())


def test_readable_files_are_listed_with_size_and_hash_in_order(corpus):
    frame = scan_corpus(corpus, SETTINGS)
    assert frame["path"].to_list() == ["b.txt", "sub/a.md"]
    assert frame["bytes"].to_list() == [3, 3]
    assert frame["sha256"][0] == sha256_bytes(b"bee")
    assert frame["status"].to_list() == ["read", "read"]


def test_every_kind_of_unusable_file_is_skipped_with_its_reason(corpus):
    (corpus / "image.png").write_bytes(b"x")
    (corpus / "Makefile").write_bytes(b"x")
    (corpus / "empty.txt").touch()
    (corpus / ".hidden.txt").write_text("x")
    (corpus / ".git").mkdir()
    (corpus / ".git" / "config.txt").write_text("x")
    (corpus / "big.txt").write_text("x" * 2000)
    (corpus / "binary.txt").write_bytes(b"a\0b")
    (corpus / "~$letter.docx").write_bytes(b"x")
    found = reasons(corpus, CorpusSettings(max_file_mb=0.001))
    assert found == {
        "b.txt": None,
        "sub/a.md": None,
        "image.png": "unsupported format .png",
        "Makefile": "no file suffix",
        "empty.txt": "empty file",
        ".hidden.txt": "hidden file",
        ".git": "hidden folder",
        "big.txt": "larger than corpus.max_file_mb (0.0 MB > 0.001 MB)",
        "binary.txt": "binary content in a text file",
        "~$letter.docx": "lock file of an office program",
    }


def test_utf16_with_byte_order_mark_is_not_binary(corpus):
    (corpus / "wide.txt").write_bytes("Grüße".encode("utf-16"))
    assert reasons(corpus)["wide.txt"] is None


def test_unreadable_file_is_skipped(corpus, monkeypatch):
    def refuse(file):
        if file.name == "b.txt":
            raise PermissionError(13, "Permission denied")
        return file.read_bytes()

    monkeypatch.setattr(manifest_module, "_bytes_of", refuse)
    frame = scan_corpus(corpus, SETTINGS)
    row = frame.row(0, named=True)
    assert (row["path"], row["sha256"], row["reason"]) == ("b.txt", "", "cannot be read: Permission denied")
    assert corpus_fingerprint(corpus)


def test_links_are_never_followed(corpus, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (corpus / "copy.txt").symlink_to("b.txt")
    (corpus / "folder").symlink_to("sub", target_is_directory=True)
    (corpus / "up").symlink_to("..", target_is_directory=True)
    (corpus / "here").symlink_to(".", target_is_directory=True)
    (corpus / "out.txt").symlink_to(outside / "secret.txt")
    (corpus / "gone.txt").symlink_to("nowhere.txt")
    (corpus / "loop.txt").symlink_to("loop.txt")
    found = reasons(corpus)
    assert found == {
        "b.txt": None,
        "sub/a.md": None,
        "copy.txt": "link to b.txt",
        "folder": "link to sub",
        "up": "link that leaves the corpus folder",
        "here": "link to .",
        "out.txt": "link that leaves the corpus folder",
        "gone.txt": "broken link",
        "loop.txt": "link that leads back to itself",
    }


def test_pipes_and_sockets_are_never_opened(corpus, monkeypatch):
    os.mkfifo(corpus / "pipe.txt")
    monkeypatch.chdir(corpus)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.txt")
        found = reasons(corpus)
    assert found["pipe.txt"] == found["socket.txt"] == "not a regular file"


def test_a_name_that_is_not_utf8_is_skipped_by_an_escaped_name(corpus):
    (corpus / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert reasons(corpus)["caf\\xe9.txt"] == "the file name is not valid UTF-8; rename it"
    assert corpus_fingerprint(corpus)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda root: None, "there is no such corpus folder"),
        (lambda root: root.write_text("x"), "must be a folder"),
        (lambda root: root.mkdir(), "is empty"),
    ],
)
def test_unusable_roots(tmp_path, make, expected):
    root = tmp_path / "corpus"
    make(root)
    with pytest.raises(InputError, match=expected) as caught:
        scan_corpus(root, SETTINGS)
    assert str(root) in str(caught.value)


def test_nothing_readable_lists_the_first_reasons(tmp_path):
    for name in "abcdefg":
        (tmp_path / f"{name}.xyz").write_text("x")
    with pytest.raises(InputError, match=r"a\.xyz: unsupported format \.xyz; .*and 2 more.*\.docx"):
        scan_corpus(tmp_path, SETTINGS)


@pytest.fixture
def without_extra(monkeypatch):
    monkeypatch.setattr(registry, "is_installed", lambda package: False)
    return monkeypatch


@pytest.mark.parametrize("name", ["talk.pptx", "prices.xlsx"])
def test_files_that_need_the_extra_are_skipped_by_its_name(corpus, without_extra, name):
    before = corpus_fingerprint(corpus)
    (corpus / name).write_bytes(b"PK")
    assert reasons(corpus)[name].endswith("need the extra documents: pip install 'embed-pipeline[documents]'")
    without = corpus_fingerprint(corpus)
    assert listed_fingerprint(scan_corpus(corpus, SETTINGS)) == without != before


@pytest.mark.parametrize("name", ["talk.pptx", "prices.xlsx"])
def test_they_are_read_once_it_is_installed(corpus, without_extra, name):
    """The corpus counts as changed then, but only one that has such files."""
    before = corpus_fingerprint(corpus)
    (corpus / name).write_bytes(b"PK")
    without, listed = corpus_fingerprint(corpus), scan_corpus(corpus, SETTINGS)
    without_extra.setattr(registry, "is_installed", lambda package: True)
    assert reasons(corpus)[name] is None
    assert corpus_fingerprint(corpus) == listed_fingerprint(scan_corpus(corpus, SETTINGS)) != without
    assert listed_fingerprint(listed) == without  # the old manifest is that of the old corpus
    (corpus / name).unlink()
    assert corpus_fingerprint(corpus) == before


def test_of_a_beir_folder_only_the_corpus_counts_whatever_its_size(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "x"}\n' * 100)
    (tmp_path / "queries.jsonl").write_text("{}")
    (tmp_path / "notes.txt").write_text("notes")
    before = corpus_fingerprint(tmp_path)
    frame = scan_corpus(tmp_path, CorpusSettings(max_file_mb=0.0001))
    assert frame.select("path", "status").rows() == [("corpus.jsonl", "read")]
    assert corpus_kind(tmp_path) == "beir"
    assert corpus_kind(tmp_path / "absent") == "files"
    (tmp_path / "notes.txt").write_text("other notes")
    assert corpus_fingerprint(tmp_path) == before


def test_fingerprint_follows_names_and_contents_only(corpus, tmp_path):
    first = corpus_fingerprint(corpus)
    os.utime(corpus / "b.txt", (1, 1))
    (corpus / ".DS_Store").write_text("x")
    moved = tmp_path / "elsewhere" / "corpus"
    moved.parent.mkdir()
    shutil.move(corpus, moved)
    assert corpus_fingerprint(moved) == first
    seen = {first}
    (moved / "b.txt").write_text("bea")
    seen.add(corpus_fingerprint(moved))
    (moved / "b.txt").rename(moved / "c.txt")
    seen.add(corpus_fingerprint(moved))
    (moved / "c.txt").unlink()
    seen.add(corpus_fingerprint(moved))
    assert len(seen) == 4


def test_fingerprint_is_fast(tmp_path):
    for number in range(500):
        (tmp_path / f"{number}.md").write_bytes(b"%d" % number * 5000)
    began = time.perf_counter()
    corpus_fingerprint(tmp_path)
    assert time.perf_counter() - began < 2


def test_fingerprint_of_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="no such corpus folder"):
        corpus_fingerprint(tmp_path / "absent")


def test_folders_deeper_than_python_recurses_and_loops_of_links(tmp_path):
    root = tmp_path / "deep"
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for level in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        if level == 600:
            os.symlink("..", "loop", dir_fd=below)
        os.close(here)
        here = below
    os.write(bottom := os.open("z.md", os.O_WRONLY | os.O_CREAT, dir_fd=here), b"# At the bottom")
    os.close(bottom)
    os.close(here)
    (root / "data.jsonl").write_text('{"some": "rows"}\n')
    rows = scan_corpus(root, CorpusSettings()).select("path", "status").rows()
    assert sorted(rows) == sorted(
        [("d/" * 601 + "loop", "skipped"), ("d/" * 1200 + "z.md", "read"), ("data.jsonl", "skipped")]
    )
    subprocess.run(["rm", "-rf", str(root)], check=True)  # shutil recurses

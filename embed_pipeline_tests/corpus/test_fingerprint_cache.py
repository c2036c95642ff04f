"""The cached fingerprint is the one of the manifest, whatever happens to the files."""

import os
import shutil
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus import fingerprint_cache
from embed_pipeline.corpus.fingerprint_cache import (
    CorpusState,
    StillHashing,
    cache_file,
    cached_fingerprint,
    read_state,
    signature,
)
from embed_pipeline.corpus.manifest import corpus_fingerprint, scan_corpus
from embed_pipeline.corpus.walk import look_at
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file, sha256_text
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.store.home import open_home


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files whose content was read."""
    names = []

    def note(path):
        names.append(path.name)
        return sha256_file(path)

    monkeypatch.setattr(fingerprint_cache, "sha256_file", note)
    return names


@pytest.fixture
def later(monkeypatch):
    """The clock, two seconds on: what was written before is not racy any more."""
    monkeypatch.setattr(fingerprint_cache, "RACY_SECONDS", -0.1)


def test_only_what_changed_is_read_again(corpus, tmp_path, hashed, later):
    cache = tmp_path / "home" / "files.json"
    assert cached_fingerprint(corpus, cache) == corpus_fingerprint(corpus)
    assert hashed == ["b.txt", "a.md"]
    cached_fingerprint(corpus, cache)
    assert len(hashed) == 2
    (corpus / "b.txt").write_text("bea")
    assert cached_fingerprint(corpus, cache) == corpus_fingerprint(corpus)
    assert hashed[2:] == ["b.txt"]


def test_a_change_that_keeps_size_and_time_of_modification_is_seen(corpus, tmp_path, later):
    cache = tmp_path / "files.json"
    before = cached_fingerprint(corpus, cache)
    status = (corpus / "b.txt").stat()
    (corpus / "b.txt").write_text("bea")
    os.utime(corpus / "b.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cached_fingerprint(corpus, cache) == corpus_fingerprint(corpus) != before


def test_a_file_changed_just_before_it_was_hashed_is_not_remembered(corpus, tmp_path, hashed, monkeypatch):
    monkeypatch.setattr(fingerprint_cache, "RACY_SECONDS", 3600.0)  # however slow this machine is
    cache = tmp_path / "files.json"
    for _ in range(3):
        cached_fingerprint(corpus, cache)
    assert hashed == ["b.txt", "a.md"] * 3


def test_a_time_of_modification_in_the_future_does_not_keep_a_file_from_being_remembered(tmp_path, monkeypatch):
    file = tmp_path / "a.md"
    file.write_text("a")
    os.utime(file, (4e9, 4e9))
    now = file.stat().st_ctime
    assert fingerprint_cache._is_racy(file.stat(), now + 1)
    assert not fingerprint_cache._is_racy(file.stat(), now + 3)


def test_a_file_that_is_being_written_is_not_remembered(corpus, tmp_path, monkeypatch, later):
    cache = tmp_path / "files.json"

    def slow(path):
        digest = sha256_file(path)
        if path.name == "b.txt":
            path.write_text("more and more")
        return digest

    monkeypatch.setattr(fingerprint_cache, "sha256_file", slow)
    cached_fingerprint(corpus, cache)
    monkeypatch.undo()
    assert cached_fingerprint(corpus, cache) == corpus_fingerprint(corpus)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\n{}", b"0" * 64 + b"\n{}"])
def test_a_damaged_cache_is_made_anew(corpus, tmp_path, hashed, later, damage):
    cache = tmp_path / "files.json"
    cache.write_bytes(damage)
    assert cached_fingerprint(corpus, cache) == corpus_fingerprint(corpus)
    cached_fingerprint(corpus, cache)
    assert len(hashed) == 2


def test_one_wrong_letter_in_the_cache_is_noticed(corpus, tmp_path, later):
    cache = tmp_path / "files.json"
    expected = cached_fingerprint(corpus, cache)
    digest = sha256_text("bee").encode()
    assert digest in cache.read_bytes()
    cache.write_bytes(cache.read_bytes().replace(digest, digest[::-1]))
    assert cached_fingerprint(corpus, cache) == expected


def test_two_at_once_are_safe(corpus, tmp_path, later):
    cache = tmp_path / "files.json"
    expected = corpus_fingerprint(corpus)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.extend(cached_fingerprint(corpus, cache) for _ in range(20)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for _ in range(10):
        cache.unlink(missing_ok=True)
    for thread in threads:
        thread.join()
    assert set(found) == {expected}
    assert len(found) == 60


def test_the_state_says_what_is_there_and_what_cannot_be_read(corpus, tmp_path, monkeypatch):
    (corpus / "link.txt").symlink_to("b.txt")

    def refuse(path):
        if path.name == "a.md":
            raise PermissionError(13, "Permission denied")
        return sha256_file(path)

    monkeypatch.setattr(fingerprint_cache, "sha256_file", refuse)
    state = read_state(look_at(corpus), tmp_path / "files.json")
    assert isinstance(state, CorpusState)
    assert state.files == {"b.txt": (3, sha256_text("bee"))}
    assert state.unreadable == {"link.txt": "link to b.txt", "sub/a.md": "cannot be read: Permission denied"}


def test_with_too_little_time_it_goes_on_where_it_stopped(tmp_path, hashed, later):
    corpus, cache = tmp_path / "corpus", tmp_path / "files.json"
    corpus.mkdir()
    for number in range(5):
        (corpus / f"{number}.md").write_text(str(number))
    entries = look_at(corpus)
    assert read_state(entries, cache, seconds=0) == StillHashing(0, 5)
    read_state(entries, cache)
    (corpus / "5.md").write_text("5")
    assert read_state(look_at(corpus), cache, seconds=0) == StillHashing(5, 6)
    assert cached_fingerprint(corpus, cache) == corpus_fingerprint(corpus)
    assert hashed == [f"{number}.md" for number in range(6)]


def test_a_touch_changes_the_signature_only(corpus, tmp_path):
    before, fingerprint = signature(look_at(corpus)), corpus_fingerprint(corpus)
    os.utime(corpus / "b.txt", (1, 1))
    assert signature(look_at(corpus)) != before
    assert cached_fingerprint(corpus, tmp_path / "files.json") == fingerprint


def test_hidden_files_and_homes_belong_to_nothing(corpus, tmp_path):
    before, looked = corpus_fingerprint(corpus), signature(look_at(corpus))
    (corpus / ".git").mkdir()
    (corpus / ".git" / "x.md").write_text("x")
    (corpus / ".x.md").write_text("x")
    for home in (corpus / "home", corpus / "sub" / "of another"):
        open_home(home)
        (home / "note.md").write_text("a document of the home")
    assert corpus_fingerprint(corpus) == cached_fingerprint(corpus, tmp_path / "files.json") == before
    assert signature(look_at(corpus)) == looked
    reasons = dict(scan_corpus(corpus, CorpusSettings()).select("path", "reason").rows())
    assert reasons["home"] == reasons["sub/of another"] == "home of a pipeline"
    assert "home/note.md" not in reasons


def test_a_home_is_no_corpus(tmp_path):
    open_home(tmp_path)
    (tmp_path / "a.md").write_text("a")
    with pytest.raises(InputError, match="is the home of a pipeline"):
        cached_fingerprint(tmp_path, tmp_path / "files.json")


def test_every_corpus_of_a_home_has_its_own_file(tmp_path):
    assert cache_file(tmp_path, tmp_path / "a") != cache_file(tmp_path, tmp_path / "b")


_steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y", None])), max_size=8)


@given(_steps)
def test_it_is_always_the_fingerprint_of_the_manifest(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("any")
    corpus, cache = root / "corpus", root / "files.json"
    corpus.mkdir()
    for name, text in steps:
        if text is None:
            (corpus / f"{name}.md").unlink(missing_ok=True)
        else:
            (corpus / f"{name}.md").write_text(text)
        assert cached_fingerprint(corpus, cache) == corpus_fingerprint(corpus)
    shutil.rmtree(root)


def test_what_has_not_changed_is_fast(tmp_path, monkeypatch, later):
    for number in range(2000):
        (tmp_path / f"{number}.md").write_text(str(number))
    cache = tmp_path / ".files.json"
    cached_fingerprint(tmp_path, cache)
    monkeypatch.setattr(fingerprint_cache, "sha256_file", lambda path: pytest.fail(f"{path} was read"))
    began = time.process_time()
    cached_fingerprint(tmp_path, cache)
    assert time.process_time() - began < 1

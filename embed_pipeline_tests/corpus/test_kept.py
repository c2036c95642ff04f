"""What is kept by content: the same result with and without it, work only for what changed."""

import json
import random
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from embed_pipeline.corpus import fingerprints
from embed_pipeline.corpus.chunking import chunk
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.kept import KeptCorpus
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.parsers import workers
from embed_pipeline.corpus.parsers.file import parse_batch as parse_batch_of_files
from embed_pipeline.corpus.passages import cut_passages
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.store import kept, used_cache
from embed_pipeline.store.kept import Kept
from embed_pipeline.store.used_cache import UsedCache

WORDS = [f"word{number}" for number in range(400)]


def page(seed, length=300):
    chooser = random.Random(seed)
    lines = [" ".join(chooser.choices(WORDS, k=12)).capitalize() + "." for _ in range(length // 12)]
    return f"# Page {seed}\n\n" + " ".join(lines) + "\n\n## Part\n\n" + " ".join(lines[::-1]) + "\n"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "docs"
    (root / "below").mkdir(parents=True)
    for number in range(12):
        (root / "below" / f"{number:02d}.md").write_text(page(number))
    (root / "copy.md").write_text(page(3).replace("word7", "word8"))
    (root / "table.md").write_text("| A | B |\n|---|---|\n" + "".join(f"| a{n} | b{n} |\n" for n in range(200)))
    (root / "short.txt").write_text("too short")
    return root


def made(root, spec, home, settings=None):
    chosen = settings or CorpusSettings(min_document_chars=20)
    manifest = scan_corpus(root, chosen)
    if home is None:
        parsed = read_documents(root, manifest, chosen)
        return parsed, cut_passages(parsed.documents, parsed.kind, parsed.chunks, spec, chosen)
    with KeptCorpus.of(home) as found:
        parsed = read_documents(root, manifest, chosen, found)
        return parsed, cut_passages(parsed.documents, parsed.kind, parsed.chunks, spec, chosen, found)


def same(one, other):
    (first, passages), (second, others) = one, other
    assert first.documents.equals(second.documents)
    assert first.skipped.equals(second.skipped)
    assert first.dropped.equals(second.dropped)
    assert passages.equals(others)


@pytest.fixture
def work(monkeypatch):
    """What was parsed, cut and fingerprinted, as it happens."""
    done: dict[str, Any] = {"parsed": [], "cut": [], "fingerprints": 0}
    parse, cut, fingerprint = parse_batch_of_files, chunk._cut, fingerprints._fingerprint

    def parse_batch(batch):
        done["parsed"] += [path for path, _ in batch.files]
        return parse(batch)

    def cut_batch(batch, *rest):
        done["cut"] += [document["doc_id"] for document in batch]
        return cut(batch, *rest)

    def print_text(text):
        done["fingerprints"] += 1
        return fingerprint(text)

    monkeypatch.setattr(workers, "parse_batch", parse_batch)
    monkeypatch.setattr(chunk, "_cut", cut_batch)
    monkeypatch.setattr(fingerprints, "_fingerprint", print_text)
    return done


def test_with_and_without_is_the_same_and_the_second_time_nothing_is_done(folder, tmp_path, base_model_spec, work):
    plain = made(folder, base_model_spec, None)
    home = tmp_path / "home"
    same(made(folder, base_model_spec, home), plain)
    work |= {"parsed": [], "cut": [], "fingerprints": 0}
    same(made(folder, base_model_spec, home), plain)
    assert work == {"parsed": [], "cut": [], "fingerprints": 0}
    assert plain[0].documents["group_id"].n_unique() < plain[0].documents.height


def test_a_changed_file_costs_its_own_work(folder, tmp_path, base_model_spec, work):
    home = tmp_path / "home"
    made(folder, base_model_spec, home)
    changed = folder / "below" / "05.md"
    changed.write_text(changed.read_text() + "\nOne more sentence stands here now.\n")
    (folder / "new.md").write_text(page(99))
    (folder / "below" / "02.md").unlink()
    work |= {"parsed": [], "cut": [], "fingerprints": 0}
    again = made(folder, base_model_spec, home)
    assert sorted(work["parsed"]) == sorted(work["cut"]) == ["below/05.md", "new.md"]
    assert work["fingerprints"] < 20
    same(again, made(folder, base_model_spec, None))


def test_a_moved_file_is_another_document_of_the_same_content(folder, tmp_path, base_model_spec, work):
    home = tmp_path / "home"
    made(folder, base_model_spec, home)
    (folder / "below" / "04.md").rename(folder / "04.md")
    work |= {"parsed": [], "cut": [], "fingerprints": 0}
    again = made(folder, base_model_spec, home)
    assert work["parsed"] == []
    assert "04.md" in again[0].documents["doc_id"]
    same(again, made(folder, base_model_spec, None))


@pytest.mark.parametrize(
    "change", [{"passage_tokens": 64}, {"min_passage_tokens": 0}, {"chunking": "sentences"}, {"min_document_chars": 5}]
)
def test_another_setting_gives_its_own_result(change, folder, tmp_path, base_model_spec):
    home = tmp_path / "home"
    made(folder, base_model_spec, home)
    other = CorpusSettings(**{"min_document_chars": 20, **change})
    same(made(folder, base_model_spec, home, other), made(folder, base_model_spec, None, other))


def test_other_code_parses_anew(folder, tmp_path, base_model_spec, work, monkeypatch):
    home = tmp_path / "home"
    made(folder, base_model_spec, home)
    (tmp_path / "package" / "corpus" / "parsers").mkdir(parents=True)
    (tmp_path / "package" / "corpus" / "parsers" / "new.py").write_text("changed = True")
    monkeypatch.setattr(kept, "PACKAGE", tmp_path / "package")
    kept.code_version.cache_clear()
    work["parsed"] = []
    made(folder, base_model_spec, home)
    kept.code_version.cache_clear()
    assert len(work["parsed"]) == 15


def test_a_text_that_is_kept_can_be_found_by_whoever_must_remove_it(folder, tmp_path, base_model_spec):
    from embed_pipeline.store.strings import strings_in

    home = tmp_path / "home"
    made(folder, base_model_spec, home)
    stored = home / "cache" / "corpus" / "documents.sqlite"
    sentence = (folder / "below" / "05.md").read_text().split("\n")[2][:60]
    assert any(sentence in text for text in strings_in(stored))


def test_keys_do_not_run_into_each_other():
    assert Kept.key("ab", "c") != Kept.key("a", "bc") != Kept.key("abc")


def test_what_nobody_asked_for_in_a_month_is_forgotten(tmp_path, monkeypatch):
    cache = UsedCache(tmp_path / "cache.sqlite")
    monkeypatch.setattr(used_cache, "_today", lambda: 1000)
    cache.put_many({b"old": b"1", b"used": b"2"})
    monkeypatch.setattr(used_cache, "_today", lambda: 1020)
    assert cache.get_many([b"used", b"missing"]) == {b"used": b"2"}
    cache.put_many({b"used": b"other", b"new": b"3"})
    monkeypatch.setattr(used_cache, "_today", lambda: 1031)
    assert cache.forget_unused() == 1
    assert cache.get_many([b"old", b"used", b"new"]) == {b"used": b"2", b"new": b"3"}
    cache.close()
    with closing(sqlite3.connect(tmp_path / "cache.sqlite")) as connection:
        assert dict(connection.execute("SELECT key, day FROM content")) == {b"used": 1031, b"new": 1031}


def test_values_are_plain_json(tmp_path):
    store = Kept(tmp_path / "one.sqlite")
    store.put_json({b"k": {"text": "Grüße \ud83d\ude00"[:6]}})
    assert json.loads(store.get_many([b"k"])[b"k"]) == {"text": "Grüße "}
    assert store.get_json([b"k", b"missing"]) == {b"k": {"text": "Grüße "}}
    store.close()

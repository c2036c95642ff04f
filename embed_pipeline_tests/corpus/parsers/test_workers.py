"""Several processes give what one gives."""

import os
import sys
import time

import pytest

from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.parsers.file import FileBatch
from embed_pipeline.corpus.parsers.workers import default_processes, parse_batches
from embed_pipeline.errors import InputError, StageError
from embed_pipeline.settings import CorpusSettings

SENTENCE = "The loft warden checks the skein before every lofting and writes it into the gust ledger."


@pytest.fixture
def corpus(tmp_path):
    for number in range(70):
        path = tmp_path / f"part{number % 3}" / f"page{number:02d}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# Page {number}\n\n{SENTENCE} Ünï {number} \U0001f680.\n" if number % 9 else "short", "utf-8")
    return tmp_path


def test_the_number_of_processes_does_not_matter(corpus):
    one, two = (
        read_documents(corpus, scan_corpus(corpus, chosen), chosen)
        for chosen in (CorpusSettings(processes=1), CorpusSettings(processes=2))
    )
    assert one.documents.equals(two.documents)
    assert one.skipped.equals(two.skipped)
    assert (one.documents.height, one.skipped.height) == (62, 8)


def test_a_file_that_changes_meanwhile_stops_the_run(corpus):
    manifest = scan_corpus(corpus, CorpusSettings())
    (corpus / "part1" / "page40.md").write_text("other")
    with pytest.raises(InputError, match=r"page40\.md: changed while it was being read"):
        read_documents(corpus, manifest, CorpusSettings(processes=2))


def test_a_process_that_ends_before_its_time_is_named(corpus, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StageError, match=r"between a\.md and b\.md.*corpus\.processes to 1"):
        list(parse_batches([FileBatch(corpus, [("a.md", ""), ("b.md", "")], 1)], 2))


def test_default_processes(monkeypatch):
    assert 1 <= default_processes() <= 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert default_processes() == 8


def test_nobody_waits_for_what_is_no_longer_wanted(tmp_path, monkeypatch):
    slow = tmp_path / "slow"
    slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(120)\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    batches = iter([FileBatch(tmp_path, [("a.md", "")], 1)] * 3)

    def interrupted():
        yield from batches
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(parse_batches(interrupted(), 2))
    assert time.monotonic() - began < 30

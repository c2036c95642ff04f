"""The corpus sensor where the corpus lies at an address, as in :mod:`embed_pipeline_tests.defs.test_automation`."""

import dagster as dg
import pytest

from embed_pipeline.automation.corpus_watch import confirm, waiting_for
from embed_pipeline.corpus.addresses import mirror
from embed_pipeline.corpus.addresses.file_systems import FileSystem
from embed_pipeline.defs.up_to_date import look
from embed_pipeline.store.home import open_home
from embed_pipeline.store.home_lock import Holder, home_lock
from embed_pipeline_tests.corpus.addresses.conftest import memory, zipped  # noqa: F401  a fixture
from embed_pipeline_tests.defs.test_automation import SETTLE, SUCCESS, Ticker

TEXT = "The loft warden checks the skein before every lofting and writes it into the gust ledger."


@pytest.fixture
def asked(monkeypatch):
    """How often the address was listed, and what was fetched."""
    found, listing, fetch = [], FileSystem.listing, FileSystem.fetch

    def noted(self):
        found.append("listed")
        return listing(self)

    def fetched(self, entry, part, check):
        found.append(entry.path)
        fetch(self, entry, part, check)

    monkeypatch.setattr(FileSystem, "listing", noted)
    monkeypatch.setattr(FileSystem, "fetch", fetched)
    monkeypatch.setattr(mirror, "_seen", {})
    return found


@pytest.fixture
def ticker(tmp_path, monkeypatch, memory, asked):  # noqa: F811
    with dg.DagsterInstance.ephemeral() as instance:
        made = Ticker(tmp_path, instance, monkeypatch)
        made.store.home.mkdir()
        open_home(made.store.home)
        made.files = memory  # type: ignore[attr-defined]
        memory.pipe("/docs/a.md", TEXT.encode())
        made.set("corpus.path=memory://docs", "automation.listing_seconds=0")
        yield made


def test_a_change_at_an_address_is_one_run_after_it_rests(ticker, asked):
    ticker.train()
    for _ in range(2):
        assert ticker.tick(SETTLE) == []
        assert "has not changed" in ticker.reason
    ticker.files.pipe("/docs/b.md", TEXT.encode() * 2)
    asked.clear()
    assert ticker.tick() == []
    assert ticker.reason == "the corpus folder changed; waiting until it rests for 60 s"
    assert set(asked) == {"listed"}
    (request,) = ticker.tick(SETTLE)
    assert asked.count("b.md") == 1 and "a.md" not in asked
    ticker.end(request, SUCCESS)
    asked.clear()
    assert ticker.tick(SETTLE) == []
    assert set(asked) == {"listed"}


def test_it_is_listed_no_more_often_than_the_settings_say(ticker, asked):
    ticker.train()
    ticker.set("corpus.path=memory://docs", "automation.listing_seconds=300")
    asked.clear()
    for _ in range(5):
        assert ticker.tick(SETTLE) == []
        look(ticker.instance, ticker.settings, ticker.store, {"corpus_manifest": ticker.graph["corpus_manifest"]})
    assert asked == []


def test_the_sensor_that_tells_what_is_stale_fetches_nothing(ticker, asked):
    ticker.train()
    ticker.files.pipe("/docs/b.md", TEXT.encode() * 2)
    asked.clear()
    said = look(ticker.instance, ticker.settings, ticker.store, {"corpus_manifest": ticker.graph["corpus_manifest"]})
    assert "corpus_manifest" in said.skip_message
    assert set(asked) == {"listed"}


def test_an_archive_is_fetched_when_it_rests(ticker, asked):
    ticker.files.pipe("/docs.zip", zipped({"a.md": TEXT}))
    ticker.set("corpus.path=memory://docs.zip", "automation.listing_seconds=0")
    ticker.train()
    ticker.files.pipe("/docs.zip", zipped({"a.md": TEXT, "b.md": TEXT * 2}))
    asked.clear()
    assert ticker.tick() == []
    assert set(asked) == {"listed"}
    (request,) = ticker.tick(SETTLE)
    ticker.end(request, SUCCESS)
    assert ticker.tick(SETTLE) == []
    assert "has not changed" in ticker.reason


def test_an_address_that_is_gone_is_told_and_starts_nothing(ticker):
    ticker.train()
    ticker.files.rm("/docs", recursive=True)
    assert ticker.settled() == []
    assert ticker.reason.startswith("nothing is started: memory://docs: ")


def test_one_that_cannot_be_fetched_is_told_and_starts_nothing(ticker, monkeypatch):
    ticker.train()
    ticker.files.pipe("/docs/b.md", TEXT.encode() * 2)
    ticker.tick()

    def refused(*_, **__):
        raise PermissionError("no")

    monkeypatch.setattr(type(ticker.files), "cat_file", refused)
    assert ticker.tick(SETTLE) == []
    assert ticker.reason.startswith("nothing is started: memory://docs: b.md: access is refused")


def test_nothing_is_fetched_below_the_hands_of_a_run(ticker, asked):
    ticker.train()
    ticker.files.pipe("/docs/b.md", TEXT.encode() * 2)
    ticker.tick()
    asked.clear()
    with home_lock(ticker.store.home, Holder.here("cli")):
        assert ticker.tick(SETTLE) == []
    assert ticker.reason == "a run is under way; what has changed is picked up after it"
    assert set(asked) == {"listed"}
    assert len(ticker.tick(SETTLE)) == 1


def test_a_corpus_that_shrank_there_waits_for_a_confirmation(ticker):
    for number in range(9):
        ticker.files.pipe(f"/docs/{number}.md", TEXT.encode() * (number + 2))
    ticker.train()
    for number in range(5):
        ticker.files.rm(f"/docs/{number}.md")
    assert ticker.settled() == []
    assert "waiting for a confirmation: the corpus lost" in ticker.reason
    assert "the corpus lost" in waiting_for(ticker.settings, ticker.store)
    assert "the corpus lost" in confirm(ticker.settings, ticker.store)
    assert len(ticker.tick(SETTLE)) == 1

import io
import zipfile

import pytest

from embed_pipeline.corpus.addresses import archives, web
from embed_pipeline.corpus.addresses import mirror as mirrors
from embed_pipeline_tests.corpus.addresses.web_server import WebServer


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(mirrors, "_seen", {})
    monkeypatch.setattr(mirrors, "_fetched_here", {})
    monkeypatch.setattr(archives, "_got_here", {})
    monkeypatch.setattr(web, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def server():
    with WebServer().serving() as running:
        yield running


@pytest.fixture
def home(tmp_path):
    from embed_pipeline.store.home import open_home

    folder = tmp_path / "home"
    folder.mkdir()
    open_home(folder)
    return folder


def zipped(files):
    """The bytes of a zip archive: ``{name: text or bytes}``."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def memory():
    """fsspec's file system in memory: ``put(path, text)``."""
    import fsspec

    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()

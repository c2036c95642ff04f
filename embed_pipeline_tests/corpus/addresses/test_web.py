import random
import re

import pytest

from embed_pipeline.corpus.addresses import archives, web
from embed_pipeline.corpus.addresses.reading import address_version, corpus_at
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.errors import InputError
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.text.addresses import taken_apart
from embed_pipeline_tests.corpus.addresses.conftest import zipped
from embed_pipeline_tests.corpus.addresses.web_server import Page

TEXT = "The loft warden checks the skein before every lofting and writes it into the gust ledger."
SETTINGS = CorpusSettings()


def packed(**more):
    return zipped({"a.md": TEXT, "b.md": TEXT * 2, **more})


def version(server, home, path="/docs.zip"):
    return address_version(f"{server.url}{path}", home, selection_of(SETTINGS))


def listed(server, home, path="/docs.zip"):
    with corpus_at(f"{server.url}{path}", home) as root:
        return scan_corpus(root, SETTINGS)["path"].to_list()


def test_an_archive_is_fetched_once_while_its_etag_stays(server, home):
    server.pages["/docs.zip"] = Page(packed(), etag='"one"')
    first = version(server, home)
    assert listed(server, home) == ["a.md", "b.md"]
    assert version(server, home) == first
    assert len(server.gets()) == 1
    server.pages["/docs.zip"] = Page(packed(**{"c.md": TEXT * 3}), etag='"two"')
    assert version(server, home) != first
    assert listed(server, home) == ["a.md", "b.md", "c.md"]
    assert len(server.gets()) == 2


def test_a_table_is_read_where_it_lies(server, home):
    server.pages["/t.csv"] = Page(f"body\n{TEXT}\n".encode(), etag='"one"')
    settings = CorpusSettings(columns={"text": "body"})
    address_version(f"{server.url}/t.csv", home, selection_of(settings))
    with corpus_at(f"{server.url}/t.csv", home) as root:
        assert scan_corpus(root, settings)["path"].to_list() == ["t.csv"]


def test_a_server_that_tells_nothing_is_asked_every_time_and_that_is_said(server, home, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(archives, "say", said.append)
    server.pages["/docs.zip"] = Page(packed(), told=False)
    assert version(server, home) == version(server, home)
    assert len(server.gets()) == 1  # one run asks several times
    monkeypatch.setattr(archives, "BELIEVED_SECONDS", 0.0)
    before = version(server, home)
    server.pages["/docs.zip"] = Page(packed().replace(b"a.md", b"x.md"), told=False)
    assert version(server, home) != before
    assert listed(server, home) == ["b.md", "x.md"]
    assert len(server.gets()) == 3
    assert "tells nothing of changes" in said[0]


def test_a_server_without_head_is_asked_with_get(server, home):
    server.pages["/docs.zip"] = Page(packed(), etag='"one"', head=False)
    version(server, home)
    assert listed(server, home) == ["a.md", "b.md"]


def test_redirects_are_followed(server, home):
    server.pages["/docs.zip"] = Page(redirect="/there/file")
    server.pages["/there/file"] = Page(packed(), etag='"one"')
    version(server, home)
    assert listed(server, home) == ["a.md", "b.md"]


def test_no_redirect_leads_from_tls_to_an_open_line():
    import httpx

    backend = web.WebFile(taken_apart("https://example.org/docs.zip"))
    request = httpx.Request("GET", "https://example.org/docs.zip")
    with pytest.raises(InputError, match="leads on to an address without TLS"):
        backend._stay_secure(httpx.Response(302, headers={"Location": "http://example.org/x"}, request=request))
    backend._stay_secure(httpx.Response(302, headers={"Location": "/x"}, request=request))


def test_what_broke_off_goes_on_where_it_was(server, home):
    body = packed(**{"noise.bin": random.Random(0).randbytes(9000)})
    server.pages["/docs.zip"] = Page(body, etag='"one"', breaks_after=[2000])
    version(server, home)
    assert listed(server, home) == ["a.md", "b.md", "noise.bin"]
    first, second = server.gets()
    assert first == ("/docs.zip", None)
    assert re.fullmatch(r"bytes=\d+-", second[1]) and 0 < int(second[1][6:-1]) <= 2000


def test_a_file_that_changed_in_between_is_fetched_from_its_beginning(server, home, monkeypatch):
    server.pages["/docs.zip"] = Page(packed(), etag='"one"', breaks_after=[100] + [0] * 9)
    with pytest.raises(InputError, match=r"docs.zip: the server breaks off \(.*\), 4 times now"):
        version(server, home)
    server.pages["/docs.zip"] = Page(packed(**{"c.md": TEXT}), etag='"two"')
    version(server, home)
    assert listed(server, home) == ["a.md", "b.md", "c.md"]


def test_a_server_without_ranges_is_asked_for_all_of_it_again(server, home):
    server.pages["/docs.zip"] = Page(packed(), etag='"one"', breaks_after=[100], ranges=False)
    version(server, home)
    assert listed(server, home) == ["a.md", "b.md"]


def test_a_body_that_is_shorter_than_was_said_is_never_taken(server, home):
    body = packed()
    server.pages["/docs.zip"] = Page(body, etag='"one"', says_length=len(body) + 50, ranges=False)
    with pytest.raises(InputError, match="breaks off"):
        version(server, home)
    with pytest.raises(InputError, match="was not fetched yet"):
        listed(server, home)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, r"there is nothing at this address \(404\)"),
        (410, r"there is nothing at this address \(410\)"),
        (401, r"access is refused \(401\)"),
        (403, r"access is refused \(403\)"),
        (418, "the server answers 418"),
        (500, r"the server breaks off \(it answers 500\), 4 times now"),
        (503, r"the server breaks off \(it answers 503\)"),
    ],
)
def test_each_refusal_has_its_sentence(status, said, server, home):
    server.pages["/docs.zip"] = Page(status=status)
    with pytest.raises(InputError, match=rf"^{server.url}/docs.zip: {said}"):
        version(server, home)


def test_a_server_that_failed_once_is_asked_again(server, home):
    pages = iter([Page(status=500), Page(status=500)])
    good = Page(packed(), etag='"one"')

    class Failing(dict):
        def get(self, path, otherwise=None):
            return next(pages, good)

    server.pages = Failing()
    version(server, home)
    assert listed(server, home) == ["a.md", "b.md"]


def test_a_slow_server_is_waited_for(server, home):
    server.pages["/docs.zip"] = Page(packed(**{"c.md": TEXT * 3}), etag='"one"', pauses=0.05)
    version(server, home)
    assert listed(server, home) == ["a.md", "b.md", "c.md"]


def test_one_that_hangs_is_given_up(server, home, monkeypatch):
    import httpx

    monkeypatch.setattr(web, "TIMEOUT", httpx.Timeout(0.2))
    server.pages["/docs.zip"] = Page(packed(), etag='"one"', pauses=2.0)
    with pytest.raises(InputError, match="breaks off"):
        version(server, home)


def test_nobody_there_is_told(home):
    from embed_pipeline_tests.ports import free_port

    with pytest.raises(InputError, match=r"cannot be reached \(ConnectError\)"):
        address_version(f"http://127.0.0.1:{free_port()}/docs.zip", home, selection_of(SETTINGS))


def test_a_folder_of_the_web_is_refused(server, home):
    with pytest.raises(InputError, match="names a folder, and the web lists none"):
        version(server, home, "/")


def test_no_credentials_and_no_other_encoding_are_sent(server, home, monkeypatch):
    monkeypatch.setenv("NETRC", "/nonexistent")
    server.pages["/docs.zip"] = Page(packed(), etag='"one"')
    version(server, home)
    assert all("Authorization" not in one and one["Accept-Encoding"] == "identity" for one in server.headers)

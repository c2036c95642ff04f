"""One file at ``https://``: the web lists no folders. What was broken off goes on where the server can."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from embed_pipeline.corpus.addresses.listing import Check, Entry, Listing, plain_path
from embed_pipeline.corpus.addresses.refusals import telling
from embed_pipeline.encoders.loopback import is_loopback
from embed_pipeline.errors import InputError
from embed_pipeline.text.addresses import Address

T = TypeVar("T")
ATTEMPTS = 4
PAUSE_SECONDS = 0.5
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_PLAIN = {"Accept-Encoding": "identity"}
_SERVER_ERROR, _LATER = 500, 429


class _RepeatError(Exception):
    """Worth another attempt."""


class WebFile:
    """The file at an address of the web, by httpx."""

    def __init__(self, address: Address) -> None:
        self._url, self._name = address.target, address.name

    def listing(self) -> Listing:
        """The file itself, as its headers tell of it.

        Raises:
            InputError: the address names a folder, cannot be reached, or is refused.
        """
        name = plain_path(self._name)
        if name is None:
            raise InputError(
                f"{self._url}: names a folder, and the web lists none. Name a file in it: an archive (.zip, .tar.gz), "
                "a table, a data set."
            )
        headers = self._again_and_again(self._headers, lambda: None)
        size = headers.get("Content-Length")
        return Listing([Entry(name, int(size) if size else None, _version(headers), self._url)], lone=True)

    def fetch(self, entry: Entry, part: Path, check: Check) -> None:
        """See :class:`~embed_pipeline.corpus.addresses.listing.Backend`.

        Raises:
            InputError: as of :meth:`listing`; or the server breaks off again and again.
        """
        while True:
            before = _size(part)
            try:
                return self._again_and_again(lambda: self._go_on(entry, part, check), check)
            except InputError:
                if _size(part) <= before:  # else it breaks off, but it comes along
                    raise

    def _again_and_again(self, ask: Callable[[], T], check: Check) -> T:
        """What a request gives; one that fails for reasons that may pass is made again after a pause."""
        with telling(self._url):
            for attempt in range(ATTEMPTS):
                try:
                    return ask()
                except (_RepeatError, httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout) as error:
                    failed = error
                    if attempt < ATTEMPTS - 1:
                        _wait(PAUSE_SECONDS * 2**attempt, check)
            raise InputError(
                f"{self._url}: the server breaks off ({_short(failed)}), {ATTEMPTS} times now. Run again later; what "
                "was fetched is kept."
            ) from failed

    def _headers(self) -> Mapping[str, str]:
        """Of HEAD, or where a server knows none of a GET that is not read."""
        with self._client() as client:
            answer = client.head(self._url)
            if answer.is_success:
                return answer.headers
            with client.stream("GET", self._url) as opened:
                self._refuse(opened)
                return opened.headers

    def _go_on(self, entry: Entry, part: Path, check: Check) -> None:
        check()
        validator = _validator(entry.version)
        done = _size(part) if validator else 0
        ranged = {"Range": f"bytes={done}-", "If-Range": validator} if done and validator else {}
        with self._client() as client, client.stream("GET", self._url, headers=ranged) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                raise _RepeatError(answer.status_code)
            self._refuse(answer)
            goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT and _begins_at(answer, done)
            with part.open("ab" if goes_on else "wb") as file:
                for piece in answer.iter_raw():
                    check()
                    file.write(piece)
        if entry.size is not None and part.stat().st_size != entry.size:
            part.unlink(missing_ok=True)
            raise _RepeatError(f"{entry.size} bytes were announced")

    def _refuse(self, answer: httpx.Response) -> None:
        code = answer.status_code
        if answer.is_success:
            return
        if code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            raise InputError(f"{self._url}: there is nothing at this address ({code}). Correct corpus.path.")
        if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise InputError(
                f"{self._url}: access is refused ({code}). Pages behind a login cannot be read; download the file and "
                "set corpus.path to it."
            )
        if code >= _SERVER_ERROR or code == _LATER:
            raise _RepeatError(f"it answers {code}")
        raise InputError(f"{self._url}: the server answers {code}. Correct corpus.path.")

    def _client(self) -> httpx.Client:
        return httpx.Client(
            follow_redirects=True,
            timeout=TIMEOUT,
            headers=_PLAIN,
            trust_env=not is_loopback(self._url),
            event_hooks={"response": [self._stay_secure]},
        )

    def _stay_secure(self, answer: httpx.Response) -> None:
        there = answer.url.join(answer.headers["Location"]) if answer.has_redirect_location else None
        if there is not None and urlsplit(self._url).scheme == "https" and there.scheme != "https":
            raise InputError(f"{self._url}: leads on to an address without TLS, which is not followed.")


def _version(headers: Mapping[str, Any]) -> str | None:
    """ETag, else the time of the last change; None where the server tells neither."""
    return next((f"{name} {headers[name]}" for name in ("ETag", "Last-Modified") if headers.get(name)), None)


def _validator(version: str | None) -> str | None:
    """What ``If-Range`` takes: a strong ETag; a time is too coarse."""
    etag = version.removeprefix("ETag ") if version and version.startswith("ETag ") else None
    return etag if etag and not etag.startswith("W/") else None


def _begins_at(answer: httpx.Response, place: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {place}-")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _wait(seconds: float, check: Check) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check()
        time.sleep(0.05)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__

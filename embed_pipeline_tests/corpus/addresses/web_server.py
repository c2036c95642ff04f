"""A web server on loopback that does what servers do: ranges, breaking off, redirects, errors."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Page:
    """What lies at a path.

    Attributes:
        breaks_after: bytes after which the connection is closed, of the first answers, one each.
        pauses: seconds before each piece of 1 kB.
        told: whether the headers tell of changes and length.
    """

    body: bytes = b""
    status: int = 200
    etag: str | None = None
    redirect: str | None = None
    breaks_after: list[int] = field(default_factory=list)
    pauses: float = 0.0
    told: bool = True
    ranges: bool = True
    head: bool = True
    says_length: int | None = None


class WebServer:
    def __init__(self):
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def gets(self):
        return [(path, range_) for method, path, range_ in self.asked if method == "GET"]

    @contextmanager
    def serving(self, handler=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler or type("Handler", (WebHandler,), {"web": self}))
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class WebHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Any

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        self.web.asked.append((self.command, self.path, self.headers.get("Range")))
        self.web.headers.append(dict(self.headers))
        page = self.web.pages.get(self.path.partition("?")[0], Page(status=404))
        if not with_body and not page.head:
            page = Page(status=405)
        if page.redirect is not None:
            self.send_response(302)
            self.send_header("Location", page.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self._start(page) if with_body and page.status == 200 else 0
        body = page.body[start:]
        self.send_response(206 if start else page.status)
        self.send_header("Content-Length", str(page.says_length or len(body)))
        if page.told and page.etag:
            self.send_header("ETag", page.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        self.end_headers()
        if with_body:
            self._write(body, page)

    def _start(self, page):
        asked = self.headers.get("Range")
        if not asked or not page.ranges or self.headers.get("If-Range") != page.etag:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _write(self, body, page):
        most = page.breaks_after.pop(0) if page.breaks_after else len(body)
        for place in range(0, min(most, len(body)), 1000):
            time.sleep(page.pauses)
            try:
                self.wfile.write(body[place : min(place + 1000, most)])
            except OSError:
                break
        if most < len(body) or page.says_length:
            self.close_connection = True

    def log_message(self, *arguments):
        pass

"""An embeddings endpoint with OpenAI's protocol on a real loopback socket."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from embed_pipeline_tests.evaluation.helpers import WordEncoder

TOKENS = 7
"""What it says that each text has."""


class EmbeddingsServer(ThreadingHTTPServer):
    """Embeds by words, as :class:`WordEncoder` does.

    Attributes:
        asked: (body, authorization) of every request for vectors.
        counts: whether it says how many tokens it read.
        refused_after: requests answered before every further one is refused; None: none is.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[dict[str, Any], str | None]] = []
        self.counts = True
        self.refused_after: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def texts(self) -> list[str]:
        """Every text it was asked about."""
        return [text for body, _ in self.asked for text in body["input"]]


@contextmanager
def embeddings_server() -> Iterator[EmbeddingsServer]:
    """One that answers inside the block."""
    found = EmbeddingsServer()
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        found.server_close()
        thread.join(10)


class _Answering(BaseHTTPRequestHandler):
    server: EmbeddingsServer

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "words"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.server.refused_after is not None and len(self.server.asked) >= self.server.refused_after:
            self._send(400, {"error": "no more"})
            return
        self.server.asked.append((body, self.headers.get("authorization")))
        vectors = WordEncoder().encode(body["input"], "query")
        rows = [{"index": place, "embedding": vector.tolist()} for place, vector in enumerate(vectors)]
        usage = {"usage": {"prompt_tokens": TOKENS * len(rows)}} if self.server.counts else {}
        self._send(200, {"model": "words", "data": rows, **usage})

    def _send(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""

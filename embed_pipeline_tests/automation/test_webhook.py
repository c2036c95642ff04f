"""A webhook that misbehaves in every way harms nothing and is tried a bounded number of times."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embed_pipeline.automation import webhook
from embed_pipeline.automation.webhook import ATTEMPTS, post
from embed_pipeline_tests.ports import free_port


class Hook:
    """A real server that answers as told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.sleep = 0.0
        self.bodies: list[dict] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                time.sleep(hook.sleep)
                self.send_response(hook.answers.pop(0) if hook.answers else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/SECRET"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_body_arrives_as_json(hook):
    assert post(hook.url, {"text": "Grüße", "figures": {"a": 1}}) is None
    assert hook.bodies == [{"text": "Grüße", "figures": {"a": 1}}]


def test_a_server_that_stumbles_is_tried_again(hook):
    hook.answers = [500, 429]
    assert post(hook.url, {}, pause=0.01) is None
    assert len(hook.bodies) == 3


@pytest.mark.parametrize(("status", "tries"), [(500, ATTEMPTS), (503, ATTEMPTS), (404, 1), (403, 1), (302, 1)])
def test_what_it_answers_is_said_without_the_address(hook, status, tries):
    hook.answers = [status] * 10
    reason = post(hook.url, {}, pause=0.01)
    assert str(status) in str(reason)
    assert "SECRET" not in str(reason)
    assert len(hook.bodies) == tries


def test_a_slow_one_is_given_up(hook, monkeypatch):
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.1)
    hook.sleep = 1.0
    began = time.monotonic()
    assert "ReadTimeout" in str(post(hook.url, {}, pause=0.01))
    assert time.monotonic() - began < 5


def test_a_closed_one_is_given_up():
    reason = post(f"http://127.0.0.1:{free_port()}/SECRET", {}, pause=0.01)
    assert reason == f"ConnectError, {ATTEMPTS} attempts"


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://[::1/SECRET", "http://127.0.0.1:99999999/SECRET"])
def test_an_address_that_is_none_raises_nothing(url):
    reason = post(url, {}, pause=0.01)
    assert reason
    assert "SECRET" not in reason

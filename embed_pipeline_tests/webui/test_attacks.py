"""A page on another origin, in a real Chromium, against the real web UI: it gets nothing, and no run starts.

The same page is first shown a server without a guard, where its requests do arrive.
"""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.webui.served import LAUNCH, RUNS, Ui, corpus_of, parameters, serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
PAGE = (Path(__file__).parent / "attack_page.html").read_text()
EVIL = "evil.example"
MUTATION = {"query": LAUNCH, "variables": {"params": parameters("corpus_manifest")}}


class Recorder(http.server.BaseHTTPRequestHandler):
    """A server that answers anything and remembers what arrived; with a page under /attack."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server: RecordingServer = self.server  # type: ignore[assignment]
        server.arrived.append((self.command, self.path, self.headers.get("Content-Type"), body))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(server.page.encode())

    def log_message(self, *_: object) -> None:
        return


class RecordingServer(http.server.ThreadingHTTPServer):
    arrived: list
    page = ""


@contextmanager
def recording() -> Iterator[RecordingServer]:
    server = RecordingServer(("127.0.0.1", 0), Recorder)
    server.arrived = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def attack(page, evil: RecordingServer, target: str) -> dict[str, str]:
    """What the scripts of the page could see of ``target``."""
    evil.page = PAGE.replace("MUTATION_JSON", json.dumps(MUTATION)).replace(
        "const MUTATION", f"const TARGET = {json.dumps(target)};\nconst MUTATION", 1
    )
    page.goto(f"http://{EVIL}:{evil.server_port}/attack")
    page.wait_for_function("document.title.startsWith('done')", timeout=60_000)
    return json.loads(page.title().removeprefix("done "))


@pytest.fixture(scope="module")
def browser():
    with chromium(f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as running:
        yield running


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("attacked")
    with serving(folder, "--corpus", str(corpus_of(folder))) as running:
        yield running


def test_the_attack_reaches_a_server_without_a_guard(browser):
    with recording() as evil, recording() as victim:
        page = browser.new_page()
        attack(page, evil, f"http://127.0.0.1:{victim.server_port}")
        page.close()
    ways = {path.rpartition("&by=")[2] for _, path, _, _ in victim.arrived if "&by=" in path}
    assert ways == {
        "img", "script", "link", "iframe", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"
    }  # fmt: skip
    posted = [(kind, body) for command, _, kind, body in victim.arrived if command == "POST"]
    assert any((kind or "").startswith("text/plain") and b"launchPipelineExecution" in body for kind, body in posted)


def test_the_attack_gets_nothing_and_starts_no_run(browser, ui):
    with recording() as evil:
        page = browser.new_page()
        seen = attack(page, evil, ui.url)
        frames = [frame for frame in page.frames if frame.url.startswith(ui.url)]
        assert all("Dagster" not in frame.content() for frame in frames)
        page.close()
        assert {path for _, path, _, _ in evil.arrived} <= {"/attack", "/favicon.ico"}
    assert seen["json"] == seen["get"] == seen["socket"] == "refused"
    assert not [text for text in seen.values() if "read" in text]
    assert ui.runs() == {}


def test_a_name_that_was_given_our_address_is_refused(browser, ui):
    page = browser.new_page(bypass_csp=True)  # an attacker's page has none
    answer = page.goto(f"http://{EVIL}:{ui.port}/runs")
    assert answer.status == 421
    asked = page.evaluate(
        "async (query) => { const answer = await fetch('/graphql', {method: 'POST', body: JSON.stringify({query}),"
        "headers: {'Content-Type': 'application/json'}}); return answer.status }",
        RUNS,
    )
    assert asked == 421
    page.close()


def test_the_same_launch_from_our_own_page_starts_a_run(browser, ui):
    """So that it is the guard that refused the others."""
    page = browser.new_page()
    page.goto(f"{ui.url}/runs")
    launched = page.evaluate(
        "async (body) => { const answer = await fetch('/graphql', {method: 'POST', body: JSON.stringify(body),"
        "headers: {'Content-Type': 'application/json'}}); return await answer.json() }",
        MUTATION,
    )
    run = launched["data"]["launchPipelineExecution"]["run"]["runId"]
    assert ui.finished(run) == "SUCCESS"
    page.close()

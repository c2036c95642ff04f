"""The web UI shared as docs/sharing.md says: behind a real nginx with TLS, with a login."""

import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets
import websockets.sync.client

from embed_pipeline.webui.accounts import add_user
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.ports import free_port
from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.webui.served import LAUNCH, RUNS, Ui, corpus_of, parameters, serving

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(
    NGINX is None or OPENSSL is None, reason="no nginx or no openssl on this machine (Debian: apt-get install nginx)"
)
DOCUMENTED = Path(__file__).parents[2] / "docs" / "sharing.md"
NAME = "embed.example.org"
PASSWORD = "correct horse battery"  # pragma: allowlist secret
MUTATION = {"query": LAUNCH, "variables": {"params": parameters("corpus_manifest")}}


class Shared:
    """A web UI behind nginx, as users on the network see it."""

    def __init__(self, folder: Path, ui: Ui, port: int, token: str) -> None:
        self.ui, self.port, self.token = ui, port, token
        self.host = f"{NAME}:{port}"
        self.url = f"https://{self.host}"
        self.context = ssl.create_default_context(cafile=str(folder / "certificate.pem"))

    def client(self, **headers: str) -> httpx.Client:
        """One that finds the name on this machine."""
        transport = httpx.HTTPTransport(verify=self.context)
        return _ByAddress(transport, self.port).client(self.url, headers)

    def cookie(self, name: str) -> dict[str, str]:
        with self.client() as client:
            answer = client.post("/login", data={"name": name, "password": PASSWORD, "next": "/"})
        assert answer.status_code == 303, answer.text
        assert "secure" in answer.headers["set-cookie"].lower()
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}

    def socket(self, **options):
        return websockets.sync.client.connect(
            f"wss://{self.host}/graphql", address=("127.0.0.1", self.port), ssl=self.context, proxy=None,
            server_hostname=NAME, subprotocols=[websockets.Subprotocol("graphql-ws")], **options,
        )  # fmt: skip


class _ByAddress(httpx.BaseTransport):
    """Connects to this machine whatever the name; certificate and Host are those of the name."""

    def __init__(self, transport: httpx.HTTPTransport, port: int) -> None:
        self.transport, self.port = transport, port

    def client(self, url: str, headers: dict[str, str]) -> httpx.Client:
        return httpx.Client(base_url=url, headers=headers, transport=self)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = NAME
        request.url = request.url.copy_with(host="127.0.0.1")
        return self.transport.handle_request(request)

    def close(self) -> None:
        self.transport.close()


def configuration(folder: Path, port: int, behind: int) -> str:
    """The documented one, with the paths and ports of this test."""
    (block,) = re.findall(r"```nginx\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    for documented, ours in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/embed.example.org.crt": str(folder / "certificate.pem"),
        "/etc/ssl/embed.example.org.key": str(folder / "key.pem"),
        "127.0.0.1:3000": f"127.0.0.1:{behind}",
    }.items():
        assert documented in block
        block = block.replace(documented, ours)
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    return f"{user} daemon off; pid {folder / 'nginx.pid'}; error_log stderr; events {{}}\n" + (
        f"http {{ access_log off; {temporary}\n{block} }}"
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("shared")
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-days", "2",
         "-out", folder / "certificate.pem", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "home").mkdir()
    access, port = folder / "home" / "access.json", free_port()
    add_user(access, "olga", "operator", PASSWORD)
    add_user(access, "vera", "viewer", PASSWORD)
    token = add_user(access, "ci", "operator", None)
    options = ["--corpus", str(corpus_of(folder)), "--allow-host", f"{NAME}:{port}", "--trusted-proxy", "127.0.0.1"]
    with serving(folder, *options) as ui:
        (folder / "nginx.conf").write_text(configuration(folder, port, ui.port))
        with (folder / "nginx.log").open("wb") as log:
            nginx = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"], stdout=log, stderr=log)
        made = Shared(folder, ui, port, token)
        try:
            wait_until(lambda: answers(made), 30, (folder / "nginx.log").read_text)
            yield made
        finally:
            nginx.terminate()
            nginx.wait(20)


def answers(shared: Shared) -> bool:
    try:
        with shared.client() as client:
            return client.get("/login").is_success
    except httpx.TransportError:
        time.sleep(0.1)
        return False


def runs(shared: Shared) -> dict[str, str]:
    return shared.ui.runs(headers={"Authorization": f"Bearer {shared.token}"})


def test_known_attacks_fail(shared):
    olga, vera = shared.cookie("olga"), shared.cookie("vera")
    own, mutation = {"Origin": shared.url}, LAUNCH.replace("\n", " ")
    with shared.client() as client:
        client.cookies.clear()

        def status(method: str, path: str = "/graphql", headers: dict | None = None, **body) -> int:
            return client.request(method, path, headers=headers or {}, **body).status_code

        assert status("POST", json=MUTATION) == 401
        assert status("POST", json=MUTATION, headers={**olga, "Origin": "https://evil.example"}) == 403
        assert status("POST", json=MUTATION, headers={**olga, "Origin": "null"}) == 403
        assert status("POST", json=MUTATION, headers={**olga, "Sec-Fetch-Site": "same-site"}) == 403
        assert status("POST", json=MUTATION, headers={**olga, **own, "Host": "evil.example"}) == 421
        assert status("GET", f"/graphql?query={mutation}", headers=olga) == 405
        assert status("POST", content=str(MUTATION), headers={**olga, "Content-Type": "text/plain"}) == 415
        assert status("POST", data={"query": mutation}, headers=olga) == 415
        assert status("POST", f"/graphql?query={mutation}", headers=olga) == 415
        assert status("POST", json=MUTATION, headers={**vera, **own}) == 403
        both = {"query": RUNS.replace("{", "query Q {", 1) + mutation, "operationName": "Q"}
        assert status("POST", json=both, headers={**vera, **own}) == 403
        assert status("POST", json=[MUTATION], headers={**olga, **own}) == 400
        assert status("POST", "/report_asset_materialization/passages", json={}, headers={**vera, **own}) == 403
        framed = client.get("/runs", headers=olga)
        assert framed.headers["x-frame-options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in framed.headers["content-security-policy"]
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert status("POST", "/logout", headers={**olga, **own, **form}) == 303
        assert status("POST", json=MUTATION, headers={**olga, **own}) == 401
    assert runs(shared) == {}


def test_websockets_of_other_origins_and_without_a_session_are_refused(shared):
    vera = shared.cookie("vera")
    for headers, origin in ((vera, "https://evil.example"), ({}, shared.url), (vera, "null")):
        with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
            shared.socket(origin=origin, additional_headers=headers)
    with shared.socket(origin=shared.url, additional_headers=vera) as socket:
        socket.send('{"type": "connection_init"}')
        assert "connection_ack" in socket.recv(20)


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
def test_normal_work_in_a_browser(shared, tmp_path):
    from playwright.sync_api import expect

    rules = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
    with chromium(rules, "--ignore-certificate-errors") as browser:
        page = browser.new_context(ignore_https_errors=True, viewport={"width": 1600, "height": 1100}).new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto(f"{shared.url}/asset-groups")
        page.get_by_label("Name").fill("olga")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("svg").get_by_text("corpus", exact=True).first).to_be_visible()
        expect(page.get_by_text("olga (operator)")).to_be_visible()

        page.goto(f"{shared.url}/assets/corpus_manifest")
        page.get_by_role("button", name="Materialize").first.click()
        expect(page.get_by_text("Launched run").first).to_be_visible()
        page.goto(f"{shared.url}/runs")
        expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=120_000)

        page.get_by_role("link", name="Sign out").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        page.goto(f"{shared.url}/runs")
        expect(page.get_by_label("Password")).to_be_visible()
    assert list(runs(shared).values()) == ["SUCCESS"]

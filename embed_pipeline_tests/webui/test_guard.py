"""The guard before a small server that does whatever it is asked: what gets through, and what does not."""

import base64
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
import websockets
import websockets.sync.client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from embed_pipeline.webui.accounts import add_user, remove_user
from embed_pipeline.webui.guard import LARGEST_BODY, Guard
from embed_pipeline.webui.login import Login
from embed_pipeline.webui.origins import ServedNames
from embed_pipeline_tests.ports import free_port

PASSWORD = "correct horse battery"  # pragma: allowlist secret
MUTATION = {"query": "mutation { launch }"}
QUERY = {"query": "{ runs }"}


class Small:
    """What arrived at a server behind a guard."""

    def __init__(self, port: int, login: Login | None, *names: str) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.arrived: list[str] = []
        routes = [
            Route("/graphql", self._graphql, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", self._socket),
            Route("/{path:path}", self._any, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
        guard = Guard(Starlette(routes=routes), ServedNames("127.0.0.1", port, names), login)
        self.server = uvicorn.Server(uvicorn.Config(guard, port=port, log_level="error", lifespan="off"))

    async def _graphql(self, request: Request) -> JSONResponse:
        self.arrived.append((await request.body()).decode() or str(request.url))
        return JSONResponse({"data": 1})

    async def _any(self, request: Request) -> PlainTextResponse:
        self.arrived.append(f"{request.method} {request.url.path}")
        return PlainTextResponse("here", headers={"Content-Security-Policy": "object-src 'none';"})

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept(subprotocol="graphql-ws")
        try:
            while True:
                text = await socket.receive_text()
                self.arrived.append(text)
                await socket.send_text(f"got {text}")
        except WebSocketDisconnect:
            pass

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, trust_env=False)

    def post(self, body: object, path: str = "/graphql", **headers: str) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=headers, trust_env=False)

    def connect(self, **options):
        return websockets.sync.client.connect(
            f"ws://127.0.0.1:{self.port}/graphql",
            subprotocols=[websockets.Subprotocol("graphql-ws")],
            proxy=None,
            **options,
        )


@contextmanager
def guarded(login: Login | None = None, *names: str, port: int | None = None) -> Iterator[Small]:
    small = Small(port or free_port(), login, *names)
    thread = threading.Thread(target=small.server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not small.server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield small
    finally:
        small.server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def open_server():
    with guarded(None, "embed.example.org") as small:
        yield small


@pytest.fixture
def small(open_server):
    open_server.arrived.clear()
    return open_server


def test_normal_work_arrives(small):
    assert small.get().text == "here"
    assert small.post(QUERY).json() == small.post(MUTATION, Origin=small.url).json() == {"data": 1}
    assert small.get("/graphql", Accept="text/html").status_code == 200  # the playground
    assert small.get("/runs", Host="embed.example.org", **{"Sec-Fetch-Site": "none"}).status_code == 200
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert small.get("/runs", **visit).status_code == 200  # a link in a mail
    assert len(small.arrived) == 6


def test_a_large_body_arrives_whole_and_one_too_large_does_not(small):
    large = {"query": "{ runs }", "variables": {"x": "y" * 3_000_000}}
    assert small.post(large).status_code == 200
    assert len(small.arrived.pop()) > 3_000_000
    refused = small.post({"query": "{ runs }", "variables": {"x": "y" * LARGEST_BODY}})
    assert refused.status_code == 413
    assert small.arrived == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1.evil.example:{port}"]
)
def test_another_host_is_refused(small, host):
    host = host.format(port=small.port)
    assert small.get(Host=host).status_code == 421
    assert small.post(MUTATION, Host=host).status_code == 421
    assert small.post(MUTATION, Host=host, Origin=f"http://{host}").status_code == 421
    assert small.arrived == []


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:{port}"}],
)  # fmt: skip
@pytest.mark.parametrize(
    "path",
    ["/graphql", "/report_asset_materialization/passages", "/report_asset_check/x", "/report_asset_observation/x"],
)
def test_a_page_elsewhere_changes_nothing(small, headers, path):
    headers = {name: value.format(port=small.port) for name, value in headers.items()}
    refused = small.post(MUTATION, path, **headers)
    assert refused.status_code == 403
    assert "another origin" in refused.json()["errors"][0]["message"]
    frame = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert small.get("/runs", **headers, **frame).status_code == 403
    assert small.arrived == []


@pytest.mark.parametrize(
    "path",
    ["/graphql?query=mutation{launch}", "/graphql?query={runs}", "/graphql", "/graphql?query=subscription{x}",
     "/graphql?operationName=M&query=mutation%20M{launch}"],
)  # fmt: skip
def test_graphql_by_get_is_refused(small, path):
    for headers in ({}, {"Accept": "image/avif,*/*"}, *([{"Accept": "text/html"}] if "?" in path else [])):
        assert small.get(path, **headers).status_code == 405
        assert httpx.head(small.url + path, headers=headers, trust_env=False).status_code == 405
    assert small.arrived == []


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql", "",
     "text/plain; application/json", "text/plain, application/json", "application/jsonp", "text/application/json"],
)  # fmt: skip
def test_only_json_is_taken_by_post(small, kind):
    for path in ("/graphql", "/graphql?query=mutation{launch}", "/report_asset_materialization/passages", "/login"):
        answer = httpx.post(small.url + path, content=b'{"query": "mutation { launch }"}',
                            headers={"Content-Type": kind}, trust_env=False)  # fmt: skip
        assert answer.status_code == 415, path
    assert small.arrived == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(small, method):
    headers = {"Access-Control-Request-Method": "POST"}
    answer = httpx.request(method, f"{small.url}/runs", headers=headers, trust_env=False)
    assert answer.status_code == 405
    assert not {name for name in answer.headers if name.startswith("access-control")}
    foreign = httpx.request(method, f"{small.url}/runs", headers={"Origin": "http://evil.example"}, trust_env=False)
    assert foreign.status_code == 403
    assert small.arrived == []


@pytest.mark.parametrize("body", [b"[]", b'[{"query": "mutation {a}"}]', b"{", b'{"query": "{"}', b""])
def test_what_is_no_graphql_is_refused(small, body):
    answer = httpx.post(f"{small.url}/graphql", content=body, headers={"Content-Type": "application/json"},
                        trust_env=False)  # fmt: skip
    assert answer.status_code == 400
    assert small.arrived == []


def test_answers_are_not_framed_nor_guessed_at_nor_read_elsewhere(small):
    for answer in (small.get(), small.get(Host="evil.example"), small.post(QUERY)):
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert answer.headers["content-security-policy"].endswith("frame-ancestors 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert small.get().headers["content-security-policy"] == "object-src 'none'; frame-ancestors 'self'"


def test_a_refusal_is_a_page_for_people(small):
    page = small.get(Host="evil.example", Accept="text/html")
    assert page.headers["content-type"].startswith("text/html")
    assert "--allow-host" in page.text


START = '{"id": "1", "type": "start", "payload": {"query": "%s {x}"}}'


def test_a_subscription_of_our_own_page_arrives(small):
    with small.connect(origin=small.url) as socket:
        for text in ('{"type": "connection_init"}', START % "subscription", '{"id": "1", "type": "stop"}'):
            socket.send(text)
            assert socket.recv(10) == f"got {text}"


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_websocket_of_another_page_is_refused(small, headers):
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"), small.connect(additional_headers=headers):
        pass
    for origin in ("http://evil.example", "null", f"http://localhost:{small.port}"):
        with pytest.raises(websockets.exceptions.InvalidStatus, match="403"), small.connect(origin=origin):
            pass


@pytest.mark.parametrize(
    "text",
    [START % "mutation", START % "query", "[]", "x", '{"type": "start"}', '{"type": "start", "payload": {"query": 1}}',
     START % "subscription {x} mutation M"],
)  # fmt: skip
def test_a_websocket_takes_nothing_but_subscriptions(small, text):
    with small.connect(origin=small.url) as socket:
        socket.send(text)
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            socket.recv(10)
    assert small.arrived == []


class People:
    """A guarded server with a viewer, an operator and a program."""

    def __init__(self, file, token) -> None:
        self.file, self.token = file, token
        self.now = 0.0
        self.port = free_port()
        self.login = Login(self.file, self.port, lambda: self.now)

    def sign_in(self, small: Small, name: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        form = {"name": name, "password": password, "next": "/runs?x=1"}
        return httpx.post(f"{small.url}/login", data=form, headers=headers, trust_env=False)

    def cookie(self, small: Small, name: str) -> dict[str, str]:
        answer = self.sign_in(small, name)
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs?x=1")
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


@pytest.fixture(scope="module")
def access(tmp_path_factory):
    """An access file, and the token of its program."""
    file = tmp_path_factory.mktemp("access") / "access.json"
    add_user(file, "olga", "operator", PASSWORD)
    add_user(file, "vera", "viewer", PASSWORD)
    return file, add_user(file, "ci", "operator", None)


@pytest.fixture
def people(access, tmp_path):
    file, token = access
    return People(shutil.copy(file, tmp_path / "access.json"), token)


@pytest.fixture
def shared(people):
    with guarded(people.login, port=people.port) as small:
        yield small


def test_without_a_session_there_is_nothing_but_the_login(shared):
    page = shared.get("/runs?x=1", Accept="text/html")
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/runs%3Fx%3D1")
    for answer in (shared.get("/logs/x"), shared.post(QUERY), shared.post(MUTATION), shared.get("/favicon.png")):
        assert answer.status_code == 401
        assert "embed-pipeline access add" in answer.json()["errors"][0]["message"]
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"), shared.connect(origin=shared.url):
        pass
    assert "name=password type=password" in shared.get("/login").text
    assert shared.arrived == []


def test_operators_run_and_viewers_look(people, shared):
    olga, vera = people.cookie(shared, "olga"), people.cookie(shared, "vera")
    assert shared.post(MUTATION, **olga).status_code == 200
    assert shared.post(QUERY, **vera).status_code == 200
    assert shared.get("/runs", **vera).status_code == 200
    assert shared.post({"query": "where"}, "/embed_pipeline/search/query", **vera).status_code == 200
    both = {"query": "query Q { a } mutation M { b }", "operationName": "Q"}
    for body, path in ((MUTATION, "/graphql"), (both, "/graphql"), ({}, "/embed_pipeline/search/judge"),
                       ({}, "/report_asset_materialization/passages")):  # fmt: skip
        refused = shared.post(body, path, **vera)
        assert refused.status_code == 403
        assert "vera may look, not run" in refused.json()["errors"][0]["message"]
    assert len(shared.arrived) == 4


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_from_plain_http_behind_tls(people, shared):
    cookie = people.sign_in(shared, "olga").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    assert str(people.port) in cookie


def test_a_cookie_is_worth_nothing_after_logout_nor_after_twelve_hours(people, shared):
    olga, vera = people.cookie(shared, "olga"), people.cookie(shared, "vera")
    gone = httpx.post(f"{shared.url}/logout", headers={**olga, "Content-Type": "application/x-www-form-urlencoded"},
                      trust_env=False)  # fmt: skip
    assert gone.status_code == 303
    assert shared.post(MUTATION, **olga).status_code == 401
    assert shared.post(QUERY, **vera).status_code == 200
    people.now += 12 * 3600 + 1
    assert shared.post(QUERY, **vera).status_code == 401


def test_who_is_removed_or_has_another_role_or_password_notices_at_once(people, shared):
    olga, vera = people.cookie(shared, "olga"), people.cookie(shared, "vera")
    remove_user(people.file, "vera")
    assert shared.post(QUERY, **vera).status_code == 401
    add_user(people.file, "olga", "viewer", PASSWORD + "2")
    assert shared.post(QUERY, **olga).status_code == 401
    people.file.chmod(0o644)
    assert shared.post(QUERY, Authorization=f"Bearer {people.token}").status_code == 401


def test_a_websocket_ends_with_the_session(people, shared):
    olga = people.cookie(shared, "olga")
    with shared.connect(origin=shared.url, additional_headers=olga) as socket:
        socket.send(START % "subscription")
        assert socket.recv(10)
        remove_user(people.file, "olga")
        socket.send(START % "subscription")
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            socket.recv(10)


def test_programs_send_a_token_or_name_and_password(people, shared):
    assert shared.post(MUTATION, Authorization=f"Bearer {people.token}").status_code == 200
    pair = base64.b64encode(f"olga:{PASSWORD}".encode()).decode()
    for _ in range(2):
        assert shared.post(MUTATION, Authorization=f"Basic {pair}").status_code == 200
    viewer = base64.b64encode(f"vera:{PASSWORD}".encode()).decode()
    assert shared.post(MUTATION, Authorization=f"Basic {viewer}").status_code == 403
    for wrong in ("Bearer x", "Basic x", f"Basic {pair}x", "Digest x", "Bearer"):
        assert shared.post(QUERY, Authorization=wrong).status_code == 401
    foreign = shared.post(MUTATION, Authorization=f"Basic {pair}", Origin="http://evil.example")
    assert foreign.status_code == 403


def test_wrong_passwords_are_slowed_down(people, shared):
    assert [people.sign_in(shared, "olga", "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
    refused = people.sign_in(shared, "olga")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "2"
    people.now += 2
    assert people.sign_in(shared, "olga").status_code == 303


def test_in_a_pause_the_right_password_is_not_told_from_a_wrong_one(people, shared):
    pair = base64.b64encode(f"olga:{PASSWORD}".encode()).decode()
    assert shared.post(QUERY, Authorization=f"Basic {pair}").status_code == 200
    for number in range(6):
        guess = base64.b64encode(f"olga:{number}".encode()).decode()
        last = shared.post(QUERY, Authorization=f"Basic {guess}").status_code
    assert last == 429
    assert shared.post(QUERY, Authorization=f"Basic {pair}").status_code == 429
    people.now += 2
    assert shared.post(QUERY, Authorization=f"Basic {pair}").status_code == 200


def test_wrong_tokens_are_slowed_down(people, shared):
    answers = [shared.post(QUERY, Authorization=f"Bearer {number}").status_code for number in range(6)]
    assert answers == [401] * 5 + [429]


def test_a_login_from_another_page_is_refused(people, shared):
    assert people.sign_in(shared, "olga", Origin="http://evil.example").status_code == 403
    assert people.sign_in(shared, "olga", Host="evil.example").status_code == 421


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nSet-Cookie: x", ""]
)
def test_the_login_leads_nowhere_else(people, shared, target):
    form = {"name": "olga", "password": PASSWORD, "next": target}
    answer = httpx.post(f"{shared.url}/login", data=form, trust_env=False)
    assert answer.headers["location"] == "/"
    page = httpx.get(f"{shared.url}/login", params={"next": '"><script>x</script>'}, trust_env=False)
    assert "<script>" not in page.text

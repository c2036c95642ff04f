"""Stands before Dagster's web server and lets through only what a page of this web UI, or a program, may ask.

Dagster answers whoever reaches its port: a picture on a foreign page whose address is ``/graphql?query=mutation…``
starts a run. The guard refuses, whatever comes after it:

* a ``Host`` that is not one of those served (DNS rebinding);
* what a page of another origin asks for, by ``Origin`` and ``Sec-Fetch-Site``, websockets too;
* GraphQL by GET, which the web UI does not use;
* every other method than GET, HEAD and a POST of JSON: forms can only send other types, and a browser asks before
  it sends JSON across origins;
* without a session or a token, everything but the login page; to viewers, whatever changes something.
"""

from functools import partial

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embed_pipeline.webui.accounts import User
from embed_pipeline.webui.graphql_documents import BadRequestError, changes_something, request_of
from embed_pipeline.webui.login import Login
from embed_pipeline.webui.origins import ServedNames, is_own_page, is_visit
from embed_pipeline.webui.refusals import refusal
from embed_pipeline.webui.response_headers import with_security_headers
from embed_pipeline.webui.search_pages import QUERY
from embed_pipeline.webui.sockets import GuardedSocket

LARGEST_BODY = 16 * 2**20
"""Bytes of a POST; the run configuration of a launch has some kB."""


class Guard:
    """ASGI middleware around the web server.

    Args:
        served: names that requests may be addressed to.
        login: who may do what; None: everybody on this machine may do everything.
    """

    def __init__(self, app: ASGIApp, served: ServedNames, login: Login | None = None) -> None:
        self._app = app
        self._served = served
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, with_security_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = self._refused_by_its_head(request)
        body = b""
        if answer is None:
            body, answer = await _body_of(request)
        user = None
        if answer is None and self._login is not None:
            user, answer = await self._login.admit(request, body)
        if answer is None:
            answer = _refused_by_its_body(request, body, user)
        if answer is not None:
            await answer(scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "user": user}
        await self._app(scope, _replay(body, receive), send)

    def _refused_by_its_head(self, request: Request) -> Response | None:
        headers = request.headers
        if not self._serves(headers):
            return refusal(
                headers, 421, "This web UI is not served under that name.",
                "Open it under the address that embed-pipeline ui printed, or start it with --allow-host NAME.",
            )  # fmt: skip
        if request.method in ("GET", "HEAD"):
            if not is_own_page(headers) and not is_visit(headers):
                return _foreign(headers)
            if _is_graphql(request) and (
                "query" in request.query_params or "text/html" not in headers.get("accept", "")
            ):
                return refusal(headers, 405, "GraphQL is not answered by GET.", "Send it by POST as application/json.")
            return None
        if not is_own_page(headers):
            return _foreign(headers)
        if request.method != "POST":
            return refusal(headers, 405, f"{request.method} is not answered here.", "Use GET or POST.")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (self._login is not None and self._login.takes_form(request)):
            return refusal(headers, 415, f"A POST of {kind or 'no type'} is refused.", "Send application/json.")
        return None

    def _serves(self, headers: Headers) -> bool:
        hosts = headers.getlist("host")
        return len(hosts) == 1 and self._served.serves(hosts[0])

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        still_valid = None
        allowed = self._serves(connection.headers) and is_own_page(connection.headers)
        if allowed and self._login is not None:
            user_now = partial(self._login.session_of, connection)
            user = user_now()
            allowed = user is not None
            still_valid = lambda: user_now() == user  # noqa: E731
        if not allowed:
            await receive()  # the handshake, which is answered with 403
            await send({"type": "websocket.close", "code": 1008})
            return
        socket = GuardedSocket(receive, send, still_valid)
        await self._app(scope, socket.receive, socket.send)


def _foreign(headers: Headers) -> Response:
    return refusal(
        headers, 403, "A page of another origin asked for this.", "Open the web UI itself, in a window of its own."
    )


def _is_graphql(request: Request) -> bool:
    return str(request.scope["path"]).rstrip("/") == "/graphql"


def _refused_by_its_body(request: Request, body: bytes, user: User | None) -> Response | None:
    """GraphQL that cannot be read, and whatever a viewer must not do."""
    if request.method != "POST":
        return None
    viewer = user is not None and not user.may_run
    changes = request.scope["path"] != QUERY
    if _is_graphql(request):
        try:
            changes = changes_something(request_of(body)["query"])
        except BadRequestError as error:
            return refusal(request.headers, 400, f"No GraphQL request: {error}.", "See /graphql for the schema.")
    if viewer and changes:
        return refusal(
            request.headers, 403, f"{user.name} may look, not run." if user else "",
            "Ask for the role operator: embed-pipeline access add NAME --role operator.",
        )  # fmt: skip
    return None


async def _body_of(request: Request) -> tuple[bytes, Response | None]:
    if request.method != "POST":
        return b"", None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            limit = f"More than {LARGEST_BODY >> 20} MiB were sent."
            return b"", refusal(request.headers, 413, limit, "Send less at once.")
        parts.append(part)
    return b"".join(parts), None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hands the body on, which has been read already."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay

"""Sessions, the login page, and tokens for programs."""

import asyncio
import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from embed_pipeline.errors import SettingsError
from embed_pipeline.webui.accounts import Accounts, User
from embed_pipeline.webui.attempts import Attempts
from embed_pipeline.webui.refusals import page, refusal

LASTS = 12 * 3600.0  # seconds
MOST_SESSIONS = 1000
AT_ONCE = 2
"""Passwords checked side by side; each takes a quarter of a second and 16 MB."""
FORM = "application/x-www-form-urlencoded"
ADVICE = "Sign in at /login, or send Authorization: Bearer TOKEN (embed-pipeline access add NAME --role ROLE --token)."


@dataclass(frozen=True)
class Session:
    """One browser that signed in."""

    user: User
    ends: float


class Login:
    """Who may do what, by an access file that is read again whenever it changes.

    Sessions are random ids in memory: a restart of the web UI ends them.

    Args:
        port: of the web UI; part of the cookie's name, since cookies do not know ports.
    """

    def __init__(self, path: Path, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._accounts = Accounts(path)
        self._read_at = _signature(path)
        self._cookie = f"embed_pipeline_{port}"
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._attempts = Attempts(clock)
        self._known_basic: dict[bytes, User] = {}
        self._few = asyncio.Semaphore(AT_ONCE)

    def takes_form(self, request: Request) -> bool:
        """Whether this is one of the two pages with a form."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        return request.scope["path"] in ("/login", "/logout") and kind == FORM

    async def admit(self, request: Request, body: bytes) -> tuple[User | None, Response | None]:
        """The user of a request; or the answer, where it is one of the login's own or refused."""
        path = request.scope["path"]
        if path == "/login":
            return None, await self._sign_in(request, body) if request.method == "POST" else _login_page(request)
        if path == "/logout":
            return None, self._sign_out(request)
        if "authorization" in request.headers:
            return await self._by_header(request)
        user = self.session_of(request)
        if user is not None:
            return user, None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return None, RedirectResponse(f"/login?next={quote(_target(request))}", 303)
        return None, refusal(request.headers, 401, "Nobody is signed in.", ADVICE)

    def session_of(self, connection: HTTPConnection) -> User | None:
        """The user of a browser's session, or of a program's token, as the access file has them now."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._current().with_token(token.strip())
        session = self._sessions.get(connection.cookies.get(self._cookie, ""))
        if session is None or session.ends < self._clock():
            return None
        now = self._current().user(session.user.name)
        return now if now is not None and now.proof == session.user.proof else None

    async def _sign_in(self, request: Request, body: bytes) -> Response:
        if not self.takes_form(request):
            return refusal(request.headers, 415, "The login takes a form.", f"Send {FORM}, or use a token.")
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        name, password, target = (form.get(field, [""])[0] for field in ("name", "password", "next"))
        user, refused = await self._verified(request, name, password)
        if refused is not None:
            return refused
        if user is None:
            return _login_page(request, "Name or password is wrong.", 401, _local(target))
        for key in [key for key, session in self._sessions.items() if session.ends < self._clock()]:
            del self._sessions[key]
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        key = secrets.token_urlsafe(32)
        self._sessions[key] = Session(user, self._clock() + LASTS)
        response = RedirectResponse(_local(target), 303, {"Cache-Control": "no-store"})
        response.set_cookie(
            self._cookie, key, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
        )
        return response

    def _sign_out(self, request: Request) -> Response:
        if request.method != "POST":
            body = '<form method=post action="/logout"><button>Sign out</button></form><p><a href="/">Back</a></p>'
            return page("Sign out", body)
        self._sessions.pop(request.cookies.get(self._cookie, ""), None)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(self._cookie, path="/", httponly=True, samesite="strict")
        return response

    async def _by_header(self, request: Request) -> tuple[User | None, Response | None]:
        scheme, _, value = request.headers["authorization"].partition(" ")
        user, refused = None, None
        if scheme.lower() == "bearer":
            user, refused = self._by_token(request, value.strip())
        elif scheme.lower() == "basic":
            name, password = _basic(value)
            proof = hashlib.sha256(f"{name}\0{password}".encode("utf-8", "surrogatepass")).digest()
            known = self._known_basic.get(proof)
            if known is not None and self._current().user(name) == known:
                return self._unless_paused(request, name, known)
            user, refused = await self._verified(request, name, password)
            if user is not None:
                self._known_basic = {**dict(list(self._known_basic.items())[-99:]), proof: user}
        if user is None and refused is None:
            refused = refusal(request.headers, 401, "The name, password or token is wrong.", ADVICE)
        return user, refused

    def _by_token(self, request: Request, token: str) -> tuple[User | None, Response | None]:
        key = f"token from {_address(request)}"
        if (pause := self._attempts.pause(key)) > 0:
            return None, _too_many(request, pause)
        user = self._current().with_token(token)
        (self._attempts.failed if user is None else self._attempts.succeeded)(key)
        return user, None

    def _unless_paused(self, request: Request, name: str, user: User) -> tuple[User | None, Response | None]:
        """In a pause the right password gets the answer of a wrong one, or guesses could go on."""
        pause = self._attempts.pause(*_keys(request, name))
        return (user, None) if pause <= 0 else (None, _too_many(request, pause))

    async def _verified(self, request: Request, name: str, password: str) -> tuple[User | None, Response | None]:
        keys = _keys(request, name)
        if (pause := self._attempts.pause(*keys)) > 0:
            return None, _too_many(request, pause)
        self._attempts.failed(*keys)  # at once, so that many tries side by side are counted too
        async with self._few:
            user = await run_in_threadpool(self._current().with_password, name, password)
        if user is not None:
            self._attempts.succeeded(*keys)
        return user, None

    def _current(self) -> Accounts:
        """The access file as it is; while it cannot be read, nobody is let in."""
        signature = _signature(self._accounts.path)
        if signature != self._read_at:
            try:
                self._accounts = Accounts(self._accounts.path)
            except SettingsError:
                return _NOBODY
            self._read_at = signature
        return self._accounts


class _NoAccounts(Accounts):
    """Of an access file that cannot be read."""

    def __init__(self) -> None:
        self.path = Path()
        self._users = {}
        self._nobody = "scrypt$2$1$1$00$00"


_NOBODY = _NoAccounts()


def _signature(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode


def _login_page(request: Request, problem: str = "", status: int = 200, target: str | None = None) -> Response:
    target = target or _local(request.query_params.get("next", "/"))
    said = f"<p class=problem>{escape(problem)}</p>" if problem else ""
    return page(
        "embed-pipeline",
        f'{said}<form method=post action="/login"><input type=hidden name=next value="{escape(target)}">'
        "<label>Name<input name=name autocomplete=username autofocus required></label>"
        "<label>Password<input name=password type=password autocomplete=current-password required></label>"
        "<button>Sign in</button></form>",
        status,
    )


def _too_many(request: Request, pause: float) -> Response:
    seconds = str(int(pause) + 1)
    reason = "There were too many wrong passwords or tokens."
    return refusal(request.headers, 429, reason, f"Try again in {seconds} s.", {"Retry-After": seconds})


def _basic(value: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def _keys(request: Request, name: str) -> tuple[str, str]:
    """By what wrong passwords are counted."""
    return f"name {name[:80]}", f"address {_address(request)}"


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _target(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _local(target: str) -> str:
    r"""A page of this web UI, never another host: ``//host`` and ``/\host`` are one to a browser."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain else "/"

"""The web process: Dagster's own web server behind the guard, and its daemon."""

import json
import os
import re
import signal
import socket
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.judged import JudgedQuestions
from embed_pipeline.settings.snapshot import read_snapshot
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.reports import find_report
from embed_pipeline.webui.daemon import running_daemon
from embed_pipeline.webui.guard import Guard
from embed_pipeline.webui.history_pages import MOST_RUNS, HistoryPages
from embed_pipeline.webui.login import Login
from embed_pipeline.webui.origins import ServedNames
from embed_pipeline.webui.preview_pages import PreviewPages
from embed_pipeline.webui.refusals import refusal
from embed_pipeline.webui.search_pages import SearchPages
from embed_pipeline.webui.workers import PREVIEWING, Worker
from embed_pipeline.webui.workspace import open_workspace

OURS = "/embed_pipeline"
LOG_KINDS = ("out", "err")


def serve(
    workspace: str,
    state: str,
    listening: int,
    host: str,
    port: int,
    names: list[str],
    access: str | None,
    trusted_proxies: list[str],
) -> None:
    """Serve until a signal comes.

    Args:
        workspace: file that names the code server.
        listening: descriptor of the socket that listens on host and port.
        state: file in which the supervisor keeps what there is to tell about the settings.
        names: under which requests are answered, besides those of this machine.
        access: the access file; None: no login.
        trusted_proxies: addresses whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """
    import uvicorn
    from dagster._utils.log import configure_loggers

    from embed_pipeline.defs.dead_runs import bury_dead_runs

    configure_loggers(log_level="INFO")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn has its own while it serves, then raises it again
    with open_workspace(Path(workspace)) as context, context.instance:
        bury_dead_runs(context.instance)
        webserver = Webserver(context, Path(state))
        app = webserver.create_asgi_app()
        login = Login(Path(access), port) if access is not None else None
        with running_daemon(context) as failed:
            config = uvicorn.Config(
                Guard(app, ServedNames(host, port, names), login),
                log_level="warning",
                server_header=False,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=trusted_proxies,
                timeout_graceful_shutdown=3,
            )
            try:
                uvicorn.Server(config).run(sockets=[socket.socket(fileno=listening)])
            finally:
                webserver.searching.close()
                webserver.previewing.close()
                if failed.is_set():
                    sys.exit(1)


class Webserver(DagsterWebserver):  # type: ignore[type-arg]
    """Dagster's web server with one script more, which shows problems of the settings file and who is signed in."""

    def __init__(self, context: Any, state: Path) -> None:
        self._state = state
        home = Path(os.environ["EMBED_PIPELINE_HOME"])
        self._history = HistoryPages(home, lambda: set(context.instance.get_run_ids(limit=MOST_RUNS)))
        self.searching = Worker(home, self._settings)
        self._search = SearchPages(self.searching, JudgedQuestions(home), self._has_log, home_page="/")
        self.previewing = Worker(home, self._settings, work=PREVIEWING)
        self._preview = PreviewPages(self.previewing, home_page="/")
        super().__init__(context, live_data_poll_rate=2000)

    def index_html_endpoint(self, request: Request) -> Any:
        """Dagster's page with our script in it."""
        response = super().index_html_endpoint(request)
        nonce = re.search(r"'nonce-([0-9a-f]+)'", response.headers.get("content-security-policy", ""))
        if not isinstance(response, HTMLResponse) or nonce is None:
            return response
        script = f'<script nonce="{nonce[1]}" src="{OURS}/notice.js" defer></script></body>'
        body = bytes(response.body).decode().replace("</body>", script)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return HTMLResponse(body, headers=headers)

    async def download_debug_file_endpoint(self, request: Request) -> Any:
        """Dagster's, where there is such a run."""
        run_id = request.path_params["run_id"]
        with self.request_context(request) as context:
            known = context.instance.has_run(run_id)
        if not known:
            return refusal(request.headers, 404, f"there is no run {run_id}.", "See the list of runs.")
        return await super().download_debug_file_endpoint(request)

    async def download_captured_logs_endpoint(self, request: Request) -> Any:
        """Dagster's, for what can be the log of a step."""
        *log_key, kind = request.path_params["path"].split("/")
        if not log_key or kind not in LOG_KINDS or not set(log_key).isdisjoint(("", ".", "..")):
            return refusal(request.headers, 404, "there is no such log.", "The page of a run links to its logs.")
        return await super().download_captured_logs_endpoint(request)

    def build_routes(self) -> list[BaseRoute]:
        """Ours before Dagster's, whose last one takes every path."""
        ours = [
            Route(f"{OURS}/state", self._state_endpoint),
            Route(f"{OURS}/notice.js", _notice_endpoint),
            Route(f"{OURS}/report/{{version:path}}", _report_endpoint),
            *self._history.routes(),
            *self._search.routes(),
            *self._preview.routes(),
        ]
        return [*ours, *super().build_routes()]  # type: ignore[no-untyped-call]

    def _told(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self._state.read_text("utf-8"))
        except (OSError, ValueError):
            told = {}
        return told

    def _settings(self) -> Path:
        """The file with the settings in use."""
        return Path(str(self._told().get("settings", "")))

    def _has_log(self) -> bool:
        return read_snapshot(self._settings()).eval.query_log is not None

    async def _state_endpoint(self, request: Request) -> Response:
        told = {name: value for name, value in self._told().items() if name != "settings"}
        user = getattr(request.state, "user", None)
        who = None if user is None else {"name": user.name, "role": user.role}
        return JSONResponse({**told, "user": who}, headers={"Cache-Control": "no-store"})


async def _notice_endpoint(_: Request) -> Response:
    text = resources.files("embed_pipeline.webui").joinpath("notice.js").read_text("utf-8")
    return Response(text, media_type="application/javascript", headers={"Cache-Control": "no-cache"})


def _report_endpoint(request: Request) -> Response:
    """The report of a version of metrics; a page of its own that runs its own script, and loads nothing."""
    store = Store(Path(os.environ["EMBED_PIPELINE_HOME"]))
    try:
        page = find_report(store, request.path_params["version"]).read_text("utf-8")
    except InputError as error:
        return refusal(request.headers, 404, str(error), "The page of metrics in the web UI names the one in use.")
    return HTMLResponse(page, headers={"Content-Security-Policy": _report_policy(), "Cache-Control": "no-store"})


@cache
def _report_policy() -> str:
    """What a report may do: its own script, which is known by its hash; a report of another release runs none."""
    from embed_pipeline.evaluation.report_script import script_hash

    return (
        f"sandbox allow-scripts; default-src 'none'; script-src '{script_hash()}'; style-src 'unsafe-inline'; "
        "img-src data:"
    )

"""The search page alone, on loopback, for ``embed-pipeline search`` without the web UI."""

import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from embed_pipeline.evaluation.judged import JudgedQuestions
from embed_pipeline.settings import Settings
from embed_pipeline.settings.snapshot import write_snapshot
from embed_pipeline.webui.address import Serving, listening
from embed_pipeline.webui.guard import Guard
from embed_pipeline.webui.origins import ServedNames
from embed_pipeline.webui.search_engines import SearchEngine
from embed_pipeline.webui.search_pages import PAGE, SearchPages


def serve_search(home: Path, settings: Settings, serving: Serving, announce: Callable[[str], None]) -> int:
    """Serve until a signal comes; the exit code.

    Args:
        announce: takes the address of the page, once it answers.

    Raises:
        PortInUseError: somebody listens on the port.
    """
    import uvicorn

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn has its own while it serves, then raises it again
    with listening(serving) as sock, tempfile.TemporaryDirectory(prefix="embed_pipeline_") as folder:
        snapshot = write_snapshot(settings, Path(folder))
        engine = SearchEngine(home, lambda: snapshot)
        pages = SearchPages(engine, JudgedQuestions(home), lambda: settings.eval.query_log is not None)
        app = Guard(
            Starlette(routes=[Route("/", _to_the_page), *pages.routes()]), ServedNames(serving.host, serving.port)
        )
        config = uvicorn.Config(
            app, log_level="warning", server_header=False, lifespan="off", timeout_graceful_shutdown=3
        )
        announce(f"{serving.url}{PAGE}")  # the socket listens already
        try:
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[sock])
        finally:
            engine.close()
    return 0


async def _to_the_page(_: Request) -> Response:
    return RedirectResponse(PAGE, 303)

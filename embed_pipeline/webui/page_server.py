"""One page alone, on loopback, without the web UI: ``embed-pipeline search`` and ``embed-pipeline preview --page``."""

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
from embed_pipeline.webui.preview_pages import PAGE as PREVIEW_PAGE
from embed_pipeline.webui.preview_pages import PreviewPages
from embed_pipeline.webui.search_pages import PAGE as SEARCH_PAGE
from embed_pipeline.webui.search_pages import SearchPages
from embed_pipeline.webui.workers import PREVIEWING, SEARCHING, Work, Worker


def serve_search(home: Path, settings: Settings, serving: Serving, announce: Callable[[str], None]) -> int:
    """Serve the search page until a signal comes; the exit code.

    Args:
        announce: takes the address of the page, once it answers.

    Raises:
        PortInUseError: somebody listens on the port.
    """

    def pages(engine: Worker) -> list[Route]:
        return SearchPages(engine, JudgedQuestions(home), lambda: settings.eval.query_log is not None).routes()

    return _serve(SEARCH_PAGE, SEARCHING, pages, home, settings, serving, announce)


def serve_preview(home: Path, settings: Settings, serving: Serving, announce: Callable[[str], None]) -> int:
    """Serve the page of a preview in the same way."""

    def pages(engine: Worker) -> list[Route]:
        return PreviewPages(engine).routes()

    return _serve(PREVIEW_PAGE, PREVIEWING, pages, home, settings, serving, announce)


def _serve(
    page: str,
    work: Work,
    pages: Callable[[Worker], list[Route]],
    home: Path,
    settings: Settings,
    serving: Serving,
    announce: Callable[[str], None],
) -> int:
    import uvicorn

    async def to_the_page(_: Request) -> Response:
        return RedirectResponse(page, 303)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn has its own while it serves, then raises it again
    with listening(serving) as sock, tempfile.TemporaryDirectory(prefix="embed_pipeline_") as folder:
        snapshot = write_snapshot(settings, Path(folder))
        engine = Worker(home, lambda: snapshot, work=work)
        routes = [Route("/", to_the_page), *pages(engine)]
        app = Guard(Starlette(routes=routes), ServedNames(serving.host, serving.port))
        config = uvicorn.Config(
            app, log_level="warning", server_header=False, lifespan="off", timeout_graceful_shutdown=3
        )
        announce(f"{serving.url}{page}")  # the socket listens already
        try:
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[sock])
        finally:
            engine.close()
    return 0

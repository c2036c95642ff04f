"""The page of a preview: its files, and the documents. It changes nothing."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embed_pipeline.errors import EmbedPipelineError, InputError, UserError
from embed_pipeline.webui.page_files import NO_STORE, page_files
from embed_pipeline.webui.workers import Worker

PAGE = "/embed_pipeline/preview"


class PreviewPages:
    """The routes of the page.

    Args:
        engine: who reads the documents.
        home_page: of the web UI that the page is a part of; None: it stands alone.
    """

    def __init__(self, engine: Worker, home_page: str | None = None) -> None:
        self._engine, self._home_page = engine, home_page

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            *page_files(PAGE, "preview"),
            Route(f"{PAGE}/state", self._state_endpoint),
            Route(f"{PAGE}/documents", self._documents_endpoint),
        ]

    async def _state_endpoint(self, request: Request) -> Response:
        user = getattr(request.state, "user", None)
        who = None if user is None else {"name": user.name, "role": user.role}
        told = {"doing": self._engine.doing, "user": who, "home_page": self._home_page}
        return JSONResponse(told, headers=NO_STORE)

    async def _documents_endpoint(self, request: Request) -> Response:
        try:
            found = await run_in_threadpool(self._engine.ask, _asked(request))
        except EmbedPipelineError as error:
            status = 400 if isinstance(error, UserError) else 500
            return JSONResponse({"errors": [{"message": str(error)}]}, status, NO_STORE)
        return JSONResponse(found, headers=NO_STORE)


def _asked(request: Request) -> dict[str, Any]:
    """``?name=…&name=…&count=…&seed=…``, each of which may be missing."""
    given = request.query_params
    asked: dict[str, Any] = {"names": given.getlist("name")}
    for name in ("count", "seed"):
        if name in given:
            try:
                asked[name] = int(given[name][:30])
            except ValueError:
                raise InputError(f"{name} is a whole number, not {given[name][:30]!r}.") from None
    return asked

"""The page of all runs: its files, the runs, and two of them side by side. It changes nothing."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embed_pipeline.errors import EmbedPipelineError, InputError
from embed_pipeline.settings.differences import changed_between
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.history import History, status_now
from embed_pipeline.store.reports import find_report
from embed_pipeline.store.run_comparison import compare_runs, find_run, run_facts
from embed_pipeline.webui.refusals import refusal

PAGE = "/embed_pipeline/history"
MOST_RUNS = 1000
"""On the page, the latest ones; ``embed-pipeline history`` has all."""
FILES = {
    "": ("history.html", "text/html"),
    ".js": ("history.js", "application/javascript"),
    ".css": ("history.css", "text/css"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
NO_STORE = {"Cache-Control": "no-store"}


class HistoryPages:
    """The routes of the page.

    Args:
        home: whose runs are shown.
        known_runs: ids of the runs that Dagster still has a page of.
    """

    def __init__(self, home: Path, known_runs: Callable[[], set[str]]) -> None:
        self._store, self._known_runs = Store(home), known_runs

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            *(Route(f"{PAGE}{suffix}", _file(*of)) for suffix, of in FILES.items()),
            Route(f"{PAGE}/runs", self._runs_endpoint),
            Route(f"{PAGE}/compare", self._compare_endpoint),
        ]

    async def _runs_endpoint(self, _: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._rows), headers=NO_STORE)

    async def _compare_endpoint(self, request: Request) -> Response:
        asked = [request.query_params.get(name, "") for name in ("before", "after")]
        try:
            found = await run_in_threadpool(self._compared, *asked)
        except EmbedPipelineError as error:
            return refusal(request.headers, 404, str(error), "The page of runs lists them.")
        return JSONResponse(found, headers=NO_STORE)

    def _compared(self, before: str, after: str) -> dict[str, Any]:
        return compare_runs(*(find_run(self._store.home, named) for named in (before, after)), self._store)

    def _rows(self) -> dict[str, Any]:
        """``{"runs": [run_facts with "changed", "run_page", "report"], "left_out": n}``, the latest run first.

        ``changed`` are the settings that differ from those of the run before; None where that cannot be told.
        """
        records = History(self._store.home).all()
        shown, known = records[:MOST_RUNS], self._known_runs()
        rows = []
        for place, record in enumerate(shown):
            facts = run_facts(record | {"status": status_now(record)}, self._store)
            changed = changed_between(records[place + 1], record) if place + 1 < len(records) else None
            rows.append(
                facts
                | {
                    "changed": changed
                    and {name: {"before": old, "after": new} for name, (old, new) in changed.items()},
                    "run_page": f"/runs/{record['run_id']}" if record["run_id"] in known else None,
                    "report": self._report_of(facts["metrics"]),
                }
            )
        return {"runs": rows, "left_out": len(records) - len(shown)}

    def _report_of(self, metrics: str | None) -> str | None:
        if metrics is None:
            return None
        try:
            find_report(self._store, metrics)
        except InputError:
            return None
        return f"/embed_pipeline/report/{metrics}"


def _file(name: str, kind: str) -> Any:
    async def endpoint(_: Request) -> Response:
        content = resources.files("embed_pipeline.webui").joinpath(name).read_text("utf-8")
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        return Response(content, media_type=kind, headers=headers)

    return endpoint

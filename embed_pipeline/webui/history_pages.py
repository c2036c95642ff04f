"""The page of all runs: its files, the runs, and two of them side by side. It changes nothing."""

from collections.abc import Callable
from functools import cache
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
from embed_pipeline.store.run_comparison import compare_runs, find_run, run_facts, version_of
from embed_pipeline.webui.page_files import NO_STORE, page_files
from embed_pipeline.webui.refusals import refusal

PAGE = "/embed_pipeline/history"
MOST_RUNS = 1000
"""On the page, the latest ones; ``embed-pipeline history`` has all."""


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
            *page_files(PAGE, "history"),
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
        home = self._store.home
        return compare_runs(find_run(home, before), find_run(home, after), self._store)

    def _rows(self) -> dict[str, Any]:
        """``{"runs": [run_facts with "changed", "run_page", "report"], "names": {system: in words}, "left_out": n}``.

        The latest run comes first.

        ``changed`` are the settings that differ from those of the run before; None where that cannot be told.
        """
        from embed_pipeline.evaluation.systems import name_of

        records = History(self._store.home).all()
        shown, known, reports = records[:MOST_RUNS], self._known_runs(), cache(self._report_of)
        rows = []
        for place, record in enumerate(shown):
            before = records[place + 1] if place + 1 < len(records) else None
            pages = {
                "run_page": f"/runs/{record['run_id']}" if record["run_id"] in known else None,
                "report": reports(version_of(record, "report")) or reports(version_of(record, "metrics")),
            }
            facts = run_facts(record | {"status": status_now(record)}, self._store)
            rows.append({**facts, "changed": _changed(before, record), **pages})
        systems = {system for row in rows for of_set in row["figures"].values() for system in of_set} | {
            "base",
            "tuned",
        }
        names = {system: name_of(system) for system in sorted(systems)}
        return {"runs": rows, "names": names, "left_out": len(records) - len(shown)}

    def _report_of(self, version: str | None) -> str | None:
        if version is None:
            return None
        try:
            find_report(self._store, version)
        except InputError:
            return None
        return f"/embed_pipeline/report/{version}"


def _changed(before: dict[str, Any] | None, record: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    changed = None if before is None else changed_between(before, record)
    return None if changed is None else {name: {"before": old, "after": new} for name, (old, new) in changed.items()}

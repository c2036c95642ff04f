"""The search page: its files, what it asks for, and the judgements that it keeps."""

import json
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embed_pipeline.errors import EmbedPipelineError, InputError, UserError
from embed_pipeline.evaluation.judged import GOAL, JudgedQuestions
from embed_pipeline.webui.page_files import NO_STORE, page_files
from embed_pipeline.webui.refusals import refusal
from embed_pipeline.webui.workers import Worker

PAGE = "/embed_pipeline/search"
QUERY = f"{PAGE}/query"
"""Takes a POST that changes nothing, so that queries stand in no log and may be long."""


class SearchPages:
    """The routes of the search page.

    Args:
        engine: who searches.
        judged: where judgements are kept.
        has_log: whether the settings name a query log.
        home_page: of the web UI that the page is a part of; None: it stands alone.
    """

    def __init__(
        self,
        engine: Worker,
        judged: JudgedQuestions,
        has_log: Callable[[], bool],
        home_page: str | None = None,
    ) -> None:
        self._engine, self._judged, self._has_log, self._home_page = engine, judged, has_log, home_page

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            *page_files(PAGE, "search"),
            Route(QUERY, self._answering(self._query), methods=["POST"]),
            Route(f"{PAGE}/state", self._answering(self._state)),
            Route(f"{PAGE}/judged", self._answering(self._list)),
            Route(f"{PAGE}/suggestions", self._answering(self._suggestions)),
            Route(f"{PAGE}/judge", self._answering(self._judge), methods=["POST"]),
            Route(f"{PAGE}/remove", self._answering(self._remove), methods=["POST"]),
            Route(f"{PAGE}/restore", self._answering(self._restore), methods=["POST"]),
        ]

    def _answering(self, answer: Callable[[Request, dict[str, Any]], dict[str, Any]]) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                given = json.loads(await request.body()) if request.method == "POST" else {}
            except (ValueError, RecursionError):
                given = None
            if not isinstance(given, dict):
                return refusal(request.headers, 400, "This is no JSON object.", "Use the search page.")
            try:
                found = await run_in_threadpool(answer, request, given)
            except (EmbedPipelineError, OSError) as error:
                status = 400 if isinstance(error, UserError) else 500
                return JSONResponse({"errors": [{"message": str(error)}]}, status, NO_STORE)
            return JSONResponse(found, headers=NO_STORE)

        return endpoint

    def _query(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        query, k = _text(given, "query"), given.get("k", 10)
        if not isinstance(k, int) or isinstance(k, bool):
            raise InputError("k is a whole number.")
        found = self._engine.ask({"do": "search", "query": query, "k": k})
        kept = next((one for one in self._judged.all() if one.text == found["query"]), None)
        return {**found, "judged": {} if kept is None else dict(kept.scores)}

    def _state(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        user = getattr(request.state, "user", None)
        return {
            **self._count(),
            "doing": self._engine.doing,
            "may_judge": user is None or user.may_run,
            "user": None if user is None else {"name": user.name, "role": user.role},
            "any": bool(self._judged.all()),
            "log": self._has_log(),
            "home_page": self._home_page,
            "gold": f"eval.gold: {self._judged.folder}",
        }

    def _count(self) -> dict[str, Any]:
        return {"questions": sum(one.counts for one in self._judged.all()), "goal": GOAL}

    def _list(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        """Every judged question, and what has become of its passages."""
        questions = self._judged.all()
        asked = [[passage, one.texts.get(passage, "")] for one in questions for passage in one.scores]
        found = iter(self._engine.ask({"do": "what_became", "judged": asked})["passages"] if asked else [])
        return {
            "questions": [
                {
                    "query_id": one.query_id,
                    "query": one.text,
                    "counts": one.counts,
                    "passages": [
                        {"judged": passage, "score": score, "hash": one.texts.get(passage, ""), **next(found)}
                        for passage, score in one.scores.items()
                    ],
                }
                for one in questions
            ]
        }

    def _suggestions(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        """Queries of the log that have no judgement yet."""
        found = self._engine.ask({"do": "suggestions"})
        known = {one.text for one in self._judged.all()}
        return {**found, "queries": [one for one in found["queries"] if one["query"] not in known]}

    def _judge(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        score = given.get("score")
        if score is not None and (not isinstance(score, int) or isinstance(score, bool)):
            raise InputError("a judgement is 0, 1 or 2, or null to take it back.")
        text = _text(given, "hash") if given.get("hash") else ""
        passage = _text(given, "passage_id")
        if score is not None and not self._is_there(passage):
            raise InputError(f"there is no passage {passage[:100]!r}; search again, and judge what is found now.")
        before = self._judged.judge(_text(given, "query"), passage, score, text)
        return {"before": before, **self._count()}

    def _is_there(self, passage: str) -> bool:
        (found,) = self._engine.ask({"do": "what_became", "judged": [[passage, ""]]})["passages"]
        return bool(found["passage_id"] == passage and found["state"] != "gone")

    def _remove(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        was = self._judged.remove(_text(given, "query_id"))
        removed = None
        if was is not None:
            removed = {"query_id": was.query_id, "query": was.text, "scores": was.scores, "texts": was.texts}
        return {"removed": removed, **self._count()}

    def _restore(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        """Undo a removal, judgement by judgement, as if each were made again."""
        removed = given.get("removed")
        if not isinstance(removed, dict) or not isinstance(removed.get("scores"), dict):
            raise InputError("nothing was removed.")
        given_texts = removed.get("texts")
        texts = given_texts if isinstance(given_texts, dict) else {}
        for passage, score in removed["scores"].items():
            self._judged.judge(_text(removed, "query"), passage, score, str(texts.get(passage, "")))
        return self._count()


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise InputError(f"{name} is a text.")
    return value

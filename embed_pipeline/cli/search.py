"""``search``: what base, tuned, BM25 and hybrid find for a query, printed or on a page."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from embed_pipeline.cli.options import Context

SNIPPET_LINES = 2
PORT = 3001


def search(
    ctx: typer.Context,
    query: Annotated[str | None, typer.Argument(help="What to search for; without it a page is served.")] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=50, help="Passages of each system.")] = 5,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the page.")] = PORT,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Try the model: base, tuned, BM25 and hybrid side by side; on the page questions are judged, too."""
    if query is None:
        sys.exit(_serve(ctx.obj, port, open_browser))
    found = _found(ctx.obj, query, k)
    ctx.obj.tell(found, "\n".join(_lines(found, shutil.get_terminal_size((100, 24)).columns)))


def _found(context: "Context", query: str, k: int) -> dict[str, Any]:
    from embed_pipeline.cli.output import terminal_reporting
    from embed_pipeline.stages.searching import HomeSearch

    with terminal_reporting():
        return HomeSearch(context.home, context.settings).search(query, k)


def _serve(context: "Context", port: int, open_browser: bool) -> int:
    from embed_pipeline.cli.output import announce_page
    from embed_pipeline.webui.address import Serving
    from embed_pipeline.webui.page_server import serve_search

    def announce(url: str) -> None:
        announce_page("search page", url, context.as_json, open_browser)

    return serve_search(context.home, context.settings, Serving("127.0.0.1", port), announce)


def _lines(found: Mapping[str, Any], width: int) -> Iterator[str]:
    """The comparison for a terminal: one system after the other. Passages may hold anything, control codes too."""
    yield from found["notes"]
    for system in found["systems"]:
        yield f"\n{system['label']}: {system['about']}"
        if not system["hits"]:
            yield "  nothing: no passage shares a word with the query"
        for hit in system["hits"]:
            passage = found["passages"][hit["passage_id"]]
            head = f"  {hit['rank']:>2}  {hit['score']:7.3f}  {_mark(system['name'], hit):<9}  "
            yield head + _cut(passage["title"] or hit["passage_id"], width - len(head))
            yield " " * 6 + _cut(passage["text"], SNIPPET_LINES * (width - 6))
            if passage["told"]:
                told = (f"{name}: {', '.join(values)}" for name, values in passage["told"].items())
                yield " " * 6 + _cut(" · ".join(told), width - 6)
    yield f"\nonly here: no other system shows it; +n, -n: places against the base; new: not among its {_depth()}"


def _depth() -> int:
    from embed_pipeline.evaluation.systems import DEPTH

    return DEPTH


def _mark(system: str, hit: Mapping[str, Any]) -> str:
    if hit["only_here"]:
        return "only here"
    if system == "base":
        return ""
    return "new" if hit["moved"] is None else f"{hit['moved']:+d}" if hit["moved"] else "="


def _cut(text: str, length: int) -> str:
    from embed_pipeline.evaluation.query_log import clean_query

    plain = clean_query(text)
    return plain if len(plain) <= length else f"{plain[: max(0, length - 1)]}…"

"""``preview``: some documents of a corpus as a run would read and cut them, printed or on a page."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from embed_pipeline.cli.options import Context

PORT = 3002
PASSAGES = 5
SECTIONS = 6
SKIPPED = 20


def preview(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Documents by name; patterns such as '*.pdf' work. Without any, some at random."),
    ] = None,
    documents: Annotated[int, typer.Option("--documents", min=1, max=100, help="How many, at most.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Another one chooses other documents.")] = 0,
    passages: Annotated[
        int, typer.Option("--passages", min=0, help="Printed passages of each document; 0: all.")
    ] = PASSAGES,
    page: Annotated[bool, typer.Option("--page", help="Serve a page with all of their text instead.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Serve the page and open it in the browser.")] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the page.")] = PORT,
) -> None:
    """Look before a run: what is read of ten documents, what is left out, where passages begin and end."""
    from embed_pipeline.cli.output import terminal_reporting
    from embed_pipeline.corpus.preview import Choice
    from embed_pipeline.stages.previewing import preview as look

    context: Context = ctx.obj
    choice = Choice(tuple(names or ()), documents, seed)
    if page or open_browser:
        sys.exit(_serve(context, choice, port, open_browser))
    with terminal_reporting():
        found = look(context.settings, choice, context.home)
    width = shutil.get_terminal_size((100, 24)).columns
    context.tell(found, "\n".join(_lines(found, passages, max(width, 60))))


def _serve(context: "Context", choice: Any, port: int, open_browser: bool) -> int:
    from urllib.parse import urlencode

    from embed_pipeline.cli.output import announce_page
    from embed_pipeline.corpus.selection import selection_of
    from embed_pipeline.corpus.walk import open_source
    from embed_pipeline.stages.corpus import corpus_folder
    from embed_pipeline.webui.address import Serving
    from embed_pipeline.webui.page_server import serve_preview

    place = corpus_folder(context.settings)
    if isinstance(place, Path):
        open_source(place, selection_of(context.settings.corpus))  # for the error, before anything is served
    asked = [("name", name) for name in choice.names] + [("count", choice.count), ("seed", choice.seed)]

    def announce(url: str) -> None:
        announce_page("preview page", f"{url}?{urlencode(asked)}", context.as_json, open_browser)

    return serve_preview(context.home, context.settings, Serving("127.0.0.1", port), announce)


def _lines(found: Mapping[str, Any], passages: int, width: int) -> Iterator[str]:
    """All of it for a terminal. Names and texts may hold anything, control codes too."""
    from embed_pipeline.cli.output import printable

    yield f"{printable(found['corpus'])}: {_how_chosen(found)}"
    yield from (f"warning: {printable(line)}" for line in found["warnings"])
    for document in found["documents"]:
        yield ""
        yield from _document(document, passages, width, found["longest"])
    if found["dropped"]:
        yield "\nleft out or replaced in these documents:"
        yield from _table(("kind", "pieces", "characters", "documents", "what it is"), _totals(found), width)
    if found["skipped"]:
        yield f"\nskipped: {len(found['skipped']):,}"
        rows = [(printable(row["path"]), printable(row["reason"])) for row in found["skipped"][:SKIPPED]]
        yield from _table(("file", "because"), rows, width)
        if len(found["skipped"]) > SKIPPED:
            yield f"  and {len(found['skipped']) - SKIPPED:,} more (--json lists all)"


def _how_chosen(found: Mapping[str, Any]) -> str:
    chosen, matching = found["chosen"], found["matching"]
    of = f"{chosen:,} of {_many(matching, 'document')}"
    if found["names"]:
        of += f" that are called so, of {found['readable']:,}"
    return of if chosen == matching else f"{of}, chosen at random (--seed {found['seed']})"


def _many(count: int, one: str) -> str:
    return f"{count:,} {one}{'s' * (count != 1)}"


def _totals(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (row["kind"], f"{row['count']:,}", f"{row['characters']:,}", f"{row['documents']:,}", row["meaning"])
        for row in found["dropped"]
    ]


def _document(document: Mapping[str, Any], most: int, width: int, longest: int) -> Iterator[str]:
    from embed_pipeline.cli.output import printable

    def line(name: str, text: str) -> str:
        return f"  {name:<10}{_cut(text, width - 12)}"

    cut = document["passages"]
    yield _cut(printable(document["doc_id"]), width)
    yield line("title", document["title"])
    counted = {"character": document["characters"], "section": len(document["sections"]), "passage": len(cut)}
    if document["metadata"]:
        told = (f"{name}: {', '.join(values)}" for name, values in document["metadata"].items())
        yield line("metadata", " · ".join(told))
    yield line("read", ", ".join((document["language"], *(_many(count, one) for one, count in counted.items()))))
    for place, text in enumerate(document["lines"][:3]):
        yield line("begins" if place == 0 else "", text)
    if document["sections"]:
        headings = [one["heading"] for one in document["sections"][:SECTIONS]]
        yield line("sections", " · ".join(headings) + " …" * (len(document["sections"]) > SECTIONS))
    for loss in document["dropped"]:
        examples = ", ".join(f"“{one}”" for one in loss["examples"])
        figures = f"{_many(loss['count'], 'piece')}, {_many(loss['characters'], 'character')}"
        yield line("left out", f"{loss['kind']}: {figures}{': ' if examples else ''}{examples}")
    if document["lost"]:
        yield line("", f"{document['lost']:.1%} of its characters left out")
    unseen = [one for one in cut if one["seen"] < one["tokens"]]
    if unseen:
        hidden = sum(one["tokens"] - one["seen"] for one in unseen)
        yield line(
            "not seen",
            f"{_many(hidden, 'token')} of {len(unseen):,} of {_many(len(cut), 'passage')} "
            f"(encoder.max_passage_length is {longest})",
        )
    kept = cut[:most] if most else cut
    rows = [_passage(document["doc_id"], one, (width - 42) // 2) for one in kept]
    yield from _table(("passage", "characters", "tokens", "seen", "begins", "ends"), rows, width)
    if len(kept) < len(cut):
        yield f"  and {len(cut) - len(kept):,} more (--passages 0 prints all, --open shows their text)"


def _passage(doc_id: str, passage: Mapping[str, Any], width: int) -> tuple[str, ...]:
    name = passage["passage_id"].removeprefix(doc_id) or passage["passage_id"]
    span = f"{passage['start']:,}–{passage['end']:,}"
    return (
        _cut(name, 12), span, f"{passage['tokens']:,}", f"{passage['seen']:,}", _cut(passage["text"], width),
        _cut(passage["text"], width, from_end=True),
    )  # fmt: skip


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lines of a table; cells are plain text already."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in header:
        right = name in ("pieces", "characters", "documents", "tokens", "seen")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=width - 2, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    yield from (f"  {line.rstrip()}" for line in captured.get().rstrip("\n").split("\n"))


def _cut(text: str, cells: int, from_end: bool = False) -> str:
    """As much of a text as fits into so many cells of a terminal; Chinese characters take two."""
    from rich.cells import cell_len, set_cell_size

    from embed_pipeline.cli.output import printable

    cells = max(cells, 8)
    sample = text[-8 * cells :] if from_end else text[: 8 * cells]
    plain = printable(sample)
    if cell_len(plain) <= cells and len(sample) == len(text):
        return plain
    kept = set_cell_size(plain[::-1] if from_end else plain, cells - 1).rstrip()
    return f"…{kept[::-1]}" if from_end else f"{kept}…"

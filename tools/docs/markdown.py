"""Markdown from docstrings and rows."""

import inspect
import re
from collections.abc import Iterable, Sequence

Row = Sequence[str]


def plain(text: str) -> str:
    """A docstring's roles, double backticks and literal blocks as Markdown."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`").replace("::\n", ":\n")


def one_line(text: str | None) -> str:
    """A docstring as one line of Markdown, whatever its paragraphs."""
    return " ".join(plain(inspect.cleandoc(text or "")).split())


def cell(text: str) -> str:
    """Text for a table cell: bars and angle brackets are no markup; in code they are none anyway."""
    parts = re.split(r"(`[^`]*`)", text.replace("\n", " "))
    return "".join(one if one.startswith("`") else one.replace("|", "\\|").replace("<", "&lt;") for one in parts)


def table(head: Row, rows: Iterable[Row]) -> str:
    """A Markdown table; cells are escaped, heads stand as they are."""
    lines = [head, ["---"] * len(head), *([cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def docstring(text: str) -> str:
    """A Google-style docstring as Markdown."""
    import docstring_parser

    parsed = docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)
    parts = [plain(parsed.description or "")]
    if parsed.params:
        rows = [(f"`{one.arg_name}`", one_line(one.description)) for one in parsed.params]
        parts.append(table(("Name", "Meaning"), rows))
    if parsed.returns:
        parts.append(f"**Returns** {one_line(parsed.returns.description)}\n")
    if parsed.raises:
        rows = [(f"`{one.type_name}`", one_line(one.description)) for one in parsed.raises]
        parts.append(table(("Raises", "When"), rows))
    return "\n\n".join(parts)

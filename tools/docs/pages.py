"""Writes the pages of the documentation that say what the code says, so that they cannot drift.

::

    settings models   ──  docs/reference/settings.md
    table schemas     ──  docs/reference/tables.md
    prompt files      ──  docs/reference/prompts.md
    errors.py         ──  docs/reference/errors.md
    the command line  ──  docs/reference/commands.md
    stages, checks    ──  docs/reference/assets.md
    embed_pipeline    ──  docs/reference/api.md
    benchmarks/*.md   ──  docs/measured.md

``make docs`` runs it before the site is built; git ignores what it writes.
"""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.docs.api import api_page
from tools.docs.assets import assets_page
from tools.docs.markdown import one_line, table
from tools.docs.settings import settings_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = "embed_pipeline"
COMMAND_LINE = f"{PACKAGE}.cli.app"
NOTE = "<!-- Written by tools/docs; change the code instead. -->\n\n"

TABLES = """# Every table

Tables are Parquet files in the folder of their asset (`embed-pipeline show ASSET` names it), checked against these
schemas when they are written. What an asset gives is its `table.parquet`; the rest lies beside it.
"""

PROMPTS = """# Every prompt

Jinja2 templates. `embed-pipeline prompts --to DIR` writes them to a folder; `sdg.prompts` names it. What that folder
lacks comes from the package. An edited prompt may use the values named here and no others, and it makes stale what it
writes. Text that nobody vouches for stands between lines that carry a hash of it (`boundary`), which it cannot imitate.
"""


def write_pages(folder: Path = DOCS) -> list[Path]:
    """Write every generated page under ``folder``; the files."""
    written = []
    for name, page in PAGES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NOTE + page().strip() + "\n", "utf-8")
        written.append(path)
    return written


def tables_page() -> str:
    """Every stored table with its columns."""
    import dataframely as dy

    from embed_pipeline import tables
    from embed_pipeline.stages.graph import STAGES

    schemas = _classes(tables, dy.Schema)
    assets = {schema: [one.name for one in STAGES.values() if one.schema is schema] for schema in schemas}
    parts = [TABLES]
    for schema in schemas:
        where = f"`table.parquet` of {', '.join(f'`{name}`' for name in assets[schema])}. " if assets[schema] else ""
        parts.append(f"\n## {schema.__name__}\n\n{where}{one_line(schema.__doc__)}\n")
        rows = [
            (
                f"`{column['name']}`" + (" (key)" if column["unique"] else ""),
                f"`{column['type']}`" + (" or null" if column["nullable"] else ""),
                ", ".join(f"`{one}`" for one in column["constraints"]),
                column["description"],
            )
            for column in tables.columns(schema)
        ]
        parts.append(table(("Column", "Type", "Limits", "Meaning"), rows))
    return "\n".join(parts)


def prompts_page() -> str:
    """Every prompt, word for word."""
    from jinja2 import Environment, meta

    from embed_pipeline.llm.prompts import prompt_texts

    parts = [PROMPTS]
    for name, text in prompt_texts().items():
        values = sorted(meta.find_undeclared_variables(Environment(autoescape=True).parse(text)))
        parts.append(f"\n## {name}\n\nGiven: {', '.join(f'`{value}`' for value in values) or 'nothing'}.\n")
        parts.append(f"````jinja\n{text.rstrip()}\n````\n")
    return "\n".join(parts)


def errors_page() -> str:
    """Every error a user can meet."""
    from embed_pipeline import errors

    found = _classes(errors, errors.EmbedPipelineError)
    tree = inspect.cleandoc(errors.__doc__ or "").split("::", 1)[1].split("\n\nMessages")[0]
    rows = [
        (f"`{one.__name__}`", f"`{one.__bases__[0].__name__}`", str(one.exit_code), "yes" if one.transient else "",
         one_line(one.__doc__))
        for one in found
    ]  # fmt: skip
    return "\n".join(
        (
            "# Every error\n",
            "Messages are one sentence or two: which file or setting, what was wrong, what to do. The command line "
            "prints them on standard error after `error:` and ends with the exit code; a step in the web UI fails "
            "with the same words. Transient errors are worth trying again.\n",
            f"```text\n{inspect.cleandoc(tree)}\n```\n",
            table(("Error", "Is a", "Exit code", "Transient", "Meaning"), rows),
        )
    )


def commands_page() -> str:
    """Every command, as typer documents it."""
    words = [sys.executable, "-m", "typer", COMMAND_LINE, "utils", "docs"]
    with TemporaryDirectory() as folder:
        file = Path(folder, "commands.md")
        words += ["--name", "embed-pipeline", "--title", "Every command", "--output", str(file)]
        subprocess.run(words, check=True, capture_output=True, cwd=ROOT)
        text = file.read_text("utf-8")
    head, first, rest = text.partition("\n## ")
    codes = "Exit codes: 0 done; 1 a stage or a check failed; 2 wrong usage, settings or input.\n"
    return head.partition("**Commands**")[0] + codes + first + rest


def measured_page() -> str:
    """Every file of ``benchmarks/`` on one page; links between them become links within it."""
    folder = ROOT / "benchmarks"
    index = (folder / "README.md").read_text("utf-8")
    order = list(dict.fromkeys(re.findall(r"\]\((\w+)\.md\)", index)))
    order += sorted(file.stem for file in folder.glob("*.md") if file.stem not in [*order, "README"])
    parts = [index.replace("# Benchmarks", "# Measured results", 1)]
    for stem in order:
        text = re.sub(r"^#", "##", (folder / f"{stem}.md").read_text("utf-8"), flags=re.MULTILINE)
        parts.append(re.sub(r"^(## .*)", rf"\1 {{#{stem}}}", text, count=1, flags=re.MULTILINE))
    return re.sub(r"\]\((\w+)\.md\)", r"](#\1)", "\n\n".join(parts))


def _classes(module: Any, base: type) -> list[Any]:
    """Classes that a module or package defines, in the order of :data:`PARTS` and of the source."""
    found = [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, base)]
    own = (one for one in found if f"{one.__module__}.".startswith(f"{module.__name__}."))
    return sorted(own, key=lambda one: (_part(one), _line(one)))


def _part(thing: Any) -> int:
    part = thing.__module__.rpartition(".")[2]
    return PARTS.index(part) if part in PARTS else -1


def _line(thing: Any) -> int:
    return inspect.getsourcelines(thing)[1]


PARTS = ("corpus", "questions", "training", "evaluation")
"""Of the tables, in the way of the data."""
PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/tables.md": tables_page,
    "reference/prompts.md": prompts_page,
    "reference/errors.md": errors_page,
    "reference/commands.md": commands_page,
    "reference/assets.md": assets_page,
    "reference/api.md": api_page,
    "measured.md": measured_page,
}

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

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tools.markdown import Row, docstring, one_line, plain, table

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = "embed_pipeline"
COMMAND_LINE = f"{PACKAGE}.cli.app"
NOTE = "<!-- Written by tools/docs_pages.py; change the code instead. -->\n\n"
SYMBOLS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}

SETTINGS = """# Every setting

One YAML file, `pipeline.yaml`. Precedence: `--set section.key=value`, then `EMBED_PIPELINE__SECTION__KEY`, then the
file, then the profile. An unknown setting is an error that names the nearest known one.

**Default** also says what the profiles `cpu` and `gpu` have instead. **Key** names the assets that are computed anew
when the setting changes, before what follows from them:

- *runtime*: the setting cannot change a result (where things lie, speed, money), so nothing is computed anew. Of a
  path (`corpus.path`, `eval.gold` and the like) the content counts instead.
- *no stage*: no asset names the setting. Either what it points to enters by its content (`base_model`, all of
  `encoder`, `prep.cross_encoder`), or it is only looked at when a check judges a result or an asset is declared.

A setting at its default leaves every key as it would be without it.
"""

TABLES = """# Every table

Tables are Parquet files in the folder of their asset (`embed-pipeline show ASSET` names it), checked against these
schemas when they are written. What an asset gives is its `table.parquet`; the rest lies beside it.
"""

PROMPTS = """# Every prompt

Jinja2 templates. `embed-pipeline prompts --to DIR` writes them to a folder; `sdg.prompts` names it. What that folder
lacks comes from the package. An edited prompt may use the values named here and no others, and it makes stale what it
writes. Text that nobody vouches for stands between lines that carry a hash of it (`boundary`), which it cannot imitate.
"""

ASSETS = """# Every asset

Each asset is an immutable artifact with a key; see [the cache](../architecture.md#artifacts-and-the-cache). *Settings*
are those that enter the key beside the versions of the inputs; *outside* is what enters by its content (the corpus
folder, the base model, prompts). An asset *after* another waits for it without using what it holds.
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


# -- settings ----------------------------------------------------------------------------------------------


def settings_page() -> str:
    """Every setting, section by section."""
    from embed_pipeline.settings import Settings
    from embed_pipeline.settings.sources import PROFILES, load_settings

    profiles = {name: load_settings(profile=name, environment={}) for name in PROFILES}
    readers = _readers()
    parts = [SETTINGS, *_section("", Settings, profiles, readers)]
    return "\n".join(parts)


def _readers() -> dict[str, list[str]]:
    """Dotted names of settings or sections -> the assets whose key they enter."""
    from embed_pipeline.stages.graph import STAGES

    found: dict[str, list[str]] = {}
    for stage in STAGES.values():
        for name in stage.settings:
            found.setdefault(name, []).append(stage.name)
    return found


def _section(prefix: str, model: Any, profiles: Mapping[str, Any], readers: Mapping[str, list[str]]) -> Iterator[str]:
    """A heading, a table of the section's own settings, then its sections."""
    from embed_pipeline.settings import sections_of

    sections = sections_of(model)
    rows = [_setting_row(prefix, name, model, profiles, readers) for name in model.model_fields if name not in sections]
    if prefix:
        yield f"\n{'#' * (prefix.count('.') + 1)} {prefix.rstrip('.')}\n\n{one_line(model.__doc__)}\n"
    yield table(("Setting", "Default", "Key", "Meaning"), rows)
    for name, section in sections.items():
        yield from _section(
            f"{prefix}{name}.", section, {key: getattr(one, name) for key, one in profiles.items()}, readers
        )


def _setting_row(
    prefix: str, name: str, model: Any, profiles: Mapping[str, Any], readers: Mapping[str, list[str]]
) -> Row:
    field = model.model_fields[name]
    default = field.get_default(call_default_factory=True)
    own = {profile: getattr(section, name) for profile, section in profiles.items()}
    limits = [
        f"{sign} {getattr(one, key)}" for one in field.metadata for key, sign in SYMBOLS.items() if hasattr(one, key)
    ]
    return (
        f"`{prefix}{name}`",
        ", ".join([_value(default), *(f"{key}: {_value(value)}" for key, value in own.items() if value != default)]),
        _key(f"{prefix}{name}", model, name, readers),
        f"{field.description or ''} *{', '.join([_type_name(field.annotation), *limits])}*".strip(),
    )


def _key(dotted: str, model: Any, name: str, readers: Mapping[str, list[str]]) -> str:
    from embed_pipeline.settings.section import in_key

    if not in_key(model, name):
        return "*runtime*"
    parts = dotted.split(".")
    owners = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    assets = dict.fromkeys(asset for owner in owners for asset in readers.get(owner, []))
    return ", ".join(assets) or "*no stage*"


def _type_name(annotation: Any) -> str:
    """A type as people write it: ``int or null``, ``"a", "b"``, ``list of int``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " / ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        named = [_type_name(one) for one in arguments if one is not NoneType]
        return " or ".join([*named, "null"] if NoneType in arguments else named)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is not None and hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    name = str(annotation.__name__)
    return {"str": "text", "float": "number", "Path": "path", "bool": "true / false"}.get(name, name)


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f'`"{value}"`' if isinstance(value, str) and value != value.strip() else f"`{value}`"


# -- tables ------------------------------------------------------------------------------------------------


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


# -- prompts -----------------------------------------------------------------------------------------------


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


# -- errors ------------------------------------------------------------------------------------------------


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


# -- commands ----------------------------------------------------------------------------------------------


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


# -- assets ------------------------------------------------------------------------------------------------


def assets_page() -> str:
    """Every asset: what it is made of, what it holds, what checks it."""
    from embed_pipeline.settings import Settings
    from embed_pipeline.stages.graph import STAGES, stages

    more = stages(Settings().model_copy(update=_growing(Settings())))
    parts = [ASSETS]
    for group in dict.fromkeys(one.group for one in STAGES.values()):
        parts.append(f"\n## {group}\n")
        parts += [_asset(one) for one in STAGES.values() if one.group == group]
    parts.append("""
## Assets that settings add

`prep.mining_rounds` and `sweep.enabled` make the graph longer. With two rounds and the sweep's defaults there are also:
""")
    rows = [(f"`{one.name}`", one.group, ", ".join(one.inputs)) for one in more.values() if one.name not in STAGES]
    parts.append(table(("Asset", "Group", "Inputs"), rows))
    parts.append("\n## Blocking checks\n\nA check that fails stops what follows.\n")
    parts.append(table(("Check", "Asset", "Holds when"), _checks()))
    return "\n".join(parts)


def _growing(settings: Any) -> dict[str, Any]:
    """Settings under which the graph has every asset that settings can add."""
    return {
        "prep": settings.prep.model_copy(update={"mining_rounds": 2}),
        "finetune": settings.finetune.model_copy(update={"hard_negatives": 4}),
        "sweep": settings.sweep.model_copy(update={"enabled": True}),
    }


def _asset(stage: Any) -> str:
    def names(values: Iterable[str]) -> str:
        return ", ".join(f"`{value}`" for value in values)

    schema = stage.schema
    outside = "" if stage.external.__name__ == "no_external" else one_line(stage.external.__doc__)
    facts = {
        "Inputs": names(stage.inputs),
        "After": names(stage.after),
        "Settings": names(stage.settings),
        "Outside": outside,
        "Stored as": stage.storage if schema is None else f"[{schema.__name__}](tables.md#{schema.__name__.lower()})",
        "Stage version": stage.version,
        "Device": "GPU where there is one" if stage.device == "gpu" else "CPU",
    }
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)
    return f"\n### {stage.name}\n\n{plain(stage.description)}\n\n{listed}\n"


def _checks() -> list[Row]:
    import warnings

    import dagster as dg

    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    from embed_pipeline.defs.checks import build_checks
    from embed_pipeline.settings import Settings

    specs = [spec for check in build_checks(Settings(), ROOT / ".embed_pipeline") for spec in check.check_specs]
    rows = [(f"`{one.name}`", f"`{one.asset_key.to_user_string()}`", one_line(one.description)) for one in specs]
    return sorted(rows, key=lambda row: row[1])


# -- the public API ----------------------------------------------------------------------------------------


def api_page() -> str:
    """What ``import embed_pipeline`` offers."""
    package = importlib.import_module(PACKAGE)
    names = [name for name in getattr(package, "__all__", ()) if not name.startswith("__")]
    parts = ["# The library\n", plain(inspect.cleandoc(package.__doc__ or "")), ""]
    for name in names:
        thing = getattr(package, name)
        signature = f"{name}{inspect.signature(thing)}" if callable(thing) else name
        parts.append(f"\n## {name}\n\n```python\n{signature}\n```\n\n{docstring(inspect.getdoc(thing) or '')}\n")
    return "\n".join(parts)


# -- measured results --------------------------------------------------------------------------------------


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
    """Classes that a module defines, in the order of its source."""
    found = [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, base)]
    return sorted((one for one in found if one.__module__ == module.__name__), key=_line)


def _line(thing: Any) -> int:
    return inspect.getsourcelines(thing)[1]


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

if __name__ == "__main__":
    for path in write_pages():
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")

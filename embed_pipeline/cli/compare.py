"""``compare``: two runs side by side, for people."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from embed_pipeline.cli import output
from embed_pipeline.cli.history import RUN_CHARACTERS
from embed_pipeline.evaluation.systems import name_of
from embed_pipeline.progress import spoken

VERSION_CHARACTERS = 12
VALUE_CHARACTERS = 60


def print_comparison(found: Mapping[str, Any]) -> None:
    """What :func:`embed_pipeline.store.run_comparison.compare_runs` found."""
    console = output.out()
    console.print(_runs(found["before"], found["after"]))
    console.print()
    if found["settings"] is None:
        console.print("Settings: one of these runs was recorded by an earlier release, without them.")
    elif not found["settings"]:
        console.print("Settings: the same.")
    else:
        console.print(_settings(found["settings"]))
    for name, test_set in found["test_sets"].items():
        console.print()
        if test_set["why"]:  # figures of two sets side by side would be compared by whoever reads them
            console.print(f"{name} questions: not compared. {test_set['why']}", markup=False, soft_wrap=True)
        else:
            console.print(_figures(name, test_set))
    if not found["test_sets"]:
        console.print("\nNeither run has measured anything.")


def _runs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table:
    table = Table("", before["run_id"][:RUN_CHARACTERS], after["run_id"][:RUN_CHARACTERS], box=None)
    for label, mine, other in zip(_LABELS, _told(before), _told(after), strict=True):
        if mine or other:
            table.add_row(label, *(text.replace("[", "\\[") for text in (mine, other)))
    return table


_LABELS = ("started", "by", "status", "experiment", "corpus", "release", "git", "verdict", "took", "cost", "error")


def _told(run: Mapping[str, Any]) -> Iterator[str]:
    yield run["started"]
    yield run["started_by"] or ""
    yield run["status"]
    yield ", ".join(run["overrides"])
    yield (run["corpus"] or "")[:VERSION_CHARACTERS]
    yield run["release"] or ""
    yield _revision(run["git"] or "")
    yield f"{run['verdict'] or ''}{' (provisional)' if run['firm'] is False else ''}"
    yield "" if run["seconds"] is None else spoken(run["seconds"])
    yield ", ".join(f"{amount:g} {what.replace('_', ' ')}" for what, amount in (run["cost"] or {}).items() if amount)
    yield run["errors"][0] if run["errors"] else ""


def _revision(git: str) -> str:
    commit, dash, dirty = git.partition("-")
    return f"{commit[:VERSION_CHARACTERS]}{dash}{dirty}"


def _settings(settings: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("setting", "before", "after", box=None)
    for name, values in settings.items():
        table.add_row(name, *(_value(values[which]) for which in ("before", "after")))
    return table


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"
    return shown.replace("[", "\\[")


def _figures(name: str, test_set: Mapping[str, Any]) -> Table:
    table = Table(
        "system", "metric", "before", "after", "difference",
        title=f"{name} questions".replace("[", "\\["), title_justify="left", box=None,
    )  # fmt: skip
    for system, metrics in test_set["systems"].items():
        for metric, row in metrics.items():
            delta = "" if row["delta"] is None else f"{row['delta']:+.4f}"
            table.add_row(name_of(system), metric, _number(row["before"]), _number(row["after"]), delta)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"

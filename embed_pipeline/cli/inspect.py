"""``status``, ``show`` and ``doctor``: what there is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from embed_pipeline.cli import output
from embed_pipeline.cli.candidates import candidate_tables, problems
from embed_pipeline.cli.reranker import print_reranked
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.candidates import NAME as CANDIDATES
from embed_pipeline.stages.graph import STAGES, assets_of, stages
from embed_pipeline.stages.provenance import SHOWN_ON, provenance
from embed_pipeline.stages.reranker import METRICS as RERANKED
from embed_pipeline.stages.status import asset_statuses
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.names import plain_name

SAMPLE_ROWS = 3


def status_rows(settings: Settings, home: Path) -> list[dict[str, Any]]:
    """One row per asset, as ``status --json`` prints them."""
    return [asdict(one) for one in asset_statuses(stages(settings), settings, Store(home))]


def waiting(settings: Settings, home: Path) -> str | None:
    """What must be confirmed before anything retrains by itself, where automation has begun."""
    from embed_pipeline.automation.corpus_watch import waiting_for

    return waiting_for(settings, Store(home))


def show_artifact(name: str, home: Path) -> dict[str, Any]:
    """What ``show --json`` prints of an asset, or of a table that lies beside an asset's own, as ``dropped``.

    Raises:
        SettingsError: unknown, or not materialized in this home.
    """
    store = Store(home)
    artifact = store.current(name)
    beside = None if artifact else _asset_with(name, store)
    if beside is not None:
        return {
            "asset": beside.asset,
            "table": name,
            "version": beside.version,
            "path": str(beside.file(f"{name}.parquet")),
            **_table_facts(beside, name),
        }
    if artifact is None and plain_name(name) not in (
        found := assets_of(plain_name(name))
    ):  # names the nearest for an unknown name
        raise SettingsError(f"{name} is a stage, not an artifact; show one of {', '.join(found)}.")
    if artifact is None:
        raise SettingsError(
            f"{name} has not been computed in {home}. Run embed-pipeline run, or choose another --home."
        )
    manifest = Store(home).last_made(artifact)
    shown: dict[str, Any] = {
        "asset": name,
        "version": artifact.version,
        "path": str(artifact.path),
        "started": manifest.started,
        "seconds": manifest.seconds,
        "inputs": manifest.inputs,
        "settings": manifest.settings,
        "summary": manifest.summary,
        "provenance": provenance(artifact, Store(home)),
        "files": {file: entry.bytes for file, entry in manifest.files.items()},
    }
    if plain_name(name) == "metrics":
        shown |= artifact.json("summary")
    if (artifact.path / "table.parquet").is_file():
        shown |= _table_facts(artifact)
    if plain_name(name) == RERANKED:
        shown |= artifact.json("summary") | {"systems": artifact.frame().to_dicts()}
    if plain_name(name) == CANDIDATES:
        shown["candidates"] = artifact.frame().to_dicts()
    return shown


def export_questions(home: Path, folder: Path) -> tuple[Path, int]:
    """Write the current questions as SDG records; the file, and how many questions it holds.

    Raises:
        SettingsError: there are no questions in this home yet.
    """
    from embed_pipeline.sdg.exchange.export import export_records

    store = Store(home)
    pairs = store.current("qa_pairs")
    if pairs is None:
        raise SettingsError(
            f"qa_pairs has not been computed in {home}. Run embed-pipeline sdg, or choose another --home."
        )
    passages = store.handle("passages", store.last_made(pairs).inputs["passages"])
    documents = store.handle("documents", store.last_made(passages).inputs["documents"])
    frame = pairs.frame()
    return export_records(frame, documents.frame(), passages.frame(), folder), frame.height


def _asset_with(table: str, store: Store) -> Artifact | None:
    """The current artifact with a table of that name beside its own."""
    if table != "table" and re.fullmatch(r"\w+", table) and table not in STAGES:
        for asset in STAGES:
            artifact = store.current(asset)
            if artifact is not None and (artifact.path / f"{table}.parquet").is_file():
                return artifact
    return None


def _table_facts(artifact: Artifact, table: str = "table") -> dict[str, Any]:
    frame = artifact.frame(table)
    return {"rows": frame.height, "columns": frame.columns, "sample": frame.head(SAMPLE_ROWS).to_dicts()}


def print_artifact(name: str, shown: Mapping[str, Any]) -> None:
    """The same for people."""
    console = output.out()
    if "table" in shown:
        console.print(f"[bold]{name}[/]  beside {shown['asset']}, version {shown['version'][:12]}")
        console.print(str(shown["path"]), markup=False)
        _print_sample(shown)
        return
    _print_facts(name, shown)
    if plain_name(name) in SHOWN_ON:
        console.print("where it comes from:", markup=False)
        for fact, value in shown["provenance"].items():
            console.print(f"  {fact.replace('_', ' ')}: {_in_a_line(value)}", markup=False)
    if plain_name(name) == "metrics":
        for table in (*output.comparison_tables(shown), *output.system_tables(shown)):
            console.print()
            console.print(table)
        output.print_verdict(shown)
    elif plain_name(name) == RERANKED:
        print_reranked(shown, shown["systems"])
    elif "candidates" in shown:
        for table in candidate_tables(shown["candidates"]):
            console.print()
            console.print(table)
        for line in problems(shown["candidates"]):
            console.print(line, markup=False)
    elif "sample" in shown:
        _print_sample(shown)


def _print_facts(name: str, shown: Mapping[str, Any]) -> None:
    console = output.out()
    console.print(
        f"[bold]{name}[/]  version {shown['version'][:12]}  computed {shown['started']} in {shown['seconds']:.1f} s"
    )
    console.print(str(shown["path"]), markup=False)
    for fact, value in shown["summary"].items():
        console.print(f"  {fact}: {value}", markup=False)
    beside = [Path(file).stem for file in shown["files"] if re.fullmatch(r"\w+\.parquet", file)]
    if "table" in beside and len(beside) > 1:
        names = ", ".join(table for table in beside if table != "table")
        console.print(f"tables beside it (embed-pipeline show NAME): {names}", markup=False)


def _print_sample(shown: Mapping[str, Any]) -> None:
    console = output.out()
    some = ", for example:" if shown["sample"] else ""
    console.print(f"\n{shown['rows']:,} row{'s' * (shown['rows'] != 1)}{some}", markup=False)
    for row in shown["sample"]:
        console.print(_row_table(row))
        console.print()


def _in_a_line(value: Any) -> str:
    return ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, Mapping) else str(value)


def _row_table(row: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False)
    for column, value in row.items():
        text = str(value)
        table.add_row(f"[dim]{column}[/]", (text if len(text) <= 300 else text[:299] + "…").replace("[", "\\["))
    return table


def print_findings(findings: Sequence[Mapping[str, str]]) -> None:
    """The doctor's findings."""
    console = output.out()
    marks = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}
    for finding in findings:
        console.print(f"{marks[finding['state']]} {finding['check']}: {escape(finding['detail'])}", soft_wrap=True)

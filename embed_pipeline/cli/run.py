"""``run`` and the six stage commands."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.cli import output
from embed_pipeline.cli.reranker import print_reranked
from embed_pipeline.cli.variants import print_overview, variants_overview
from embed_pipeline.progress import reporting
from embed_pipeline.settings import Settings
from embed_pipeline.stages.estimates import llm_estimates
from embed_pipeline.stages.graph import forced_assets, selection, stages
from embed_pipeline.stages.needs import Needs, estimate_needs, require_room
from embed_pipeline.stages.plan import PlanStep, describe_plan, make_plan
from embed_pipeline.stages.questions_read import check_questions
from embed_pipeline.stages.reranker import METRICS as RERANKED
from embed_pipeline.stages.sweep import COMPARISON
from embed_pipeline.stages.unused import unused
from embed_pipeline.stages.variants import ALL, chosen_variants
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.reports import IN_USE, find_report

if TYPE_CHECKING:
    from embed_pipeline.llm.estimate import Estimate


def run(
    settings: Settings,
    home: Path,
    to: str | None,
    force: Sequence[str],
    *,
    plan: bool,
    as_json: bool,
    again: Mapping[str, str],
    variants: Sequence[str] = (),
    told: Mapping[str, Any] | None = None,
) -> int:
    """Plan, and unless only that is asked for, run; the exit code.

    Args:
        again: commands that go on from here ("ui", "stop"), as this user would type them.
        variants: run these instead of the main graph; "all" is every one, and the table of them.
        told: what else stands in the JSON object.
    """
    graph = stages(settings)
    chosen = chosen_variants(variants, settings)
    names = selection(to, graph, chosen, compare=ALL in variants)
    forced = forced_assets(force, graph, chosen)
    steps = make_plan([graph[name] for name in names], settings, Store(home), forced)
    check_questions(steps, settings)
    needs = estimate_needs(steps, settings, Store(home))
    warnings = unused(steps, settings)
    if plan:
        told = {**(told or {}), "warnings": warnings}
        _show_plan(steps, names, as_json, llm_estimates(steps, settings, Store(home)), needs, told)
        return 0
    require_room(needs, home)
    reporter = output.TerminalReporter()
    reporter.message(describe_plan(steps))
    if any(step.action == "compute" for step in steps.values()):
        reporter.message(f"needs {needs.line()}")
        for warning in (*needs.warnings(home), *warnings):
            reporter.message(f"warning: {warning}")
    from embed_pipeline.cli.launch import execute, served_summary

    try:
        with reporting(reporter):
            report = execute(settings, home, names, forced)
    finally:
        reporter.close()
    for line in report.errors:
        reporter.message(f"error: {line}")
    verdict, endpoint = served_summary(home)
    finished = {asset.asset for asset in report.assets if asset.outcome in ("computed", "reused", "skipped")}
    if as_json:
        outcomes = [
            {"asset": one.asset, "outcome": one.outcome, "seconds": one.seconds, "version": one.version}
            for one in report.assets
        ]
        served = endpoint if "endpoint" in finished or "endpoint" not in names else None  # one that failed is none
        value: dict[str, Any] = {**(told or {}), "assets": outcomes, "verdict": verdict, "endpoint": served}
        if chosen:
            value["variants"] = variants_overview(settings, home)
        value |= _compared(finished, home)
        output.print_json(value | ({"errors": list(report.errors)} if report.errors else {}))
        return report.exit_code
    if chosen:
        print_overview(variants_overview(settings, home))
    elif "metrics" in finished and not report.errors:
        _show_result(home, endpoint if "endpoint" in finished else None, again)
    _show_compared(_compared(finished, home))
    return report.exit_code


def _compared(finished: Collection[str], home: Path) -> dict[str, Any]:
    """What sweep and reranker came to, where they are among the assets of a run."""
    found: dict[str, Any] = {"sweep": _sweep_rows(home)} if COMPARISON in finished else {}
    measured = Store(home).current(RERANKED) if RERANKED in finished else None
    if measured is not None:
        found["reranker"] = measured.json("summary") | {"systems": measured.frame().to_dicts()}
    return found


def _show_compared(found: Mapping[str, Any]) -> None:
    if "sweep" in found:
        _show_sweep(found["sweep"])
    if "reranker" in found:
        print_reranked(found["reranker"], found["reranker"]["systems"])


def _sweep_rows(home: Path) -> list[dict[str, Any]]:
    compared = Store(home).current(COMPARISON)
    return compared.frame().to_dicts() if compared is not None else []


def _show_sweep(rows: Sequence[Mapping[str, Any]]) -> None:
    from embed_pipeline.finetune.sweep import saturation, saturation_sentence

    console = output.out()
    console.print()
    console.print(output.sweep_table(rows))
    points = saturation(rows)
    if points:
        console.print(f"\n{saturation_sentence(points)}", markup=False)
    (best,) = (row for row in rows if row["best"])
    if best["variant"] == rows[0]["variant"]:
        console.print("\nbest on validation: the settings as they are", markup=False)
        return
    changed = [f"{name}: {best[name]!r}" for name in ("learning_rate", "epochs") if best[name] != rows[0][name]]
    console.print(f"\nbest on validation: {best['variant']}. In pipeline.yaml:\n\nfinetune:", markup=False)
    console.print("\n".join(f"  {line}" for line in changed), markup=False)


def _show_plan(
    steps: Mapping[str, PlanStep],
    names: Sequence[str],
    as_json: bool,
    estimates: "Mapping[str, Estimate]",
    needs: Needs,
    told: Mapping[str, Any],
) -> None:
    if as_json:
        rows = [{"asset": name, "action": steps[name].action, "reasons": list(steps[name].reasons)} for name in names]
        llm = {name: one.as_json() for name, one in estimates.items()}
        output.print_json({**told, "assets": rows, "llm": llm, "needs": needs.as_json()})
        return
    console = output.out()
    console.print(output.plan_table(steps, names))
    console.print(describe_plan(steps), markup=False)
    if any(step.action == "compute" for step in steps.values()):
        console.print(f"needs {needs.line()}", markup=False)
    for name, estimate in estimates.items():
        console.print(f"{name}: {estimate.line()}", markup=False)
    for warning in told["warnings"]:
        console.print(f"warning: {warning}", markup=False)


def _show_result(home: Path, endpoint: Mapping[str, Any] | None, again: Mapping[str, str]) -> None:
    metrics = Store(home).current("metrics")
    assert metrics is not None
    console = output.out()
    summary = metrics.json("summary")
    for table in output.system_tables(summary):
        console.print()
        console.print(table)
    output.print_verdict(summary)
    console.print(f"\nreport:   {find_report(Store(home), IN_USE)}", markup=False, soft_wrap=True)
    if endpoint is not None:
        url = endpoint["url"]
        body = f'{{"model": "{endpoint["model"]}", "input": ["your text"], "input_type": "query"}}'
        console.print(f"\nendpoint: {url}/v1/embeddings (release {endpoint['release_id']})", markup=False)
        console.print(f"  curl -s {url}/v1/embeddings -H 'Content-Type: application/json' -d '{body}'", markup=False)
        console.print(f"stop it:  {again['stop']}", markup=False)
    console.print(f"web UI:   {again['ui']}", markup=False)

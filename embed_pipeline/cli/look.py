"""Commands that look at a home and change nothing: what ran, what is stale, what there is, and whether all is well."""

import sys
from typing import Annotated

import typer

from embed_pipeline.cli.options import Context


def history(ctx: typer.Context) -> None:
    """Every run of this home: who started it, what it computed, the verdict, what went wrong."""
    from embed_pipeline.cli import output
    from embed_pipeline.cli.history import history_rows, history_table

    context: Context = ctx.obj
    rows = history_rows(context.home)
    if context.as_json:
        output.print_json({"runs": rows})
    else:
        output.out().print(history_table(rows))


def compare(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(help="Id of a run, or how it begins (history lists them), or current.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
) -> None:
    """Two runs side by side: corpus, settings, figures where the test sets are the same, verdict, cost, duration."""
    from embed_pipeline.cli import output
    from embed_pipeline.cli.compare import print_comparison
    from embed_pipeline.store.artifacts import Store
    from embed_pipeline.store.run_comparison import compare_runs, find_run

    context: Context = ctx.obj
    found = compare_runs(find_run(context.home, before), find_run(context.home, after), Store(context.home))
    if context.as_json:
        output.print_json(found)
    else:
        print_comparison(found)


def variants(ctx: typer.Context) -> None:
    """The main settings and the variants side by side: what differs, and what it came to."""
    from embed_pipeline.cli import output
    from embed_pipeline.cli.variants import print_overview, variants_overview

    context: Context = ctx.obj
    overview = variants_overview(context.settings, context.home)
    if context.as_json:
        output.print_json({"variants": overview})
    else:
        print_overview(overview)


def status(ctx: typer.Context) -> None:
    """Every asset: fresh, stale (and why), or missing."""
    from embed_pipeline.cli import inspect, output
    from embed_pipeline.store.dagster_home import damaged_databases

    context: Context = ctx.obj
    for text in damaged_databases(context.home):
        sys.stderr.write(f"warning: {text}\n")
    rows = inspect.status_rows(context.settings, context.home)
    waiting = inspect.waiting(context.settings, context.home)
    if context.as_json:
        output.print_json({"assets": rows, "to_confirm": waiting})
    else:
        output.out().print(output.status_table(rows))
        if waiting is not None:
            output.out().print(f"waiting for embed-pipeline confirm: {waiting}", markup=False, soft_wrap=True)


def show(
    ctx: typer.Context,
    artifact: Annotated[
        str, typer.Argument(help="An asset, for example metrics or qa_pairs, or a table beside one, as dropped.")
    ],
) -> None:
    """Where an artifact lies, its version, what it holds; `show metrics` prints the comparison."""
    from embed_pipeline.cli import inspect, output

    context: Context = ctx.obj
    shown = inspect.show_artifact(artifact, context.home)
    if context.as_json:
        output.print_json(shown)
    else:
        inspect.print_artifact(artifact, shown)


def report(
    ctx: typer.Context,
    version: Annotated[
        str, typer.Argument(help="Version of report, metrics or reranker_metrics, or its beginning.")
    ] = "current",
    path: Annotated[bool, typer.Option("--path", help="Only print where it lies.")] = False,
) -> None:
    """Open the report in the browser: the verdict, every system, every question and what was found for it."""
    import webbrowser

    from embed_pipeline.store.artifacts import Store
    from embed_pipeline.store.reports import find_report

    context: Context = ctx.obj
    page = find_report(Store(context.home), version)
    context.tell({"report": str(page)}, str(page))
    if not path and not context.as_json and not webbrowser.open(page.absolute().as_uri()):
        sys.stderr.write("No browser could be opened; open this file in one.\n")


def doctor(
    ctx: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of artifacts and databases.")] = False,
) -> None:
    """Check the installation, the GPU, the LLM, the settings and the home."""
    from embed_pipeline.cli import inspect, output
    from embed_pipeline.cli.doctor import examine

    context: Context = ctx.obj
    findings = examine(lambda: context.settings, context.home, deep)
    if context.as_json:
        output.print_json({"checks": findings})
    else:
        inspect.print_findings(findings)
    if any(finding["state"] == "fail" for finding in findings):
        raise typer.Exit(1)

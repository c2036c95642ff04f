"""Commands that look after a home: ``gc``, ``purge``, ``backup`` and ``restore``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embed_pipeline.cli.options import Context
from embed_pipeline.cli.stopping import stopped_in_words

if TYPE_CHECKING:
    from embed_pipeline.store.artifacts import Artifact

Plan = Annotated[bool, typer.Option("--plan", help="Say what would be removed; remove nothing.")]

KINDS = {
    "artifacts": "old versions of artifacts",
    "releases": "old releases",
    "work": "leftovers of runs that were killed",
    "runs": "records of old runs",
    "embeddings": "embeddings of models that nothing uses any more",
    "locks": "lock files",
    "history": "runs in the web UI's history",
}
"""What is told of each kind."""


@stopped_in_words("stopped; what is removed is removed, run it again for the rest")
def gc(ctx: typer.Context, plan: Plan = False) -> None:
    """Remove what no pointer, no release and no run needs, down to the settings keep.*; nothing that cost money."""
    from embed_pipeline.stages.embeddings import encoders_in_use
    from embed_pipeline.store.gc import collect

    context: Context = ctx.obj
    settings = context.settings
    report = collect(context.home, settings.keep, encoders_in_use(settings), dry_run=plan)
    history = _trim_history(context, plan)
    if history["count"]:
        report["kinds"]["history"] = history
        report["bytes"] += history["bytes"]
    verb = "would free" if plan else "freed"
    lines = [f"{verb} {report['bytes'] / 1e6:.1f} MB", *kind_lines(report["kinds"])]
    context.tell(report, "\n".join(lines))


def kind_lines(kinds: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line a kind, the largest first."""
    largest = sorted(kinds.items(), key=lambda item: -item[1]["bytes"])
    return [f"  {sums['bytes'] / 1e6:9.1f} MB  {sums['count']:6} {KINDS[kind]}" for kind, sums in largest]


def _trim_history(context: Context, plan: bool) -> dict[str, Any]:
    """The part of Dagster; a home without its state has none."""
    if not (context.home / "dagster" / "history").is_dir():
        return {"count": 0, "bytes": 0}
    import dagster as dg

    from embed_pipeline.defs.history import trim_history
    from embed_pipeline.store.dagster_home import prepare_dagster_home

    prepare_dagster_home(context.home)
    with dg.DagsterInstance.get() as instance:
        return trim_history(instance, context.settings.keep.runs, dry_run=plan)


@stopped_in_words("stopped; run it again")
def purge(
    ctx: typer.Context,
    documents: Annotated[
        list[str], typer.Argument(metavar="DOCUMENT...", help="Path in the corpus folder, or id in a file of many.")
    ],
    plan: Plan = False,
) -> None:
    """Remove a document for good from tables, caches, questions and history; say which models were trained on it."""
    from embed_pipeline.stages import erase
    from embed_pipeline.stages.corpus import corpus_as_it_is
    from embed_pipeline.stages.purge import find, require_gone
    from embed_pipeline.store.home_lock import Holder, home_lock

    context: Context = ctx.obj
    with home_lock(context.home, Holder.here("embed-pipeline purge")):
        if not plan:
            erase.remove_half_done(context.home)
        found = find(context.home, documents)
        others = erase.files_that_quote(found)
        report: dict[str, Any] = {
            "documents": found.documents,
            "artifacts": [f"{one.asset} {one.version[:12]}" for one in found.doomed],
            "recomputed": found.recomputed,
            "embeddings": erase.embeddings_of(found),
            "replies": len(erase.replies_about(found)),
            "history": _history_of(context, found.holds, plan=True),
            "files": [path.relative_to(context.home).as_posix() for path in others],
            "models": _models(context, found.models),
            "also_in": found.also_in,
        }
        if not plan:
            with corpus_as_it_is(context.settings, context.home) as root:
                require_gone(found, root)
            erase.erase_caches(found)
            _history_of(context, found.holds, plan=False)
            erase.erase_files(found, others)
            report["files_searched"] = erase.verify(found)
    context.tell(report, "\n".join(_purge_lines(report, plan)))


def _history_of(context: Context, holds: "Callable[[Iterable[str]], bool]", plan: bool) -> int:
    """Runs in the web UI's history that show the documents."""
    if not (context.home / "dagster" / "history").is_dir():
        return 0
    import dagster as dg

    from embed_pipeline.defs.history import erase, runs_that_hold
    from embed_pipeline.store.dagster_home import prepare_dagster_home

    prepare_dagster_home(context.home)
    with dg.DagsterInstance.get() as instance:
        return len(runs_that_hold(instance, holds)) if plan else erase(instance, holds)


def _models(context: Context, models: "Mapping[Artifact, bool]") -> list[dict[str, Any]]:
    from embed_pipeline.store.artifacts import Store
    from embed_pipeline.store.releases import releases

    store, served, there = Store(context.home), _served_model(context.home), releases(context.home)
    return [
        {
            "asset": model.asset,
            "version": model.version,
            "in_use": store.pointer(model.asset).get("version") == model.version,
            "trained_on_it": trained,
            "releases": [one.release_id for one in there if one.model_version == model.version],
            "served": served == model.version,
        }
        for model, trained in models.items()
    ]


def _served_model(home: Path) -> str | None:
    """Version of the model that the home's server answers with; None where it is stopped."""
    from embed_pipeline.deploy.local import running_server
    from embed_pipeline.store.releases import current_release

    release = current_release(home)
    return release.model_version if release is not None and running_server(home) is not None else None


def _purge_lines(report: Mapping[str, Any], plan: bool) -> Iterator[str]:
    yield f"{'would remove' if plan else 'removed'} {', '.join(report['documents'])}:"
    yield f"  {len(report['artifacts'])} artifacts, and whatever was half done"
    yield f"  {report['embeddings']} embeddings, and all scores of cross-encoders"
    if report["replies"]:
        yield f"  {report['replies']} replies of the language model, which were paid for"
    yield f"  {report['history']} runs in the web UI's history, {len(report['files'])} other files"
    yield f"the next run makes again: {', '.join(report['recomputed']) or 'nothing'}"
    if report["also_in"]:
        yield f"other documents say a part of it in the same words and stay: {', '.join(report['also_in'])}"
    for model in report["models"]:
        yield f"  {_model_line(model)}"
    if any(model["trained_on_it"] for model in report["models"]):
        yield (
            "these models hold no text, but what they learnt from it stays in them: run again without the document, "
            "deploy, then embed-pipeline gc removes them"
        )
    yield (
        "not in reach: backups, models and tables that were copied out of the home, the gold set, imported questions, "
        "and what the file system keeps of deleted files"
    )


def _model_line(model: Mapping[str, Any]) -> str:
    words = "was trained on it" if model["trained_on_it"] else "was made from the same corpus, but not trained on it"
    notes = ["in use"] if model["in_use"] else []
    notes += [f"release {name}" for name in model["releases"]] + (["served right now"] if model["served"] else [])
    return f"{model['asset']} {model['version'][:12]} {words}{' (' + ', '.join(notes) + ')' if notes else ''}"


@stopped_in_words("stopped; nothing was saved, and a file that was there is as it was")
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write, for example home.tar.gz.")],
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Leave out embeddings, replies of language models, and scores.")
    ] = False,
) -> None:
    """Save a home to one file, also while a run is under way."""
    from embed_pipeline.store.backup import back_up

    report = back_up(ctx.obj.home, file.expanduser().resolve(), caches=not no_cache)
    text = f"{report['file']}: {report['files']} files, {report['bytes'] / 1e6:.1f} MB in {report['size'] / 1e6:.1f} MB"
    ctx.obj.tell(report, text)


@stopped_in_words("stopped; what was at --home is as it was, or the backup is there as a whole")
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that backup wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the home that is there.")] = False,
) -> None:
    """Make a home (--home) of a backup, on this machine or another, after checking every file of it."""
    from embed_pipeline.store.restore import restore as restore_home

    header = restore_home(file.expanduser().resolve(), ctx.obj.home, force)
    ctx.obj.tell(header.model_dump(), f"{ctx.obj.home}: restored as it was at {header.created}")

"""The command line: thin over the Dagster layer and the library.

Exit codes: 0 done; 1 a stage or a check failed; 2 wrong usage, settings or input; 130 and 143 stopped by Ctrl-C and by
SIGTERM.
"""

import logging
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from embed_pipeline import __version__
from embed_pipeline.cli import keep, look, servers
from embed_pipeline.cli import preview as previewing
from embed_pipeline.cli import search as searching
from embed_pipeline.cli.options import (
    Command,
    Context,
    Examination,
    Force,
    Plan,
    To,
    Variant,
    Writing,
    homes_used,
)
from embed_pipeline.cli.stopping import stopped_in_words
from embed_pipeline.errors import (
    DatabaseError,
    DiskFullError,
    EmbedPipelineError,
    disk_full,
)
from embed_pipeline.files import existing_part

app = typer.Typer(
    name="embed-pipeline",
    help="Documents in, a domain-tuned embedding model out: deployed, and proven better than its base.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

LEAST_FREE_BYTES = 1_000_000
STOPPED = "stopped; finished stages are kept, run again to go on"


def main() -> None:
    """Entry point: one clear line for every error we know, and its exit code."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Where a stop meets a connection that is being closed, it would print a trace.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        app()
    except EmbedPipelineError as error:
        _fail(str(error), error.exit_code)
    except Exception as error:
        full = disk_full(error, getattr(error, "filename", None) or "the home folder") or _no_space_left(error)
        if full is not None:
            _fail(str(full), full.exit_code)
        if any(kind.__name__ == "DatabaseError" for kind in type(error).__mro__):
            _check_databases()
        if isinstance(error, OSError):
            _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 2)
        raise
    except KeyboardInterrupt:
        _fail(STOPPED, 128 + signal.SIGINT)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # one that comes while Python is ending prints no trace
            signal.signal(number, signal.SIG_DFL)


def _check_databases() -> None:
    """End with the database's name, where it is one of Dagster's that cannot be read."""
    from embed_pipeline.store.dagster_home import require_readable_databases

    for home in homes_used:
        try:
            require_readable_databases(home)
        except DatabaseError as damage:
            _fail(str(damage), damage.exit_code)


def _no_space_left(error: Exception) -> DiskFullError | None:
    """SQLite tells a full disk only as "disk I/O error": look at the disk itself."""
    for home in homes_used:
        if shutil.disk_usage(existing_part(home)).free < LEAST_FREE_BYTES:
            return DiskFullError(
                f"{home}: no space left on the disk ({type(error).__name__}). Free some space or choose another "
                "--home, then run again; finished stages are kept."
            )
    return None


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command(cls=Command)
def run(ctx: typer.Context, to: To = None, force: Force = None, plan: Plan = False, variant: Variant = None) -> None:
    """Run everything that is stale, from documents to a verified endpoint; or variants, up to their metrics."""
    _run(ctx.obj, to, force, plan, variant)


def _stage_command(name: str, about: str) -> None:
    @app.command(name, help=about, cls=Command)
    def command(ctx: typer.Context, force: Force = None, plan: Plan = False) -> None:
        _run(ctx.obj, name, force, plan)


for _name, _about in {
    "sdg": "Documents to questions, and whatever that needs that is stale.",
    "prep": "Splits, benchmark, hard negatives and training set, and whatever they need that is stale.",
    "finetune": "The tuned checkpoint, and whatever it needs that is stale.",
    "eval": "Base against tuned and the verdict, and whatever they need that is stale.",
    "export": "ONNX, INT8 and TensorRT, and whatever they need that is stale.",
    "deploy": "The endpoint and its metrics, and whatever they need that is stale.",
}.items():
    _stage_command(_name, _about)


@app.command(cls=Command)
def sweep(ctx: typer.Context, force: Force = None, plan: Plan = False) -> None:
    """Trainings that differ in one setting (sweep.* in the settings), compared in one table."""
    _run(ctx.obj.with_setting("sweep.enabled=true"), "sweep", force, plan)


def _run(
    context: Context, to: str | None, force: list[str] | None, plan: bool, variants: list[str] | None = None
) -> None:
    with stopped_in_words(STOPPED):
        from embed_pipeline.cli import run as run_command

        again = {verb: context.command(verb) for verb in ("ui", "stop")}
        context.export()
        code = run_command.run(
            context.settings,
            context.home,
            to,
            force or [],
            plan=plan,
            as_json=context.as_json,
            again=again,
            variants=variants or [],
        )
    if code:
        raise typer.Exit(code)


@app.command(cls=Writing)
def promote(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A variant, or the id of a run with overrides (or how it begins; history lists them).")
    ],
    plan: Plan = False,
) -> None:
    """Take a variant or an experiment over: write its settings into the settings file, then run what is not known."""
    with stopped_in_words(STOPPED):
        from embed_pipeline.cli.promote import promote_named

        code = promote_named(ctx.obj, name, plan)
    if code:
        raise typer.Exit(code)


@app.command(cls=Command)
def confirm(ctx: typer.Context) -> None:
    """Let the sensor and the schedule retrain on a corpus that shrank; it holds for what the folder holds now."""
    from embed_pipeline.automation.corpus_watch import confirm as confirm_corpus
    from embed_pipeline.store.artifacts import Store

    what = confirm_corpus(ctx.obj.settings, Store(ctx.obj.home))
    said = f"confirmed: {what}" if what is not None else "nothing waits for a confirmation"
    ctx.obj.tell({"confirmed": what}, said)


@app.command(cls=Command)
def prompts(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="Folder for the prompt files; existing ones are left alone.")],
) -> None:
    """Write the prompts of the question generator to a folder, to be edited and named in sdg.prompts."""
    from embed_pipeline.llm.prompts import write_prompts

    written = write_prompts(to)
    ctx.obj.tell(
        {"folder": str(to), "written": [str(path) for path in written]},
        f"{to}: {len(written)} prompts written; edit them and set sdg.prompts to this folder",
    )


@app.command(cls=Command)
def records(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="Folder for the .jsonl and its generation_result.json.")],
) -> None:
    """Write the questions that passed (qa_pairs) as SDG records, which the reference recipe reads."""
    from embed_pipeline.cli.inspect import export_questions

    written, questions = export_questions(ctx.obj.home, to)
    ctx.obj.tell({"file": str(written), "questions": questions}, f"{written}: {questions} questions")


for _command in (
    *(look.status, look.show, look.report, look.history, look.compare, look.variants),
    *(previewing.preview, searching.search),
    *(servers.ui, servers.access, servers.serve, servers.stop),
    *(keep.gc, keep.purge, keep.backup, keep.restore),
):
    app.command(cls=Command)(_command)
app.command(cls=Examination)(look.doctor)

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
from embed_pipeline.cli import keep
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
    DagsterStateError,
    DiskFullError,
    EmbedPipelineError,
    InputError,
    SettingsError,
    disk_full,
)

app = typer.Typer(
    name="embed-pipeline",
    help="Documents in, a domain-tuned embedding model out: deployed, and proven better than its base.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MODEL_FILES = ("model.onnx", "tokenizer.json", "encoder.json")
LEAST_FREE_BYTES = 1_000_000
STOPPED = "stopped; finished stages are kept, run again to go on"


def main() -> None:
    """Entry point: one clear line for every error we know, and its exit code."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # a stop that meets a closing connection: a trace
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
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
    from embed_pipeline.webui.dagster_home import require_readable_databases

    for home in homes_used:
        try:
            require_readable_databases(home)
        except DagsterStateError as damage:
            _fail(str(damage), damage.exit_code)


def _no_space_left(error: Exception) -> DiskFullError | None:
    """SQLite tells a full disk only as "disk I/O error": look at the disk itself."""
    for home in homes_used:
        place = next(path for path in (home, *home.parents) if path.exists())
        if shutil.disk_usage(place).free < LEAST_FREE_BYTES:
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


@app.command(cls=Command)
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


@app.command(cls=Command)
def status(ctx: typer.Context) -> None:
    """Every asset: fresh, stale (and why), or missing."""
    from embed_pipeline.cli import inspect, output
    from embed_pipeline.webui.dagster_home import damaged_databases

    context: Context = ctx.obj
    for path, reason in damaged_databases(context.home):
        sys.stderr.write(f"{path}: Dagster's database is damaged ({reason}); embed-pipeline ui says what to delete\n")
    rows = inspect.status_rows(context.settings, context.home)
    waiting = inspect.waiting(context.settings, context.home)
    if context.as_json:
        output.print_json({"assets": rows, "to_confirm": waiting})
    else:
        output.out().print(output.status_table(rows))
        if waiting is not None:
            output.out().print(f"waiting for embed-pipeline confirm: {waiting}", markup=False, soft_wrap=True)


@app.command(cls=Command)
def confirm(ctx: typer.Context) -> None:
    """Let the sensor and the schedule retrain on a corpus that shrank; it holds for what the folder holds now."""
    from embed_pipeline.automation.corpus_watch import confirm as confirm_corpus
    from embed_pipeline.store.artifacts import Store

    what = confirm_corpus(ctx.obj.settings, Store(ctx.obj.home))
    said = f"confirmed: {what}" if what is not None else "nothing waits for a confirmation"
    ctx.obj.tell({"confirmed": what}, said)


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    artifact: Annotated[str, typer.Argument(help="An asset, for example metrics or qa_pairs.")],
) -> None:
    """Where an artifact lies, its version, what it holds; `show metrics` prints the comparison."""
    from embed_pipeline.cli import inspect, output

    context: Context = ctx.obj
    shown = inspect.show_artifact(artifact, context.home)
    if context.as_json:
        output.print_json(shown)
    else:
        inspect.print_artifact(artifact, shown)


@app.command(cls=Command)
def ui(
    ctx: typer.Context,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the web UI.")] = 3000,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; another than loopback needs an access file.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Name it is reached by, of a proxy before it; repeatable.")
    ] = None,
    access: Annotated[
        Path | None, typer.Option("--access", help="Access file; else access.json in the home, if there is one.")
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option("--trusted-proxy", help="Address of a proxy whose X-Forwarded headers are believed; repeatable."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Everything Dagster says goes to the terminal.")] = False,
) -> None:
    """Dagster's web UI and daemon."""
    from embed_pipeline.cli.ui import access_file, serve_ui
    from embed_pipeline.webui.address import Serving

    path = access_file(ctx.obj.home, access)
    names, proxies = tuple(allow_host or ()), tuple(trusted_proxy or ())
    known = path if access is not None or path.exists() else None
    sys.exit(serve_ui(ctx.obj, Serving(host, port, names, known, proxies, verbose)))


@app.command(cls=Command)
def access(
    ctx: typer.Context,
    action: Annotated[str, typer.Argument(help="add, remove or list.", metavar="ACTION")],
    name: Annotated[str | None, typer.Argument(help="Name of the user.")] = None,
    role: Annotated[
        str | None, typer.Option("--role", help="Of a user that is added: viewer (looks) or operator (runs).")
    ] = None,
    token: Annotated[
        bool, typer.Option("--token", help="Print a token for a program; else a password is asked for.")
    ] = False,
    file: Annotated[Path | None, typer.Option("--access", help="Access file; else access.json in the home.")] = None,
) -> None:
    """Say who may open the web UI."""
    from embed_pipeline.cli.access import change_access

    change_access(ctx.obj, action, name, role, token, file)


@app.command(cls=Command)
def serve(
    ctx: typer.Context,
    model: Annotated[Path, typer.Option("--model", help="Folder with model.onnx, tokenizer.json, encoder.json.")],
    host: Annotated[str | None, typer.Option("--host", help="Else deploy.host.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Else deploy.port.")] = None,
    model_name: Annotated[
        str | None, typer.Option("--model-name", help="Name clients pass as model; else deploy.model_name.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=0, help="ONNX Runtime threads, 0: all cores; else deploy.threads.")
    ] = None,
) -> None:
    """The embeddings server alone, for one model folder."""
    missing = [name for name in MODEL_FILES if not (model / name).is_file()]
    if missing:
        raise InputError(
            f"--model {model}: holds no {', '.join(missing)}; embed-pipeline show onnx_model names a folder."
        )
    from embed_pipeline.serving.server import serve as serve_model

    deploy = ctx.obj.settings.deploy
    name = model_name or deploy.model_name
    serve_model(
        model=model,
        host=host or deploy.host,
        port=port or deploy.port,
        model_name=name,
        threads=deploy.threads if threads is None else threads,
        announce=lambda url: ctx.obj.tell({"url": url, "model": name}, f"{name}: {url}/v1/embeddings"),
    )


@app.command(cls=Command)
def stop(ctx: typer.Context) -> None:
    """Stop the endpoint."""
    from embed_pipeline.deploy.targets import open_target
    from embed_pipeline.settings import DeploySettings

    try:
        deploy = ctx.obj.settings.deploy
    except SettingsError:  # of a ./pipeline.yaml that nobody named: the home is enough to stop what runs there
        deploy = DeploySettings()
    stopped = open_target(deploy.target, ctx.obj.home, deploy).stop()
    ctx.obj.tell({"stopped": stopped}, "stopped" if stopped else "no endpoint was running")


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


app.command(cls=Command)(keep.gc)
app.command(cls=Command)(keep.purge)
app.command(cls=Command)(keep.backup)
app.command(cls=Command)(keep.restore)


@app.command(cls=Examination)
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

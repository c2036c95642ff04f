"""The command line: thin over the Dagster layer and the library.

Exit codes: 0 done; 1 a stage or a check failed; 2 wrong usage, settings or input.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from embed_pipeline import __version__
from embed_pipeline.cli.options import (
    Config,
    Context,
    Corpus,
    Force,
    Home,
    Json,
    Overrides,
    Plan,
    Profile,
    To,
    home_of,
    homes_used,
)
from embed_pipeline.errors import DiskFullError, EmbedPipelineError, InputError, disk_full

app = typer.Typer(
    name="embed-pipeline",
    help="Documents in, a domain-tuned embedding model out: deployed, and proven better than its base.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MODEL_FILES = ("model.onnx", "tokenizer.json", "encoder.json")
LEAST_FREE_BYTES = 1_000_000


def main() -> None:
    """Entry point: one clear line for every error we know, and its exit code."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except EmbedPipelineError as error:
        _fail(str(error), error.exit_code)
    except Exception as error:
        full = disk_full(error, getattr(error, "filename", None) or "the home folder") or _no_space_left(error)
        if full is not None:
            _fail(str(full), full.exit_code)
        if isinstance(error, OSError):
            _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 2)
        raise
    except KeyboardInterrupt:
        _fail("stopped; finished stages are kept, run again to go on", 1)


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


@app.command()
def run(
    corpus: Corpus = None,
    profile: Profile = None,
    config: Config = None,
    home: Home = None,
    overrides: Overrides = None,
    to: To = None,
    force: Force = None,
    plan: Plan = False,
    as_json: Json = False,
) -> None:
    """Run everything that is stale, from documents to a verified endpoint."""
    _run(Context.of(corpus, profile, config, home, overrides), to, force or [], plan, as_json)


def _stage_command(name: str, about: str, forced: tuple[str, ...] = ()) -> None:
    """``forced``: settings that the command brings along."""

    @app.command(name, help=about)
    def command(
        corpus: Corpus = None,
        profile: Profile = None,
        config: Config = None,
        home: Home = None,
        overrides: Overrides = None,
        force: Force = None,
        plan: Plan = False,
        as_json: Json = False,
    ) -> None:
        given = [*(overrides or []), *forced]
        _run(Context.of(corpus, profile, config, home, given), name, force or [], plan, as_json)


for _name, _about in {
    "sdg": "Documents to questions, and whatever that needs that is stale.",
    "prep": "Splits, benchmark, hard negatives and training set, and whatever they need that is stale.",
    "finetune": "The tuned checkpoint, and whatever it needs that is stale.",
    "eval": "Base against tuned and the verdict, and whatever they need that is stale.",
    "export": "ONNX, INT8 and TensorRT, and whatever they need that is stale.",
    "deploy": "The endpoint and its metrics, and whatever they need that is stale.",
}.items():
    _stage_command(_name, _about)
_stage_command(
    "sweep",
    "Trainings that differ in one setting (sweep.* in the settings), compared in one table.",
    ("sweep.enabled=true",),
)


@app.command()
def status(
    corpus: Corpus = None,
    profile: Profile = None,
    config: Config = None,
    home: Home = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Every asset: fresh, stale (and why), or missing."""
    from embed_pipeline.cli import inspect, output

    context = Context.of(corpus, profile, config, home, overrides)
    rows = inspect.status_rows(context.settings, context.home)
    if as_json:
        output.print_json({"assets": rows})
    else:
        output.out().print(output.status_table(rows))


@app.command()
def show(
    artifact: Annotated[str, typer.Argument(help="An asset, for example metrics or qa_pairs.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Where an artifact lies, its version, what it holds; `show metrics` prints the comparison."""
    from embed_pipeline.cli import inspect, output

    shown = inspect.show_artifact(artifact, home_of(home))
    if as_json:
        output.print_json(shown)
    else:
        inspect.print_artifact(artifact, shown)


@app.command()
def ui(
    corpus: Corpus = None,
    profile: Profile = None,
    config: Config = None,
    home: Home = None,
    overrides: Overrides = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the web UI.")] = 3000,
) -> None:
    """Dagster's web UI and daemon on 127.0.0.1."""
    from embed_pipeline.cli.ui import serve_ui

    context = Context.of(corpus, profile, config, home, overrides)
    context.export()
    sys.exit(serve_ui(context.home, port))


@app.command()
def serve(
    model: Annotated[Path, typer.Option("--model", help="Folder with model.onnx, tokenizer.json, encoder.json.")],
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8808,
    model_name: Annotated[str, typer.Option("--model-name", help="Name clients pass as model.")] = "embed-pipeline",
    threads: Annotated[int, typer.Option("--threads", min=0, help="ONNX Runtime threads; 0: all cores.")] = 0,
) -> None:
    """The embeddings server alone, for one model folder."""
    missing = [name for name in MODEL_FILES if not (model / name).is_file()]
    if missing:
        raise InputError(
            f"--model {model}: holds no {', '.join(missing)}; embed-pipeline show onnx_model names a folder."
        )
    from embed_pipeline.serving.server import serve as serve_model

    serve_model(model=model, deployments=None, host=host, port=port, model_name=model_name, threads=threads)


@app.command()
def stop(home: Home = None, as_json: Json = False) -> None:
    """Stop the local endpoint."""
    from embed_pipeline.cli import output
    from embed_pipeline.deploy.local import stop_local

    stopped = stop_local(home_of(home))
    if as_json:
        output.print_json({"stopped": stopped})
    else:
        typer.echo("stopped" if stopped else "no endpoint was running")


@app.command()
def prompts(
    to: Annotated[Path, typer.Option("--to", help="Folder for the prompt files; existing ones are left alone.")],
) -> None:
    """Write the prompts of the question generator to a folder, to be edited and named in sdg.prompts."""
    from embed_pipeline.llm.prompts import write_prompts

    written = write_prompts(to)
    typer.echo(f"{to}: {len(written)} prompts written; edit them and set sdg.prompts to this folder")


@app.command()
def records(
    to: Annotated[Path, typer.Option("--to", help="Folder for the .jsonl and its generation_result.json.")],
    home: Home = None,
) -> None:
    """Write the questions that passed (qa_pairs) as SDG records, which the reference recipe reads."""
    from embed_pipeline.cli.inspect import export_questions

    written, questions = export_questions(home_of(home), to)
    typer.echo(f"{written}: {questions} questions")


@app.command()
def gc(
    home: Home = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be removed; remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove artifacts and releases that no pointer and no release needs."""
    from embed_pipeline.cli import output
    from embed_pipeline.store.gc import collect

    report = collect(home_of(home), dry_run=plan)
    if as_json:
        output.print_json(report)
    else:
        verb = "would free" if plan else "freed"
        typer.echo(f"{verb} {report['bytes'] / 1e6:.1f} MB: {len(report['removed'])} folders")


@app.command()
def doctor(
    corpus: Corpus = None,
    profile: Profile = None,
    config: Config = None,
    home: Home = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Check the installation, the GPU, the LLM and the settings."""
    from embed_pipeline.cli import inspect, output
    from embed_pipeline.cli.doctor import examine

    findings = examine(lambda: Context.of(corpus, profile, config, home, overrides).settings, home_of(home))
    if as_json:
        output.print_json({"checks": findings})
    else:
        inspect.print_findings(findings)
    if any(finding["state"] == "fail" for finding in findings):
        raise typer.Exit(1)


def _run(context: Context, to: str | None, force: list[str], plan: bool, as_json: bool) -> None:
    from embed_pipeline.cli import run as run_command

    again = {"ui": context.command("ui"), "stop": context.command("stop")}  # before the home becomes the default
    context.export()
    code = run_command.run(context.settings, context.home, to, force, plan=plan, as_json=as_json, again=again)
    if code:
        raise typer.Exit(code)

"""Commands around what runs on: ``ui`` and who may open it (``access``), ``serve`` and ``stop``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from embed_pipeline.errors import InputError, SettingsError

MODEL_FILES = ("model.onnx", "tokenizer.json", "encoder.json")


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

"""``ui``: Dagster's web UI and daemon, behind a guard."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from embed_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from embed_pipeline.cli.options import Context
    from embed_pipeline.webui.address import Serving

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def access_file(home: Path, access: Path | None) -> Path:
    """The access file of a home."""
    return access.expanduser().resolve() if access is not None else home / "access.json"


def serve_ui(context: "Context", serving: "Serving") -> int:
    """Serve until the user stops it; the exit code.

    Raises:
        SettingsError: served on a network without an access file, or under something that is no name.
    """
    from embed_pipeline.webui import supervisor
    from embed_pipeline.webui.origins import ServedNames
    from embed_pipeline.webui.settings_watch import SettingsSource

    try:
        ServedNames(serving.host, serving.port, serving.names)
    except ValueError as error:
        raise SettingsError(f"--allow-host {error}: must be a host name, with or without its port.") from None
    if serving.access is None and serving.host not in LOOPBACK:
        raise SettingsError(
            f"--host {serving.host}: whoever reaches it could start runs and read every document. Say who may: "
            f"{context.command('access')} add NAME --role operator, and start the web UI again."
        )
    if serving.access is not None:
        from embed_pipeline.webui.accounts import Accounts

        Accounts(serving.access)  # read, for the error
    source = SettingsSource(
        context.config if context.names_config else None, Path.cwd(), context.profile, tuple(context.settings_given)
    )
    context.export()

    def announce(url: str) -> None:
        if context.as_json:
            typer.echo(json.dumps({"url": url}))
            sys.stdout.flush()
        else:
            sys.stderr.write(f"web UI: {url}    (Ctrl-C stops it)\n")

    return supervisor.serve_ui(context.home, source, serving, announce)

"""Which code server is in use: a workspace file that the supervisor writes, and processes that follow it."""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from embed_pipeline.files import write_text

if TYPE_CHECKING:
    from dagster._core.workspace.context import WorkspaceProcessContext

POLL_SECONDS = 0.5
LOCATION = "embed_pipeline"


def write_workspace(path: Path, socket: Path) -> None:
    """Name the socket of the code server."""
    entry = {"grpc_server": {"socket": str(socket), "location_name": LOCATION}}
    write_text(path, yaml.safe_dump({"load_from": [entry]}))


def open_workspace(path: Path) -> "WorkspaceProcessContext":
    """Dagster's view of the code server, which follows the file."""
    from dagster import DagsterInstance, __version__
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    context = WorkspaceProcessContext(DagsterInstance.get(), WorkspaceFileTarget([str(path)]), version=__version__)
    seen = path.stat().st_mtime_ns
    threading.Thread(target=_follow, args=(context, path, seen), name="workspace", daemon=True).start()
    return context


def _follow(context: "WorkspaceProcessContext", path: Path, seen: int) -> None:
    never = threading.Event()
    while not never.wait(POLL_SECONDS):
        now = path.stat().st_mtime_ns
        if now != seen:
            seen = now
            try:
                context.refresh_workspace()
            except Exception:  # told, and tried again by the daemon's own clock
                logging.getLogger("embed_pipeline").exception("the definitions could not be loaded anew")

"""The one code server: it loads the definitions, evaluates sensors and starts runs, for web server and daemon."""

import signal
import sys
import threading
import time
from pathlib import Path

import embed_pipeline

GRACE = 20.0
"""Seconds in which web server and daemon turn to the next code server."""


def serve(socket: str, location: str, module: str) -> None:
    """Serve the definitions of ``module`` on a Unix socket; ends with an error where they cannot be loaded.

    After SIGUSR1 it ends as soon as the last run in it has.
    """
    from dagster._cli.api import grpc_command

    # Dagster leaves the first entry of sys.path out while it imports the definitions, in runs too. With Python's -P
    # that would be one of the user's own.
    root = str(Path(embed_pipeline.__file__).parents[1])
    sys.path.insert(0, root)
    signal.signal(signal.SIGUSR1, lambda *_: threading.Thread(target=_retire, args=(socket,), daemon=True).start())
    options = ["--socket", socket, "--location-name", location, "--module-name", module, "--working-directory", root]
    grpc_command.main([*options, "--log-level", "warning"], standalone_mode=False)


def _retire(socket: str) -> None:
    from dagster._grpc.client import DagsterGrpcClient

    time.sleep(GRACE)
    DagsterGrpcClient(socket=socket).shutdown_server()

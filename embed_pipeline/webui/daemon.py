"""The daemon: takes runs from the queue, evaluates the sensor and the schedule.

It shares a process with the web server, which saves the 130 MB that Dagster takes, and its view of the code server,
so that a run is never started by other definitions than those that are shown.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster._core.workspace.context import WorkspaceProcessContext


@contextmanager
def running_daemon(context: "WorkspaceProcessContext") -> Iterator[threading.Event]:
    """Run the daemon beside the block; the event tells that it has failed, and then this process is asked to end."""
    from dagster._daemon.controller import DagsterDaemonController, create_daemons_from_instance

    failed = threading.Event()
    with DagsterDaemonController(context, create_daemons_from_instance(context.instance)) as controller:

        def check() -> None:
            try:
                controller.check_daemon_loop()
            except Exception:
                logging.getLogger("dagster.daemon").exception("the daemon has ended")
                failed.set()
                os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=check, name="daemon", daemon=True).start()
        yield failed

"""``ui``: Dagster's web UI and daemon on loopback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from embed_pipeline.defs.runner import prepare_dagster_home
from embed_pipeline.deploy.local import require_free_port

HOST = "127.0.0.1"


def serve_ui(home: Path, port: int) -> int:
    """Run the web server and the daemon until one of them ends or the user stops them; the exit code.

    Raises:
        PortInUseError: somebody listens on the port.
    """
    require_free_port(HOST, port)
    folder = prepare_dagster_home(home)
    module = ["-m", "embed_pipeline.definitions"]
    environment = {**os.environ, "DAGSTER_HOME": str(folder)}
    commands = [
        [sys.executable, "-m", "dagster_webserver", "--host", HOST, "--port", str(port), *module],
        [sys.executable, "-m", "dagster._daemon", "run", *module],
    ]
    sys.stderr.write(f"web UI: http://{HOST}:{port}    (Ctrl-C stops it)\n")
    processes = [subprocess.Popen(command, env=environment, cwd=folder) for command in commands]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(processes))
    codes = [process.wait() for process in processes]
    return max(0, *codes) if any(code > 0 for code in codes) else 0


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()

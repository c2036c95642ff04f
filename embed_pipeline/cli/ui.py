"""``ui``: Dagster's web UI and daemon on loopback."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import yaml

from embed_pipeline.cli.launch import prepare_dagster_home
from embed_pipeline.defs.dead_runs import bury_dead_runs
from embed_pipeline.deploy.ports import require_free_port
from embed_pipeline.files import write_text

HOST = "127.0.0.1"


def serve_ui(home: Path, port: int, as_json: bool = False) -> int:
    """Run the web server and the daemon until one of them ends or the user stops them; the exit code.

    Args:
        as_json: the address goes to standard output as JSON, instead of to standard error in words.

    Raises:
        PortInUseError: somebody listens on the port.
    """
    require_free_port(HOST, port, "the web UI's port", "--port N")
    folder = prepare_dagster_home(home)
    with dg.DagsterInstance.get() as instance:
        bury_dead_runs(instance)
    workspace = ["-w", str(_write_workspace(folder))]
    environment = {**os.environ, "DAGSTER_HOME": str(folder)}
    commands = [
        [sys.executable, "-m", "dagster_webserver", "--host", HOST, "--port", str(port), *workspace],
        [sys.executable, "-m", "dagster._daemon", "run", *workspace],
    ]
    url = f"http://{HOST}:{port}"
    if as_json:
        print(json.dumps({"url": url}), flush=True)
    else:
        sys.stderr.write(f"web UI: {url}    (Ctrl-C stops it)\n")
    processes = [
        subprocess.Popen(command, env=environment, cwd=folder, stdout=sys.stderr.fileno()) for command in commands
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(processes))
    codes = [process.wait() for process in processes]
    return max(0, *codes) if any(code > 0 for code in codes) else 0


def _write_workspace(folder: Path) -> Path:
    target = {"module_name": "embed_pipeline.definitions", "location_name": "embed_pipeline"}
    path = folder / "workspace.yaml"
    write_text(path, yaml.safe_dump({"load_from": [{"python_module": target}]}))
    return path


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()

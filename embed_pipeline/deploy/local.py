"""The local target: one server process per home, switched from release to release without a restart."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from filelock import FileLock

from embed_pipeline.deploy.ports import require_free_port
from embed_pipeline.deploy.protocol import Endpoint
from embed_pipeline.errors import DeployError
from embed_pipeline.files import write_json, write_text
from embed_pipeline.progress import say
from embed_pipeline.settings import DeploySettings
from embed_pipeline.store.releases import (
    Release,
    deployments_folder,
    point_to,
    pointers,
    repair_pointers,
    restore,
    roll_back,
)

MODULE = "embed_pipeline.serving"
SERVER_FILE = "server.json"
POLL_SECONDS = 0.2
LOADING_SECONDS = 5.0
"""For so long the command line of a process that has just been started may not be readable yet."""
SAME_SECONDS = 2.0
"""The start of a process is told from the boot of the machine, which moves a little when the clock is set."""


class LocalTarget:
    """One server process per home on this machine, switched from release to release without a restart."""

    def __init__(self, home: Path, settings: DeploySettings) -> None:
        self._home, self._settings = home, settings
        self._url = f"http://{settings.host}:{settings.port}"

    def deploy(self, release: Release) -> Endpoint:
        """Serve ``release``: switch the running server, or start one.

        Raises:
            PortInUseError: another program listens there.
            DeployError: the server did not become healthy; the pointers are as before, so that it serves the release
                before, or is stopped if there was none.
        """
        with self._starting():
            for told in repair_pointers(self._home, self._served()):
                say(told)
            before = pointers(self._home)
            running = self._make_room()
            point_to(self._home, release)
            started = None if running else self._start()
        try:
            self._wait_for(release, started)
        except DeployError:
            if before.current is None:
                self.stop()  # it has nothing to serve
            restore(self._home, before)
            raise
        return Endpoint(
            url=self._url,
            model=release.model_name,
            release_id=release.release_id,
            model_version=release.model_version,
            target="local",
        )

    def is_serving(self, endpoint: Endpoint) -> bool:
        """Whether this home's server answers at the address in the settings with the endpoint's release."""
        if endpoint["url"] != self._url or running_server(self._home) is None:
            return False
        try:
            return bool(_metadata(endpoint["url"]).get("release_id") == endpoint["release_id"])
        except (httpx.HTTPError, ValueError):
            return False

    def roll_back(self, release_id: str) -> str | None:
        """Move the pointer, which the server follows, back to the release before."""
        return roll_back(self._home, release_id)

    def stop(self, seconds: float = 35.0) -> bool:
        """Stop this home's server; it finishes its requests first, for which it takes up to 30 s."""
        server = running_server(self._home)
        if server is None:
            return False
        with suppress(psutil.NoSuchProcess):  # it may end by itself in between
            process = psutil.Process(int(server["pid"]))
            if not _is_server_of(process, self._home):
                return False
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(5)
        return True

    def _starting(self) -> FileLock:
        """Held while a server is looked for and started, so that two deployments at once start one."""
        folder = self._home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / "deploy.lock")

    def _served(self) -> str | None:
        """The release that this home's server answers with."""
        running = running_server(self._home)
        if running is None:
            return None
        try:
            found = _metadata(f"http://{running['host']}:{running['port']}").get("release_id")
        except (httpx.HTTPError, ValueError):
            return None
        return str(found) if found is not None else None

    def _make_room(self) -> bool:
        """Whether this home's server runs at the address already; else nobody listens there afterwards."""
        address = (self._settings.host, self._settings.port)
        running = running_server(self._home)
        if running is None:
            require_free_port(*address)
            return False
        if (running["host"], running["port"]) == address:
            return True
        if running["port"] != self._settings.port:
            require_free_port(*address)  # before the running server is given up
        self.stop()
        require_free_port(*address)
        return False

    def _start(self) -> "subprocess.Popen[bytes]":
        settings, folder = self._settings, deployments_folder(self._home)
        command = [sys.executable, "-m", MODULE, "--deployments", str(folder)]
        command += ["--host", settings.host, "--port", str(settings.port), "--threads", str(settings.threads)]
        write_text(folder / "server.log", "")
        with (folder / "server.log").open("ab") as log:
            started = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        with suppress(psutil.NoSuchProcess):  # it has ended already: whoever waits for it says why
            began = psutil.Process(started.pid).create_time()
            record = {"pid": started.pid, "began": began, "host": settings.host, "port": settings.port}
            write_json(folder / SERVER_FILE, record | {"deployments": str(folder)})
        return started

    def _has_ended(self, started: "subprocess.Popen[bytes] | None") -> bool:
        """One just started is asked by its handle: its command line cannot be read yet while it is loaded."""
        return running_server(self._home) is None if started is None else started.poll() is not None

    def _wait_for(self, release: Release, started: "subprocess.Popen[bytes] | None") -> None:
        deadline = time.monotonic() + self._settings.startup_seconds
        log = deployments_folder(self._home) / "server.log"
        while time.monotonic() < deadline:
            if self._has_ended(started):
                last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] if log.is_file() else []
                raise DeployError(f"the server ended while starting: {' '.join(last)} (whole log: {log}).")
            try:
                answered = _metadata(self._url)
            except (httpx.HTTPError, ValueError):
                answered = {}
            if answered.get("release_id") == release.release_id:
                return
            problem = str(answered.get("last_error") or "")
            if release.release_id in problem:
                raise DeployError(
                    f"the server on {self._url} does not serve it: {problem.rstrip('.')} (its log: {log})."
                )
            time.sleep(POLL_SECONDS)
        raise DeployError(
            f"the server did not serve release {release.release_id} within {self._settings.startup_seconds:g} s "
            f"(deploy.startup_seconds). Its log: {log}."
        )


def running_server(home: Path) -> dict[str, Any] | None:
    """``{"pid", "host", "port"}`` of this home's server process, or None.

    It is found by the record of its start, since the command line of a process that is just being loaded cannot be
    read; and by its command line, since that record may be lost to a kill right after the start. A stranger that has
    got the recorded number later is told apart by when it began. A record alone is believed for seconds only, and never
    by :meth:`LocalTarget.stop`: whoever can write into the home could name any process there.
    """
    recorded = _recorded_server(home)
    if recorded is not None:
        return recorded
    for process in psutil.process_iter(["cmdline"]):
        found = _as_server(process.pid, process.info["cmdline"] or [], home)
        if found is not None:
            return found
    return None


def _recorded_server(home: Path) -> dict[str, Any] | None:
    folder = deployments_folder(home)
    try:
        record = json.loads((folder / SERVER_FILE).read_bytes())
        process = psutil.Process(int(record["pid"]))
        is_it = abs(process.create_time() - float(record["began"])) < SAME_SECONDS
        if not is_it or process.status() == psutil.STATUS_ZOMBIE or record["deployments"] != str(folder):
            return None  # of a copied home it is the server of the other one
        words = process.cmdline()
        if words or time.time() - process.create_time() > LOADING_SECONDS:
            return _as_server(process.pid, words, home)
        return {"pid": process.pid, "host": str(record["host"]), "port": int(record["port"])}
    except (OSError, ValueError, TypeError, KeyError, psutil.Error):  # none, damaged, or its process has ended
        return None


def _is_server_of(process: psutil.Process, home: Path) -> bool:
    """By its command line, which is waited for while it is being loaded.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    deadline = time.monotonic() + LOADING_SECONDS
    while not (words := process.cmdline()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return _as_server(process.pid, words, home) is not None


def _as_server(pid: int, words: Sequence[str], home: Path) -> dict[str, Any] | None:
    if MODULE not in words or _option(words, "--deployments") != str(deployments_folder(home)):
        return None
    host, port = _option(words, "--host"), _option(words, "--port")
    return {"pid": pid, "host": host, "port": int(port)} if host is not None and port is not None else None


def _option(words: Sequence[str], name: str) -> str | None:
    position = words.index(name) + 1 if name in words else len(words)
    return words[position] if position < len(words) else None


def _metadata(url: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/v1/metadata", timeout=5.0, trust_env=False)
    answer.raise_for_status()
    value = answer.json()
    return value if isinstance(value, dict) else {}

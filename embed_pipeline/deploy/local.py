"""The local target: one server process per home, switched from release to release without a restart."""

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

from embed_pipeline.deploy.ports import require_free_port
from embed_pipeline.deploy.protocol import Endpoint
from embed_pipeline.errors import DeployError
from embed_pipeline.files import write_text
from embed_pipeline.settings import DeploySettings
from embed_pipeline.store.releases import Release, deployments_folder, point_to, pointers, restore, roll_back

MODULE = "embed_pipeline.serving"
POLL_SECONDS = 0.2


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
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(5)
        return True

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
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

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

    The process is found by its command line: a record of its number could be lost to a kill right after the
    start, or name a stranger later.
    """
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if MODULE in words and _option(words, "--deployments") == str(deployments_folder(home)):
            host, port = _option(words, "--host"), _option(words, "--port")
            if host is not None and port is not None:
                return {"pid": process.pid, "host": host, "port": int(port)}
    return None


def _option(words: Sequence[str], name: str) -> str | None:
    position = words.index(name) + 1 if name in words else len(words)
    return words[position] if position < len(words) else None


def _metadata(url: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/v1/metadata", timeout=5.0, trust_env=False)
    answer.raise_for_status()
    value = answer.json()
    return value if isinstance(value, dict) else {}

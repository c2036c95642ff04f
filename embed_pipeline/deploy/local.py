"""The local target: one server process per home, switched from release to release without a restart."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from embed_pipeline.errors import DeployError, PortInUseError
from embed_pipeline.files import write_text
from embed_pipeline.settings import DeploySettings
from embed_pipeline.store.releases import Release, deployments_folder, point_to, pointers, restore

MODULE = "embed_pipeline.serving"
POLL_SECONDS = 0.2
PORT_SECONDS = 1.0


def deploy_local(home: Path, release: Release, settings: DeploySettings) -> dict[str, Any]:
    """Serve ``release`` on this machine: switch the running server, or start one.

    Returns:
        ``{"url", "model", "release_id", "model_version", "target"}``.

    Raises:
        PortInUseError: another program listens there.
        DeployError: the server did not become healthy; the pointers are as before, so that it serves the release
            before, or is stopped if there was none.
    """
    before = pointers(home)
    running = running_server(home)
    address = (settings.host, settings.port)
    if running is not None and (running["host"], running["port"]) != address:
        if running["port"] != settings.port:
            require_free_port(*address)  # before the running server is given up
        stop_local(home)
        running = None
    if running is None:
        require_free_port(*address)
    point_to(home, release)
    if running is None:
        _start(home, settings)
    try:
        _wait_for(home, release, settings)
    except DeployError:
        if before.current is None:
            stop_local(home)  # it has nothing to serve
        restore(home, before)
        raise
    return {
        "url": f"http://{settings.host}:{settings.port}",
        "model": release.model_name,
        "release_id": release.release_id,
        "model_version": release.model_version,
        "target": settings.target,
    }


def require_free_port(host: str, port: int) -> None:
    """Check that nobody listens on the port; a server that has just ended may hold it for a moment.

    Raises:
        PortInUseError: somebody does.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while (refused := _cannot_listen(host, port)) is not None:
        if refused.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    if refused is not None:
        raise PortInUseError(
            f"deploy.port {port} on {host} cannot be used ({refused.strerror}). Stop the program that listens "
            "there, or choose another one with --set deploy.port=N."
        ) from refused


def _cannot_listen(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


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


def is_serving(home: Path, endpoint: dict[str, Any]) -> bool:
    """Whether this home's server answers at the endpoint's URL with the endpoint's release."""
    if running_server(home) is None:
        return False
    try:
        return bool(_metadata(endpoint["url"]).get("release_id") == endpoint["release_id"])
    except (httpx.HTTPError, ValueError):
        return False


def stop_local(home: Path, seconds: float = 35.0) -> bool:
    """Stop this home's server; it finishes its requests first, for which it takes up to 30 s.

    Returns:
        Whether there was one.
    """
    server = running_server(home)
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


def _start(home: Path, settings: DeploySettings) -> None:
    folder = deployments_folder(home)
    command = [sys.executable, "-m", MODULE, "--deployments", str(folder)]
    command += ["--host", settings.host, "--port", str(settings.port), "--threads", str(settings.threads)]
    write_text(folder / "server.log", "")
    with (folder / "server.log").open("ab") as log:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def _wait_for(home: Path, release: Release, settings: DeploySettings) -> None:
    url = f"http://{settings.host}:{settings.port}"
    deadline = time.monotonic() + settings.startup_seconds
    log = deployments_folder(home) / "server.log"
    while time.monotonic() < deadline:
        if running_server(home) is None:
            last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] if log.is_file() else []
            raise DeployError(f"the server ended while starting: {' '.join(last)} (whole log: {log}).")
        try:
            answered = _metadata(url)
        except (httpx.HTTPError, ValueError):
            answered = {}
        if answered.get("release_id") == release.release_id:
            return
        problem = str(answered.get("last_error") or "")
        if release.release_id in problem:
            raise DeployError(f"the server on {url} does not serve it: {problem.rstrip('.')} (its log: {log}).")
        time.sleep(POLL_SECONDS)
    raise DeployError(
        f"the server did not serve release {release.release_id} within {settings.startup_seconds:g} s "
        f"(deploy.startup_seconds). Its log: {log}."
    )


def _metadata(url: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/v1/metadata", timeout=5.0, trust_env=False)
    answer.raise_for_status()
    value = answer.json()
    return value if isinstance(value, dict) else {}

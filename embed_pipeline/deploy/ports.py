"""Ports that servers are to listen on."""

import errno
import socket
import time

from embed_pipeline.errors import PortInUseError

POLL_SECONDS = 0.1
WAIT_SECONDS = 1.0


def require_free_port(host: str, port: int, name: str = "deploy.port", change: str = "--set deploy.port=N") -> None:
    """Check that nobody listens on the port; a server that has just ended may hold it for a moment.

    Args:
        name: of the port, for the user.
        change: how to choose another one.

    Raises:
        PortInUseError: somebody does.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while (refused := _cannot_listen(host, port)) is not None:
        if refused.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    if refused is not None:
        raise PortInUseError(
            f"{name} {port} on {host} cannot be used ({refused.strerror}). Stop the program that listens there, or "
            f"choose another one with {change}."
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

"""Loopback ports for servers that are started by number."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

PORTS = range(20_000, 32_000)
"""Below those that the operating system gives out by itself, so that no connection takes one before its server."""
LOCKS = Path(tempfile.gettempdir()) / f"embed_pipeline_test_ports_{os.getuid()}"


def free_port() -> int:
    """A port that nobody listens on, and that no other process of any test run is given before this one has ended."""
    return next(_ports)


def _own_ports() -> Iterator[int]:
    locks = os.open(LOCKS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # never closed: the locks go with the process
    while True:
        for port in PORTS:
            if _locked(locks, port) and _free(port):
                yield port


def _locked(locks: int, port: int) -> bool:
    """Whether the byte of this port in the file of locks is now this process's."""
    try:
        fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports = _own_ports()

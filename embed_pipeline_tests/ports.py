"""Loopback ports for servers that are started by number."""

import itertools
import os
import socket

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.cycle(range(20_000 + 400 * (_WORKER % 30), 20_400 + 400 * (_WORKER % 30)))


def free_port() -> int:
    """A port that nobody listens on, and that nobody takes before its server starts.

    Each worker of the suite has a range of its own, below those that the operating system gives out by itself.
    """
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("the cycle has no end")

"""Whose names this web UI is served under, and whether a request comes from one of its own pages.

A page elsewhere can make a browser send requests here (cross-site request forgery), and can give a name of its own
the address of this machine (DNS rebinding). The first is seen by ``Origin`` and ``Sec-Fetch-Site``, the second by
``Host``; see the Fetch Metadata and Origin sections of https://cheatsheetseries.owasp.org.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers

DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound

_NETLOC = re.compile(r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)


class ServedNames:
    """The names under which requests are answered.

    Args:
        host: that the web UI listens on; served with its port, and so are the names of this machine. Where it listens
            on every address, each address is served: no page can give an address the meaning of another.
        port: of the web UI itself.
        names: others, for example ``embed.example.org`` (any port) or ``embed.example.org:8443``.

    Raises:
        ValueError: one of them is no name.
    """

    def __init__(self, host: str, port: int, names: Iterable[str] = ()) -> None:
        self._port = port
        self._every_address = host in EVERY_ADDRESS
        own = f"[{host}]" if ":" in host else host.lower()
        self._exact = {f"{name}:{port}" for name in (*LOOPBACK, own)}
        self._any_port: set[str] = set()
        for name in names:
            host, number = _parted(name.lower())
            if number is None:
                self._any_port.add(host)
            else:
                self._exact.add(f"{host}:{number}")

    def serves(self, netloc: str) -> bool:
        """Whether ``host:port`` of a Host header is one of them; without a port it means 80 or 443."""
        try:
            host, port = _parted(netloc.lower())
        except ValueError:
            return False
        ports = [port] if port is not None else list(DEFAULT_PORTS.values())
        if self._every_address and self._port in ports and _is_address(host):
            return True
        return host in self._any_port or any(f"{host}:{number}" in self._exact for number in ports)


def is_own_page(headers: Headers) -> bool:
    """Whether a request that a page made was made by a page of this web UI; true for programs, which are no pages."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origins = headers.getlist("origin")
    return not origins or (len(origins) == 1 and _same(origins[0], headers.get("host", "")))


def is_visit(headers: Headers) -> bool:
    """Whether a browser opens a page in a window of its own, as from a link; frames and images are none."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def _same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin.lower())
        if parts.scheme not in DEFAULT_PORTS or parts.path or parts.query or parts.username:
            return False
        default = DEFAULT_PORTS[parts.scheme]
        theirs, ours = _parted(parts.netloc), _parted(host.lower())
    except ValueError:
        return False
    return (theirs[0], theirs[1] or default) == (ours[0], ours[1] or default)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _parted(netloc: str) -> tuple[str, int | None]:
    """Host and port of ``host``, ``host:port`` or ``[::1]:port``.

    Raises:
        ValueError: it is none of them.
    """
    found = _NETLOC.fullmatch(netloc)
    if found is None:
        raise ValueError(netloc)
    return found["host"].rstrip("."), int(found["port"]) if found["port"] else None

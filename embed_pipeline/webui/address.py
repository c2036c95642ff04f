"""Where and for whom the web UI is served, its socket, and whether it answers."""

import http.client
import socket
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.deploy.ports import require_free_port
from embed_pipeline.errors import PortInUseError


@dataclass(frozen=True)
class Serving:
    """Where and for whom the web UI is served.

    Attributes:
        names: under which requests are answered, besides those of this machine.
        access: the access file; None: everybody who reaches the port may do everything.
        trusted_proxies: addresses of proxies before it.
        verbose: what the processes say goes to the terminal, not to a file.
    """

    host: str
    port: int
    names: tuple[str, ...] = ()
    access: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    verbose: bool = False

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def listening(serving: Serving) -> socket.socket:
    """The socket that the web server is given: whoever answers there is ours.

    Raises:
        PortInUseError: somebody listens on the port.
    """
    require_free_port(serving.host, serving.port, "the web UI's port", "--port N")
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    try:
        return socket.create_server((serving.host, serving.port), family=family, backlog=128)
    except OSError as error:
        raise PortInUseError(
            f"the web UI's port {serving.port} on {serving.host} cannot be used ({error.strerror}); choose another one "
            "with --port N."
        ) from error


def answers(serving: Serving) -> bool:
    """Whether the web server answers, with whatever."""
    host, _, port = serving.url.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=10)
    try:
        connection.request("GET", "/server_info", headers={"Host": f"127.0.0.1:{serving.port}"})
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()

"""Running the server as a process."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path

from embed_pipeline.errors import DeployError, PortInUseError
from embed_pipeline.serving.app import create_app
from embed_pipeline.serving.session import ModelSource

BACKLOG = 2048
GRACE_SECONDS = 30


def serve(
    model: Path | None = None,
    deployments: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8808,
    model_name: str = "embed-pipeline",
    threads: int = 0,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered before it returns.

    Args:
        model: a model folder, served for good.
        deployments: or a folder whose current.json names the release; it is followed.
        threads: ONNX Runtime threads; 0: all cores.
        announce: called with the server's URL once the model is loaded.

    Raises:
        PortInUseError: somebody else listens there; found out before the model is loaded.
        SettingsError: neither or both of ``model`` and ``deployments``.
        ArtifactError: the model folder cannot be served.
    """
    import uvicorn

    source = ModelSource(model, deployments, model_name, threads)
    with listen(host, port) as listener:
        source.load_fixed()
        if announce is not None:
            announce(f"http://{host}:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            create_app(source),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        PortInUseError: the port belongs to another program.
        DeployError: the host is not an address of this machine, or the port is not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise DeployError(f"deploy.host {host}: not an address to listen on: {error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} on {host} is taken by another program; stop it or set deploy.port to another one."
            ) from error
        raise DeployError(f"deploy.host {host}, deploy.port {port}: cannot listen there: {error}.") from error
    return listener

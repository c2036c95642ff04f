"""One HTTP client per request in flight.

httpx keeps all its connections in one pool, and looks at every connection for every connection each time a request
begins or ends: with 64 in flight that alone takes 5 ms of CPU per request. A client with a single connection
has nothing to look through.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx


class Lanes:
    """As many clients as were ever needed at once; the one used last is used next, its connection being warm.

    Args:
        transport: replaces the network; then there is one client for all.
        trust_env: whether proxies of the environment are used.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None, trust_env: bool) -> None:
        self._transport = transport
        self._trust_env = trust_env
        self._verify: ssl.SSLContext | None = None
        self._clients: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that nobody else uses meanwhile."""
        client = self._idle.pop() if self._idle else self._another()
        try:
            yield client
        finally:
            self._idle.append(client)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    def _another(self) -> httpx.AsyncClient:
        if self._transport is not None and self._clients:
            return self._clients[0]
        if self._verify is None:  # once, and only when needed: reading the certificates takes long
            self._verify = httpx.create_ssl_context(trust_env=self._trust_env)
        client = httpx.AsyncClient(
            transport=self._transport,
            timeout=None,  # noqa: S113 - whoever sends limits the time of the whole exchange
            trust_env=self._trust_env,
            verify=self._verify,
            limits=httpx.Limits(max_connections=1 if self._transport is None else None),
        )
        self._clients.append(client)
        return client

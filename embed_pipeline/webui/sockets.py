"""Websocket messages: nothing but subscriptions, for as long as the session lasts."""

import json
from collections.abc import Callable

from graphql import OperationType
from starlette.types import Message, Receive, Send

from embed_pipeline.webui.graphql_documents import BadRequestError, operations


class GuardedSocket:
    """The two ends of one websocket.

    Args:
        still_valid: whether the session of the user goes on; None: there are no sessions.
    """

    def __init__(self, receive: Receive, send: Send, still_valid: Callable[[], bool] | None) -> None:
        self._receive = receive
        self._send = send
        self._still_valid = still_valid
        self._closed = False

    async def receive(self) -> Message:
        """The next message; one that is not allowed ends the connection."""
        message = await self._receive()
        if message["type"] == "websocket.receive" and (self._has_ended() or not _may_be_sent(message)):
            await self._close()
            return {"type": "websocket.disconnect", "code": 1008}
        return message

    async def send(self, message: Message) -> None:
        """Hand on what the server sends, unless the session has ended."""
        if self._closed:
            return
        if message["type"] == "websocket.send" and self._has_ended():
            await self._close()
            return
        await self._send(message)

    def _has_ended(self) -> bool:
        return self._still_valid is not None and not self._still_valid()

    async def _close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._send({"type": "websocket.close", "code": 1008})


def _may_be_sent(message: Message) -> bool:
    try:
        value = json.loads(message.get("text") or message.get("bytes") or b"")
        if value.get("type") != "start":
            return True
        return operations(value["payload"]["query"]) == {OperationType.SUBSCRIPTION}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadRequestError):
        return False

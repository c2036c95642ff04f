"""One OpenAI-compatible chat endpoint over HTTP: its address and key, its dialect, what its status codes mean."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import httpx
from pydantic import BaseModel

from embed_pipeline.encoders.loopback import is_loopback
from embed_pipeline.errors import LLMAccessError, StageError
from embed_pipeline.llm import chat_api
from embed_pipeline.llm.connections import Lanes
from embed_pipeline.llm.throttle import EndpointDownError
from embed_pipeline.settings import LLMSettings

LONGEST_WAIT = 300.0  # seconds; an endpoint that asks for more is treated as unavailable
LARGEST_BODY = 32 * 2**20  # bytes of a response
KEPT = "Answers received so far are kept; run again"
_ACCESS = {401: "the key was refused", 402: "the account cannot pay", 403: "access was refused"}
_RETRY = {408, 409, 425, 429}
_MALFORMED = {400, 413, 422}


def host_of(url: str) -> str:
    """The host of an address, with its port where that is not the usual one; nothing of it that may hold a key."""
    address = httpx.URL(url)
    return f"{address.host}:{address.port}" if address.port is not None else address.host


class Endpoint:
    """Use as ``async with endpoint:`` around calls of :meth:`exchange`.

    Args:
        settings: address, name of the key, time limit, concurrency.
        key: may be empty for an endpoint on this machine.
        transport: replaces the network.
    """

    def __init__(self, settings: LLMSettings, key: str, transport: httpx.AsyncBaseTransport | None) -> None:
        self.settings = settings
        if settings.base_url is None:
            raise LLMAccessError("sdg.llm.base_url is not set, for example to https://api.openai.com/v1.")
        self._url = settings.base_url.rstrip("/")
        self._key = key
        self._transport = transport
        self._dialects: dict[str, chat_api.Dialect] = {}
        self._lanes: Lanes | None = None

    @property
    def name(self) -> str:
        """The address without its query, where some gateways expect a key."""
        return str(httpx.URL(self._url).copy_with(query=None))

    async def __aenter__(self) -> "Endpoint":
        self._lanes = Lanes(self._transport, trust_env=not is_loopback(self._url))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._lanes is not None:
            await self._lanes.aclose()
        self._lanes = None

    def check_access(self) -> None:
        """Look whether there is a usable key, without calling the endpoint.

        Raises:
            LLMAccessError: no key in the environment although the endpoint is not on this machine.
        """
        name = self.settings.api_key_env
        if not self._key and not is_loopback(self._url):
            raise LLMAccessError(
                f"the environment variable {name} is not set; it must hold the key of {self.name}. "
                "Set it, name another one in sdg.llm.api_key_env, or set sdg.engine to offline."
            )
        if not (self._key.isascii() and self._key.replace(" ", "").isprintable()):
            raise LLMAccessError(f"the environment variable {name} holds characters that no API key can have.")

    def dialect(self, model: str) -> chat_api.Dialect:
        """What the endpoint is known to take."""
        return self._dialects.get(model, chat_api.Dialect())

    def learn(self, model: str, dialect: chat_api.Dialect) -> None:
        """Remember a dialect; only after a success, since a refusal may have another cause."""
        self._dialects[model] = dialect

    def body(
        self, dialect: chat_api.Dialect, model: str, messages: Sequence[chat_api.Message], schema: type[BaseModel]
    ) -> bytes:
        """The body to send."""
        return chat_api.encoded(dialect.body(model, messages, schema, self.settings))

    async def exchange(self, model: str, body: bytes) -> chat_api.Reply:
        """Send one request and read its reply.

        Raises:
            chat_api.RetryableError: it may succeed later.
            chat_api.MalformedError: the endpoint does not take this form of request.
            EndpointDownError: it asks to be left alone for longer than :data:`LONGEST_WAIT`.
            LLMAccessError: key, model or address are refused.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                response, received = await self._post(body)
        except TimeoutError:
            reason = f"no answer within {self.settings.timeout_seconds:g} s"
            raise chat_api.RetryableError(reason, timed_out=True, billed=chat_api.UNSAID) from None
        self._check_status(response, received, model)
        reply = chat_api.read_reply(received)
        return replace(
            reply,
            content=self.safe(reply.content),
            refusal=self.safe(reply.refusal),
            seconds=round(time.monotonic() - began, 4),
            model=model,
        )

    async def _post(self, body: bytes) -> tuple[httpx.Response, bytes]:
        if self._lanes is None:
            raise StageError("the chat client is closed; call it inside 'async with client:'.")
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        accepted = False
        try:
            async with (
                self._lanes.one() as http,
                http.stream("POST", f"{self._url}/chat/completions", content=body, headers=headers) as response,
            ):
                accepted = response.status_code == 200
                received = bytearray()
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > LARGEST_BODY:
                        raise httpx.DecodingError(f"more than {LARGEST_BODY} bytes")
                return response, bytes(received)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise chat_api.RetryableError(
                self.safe(f"{type(error).__name__}: {chat_api.short(str(error))}"),
                unreachable=isinstance(error, httpx.ConnectError),
                billed=chat_api.UNSAID if accepted else None,
            ) from None

    def _check_status(self, response: httpx.Response, received: bytes, model: str) -> None:
        status = response.status_code
        if status == 200:
            return
        message = self.safe(chat_api.error_message(received))
        if status in _MALFORMED:
            raise chat_api.MalformedError(message, status)
        out_of_credit = status == 429 and b"insufficient_quota" in received
        if (status in _RETRY or status >= 500) and not out_of_credit:
            after = chat_api.retry_after(response)
            if after is not None and after > LONGEST_WAIT:
                raise EndpointDownError(
                    f"{self.name} asks to come back in {after:.0f} s ({status}: {message}). {KEPT} then."
                )
            raise chat_api.RetryableError(f"{status}: {message}", limited=status in (429, 529), retry_after=after)
        if status in _ACCESS or out_of_credit:
            cause = _ACCESS.get(status, "the account cannot pay")
            advice = f"Check the key in the environment variable {self.settings.api_key_env}"
        else:
            cause, advice = f"status {status}", f"Check sdg.llm.base_url and that it serves the model {model}"
        raise LLMAccessError(f"{self.name}: {cause} ({status}: {message}). {advice}. Answers received so far are kept.")

    def safe(self, text: str) -> str:
        """Text of the endpoint without our key, should it echo it."""
        return text.replace(self._key, "***") if self._key else text

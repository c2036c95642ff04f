"""Asking an OpenAI-compatible chat endpoint, as cheaply and as stubbornly as is right.

An answer that was paid for is in the cache before anything else happens to it, so a run that is killed and
started again asks only for what is missing. Failures are sorted once::

    LLMAccessError        the user must act: key missing or refused, unknown model or address; at once
    LLMUnavailableError   still failing after every attempt
    BadAnswerError        this one record got no usable answer; it is set aside, the run goes on
"""

import asyncio
import ipaddress
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence

import httpx
import tenacity
from pydantic import BaseModel, ValidationError

from embed_pipeline.content_cache import ContentCache
from embed_pipeline.errors import LLMAccessError, LLMUnavailableError, StageError
from embed_pipeline.files import sha256_json
from embed_pipeline.sdg import wire
from embed_pipeline.sdg.prompts import render
from embed_pipeline.settings import LLMSettings

LONGEST_WAIT = 300.0  # seconds; an endpoint that asks for more is treated as unavailable
_ACCESS = {401: "the key was refused", 402: "the account cannot pay", 403: "access was refused"}
_RETRY = {408, 409, 425, 429}
_MALFORMED = {400, 413, 422}


class BadAnswerError(StageError):
    """One request got no usable answer; its record is set aside."""


class ChatClient:
    """One endpoint. Use as ``async with client:`` around calls of :meth:`complete`.

    Args:
        settings: endpoint, sampling, concurrency, attempts.
        cache: where every valid answer goes the moment it arrives.
        transport: replaces the network.
        environment: where the key is looked up; the process environment by default.
        backoff_seconds: first wait before a second attempt; it doubles, with jitter, up to a minute, and
            starts four times as long when the endpoint asks for fewer requests.
    """

    def __init__(
        self,
        settings: LLMSettings,
        cache: ContentCache,
        transport: httpx.AsyncBaseTransport | None = None,
        environment: Mapping[str, str] | None = None,
        backoff_seconds: float = 1.0,
    ) -> None:
        self.settings = settings
        self.cache = cache
        self._url = _checked_url(settings.base_url)
        self._key = (os.environ if environment is None else environment).get(settings.api_key_env, "").strip()
        self._transport = transport
        self._fast = tenacity.wait_exponential_jitter(backoff_seconds, 60, jitter=backoff_seconds)
        self._slow = tenacity.wait_exponential_jitter(4 * backoff_seconds, 60, jitter=backoff_seconds)
        self._dialects: dict[str, wire.Dialect] = {}
        self._counts: Counter[str] = Counter()
        self._http: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(settings.concurrency)

    async def __aenter__(self) -> "ChatClient":
        local = _is_loopback(self._url)
        self._http = httpx.AsyncClient(transport=self._transport, timeout=None, trust_env=not local)  # noqa: S113
        self._slots = asyncio.Semaphore(self.settings.concurrency)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.aclose()
        self._http = None

    def usage(self) -> dict[str, float]:
        """Answers received and taken from the cache, tokens as the endpoint counts them, since the beginning."""
        names = ("requests", "cached", "prompt_tokens", "completion_tokens", "uncounted")
        return {name: float(self._counts[name]) for name in names}

    def check_access(self) -> None:
        """Look whether there is a usable key, without calling the endpoint.

        Raises:
            LLMAccessError: no key in the environment although the endpoint is not on this machine.
        """
        name = self.settings.api_key_env
        if not self._key and not _is_loopback(self._url):
            raise LLMAccessError(
                f"the environment variable {name} is not set; it must hold the key of {_shown(self._url)}. "
                "Set it, name another one in sdg.llm.api_key_env, or set sdg.engine to offline."
            )
        if not (self._key.isascii() and self._key.replace(" ", "").isprintable()):
            raise LLMAccessError(f"the environment variable {name} holds characters that no API key can have.")

    async def complete(self, model: str, messages: Sequence[wire.Message], schema: type[wire.Answer]) -> wire.Answer:
        """One answer that fits ``schema``, from the cache if the same was asked before.

        The identity of a request is the model, the sampling parameters, the messages and the schema; the
        endpoint's address is not part of it. An unusable answer is sent back once for repair.

        Raises:
            LLMAccessError: see :meth:`check_access`; the endpoint refuses the key, the model or the address.
            LLMUnavailableError: the request kept failing.
            BadAnswerError: no usable answer after the repair turn, or the request itself was refused.
        """
        key = self._cache_key(model, messages, schema)
        known = self._known(key, schema)
        if known is not None:
            self._counts["cached"] += 1
            return known
        self.check_access()
        async with self._slots:
            answer = await self._ask(model, messages, schema)
        self.cache.put(key, answer.model_dump_json().encode("utf-8"))
        return answer

    def _cache_key(self, model: str, messages: Sequence[wire.Message], schema: type[BaseModel]) -> str:
        parameters = {name: getattr(self.settings, name) for name in ("temperature", "top_p", "max_tokens")}
        asked = [dict(message) for message in messages]
        return sha256_json(["chat", model, parameters, asked, schema.__name__, schema.model_json_schema()])

    def _known(self, key: str, schema: type[wire.Answer]) -> wire.Answer | None:
        stored = self.cache.get(key)
        try:
            return schema.model_validate_json(stored) if stored is not None else None
        except ValidationError:
            return None

    async def _ask(self, model: str, messages: Sequence[wire.Message], schema: type[wire.Answer]) -> wire.Answer:
        reply = await self._send(model, messages, schema)
        try:
            return wire.parse_answer(reply, schema)
        except wire.UnusableError as error:
            if error.final:
                raise BadAnswerError(self._safe(error)) from None
            turns = _repaired(messages, error, schema)
        reply = await self._send(model, turns, schema)
        try:
            return wire.parse_answer(reply, schema)
        except wire.UnusableError as error:
            raise BadAnswerError(f"no usable answer after a repair turn: {self._safe(error)}") from None

    async def _send(self, model: str, messages: Sequence[wire.Message], schema: type[BaseModel]) -> wire.Reply:
        attempts = self.settings.max_attempts
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(wire.RetryableError),
            stop=tenacity.stop_after_attempt(attempts),
            wait=self._wait,
            reraise=True,
        )
        try:
            reply: wire.Reply = await retrying(self._negotiate, model, messages, schema)
        except wire.RetryableError as error:
            raise LLMUnavailableError(
                f"{_shown(self._url)} still fails after {attempts} attempts: {self._safe(error)}. "
                "Answers received so far are kept; run again later."
            ) from None
        self._counts["requests"] += 1
        self._counts["prompt_tokens"] += reply.prompt_tokens or 0
        self._counts["completion_tokens"] += reply.completion_tokens or 0
        self._counts["uncounted"] += reply.completion_tokens is None
        return reply

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, wire.RetryableError):
            return 0.0
        if error.retry_after is not None:
            return error.retry_after + self._fast(state) / 10
        return (self._slow if error.limited else self._fast)(state)

    async def _negotiate(self, model: str, messages: Sequence[wire.Message], schema: type[BaseModel]) -> wire.Reply:
        dialect = self._dialects.get(model, wire.Dialect())
        while True:
            response = await self._post(dialect.body(model, messages, schema, self.settings))
            if response.status_code not in _MALFORMED:
                reply = wire.read_reply(response)
                self._dialects[model] = dialect  # learned only from success: a 400 may have another cause
                return reply
            complaint = wire.error_message(response)
            weaker = dialect.weaker(complaint) if response.status_code != 413 else None
            if weaker is None:
                reason = f"the endpoint refuses the request ({response.status_code}): {self._safe(complaint)}"
                raise BadAnswerError(reason)
            dialect = weaker

    async def _post(self, body: Mapping[str, object]) -> httpx.Response:
        if self._http is None:
            raise StageError("the chat client is closed; call it inside 'async with client:'.")
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                response = await self._http.post(f"{self._url}/chat/completions", json=body, headers=headers)
        except TimeoutError:
            raise wire.RetryableError(f"no answer within {self.settings.timeout_seconds:g} s") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise wire.RetryableError(f"{type(error).__name__}: {wire.short(str(error))}") from None
        self._check_status(response, str(body["model"]))
        return response

    def _check_status(self, response: httpx.Response, model: str) -> None:
        status = response.status_code
        if status == 200 or status in _MALFORMED:
            return
        said = self._safe(wire.error_message(response))
        out_of_credit = status == 429 and "insufficient_quota" in response.text
        if (status in _RETRY or status >= 500) and not out_of_credit:
            after = wire.retry_after(response)
            if after is not None and after > LONGEST_WAIT:
                raise LLMUnavailableError(
                    f"{_shown(self._url)} asks to come back in {after:.0f} s ({status}: {said}). "
                    "Answers received so far are kept; run again then."
                )
            raise wire.RetryableError(f"{status}: {said}", limited=status == 429, retry_after=after)
        if status in _ACCESS or out_of_credit:
            cause = _ACCESS.get(status, "the account cannot pay")
            advice = f"Check the key in the environment variable {self.settings.api_key_env}"
        else:
            cause, advice = f"status {status}", f"Check sdg.llm.base_url and that it serves the model {model}"
        raise LLMAccessError(f"{_shown(self._url)}: {cause} ({status}: {said}). {advice}.")

    def _safe(self, text: object) -> str:
        """Text of the endpoint without our key, should it echo it."""
        return str(text).replace(self._key, "***") if self._key else str(text)


def _repaired(
    messages: Sequence[wire.Message], error: wire.UnusableError, schema: type[BaseModel]
) -> list[wire.Message]:
    """The conversation with the complaint added; user and assistant alternate, as many chat templates demand."""
    request = render("repair", problem=str(error), schema=json.dumps(schema.model_json_schema()))
    if error.content:
        return [*messages, {"role": "assistant", "content": error.content}, {"role": "user", "content": request}]
    return [*messages[:-1], {**messages[-1], "content": f"{messages[-1]['content']}\n\n{request}"}]


def _checked_url(base_url: str | None) -> str:
    try:
        url = httpx.URL(base_url or "")
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise LLMAccessError(
            "sdg.llm.base_url must be an http(s) address without a user name or password in it, "
            "for example https://api.openai.com/v1."
        )
    return str(url).rstrip("/")


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _shown(url: str) -> str:
    """The address without its query, where some gateways expect a key."""
    return str(httpx.URL(url).copy_with(query=None))

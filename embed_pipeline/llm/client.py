"""Asking an OpenAI-compatible chat endpoint, as cheaply and as stubbornly as is right.

A reply that was paid for is in the store before anything else happens to it, so a run that is killed and
started again asks only for what is missing. Failures are sorted once::

    LLMAccessError        the user must act: key missing or refused, unknown model or address; at once
    BudgetExceededError   the next request might cost more than the budget has left; at once
    EndpointDownError     the endpoint fails as a whole, whatever it is asked (an LLMUnavailableError)
    LLMUnavailableError   this request still fails after every attempt
    BadAnswerError        this one record got no usable answer; it is set aside, the run goes on
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Generic
from weakref import WeakValueDictionary

import httpx
import tenacity
from pydantic import BaseModel

from embed_pipeline.errors import LLMUnavailableError, StageError
from embed_pipeline.llm import chat_api
from embed_pipeline.llm.chat_api import Answer, Message
from embed_pipeline.llm.endpoint import KEPT, Endpoint, host_of
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.prompts import render
from embed_pipeline.llm.responses import ResponseStore, reply_key
from embed_pipeline.llm.throttle import EndpointDownError, Gate
from embed_pipeline.progress import say
from embed_pipeline.settings import LLMSettings

COOL_DOWN = 10  # first pause of the circuit breaker, in units of backoff_seconds
PATIENCE = 10  # times max_attempts: refusals of one request while others get through


class BadAnswerError(StageError):
    """One request got no usable answer; its record is set aside."""


class RefusedRequestError(BadAnswerError):
    """The endpoint takes this request in no form (too long, for example); nothing was paid and nothing stored."""


class ChatClient:
    """One endpoint. Use as ``async with client:`` around calls of :meth:`complete`; one event loop at a time.

    Args:
        settings: endpoint, sampling, concurrency, attempts.
        store: where every reply goes the moment it arrives.
        ledger: what may be spent; every reply is booked there.
        transport: replaces the network.
        environment: where the key is looked up; the process environment by default.
        backoff_seconds: first wait before a second attempt; it doubles, with jitter, up to a minute, and
            starts four times as long when the endpoint asks for fewer requests.
    """

    def __init__(
        self,
        settings: LLMSettings,
        store: ResponseStore,
        ledger: Ledger,
        transport: httpx.AsyncBaseTransport | None = None,
        environment: Mapping[str, str] | None = None,
        backoff_seconds: float = 1.0,
    ) -> None:
        self.settings = settings
        self.store = store
        self.ledger = ledger
        key = (os.environ if environment is None else environment).get(settings.api_key_env, "").strip()
        self._endpoint = Endpoint(settings, key, transport)
        self.gate = Gate(self._endpoint.name, settings.concurrency, COOL_DOWN * backoff_seconds)
        self._fast = tenacity.wait_exponential_jitter(multiplier=backoff_seconds, max=60, jitter=backoff_seconds)
        self._slow = tenacity.wait_exponential_jitter(multiplier=4 * backoff_seconds, max=60, jitter=backoff_seconds)
        self._told = False
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> "ChatClient":
        self.gate.begin()
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._endpoint.__aexit__()
        await asyncio.wrap_future(self.store.flush())

    @property
    def concurrency(self) -> int:
        """How many calls of :meth:`complete` are wanted at once."""
        return self.settings.concurrency

    @property
    def answers(self) -> int:
        """Replies of the endpoint so far, usable or not."""
        return self.gate.answers

    def note(self) -> str:
        """Where it stands, in a few words: requests in flight and money (or tokens) of the generation."""
        spent = self.ledger.totals()
        tokens = spent["prompt_tokens"] + spent["completion_tokens"]
        cost = f"{spent['usd']:.2f} USD" if spent["usd"] else f"{tokens:.0f} tokens"
        return f"{self.gate.in_flight} in flight, {cost}"

    def check_access(self) -> None:
        """See :meth:`embed_pipeline.llm.endpoint.Endpoint.check_access`; tells, once, where text is about to go."""
        self._endpoint.check_access()
        if not self._told:
            self._told = True
            say(f"text of the corpus is sent to {host_of(self._endpoint.name)} (sdg.llm.base_url)")

    def known(self, model: str, messages: Sequence[Message], schema: type[Answer]) -> Answer | None:
        """The answer as far as the store knows it, without network; None when a reply is missing.

        Raises:
            BadAnswerError: the stored replies are unusable.
        """
        conversation = _Conversation(messages, schema)
        while conversation.answer is None:
            reply = self.store.reply(self._key(model, conversation.turns, schema))
            if reply is None:
                return None
            conversation.take(reply)
        return conversation.answer

    async def complete(self, model: str, messages: Sequence[Message], schema: type[Answer]) -> Answer:
        """One answer that fits ``schema``, from the store if the same was asked before.

        The identity of a request is the model, the sampling parameters, the messages and the schema; the
        endpoint's address is not part of it. An unusable answer is sent back once for repair.

        Raises:
            LLMAccessError: see :meth:`check_access`; the endpoint refuses the key, the model or the address.
            BudgetExceededError: see :class:`embed_pipeline.llm.ledger.Ledger`.
            LLMUnavailableError: the request kept failing.
            BadAnswerError: no usable answer after the repair turn, or the request itself was refused.
        """
        conversation = _Conversation(messages, schema)
        while conversation.answer is None:
            conversation.take(await self._reply(model, conversation.turns, schema))
        return conversation.answer

    @property
    def parameters(self) -> dict[str, Any]:
        """What besides model and prompt decides an answer."""
        return {name: getattr(self.settings, name) for name in ("temperature", "top_p", "max_tokens")}

    def _key(self, model: str, messages: Sequence[Message], schema: type[BaseModel]) -> str:
        return reply_key(model, self.parameters, messages, chat_api.schema_of(schema))

    async def _reply(self, model: str, turns: Sequence[Message], schema: type[BaseModel]) -> chat_api.Reply:
        """The stored reply, else one from the endpoint; what several records ask alike is asked once."""
        key = self._key(model, turns, schema)
        reply = self.store.reply(key)
        if reply is not None:
            return reply
        one_at_a_time = self._asking.setdefault(key, asyncio.Lock())
        another_asks = one_at_a_time.locked()  # a record with the same prompt
        async with one_at_a_time:
            reply = self.store.reply(key) if another_asks else None
            return reply if reply is not None else await self._fetch(key, model, turns, schema)

    async def _fetch(
        self, key: str, model: str, messages: Sequence[Message], schema: type[BaseModel]
    ) -> chat_api.Reply:
        """A reply from the endpoint, after as many attempts as it takes; stored."""
        self.check_access()
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(chat_api.RetryableError),
            stop=_Attempts(self.settings.max_attempts, self.gate),
            wait=self._wait,
            reraise=True,
        )
        self.gate.at_work += 1
        try:
            reply: chat_api.Reply = await retrying(self._negotiate, key, model, messages, schema)
        except chat_api.RetryableError as error:
            kind = EndpointDownError if error.unreachable else LLMUnavailableError
            raise kind(
                f"{self._endpoint.name} still fails after {self.settings.max_attempts} attempts: {error}. {KEPT} later."
            ) from None
        finally:
            self.gate.at_work -= 1
        return reply

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, chat_api.RetryableError):
            return 0.0
        if error.retry_after is not None:
            return error.retry_after + self._fast(state) / 10
        return (self._slow if error.limited else self._fast)(state)

    async def _negotiate(
        self, key: str, model: str, messages: Sequence[Message], schema: type[BaseModel]
    ) -> chat_api.Reply:
        dialect = self._endpoint.dialect(model)
        while True:
            try:
                reply = await self._attempt(key, model, self._endpoint.body(dialect, model, messages, schema))
            except chat_api.MalformedError as error:
                weaker = dialect.weaker(str(error)) if error.status != 413 else None
                if weaker is None:
                    reason = f"the endpoint refuses the request ({error.status}): {error}"
                    raise RefusedRequestError(reason) from None
                dialect = weaker
            else:
                self._endpoint.learn(model, dialect)
                return reply

    async def _attempt(self, key: str, model: str, body: bytes) -> chat_api.Reply:
        """One request, within concurrency and budget; its reply is durable when this returns."""
        async with self.gate.passage(key) as ticket:
            reserved = await self.ledger.reserve(model, len(body), self.settings.max_tokens)
            try:
                reply = await self._endpoint.exchange(model, body)
                text = len(reply.content.encode()) + len(reply.refusal.encode())
                usage = (reply.prompt_tokens, reply.completion_tokens)
                stored = self.store.keep(reply, reserved.settle(key, usage, reply.seconds, text))
                self.gate.succeeded(ticket)
            except chat_api.RetryableError as error:
                if error.billed is not None:
                    self.store.keep(None, reserved.settle(key, error.billed, 0.0, None))
                self.gate.failed(ticket, error)
                raise
            except chat_api.MalformedError:
                self.gate.alive()
                raise
            finally:
                reserved.release()
        await asyncio.wrap_future(stored)
        return reply


class _Attempts(tenacity.stop.stop_base):
    """Stops after ``most`` attempts; a request to slow down counts only while nobody else gets through either."""

    def __init__(self, most: int, gate: Gate) -> None:
        self._most = most
        self._gate = gate
        self._answers = gate.answers
        self._counted = 0

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        progress, self._answers = self._gate.answers > self._answers, self._gate.answers
        limited = isinstance(error, chat_api.RetryableError) and error.limited
        self._counted += not (limited and progress)
        return self._counted >= self._most or retry_state.attempt_number >= PATIENCE * self._most


class _Conversation(Generic[Answer]):
    """Asks once, and once more when the first reply is unusable.

    Attributes:
        turns: what to ask next.
        answer: None until a reply was usable.
    """

    def __init__(self, messages: Sequence[Message], schema: type[Answer]) -> None:
        self.turns = messages
        self.answer: Answer | None = None
        self._schema = schema
        self._repairing = False

    def take(self, reply: chat_api.Reply) -> None:
        """Look at the reply to ``turns``.

        Raises:
            BadAnswerError: there is no usable answer, and none to be hoped for.
        """
        try:
            self.answer = chat_api.parse_answer(reply, self._schema)
        except chat_api.UnusableError as error:
            if self._repairing:
                raise BadAnswerError(f"no usable answer after a repair turn: {error}") from None
            if error.final:
                raise BadAnswerError(str(error)) from None
            self.turns, self._repairing = _repaired(self.turns, error, self._schema), True


def _repaired(messages: Sequence[Message], error: chat_api.UnusableError, schema: type[BaseModel]) -> list[Message]:
    """The conversation with the complaint added; user and assistant alternate, as many chat templates demand."""
    request = render("repair", problem=str(error), schema=json.dumps(chat_api.schema_of(schema)))
    if error.content:
        return [*messages, {"role": "assistant", "content": error.content}, {"role": "user", "content": request}]
    return [*messages[:-1], {**messages[-1], "content": f"{messages[-1]['content']}\n\n{request}"}]

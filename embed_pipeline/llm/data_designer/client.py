"""``sdg.engine: data_designer``: NVIDIA NeMo Data Designer asks the endpoint; prompts, schemas and checks stay ours.

A prompt does not depend on other columns of a Data Designer dataset, since what an answer is worth is decided
here (evidence must stand in its passage, for example). So every step is one dataset: the rendered prompts as seed
column, the answer as a structured column. The workers of :func:`embed_pipeline.llm.ask.ask_all` hand in what they
want to ask; whenever no more comes, everything handed in goes through Data Designer in one pass.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from embed_pipeline.batched import batched
from embed_pipeline.errors import EmbedPipelineError, LLMAccessError, SettingsError
from embed_pipeline.llm import chat_api
from embed_pipeline.llm.client import ChatClient, RefusedRequestError
from embed_pipeline.llm.data_designer.process import INSTALL, interpreter, run_pass
from embed_pipeline.llm.endpoint import KEPT
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.llm.throttle import EndpointDownError
from embed_pipeline.settings import LLMSettings

TOGETHER = 512
"""Most prompts of one pass."""
INSTRUCTIONS = 400
"""Bytes that Data Designer adds to a prompt, besides the schema."""
_ACCESS = {"ModelAuthenticationError", "ModelPermissionDeniedError", "ModelQuotaExceededError", "ModelNotFoundError"}
_RECORD = {
    "ModelBadRequestError",
    "ModelContextWindowExceededError",
    "ModelGenerationValidationFailureError",
    "ModelRequestRejectedError",
    "ModelStructuredOutputError",
    "ModelUnprocessableEntityError",
}


@dataclass
class _Asked:
    """A prompt on its way, and where its answer (JSON) goes."""

    model: str
    prompt: str
    schema: type[BaseModel]
    answer: "asyncio.Future[str]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def succeed(self, content: str) -> None:
        if not self.answer.done():
            self.answer.set_result(content)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class DataDesignerClient(ChatClient):
    """A :class:`~embed_pipeline.llm.client.ChatClient` that asks through Data Designer.

    Replies are stored under identities of their own, so the engines do not share them. Data Designer tells tokens
    for a whole pass only, so the ledger books estimates.

    Args:
        settings: as for ChatClient; ``concurrency`` is what Data Designer may have in flight.
        store, ledger, environment: likewise. The environment also names the interpreter, see
            :func:`embed_pipeline.llm.data_designer.process.interpreter`.
        idle_seconds: how long nothing may be handed in before a pass begins.

    Raises:
        SettingsError: Data Designer is not installed.
        LLMAccessError: llm.base_url is no usable address.
    """

    def __init__(
        self,
        settings: LLMSettings,
        store: ResponseStore,
        ledger: Ledger,
        environment: Mapping[str, str] | None = None,
        idle_seconds: float = 0.2,
    ) -> None:
        wide = settings.model_copy(update={"concurrency": max(TOGETHER, settings.concurrency)})
        super().__init__(wide, store, ledger, environment=environment)
        self._environment = {**os.environ, **(environment or {})}
        self._python = interpreter(self._environment)
        self._parallel = settings.concurrency
        self._idle = idle_seconds
        self._handed_in: list[_Asked] = []
        self._in_pass = 0

    async def __aenter__(self) -> "DataDesignerClient":
        await super().__aenter__()
        self._arrived = asyncio.Event()
        self._handed_in.clear()
        self._passes = asyncio.create_task(self._run_passes())
        return self

    async def __aexit__(self, *reason: object) -> None:
        self._passes.cancel()
        await asyncio.gather(self._passes, return_exceptions=True)
        await super().__aexit__(*reason)

    def note(self) -> str:
        """Where it stands, in a few words."""
        return f"{self._in_pass} at Data Designer, {super().note().partition(', ')[2]}"

    @property
    def parameters(self) -> dict[str, Any]:
        """The engine decides, too: it words the request in its own way."""
        return {"engine": "data_designer", **super().parameters}

    async def _fetch(
        self, key: str, model: str, messages: Sequence[chat_api.Message], schema: type[BaseModel]
    ) -> chat_api.Reply:
        """A reply from Data Designer, which has done its own turn of repair; stored."""
        self.check_access()
        if len(messages) > 1:
            raise RefusedRequestError("the answer of Data Designer fits its JSON schema, but is not usable")
        prompt = messages[0]["content"]
        sent = len(prompt.encode()) + len(json.dumps(chat_api.schema_of(schema))) + INSTRUCTIONS
        reserved = await self.ledger.reserve(model, sent, self.settings.max_tokens)
        began = time.monotonic()
        try:
            asked = _Asked(model, prompt, schema)
            self._handed_in.append(asked)
            self._arrived.set()
            content = await asked.answer
            seconds = round(time.monotonic() - began, 4)
            reply = chat_api.Reply(content, "", False, None, None, seconds, model)
            stored = self.store.keep(reply, reserved.settle(key, chat_api.UNSAID, seconds, len(content.encode())))
        except RefusedRequestError:
            self.store.keep(None, reserved.settle(key, chat_api.UNSAID, 0.0, None))
            raise
        finally:
            reserved.release()
        await asyncio.wrap_future(stored)
        return reply

    # -- passes ------------------------------------------------------------------------------------------

    async def _run_passes(self) -> None:
        while True:
            await self._arrived.wait()
            count = -1
            while count != len(self._handed_in):
                count = len(self._handed_in)
                await asyncio.sleep(self._idle)
            batch, self._handed_in = self._handed_in, []
            self._arrived.clear()
            for same in _alike(batch):
                self._in_pass = len(same)
                try:
                    await self._pass(same)
                except Exception as error:
                    for asked in same:
                        asked.fail(error)
            self._in_pass = 0

    async def _pass(self, batch: Sequence[_Asked]) -> None:
        failures: dict[int, EmbedPipelineError] = {}
        stopped: EmbedPipelineError | None = None
        request, prompts = self._request(batch[0]), [asked.prompt for asked in batch]
        async with aclosing(run_pass(self._python, request, prompts, self._environment)) as lines:
            async for line in lines:
                message, kinds = (
                    self._endpoint.safe(line.get("error", line.get("reason", ""))),
                    set(line.get("kinds", ())),
                )
                if "answer" in line:
                    self._in_pass -= 1
                    batch[line["row"]].succeed(json.dumps(line["answer"], ensure_ascii=False))
                elif "row" in line:
                    failures[line["row"]] = self._access(message, kinds) or _refused(message)
                else:
                    stopped = self._stopped(message, kinds)
        for row, asked in enumerate(batch):
            asked.fail(failures.get(row) or stopped or _refused(""))

    def _request(self, asked: _Asked) -> dict[str, Any]:
        llm = self.settings
        return {
            "endpoint": (llm.base_url or "").rstrip("/"),
            "key_name": llm.api_key_env if self._environment.get(llm.api_key_env) else None,
            "model": asked.model,
            "parameters": {
                **super().parameters,
                "timeout": max(1, round(llm.timeout_seconds)),
                "max_parallel_requests": self._parallel,
            },
            "schema": chat_api.schema_of(asked.schema),
            "group": max(16, self._parallel),
        }

    def _stopped(self, message: str, kinds: set[str]) -> EmbedPipelineError:
        """Why a pass brought nothing: the user or time must help, or every record had a fault of its own."""
        if kinds & {"ModuleNotFoundError", "ImportError"}:
            return SettingsError(f"{self._python} cannot run Data Designer: {message}. {INSTALL}.")
        down = EndpointDownError(f"Data Designer got no answer from {self._endpoint.name}: {message} {KEPT} later.")
        return self._access(message, kinds) or (_refused(message) if kinds & _RECORD else down)

    def _access(self, message: str, kinds: set[str]) -> LLMAccessError | None:
        if not kinds & _ACCESS:
            return None
        return LLMAccessError(
            f"{self._endpoint.name}: {message} Check the key in the environment variable {self.settings.api_key_env}, "
            "and sdg.llm.base_url and sdg.llm.model. Answers received so far are kept."
        )


def _refused(message: str) -> RefusedRequestError:
    return RefusedRequestError(f"Data Designer got no usable answer. {message}".strip())


def _alike(batch: Iterable[_Asked]) -> list[list[_Asked]]:
    """Requests of one model and schema together; at most :data:`TOGETHER`."""
    groups: dict[tuple[str, type[BaseModel]], list[_Asked]] = {}
    for asked in batch:
        if not asked.answer.done():
            groups.setdefault((asked.model, asked.schema), []).append(asked)
    return [part for group in groups.values() for part in batched(group, TOGETHER)]

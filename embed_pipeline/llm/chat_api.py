"""What goes over the wire to an OpenAI-compatible chat endpoint, and what comes back."""

import email.utils
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from embed_pipeline.llm.prompts import render
from embed_pipeline.settings import LLMSettings

Answer = TypeVar("Answer", bound=BaseModel)
Message = Mapping[str, str]
Structure = Literal["json_schema", "json_object", "plain"]
_WEAKER: dict[Structure, Structure] = {"json_schema": "json_object", "json_object": "plain"}
_OPTIONAL = ("temperature", "top_p")
MOST_TRIES = 200  # opening braces looked at in one answer
MOST_TOKENS = 2**40  # a count above this is nonsense
Usage = tuple[int | None, int | None]  # prompt and completion tokens; None: not said
UNSAID: Usage = (None, None)


class StrictAnswer(BaseModel):
    """What a model is asked for: the schema sent allows no other keys; read generously, since not all obey."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})


class RetryableError(Exception):
    """The same request may succeed later.

    Attributes:
        limited: the endpoint asked for fewer requests (429).
        retry_after: seconds the endpoint asks to wait.
        down: it looks as if the endpoint as a whole were out of order.
        unreachable: no connection came about.
        timed_out: there was no answer in time.
        billed: tokens of a request that was, or may have been, paid for in spite of the failure.
    """

    def __init__(
        self,
        reason: str,
        *,
        limited: bool = False,
        retry_after: float | None = None,
        down: bool = True,
        unreachable: bool = False,
        timed_out: bool = False,
        billed: Usage | None = None,
    ) -> None:
        super().__init__(reason)
        self.limited = limited
        self.retry_after = retry_after
        self.down = down and not limited
        self.unreachable = unreachable
        self.timed_out = timed_out
        self.billed = billed


class MalformedError(Exception):
    """The endpoint does not take the request as it is.

    Attributes:
        status: of the response.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class UnusableError(Exception):
    """An answer arrived but cannot be used.

    Attributes:
        content: what the model wrote, to be shown to it again; empty where that would not help.
        final: asking again is pointless (a refusal).
    """

    def __init__(self, reason: str, content: str = "", final: bool = False) -> None:
        super().__init__(reason)
        self.content = content
        self.final = final


@dataclass(frozen=True)
class Dialect:
    """What an endpoint takes, learned from its refusals.

    Attributes:
        structure: strongest form of structured output it takes.
        limit_name: max_tokens, or max_completion_tokens for endpoints that insist on it.
        omitted: sampling parameters it refuses.
    """

    structure: Structure = "json_schema"
    limit_name: str = "max_tokens"
    omitted: frozenset[str] = frozenset()

    def body(
        self, model: str, messages: Sequence[Message], schema: type[BaseModel], settings: LLMSettings
    ) -> dict[str, Any]:
        """The JSON body of POST /chat/completions."""
        described = schema_of(schema)
        body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in messages]}
        body.update({name: getattr(settings, name) for name in _OPTIONAL if name not in self.omitted})
        body[self.limit_name] = settings.max_tokens
        if self.structure == "json_schema":
            form = {"name": schema.__name__, "schema": described, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
            return body
        body["messages"][-1]["content"] += "\n\n" + render("structure", schema=json.dumps(described))
        if self.structure == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def weaker(self, complaint: str) -> "Dialect | None":
        """What to try after the endpoint refused a request as malformed; None: nothing is left to try."""
        if "max_completion_tokens" in complaint and self.limit_name == "max_tokens":
            return replace(self, limit_name="max_completion_tokens")
        refused = {name for name in _OPTIONAL if name in complaint} - self.omitted
        if refused:
            return replace(self, omitted=self.omitted | refused)
        if self.structure in _WEAKER:
            return replace(self, structure=_WEAKER[self.structure])
        return None


@functools.lru_cache(64)
def schema_of(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model; not to be changed."""
    return schema.model_json_schema()


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body as it is sent; what UTF-8 cannot hold becomes a question mark."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


@dataclass(frozen=True)
class Reply:
    """One answer of the endpoint, as it came.

    Attributes:
        content: what the model wrote.
        refusal: its refusal, or empty.
        cut: it ended at max_tokens.
        prompt_tokens: None when the endpoint does not say.
        completion_tokens: likewise.
        seconds: from sending to the last byte.
        model: that was asked.
    """

    content: str
    refusal: str
    cut: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float = 0.0
    model: str = ""


def read_reply(body: bytes) -> Reply:
    """The first choice of a chat completion.

    Raises:
        RetryableError: the body is truncated, no chat completion, without a choice, or an error in disguise.
    """
    value = _json(body)
    if value is None:
        raise RetryableError(f"the body is not whole JSON (it begins {_beginning(body)!r})", billed=UNSAID)
    if not isinstance(value, dict) or ("choices" not in value and "error" in value):
        raise RetryableError(f"the body is no chat completion: {error_message(body)}")
    usage = _dict(value.get("usage"))
    tokens = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens"))
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        raise RetryableError("the answer has no choices", down=False, billed=tokens)
    choice = _dict(choices[0])
    message = _dict(choice.get("message"))
    content, refusal = _text(message.get("content")), _text(message.get("refusal"))
    return Reply(content, refusal, choice.get("finish_reason") == "length", *tokens)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _beginning(body: bytes) -> str:
    return body[:60].decode("utf-8", "replace")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):  # content parts
        value = "".join(str(part.get("text", "")) for part in value if isinstance(part, dict))
    # A lone surrogate cannot be stored as UTF-8.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _tokens(value: Any) -> int | None:
    countable = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if countable else None


def parse_answer(reply: Reply, schema: type[Answer]) -> Answer:
    """The answer as ``schema``: the whole content, or the JSON object inside prose, fences and <think> blocks.

    Raises:
        UnusableError: refusal, empty, cut, no JSON, or JSON that breaks the schema.
    """
    if reply.refusal:
        raise UnusableError(f"the model refused: {short(reply.refusal)}", final=True)
    if not reply.content.strip():
        cut = " because llm.max_tokens was used up before it began" if reply.cut else ""
        raise UnusableError(f"the answer is empty{cut}")
    problem = "it holds no JSON object"
    for value in _objects(re.sub(r"<think>.*?</think>", "", reply.content, flags=re.DOTALL)):
        try:
            return schema.model_validate(value)
        except ValidationError as error:
            problem = _explain(error)
    if reply.cut:
        raise UnusableError("it was cut off at llm.max_tokens; a shorter answer, or a higher limit, is needed")
    raise UnusableError(problem, reply.content)


def _objects(text: str) -> list[Any]:
    """Outermost JSON objects in ``text``, in order; lone surrogates made storable."""
    decoder, objects, at = json.JSONDecoder(strict=False), [], text.find("{")
    for _ in range(MOST_TRIES):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
            objects.append(_storable(value))
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
    return objects


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    return value


def _explain(error: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:3]]
    return "it breaks the schema: " + "; ".join(problems)


def error_message(body: bytes) -> str:
    """What the endpoint says was wrong, in at most 200 characters."""
    value = _json(body)
    error = value.get("error", value.get("detail", value)) if isinstance(value, dict) else value
    text = error.get("message", error) if isinstance(error, dict) else error
    return short(body[:400].decode("utf-8", "replace") if value is None else str(text))


def short(text: str) -> str:
    """One line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"


def retry_after(response: httpx.Response) -> float | None:
    """Seconds of the Retry-After header (a number or an HTTP date), None when there is none."""
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())

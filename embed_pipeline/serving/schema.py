"""Requests and answers of ``/v1/embeddings``: the OpenAI contract plus NIM's input_type and truncate."""

import base64
import json
from typing import Any, Literal

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from embed_pipeline.encoders.onnx_encoder import Truncate
from embed_pipeline.encoders.spec import Role, Vectors
from embed_pipeline.serving.errors import ApiError, invalid

MAX_INPUTS = 2048

Inputs = list[str] | list[list[int]]


class EmbeddingRequest(BaseModel):
    """Body of ``POST /v1/embeddings``. Unknown fields are refused: a misspelt one would change the vectors.

    Attributes:
        input: a string, strings, token ids or lists of token ids; see :meth:`inputs`.
        model: the served name, with ``-query`` or ``-passage`` after it for clients without input_type.
        dimensions: one of the sizes that the model offers; None: the full one.
        input_type: whether the model's query or passage prompt is put before every input.
        truncate: which end of a too long input is dropped; NONE refuses it.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    input: Any
    model: str = Field(min_length=1)
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)
    user: str | None = None
    input_type: Role | None = None
    truncate: Truncate | None = None

    def inputs(self) -> Inputs:
        """The inputs as a list.

        Raises:
            ApiError: wrong type, empty, too many, or not Unicode text.
        """
        given = self.input
        if isinstance(given, str) or _is_token_list(given):
            given = [given]
        if not isinstance(given, list) or not given:
            raise invalid("input must be a string, a list of strings or lists of token ids, not empty.", "input")
        if len(given) > MAX_INPUTS:
            raise invalid(f"input holds {len(given)} items; at most {MAX_INPUTS} are allowed.", "input")
        if all(isinstance(item, str) for item in given):
            _check_texts(given)
        elif not all(_is_token_list(item) for item in given):
            raise invalid("input must hold only non-empty strings or only non-empty lists of token ids.", "input")
        return given


def parse_request(body: bytes) -> EmbeddingRequest:
    """Read and check a body.

    Raises:
        ApiError: not JSON, not an object, or a field is missing, unknown or wrong.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid("The body is not valid JSON.", None, "invalid_json") from error
    if not isinstance(values, dict):
        raise invalid("The body must be a JSON object.", None, "invalid_json")
    try:
        return EmbeddingRequest.model_validate(values)
    except pydantic.ValidationError as error:
        raise _explain(error) from None


def response_body(vectors: Vectors, model: str, tokens: int, encoding_format: str | None) -> bytes:
    """The answer as JSON; ``vectors`` [inputs, dimensions] as numbers or base64 of little-endian float32."""
    if encoding_format == "base64":
        values: list[Any] = [base64.b64encode(row.astype("<f4").tobytes()).decode("ascii") for row in vectors]
    else:
        values = vectors.tolist()
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": place, "embedding": value} for place, value in enumerate(values)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return json.dumps(answer, allow_nan=False, separators=(",", ":")).encode("utf-8")


def shorten(vectors: Vectors, dimensions: int, normalize: bool) -> Vectors:
    """The first ``dimensions`` numbers of each vector, normalised again (Matryoshka, arXiv 2205.13147)."""
    if dimensions == vectors.shape[1]:
        return vectors
    part = vectors[:, :dimensions]
    if not normalize:
        return part
    shortened: Vectors = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), np.float32(1e-12))
    return shortened


def _is_token_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _check_texts(texts: list[str]) -> None:
    for place, text in enumerate(texts):
        if not text:
            raise invalid(f"input[{place}] is an empty string.", "input")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise invalid(f"input[{place}] holds half a surrogate pair, which is not Unicode text.", "input") from None


def _explain(error: pydantic.ValidationError) -> ApiError:
    problem = error.errors()[0]
    param = str(problem["loc"][0])
    if problem["type"] == "missing":
        return invalid(f"{param} is missing.", param, "missing_required_parameter")
    if problem["type"] == "extra_forbidden":
        known = ", ".join(EmbeddingRequest.model_fields)
        return invalid(f"{param} is not a known field; there are: {known}.", param, "unknown_parameter")
    return invalid(f"{param}: {problem['msg']}.", param, "invalid_value")

"""The embeddings server: OpenAI's ``/v1/embeddings`` with NIM's input_type and truncate."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embed_pipeline.encoders.onnx_encoder import OnnxEncoder, Tokens
from embed_pipeline.encoders.spec import Role
from embed_pipeline.serving.errors import ApiError, invalid
from embed_pipeline.serving.metrics import Metrics
from embed_pipeline.serving.schema import EmbeddingRequest, Inputs, parse_request, response_body, shorten
from embed_pipeline.serving.session import ModelSource, Session

MAX_BODY_BYTES = 16 * 2**20
ROLES: tuple[Role, ...] = ("query", "passage")

logger = logging.getLogger("embed_pipeline.serving")


def create_app(source: ModelSource, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """The ASGI application around ``source``, whose pointer it follows while it runs.

    Args:
        max_body_bytes: larger requests are answered with 413.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(source.watch())
        yield
        watching.cancel()
        await source.close()

    server = _Server(source, max_body_bytes)
    routes = [
        Route("/v1/embeddings", server.embeddings, methods=["POST"]),
        Route("/v1/models", server.models, methods=["GET"]),
        Route("/v1/models/{name:path}", server.model, methods=["GET"]),
        Route("/v1/health/live", server.live, methods=["GET"]),
        Route("/v1/health/ready", server.ready, methods=["GET"]),
        Route("/v1/metadata", server.metadata, methods=["GET"]),
        Route("/v1/metrics", server.metrics_text, methods=["GET"]),
    ]
    handlers: Any = {ApiError: _api_error, HTTPException: _http_error, Exception: _server_error}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class _Server:
    """The endpoints."""

    def __init__(self, source: ModelSource, max_body_bytes: int) -> None:
        self._source = source
        self._max_body_bytes = max_body_bytes
        self._metrics = Metrics(self._inputs_waiting)

    async def embeddings(self, request: Request) -> Response:
        began = time.perf_counter()
        try:
            body = await self._body(request)
            with self._source.using() as session:
                answer, inputs, tokens = await _embed(session, body)
        except ApiError as error:
            self._metrics.failed(error.status)
            raise
        except ClientDisconnect:
            self._metrics.failed(499)
            return Response(status_code=400)
        except Exception:
            self._metrics.failed(500)
            raise
        self._metrics.succeeded(time.perf_counter() - began, inputs, tokens)
        return Response(answer, media_type="application/json")

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        announced = request.headers.get("content-length", "0")
        too_large = announced.isdigit() and int(announced) > self._max_body_bytes
        if not too_large:
            async for part in request.stream():
                body += part
                if too_large := len(body) > self._max_body_bytes:
                    break
        if too_large:
            message = f"The body is larger than {self._max_body_bytes} bytes."
            raise ApiError(413, message, code="request_too_large", headers={"Connection": "close"})
        return bytes(body)

    async def models(self, request: Request) -> Response:
        session = self._source.current
        return JSONResponse({"object": "list", "data": [_model(session)] if session else []})

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        with self._source.using() as session:
            if name != session.release.model_name:
                raise _unknown_model(name)
            return JSONResponse(_model(session))

    async def live(self, request: Request) -> Response:
        return JSONResponse({"object": "health.response", "message": "live", "live": True})

    async def ready(self, request: Request) -> Response:
        ready = self._source.current is not None
        message = "ready" if ready else self._source.last_error or "loading"
        return JSONResponse(
            {"object": "health.response", "message": message, "ready": ready}, status_code=200 if ready else 503
        )

    async def metadata(self, request: Request) -> Response:
        session = self._source.current
        release = session.release if session else None
        return JSONResponse(
            {
                "release_id": release.release_id if release else None,
                "model_version": release.model_version if release else None,
                "model_name": release.model_name if release else None,
                "encoder": session.spec.model_dump(mode="json", exclude={"model"}) if session else None,
                "dimensions": list(session.spec.dimensions) if session else [],
                "last_error": self._source.last_error,
            }
        )

    async def metrics_text(self, request: Request) -> Response:
        text, content_type = self._metrics.exposition(request.headers.get("accept", ""))
        return Response(text, media_type=content_type)

    def _inputs_waiting(self) -> int:
        return self._source.current.batcher.waiting if self._source.current else 0


async def _embed(session: Session, body: bytes) -> tuple[bytes, int, int]:
    """The answer, the number of inputs and of tokens. Only waiting happens on the event loop."""
    request = await asyncio.to_thread(parse_request, body)
    role = _role(request, session.release.model_name)
    dimensions = _dimensions(request, session)
    inputs = await asyncio.to_thread(request.inputs)
    with session.batcher.admitted(len(inputs)):
        tokens = await asyncio.to_thread(_tokenize, session.encoder, inputs, role, request.truncate or "END")
        vectors = await session.batcher.embed([token.ids for token in tokens])
    count = sum(len(token.ids) for token in tokens)
    vectors = shorten(vectors, dimensions, session.spec.normalize)
    name = session.release.model_name
    return await asyncio.to_thread(response_body, vectors, name, count, request.encoding_format), len(inputs), count


def _role(request: EmbeddingRequest, served: str) -> Role:
    """The role, from input_type or from the suffix of the model name."""
    if request.model == served:
        return request.input_type or "passage"
    for role in ROLES:
        if request.model == f"{served}-{role}":
            if request.input_type not in (None, role):
                raise invalid(f"input_type is {request.input_type}, but the model name says {role}.", "input_type")
            return role
    raise _unknown_model(request.model)


def _dimensions(request: EmbeddingRequest, session: Session) -> int:
    offered = session.spec.dimensions
    if request.dimensions is None:
        return offered[0]
    if request.dimensions not in offered:
        raise invalid(
            f"dimensions is {request.dimensions}; this model offers {', '.join(map(str, offered))}.",
            "dimensions",
            "unsupported_dimensions",
        )
    return request.dimensions


def _tokenize(
    encoder: OnnxEncoder, inputs: Inputs, role: Role, truncate: Literal["NONE", "START", "END"]
) -> list[Tokens]:
    if isinstance(inputs[0], str):
        tokens = encoder.tokenize([item for item in inputs if isinstance(item, str)], role, truncate)
    else:
        rows = [item for item in inputs if isinstance(item, list)]
        size = encoder.vocabulary_size
        if any(not 0 <= token < size for row in rows for token in row):
            raise invalid(f"input holds a token id outside 0 to {size - 1}, this model's vocabulary.", "input")
        tokens = encoder.tokenize_ids(rows, role, truncate)
    limit = encoder.spec.max_length(role)
    for place, token in enumerate(tokens):
        if len(token.ids) > limit:
            raise invalid(
                f"input[{place}] has {token.full_length} tokens, more than the {limit} of a {role}; shorten it or "
                "set truncate to END or START.",
                "input",
                "context_length_exceeded",
            )
    return tokens


def _unknown_model(name: str) -> ApiError:
    return ApiError(404, f"The model {name!r} does not exist.", param="model", code="model_not_found")


def _model(session: Session) -> dict[str, Any]:
    return {"id": session.release.model_name, "object": "model", "created": 0, "owned_by": "embed-pipeline"}


async def _api_error(_: Request, error: ApiError) -> Response:
    return error.response()


async def _http_error(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path}: {error.detail}."
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    return ApiError(error.status_code, message, code=code, headers=error.headers).response()


async def _server_error(_: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error)
    return ApiError(500, "The server failed; its log says why.", code="internal_error").response()

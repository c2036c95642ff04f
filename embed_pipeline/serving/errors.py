"""Errors as OpenAI clients read them: ``{"error": {"message", "type", "param", "code"}}``."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

INVALID = "invalid_request_error"


class ApiError(Exception):
    """An answer other than 200.

    Attributes:
        status: HTTP status; headers: sent with it.
        param: the request field at fault; code: for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The JSON answer."""
        kind = {429: "rate_limit_error"}.get(self.status, INVALID if self.status < 500 else "server_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status, self.headers)


def invalid(message: str, param: str | None, code: str | None = None) -> ApiError:
    """A 400: the request itself is wrong."""
    return ApiError(400, message, param=param, code=code)


def not_ready() -> ApiError:
    """A 503: no model is loaded yet."""
    return ApiError(503, "The model is still loading.", code="model_not_ready", headers={"Retry-After": "1"})


def overloaded() -> ApiError:
    """A 429: the queue is full."""
    message = "The server is busy: too many inputs are waiting. Try again later."
    return ApiError(429, message, code="overloaded", headers={"Retry-After": "1"})

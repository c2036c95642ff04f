"""Telling a webhook: one POST of JSON, tried a few times, that never raises and never shows the address.

An address of this kind is often a secret by itself, so no message names it.
"""

from collections.abc import Mapping
from typing import Any

ATTEMPTS = 3
TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_WORTH_AGAIN = (408, 425, 429)


def post(url: str, body: Mapping[str, Any], pause: float = _PAUSE_SECONDS) -> str | None:
    """Send ``body``; None when it was taken, else why not.

    Args:
        pause: seconds before the second attempt; doubled before each further one.
    """
    import httpx
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    def send() -> None:
        answer = httpx.post(url, json=dict(body), timeout=TIMEOUT_SECONDS, follow_redirects=False)
        if not answer.is_success:
            raise _RefusedError(answer.status_code)

    def worth_again(error: BaseException) -> bool:
        if isinstance(error, _RefusedError):
            return error.status >= 500 or error.status in _WORTH_AGAIN
        return isinstance(error, httpx.TransportError)

    def give_up(state: RetryCallState) -> str:
        error = state.outcome.exception() if state.outcome is not None else None
        what = f"it answered {error.status}" if isinstance(error, _RefusedError) else type(error).__name__
        return f"{what}, {state.attempt_number} attempts"

    retrying = Retrying(
        retry=retry_if_exception(worth_again),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=pause),
        retry_error_callback=give_up,
    )
    try:
        result: str | None = retrying(send)
    except _RefusedError as error:
        return f"it answered {error.status}"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return type(error).__name__
    return result


class _RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

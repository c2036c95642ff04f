"""Anybody's embeddings endpoint with OpenAI's protocol, behind the Encoder protocol.

Only what every such server understands is sent: ``POST <url>/embeddings`` with model, input and float vectors; no
prompt is put before the texts and no role is named. What the endpoint served before may change without notice, so
its vectors are as stable as whoever runs it.

Source: platform.openai.com/docs/api-reference/embeddings.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from embed_pipeline.encoders.loopback import is_loopback
from embed_pipeline.encoders.spec import PLURAL, EncoderSpec, Role, Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_json
from embed_pipeline.progress import task

if TYPE_CHECKING:
    from tenacity import RetryCallState

ATTEMPTS = 6
LONGEST_WAIT = 30.0  # seconds between two attempts
AGAIN = (408, 429, 500, 502, 503, 504)
PASSING = (httpx.TimeoutException, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""A connection that was there and broke off; one that cannot be made is told at once."""
MOST_TOKENS = 10**12
"""Of one answer; what counts more has miscounted."""
PROBE = "How long is a vector?"


class EmbeddingsApi:
    """The requests to one endpoint.

    Args:
        url: the part before ``/embeddings``, for example https://api.openai.com/v1.
        key: may be empty; sent as a bearer token, never shown.
        pause: seconds before the second attempt; they double.
        transport: replaces the network.
        key_setting: that names the variable with the key, for errors.

    Raises:
        InputError: the key cannot be sent.

    Attributes:
        counted: tokens that the endpoint counted for the last :meth:`embed`; None where it does not say.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        timeout: float = 60,
        pause: float = 0.5,
        transport: httpx.BaseTransport | None = None,
        key_setting: str = "eval.candidates_key_env",
    ) -> None:
        self.url = url.rstrip("/")
        self.counted: int | None = None
        self._key, self._pause, self._key_setting = key, pause, key_setting
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"The key in the variable that {key_setting} names holds characters that no key has.")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        trust = not is_loopback(self.url)
        self._client = httpx.Client(timeout=timeout, headers=headers, transport=transport, trust_env=trust)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def only_model(self) -> str:
        """The model that is served, where there is one only.

        Raises:
            InputError: there are several or none; or as :meth:`embed`.
        """
        answer = self._asked("GET", "models", None)
        try:
            names = sorted({str(row["id"]) for row in answer["data"]})
        except (KeyError, TypeError) as error:
            raise InputError(f"{self.url}/models: the answer is not a list of models.") from error
        if len(names) != 1:
            shown = ", ".join(names[:5]) or "none"
            raise InputError(f"{self.url} serves {len(names)} models ({shown}); name one behind a #: {self.url}#model.")
        return names[0]

    def embed(self, model: str, texts: Sequence[str]) -> Vectors:
        """Vectors [texts, dimensions] of length 1, in the order of ``texts``.

        Raises:
            InputError: the endpoint cannot be reached, refuses, stays busy, or answers with something else than one
                vector of finite numbers for each text, all of one length. Names the URL.
        """
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        answer = self._asked("POST", "embeddings", body)
        try:
            rows = {int(row["index"]): row["embedding"] for row in answer["data"]}
            vectors = np.array([rows[place] for place in range(len(texts))], np.float32)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{self.url}: the answer does not hold one vector of numbers for each text.") from error
        if len(rows) != len(texts) or vectors.ndim != 2 or not vectors.shape[1]:
            raise InputError(f"{self.url}: {len(texts)} texts were sent, but other vectors came back.")
        lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise InputError(f"{self.url}: a vector is zero, or holds NaN or infinity.")
        self.counted = _prompt_tokens(answer)
        return vectors / lengths

    def _asked(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_after_attempt

        place = f"{self.url}/{path}"
        retrying = Retrying(
            retry=retry_if_exception_type(PASSING) | retry_if_result(_is_busy),
            stop=stop_after_attempt(ATTEMPTS),
            wait=self._wait,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome is not None else None,
        )
        try:
            response: httpx.Response = retrying(self._client.request, method, place, json=body)
        except httpx.TimeoutException as error:
            raise InputError(f"{place}: no answer in time, {ATTEMPTS} times.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise InputError(f"{place}: no answer ({type(error).__name__}: {self._safe(str(error))}).") from error
        return self._read(place, response)

    def _wait(self, state: "RetryCallState") -> float:
        """What Retry-After says, else a pause that doubles; none after an answer that took too long already."""
        pause = min(self._pause * 2.0 ** (state.attempt_number - 1), LONGEST_WAIT)
        if state.outcome is None or state.outcome.failed:
            late = state.outcome is None or isinstance(state.outcome.exception(), httpx.TimeoutException)
            return 0.0 if late else pause
        asked = state.outcome.result().headers.get("retry-after", "")
        seconds = float(asked) if asked.replace(".", "", 1).isdecimal() else 0.0
        return min(seconds, LONGEST_WAIT) or pause

    def _read(self, place: str, response: httpx.Response) -> Any:
        if response.status_code in (401, 403):
            sent = "the key was refused" if self._key else f"it wants a key; name its variable in {self._key_setting}"
            raise InputError(f"{place}: {sent} ({response.status_code}).")
        if response.status_code != httpx.codes.OK:
            told = " ".join(self._safe(response.text).split())[:200]
            raise InputError(f"{place}: answered {response.status_code}: {told}")
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: the answer is not JSON.") from error

    def _safe(self, text: str) -> str:
        """Text of the endpoint without our key, should it echo it."""
        return text.replace(self._key, "***") if self._key else text


def _prompt_tokens(answer: dict[str, Any]) -> int | None:
    usage = answer.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return tokens if type(tokens) is int and 0 <= tokens < MOST_TOKENS else None


def _is_busy(response: httpx.Response) -> bool:
    return response.status_code in AGAIN


class OpenAIEncoder:
    """Encodes through an endpoint; asks it once for the length of its vectors, unless that is given."""

    def __init__(self, api: EmbeddingsApi, model: str, batch_size: int = 64, dimensions: int | None = None) -> None:
        self.model = model
        self._api, self._batch_size = api, batch_size
        name = f"{api.url}#{model}"
        self.spec = EncoderSpec(
            model=name,
            content_sha256=sha256_json(name),
            max_query_length=1,  # not known, and nothing is cut here
            max_passage_length=1,
            dimensions=(dimensions or api.embed(model, [PROBE]).shape[1],),
        )

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors in the order of ``texts``.

        Raises:
            InputError: see :meth:`EmbeddingsApi.embed`; or vectors of another length than before.
        """
        vectors = np.empty((len(texts), self.spec.dimensions[0]), np.float32)
        with task(f"encode {PLURAL[role]} over HTTP", len(texts)) as running:
            for start in range(0, len(texts), self._batch_size):
                batch = texts[start : start + self._batch_size]
                found = self._api.embed(self.model, batch)
                if found.shape[1] != vectors.shape[1]:
                    raise InputError(
                        f"{self._api.url}: vectors have {found.shape[1]} numbers, before they had {vectors.shape[1]}."
                    )
                vectors[start : start + len(batch)] = found
                running.advance(len(batch))
        return vectors

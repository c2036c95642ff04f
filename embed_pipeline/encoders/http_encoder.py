"""An embeddings endpoint behind the Encoder protocol."""

import base64
import binascii
import time
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from embed_pipeline.encoders.loopback import is_loopback
from embed_pipeline.encoders.spec import PLURAL, EncoderSpec, Role, Vectors
from embed_pipeline.errors import DeployError
from embed_pipeline.progress import task

ATTEMPTS = 8
LONGEST_WAIT = 30.0  # seconds between two attempts
BUSY = (429, 503)


class HttpEncoder:
    """Encodes over ``POST <base_url>/embeddings`` with input_type and base64.

    Args:
        base_url: with or without ``/v1`` at its end.
        model: the served name.
        spec: what the endpoint should be serving; its full dimension is expected back.
        transport: for tests and proxies.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        spec: EncoderSpec,
        batch_size: int = 64,
        timeout: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.spec = spec
        self.model = model
        self.batch_size = batch_size
        self.url = f"{base_url.rstrip('/').removesuffix('/v1')}/v1/embeddings"
        self._client = httpx.Client(timeout=timeout, transport=transport, trust_env=not is_loopback(self.url))

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors in the order of ``texts``.

        Raises:
            DeployError: the endpoint cannot be reached, refuses, stays busy, or answers with another model,
                another dimension, missing vectors or numbers that are not finite.
        """
        vectors = np.empty((len(texts), self.spec.dimensions[0]), np.float32)
        with task(f"encode {PLURAL[role]} over HTTP", len(texts)) as running:
            for start in range(0, len(texts), self.batch_size):
                batch = list(texts[start : start + self.batch_size])
                vectors[start : start + len(batch)] = self._read(self._post(batch, role), len(batch))
                running.advance(len(batch))
        return vectors

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _post(self, batch: list[str], role: Role) -> Any:
        body = {"input": batch, "model": self.model, "input_type": role, "encoding_format": "base64"}
        for attempt in range(ATTEMPTS):
            try:
                response = self._client.post(self.url, json=body)
            except httpx.HTTPError as error:
                raise DeployError(f"{self.url}: no answer ({type(error).__name__}: {error}).") from error
            if response.status_code not in BUSY or attempt == ATTEMPTS - 1:
                break
            time.sleep(_wait(response, attempt))
        if response.status_code != httpx.codes.OK:
            raise DeployError(f"{self.url}: answered {response.status_code}: {response.text[:300]}")
        try:
            return response.json()
        except ValueError as error:
            raise DeployError(f"{self.url}: the answer is not JSON: {response.text[:100]!r}.") from error

    def _read(self, answer: Any, count: int) -> Vectors:
        """Check an answer and turn it into vectors [count, dimensions]."""
        try:
            model, data = answer["model"], answer["data"]
            order = [item["index"] for item in data]
            rows = [np.frombuffer(base64.b64decode(item["embedding"], validate=True), "<f4") for item in data]
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise DeployError(f"{self.url}: the answer is not a list of embeddings: {error!r}.") from error
        if model != self.model:
            raise DeployError(f"{self.url}: asked for model {self.model}, answered by {model}.")
        if order != list(range(count)):
            raise DeployError(f"{self.url}: {count} texts were sent, but the indices {order[:5]}… came back.")
        wrong = {len(row) for row in rows} - {self.spec.dimensions[0]}
        if wrong:
            raise DeployError(f"{self.url}: vectors have {min(wrong)} numbers instead of {self.spec.dimensions[0]}.")
        vectors: Vectors = np.stack(rows).astype(np.float32, copy=False)
        if not np.isfinite(vectors).all():
            raise DeployError(f"{self.url}: a vector holds NaN or infinity.")
        return vectors


def _wait(response: httpx.Response, attempt: int) -> float:
    """Seconds until the next attempt: what Retry-After says, else 0.5, 1, 2, …."""
    asked = response.headers.get("retry-after", "")
    seconds = float(asked) if asked.replace(".", "", 1).isdigit() else 0.5 * 2.0**attempt
    return min(seconds, LONGEST_WAIT)

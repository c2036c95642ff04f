"""A teacher behind an embeddings endpoint: each text is asked about once, and what it cost is booked.

Vectors lie with all others of the home, by address, so that another training with this teacher does not ask again.
What the endpoint counts is booked beside the replies of language models, under the name of the training's work folder.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urldefrag

from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.openai_encoder import EmbeddingsApi, OpenAIEncoder
from embed_pipeline.encoders.spec import Encoder, EncoderSpec, Role, Vectors
from embed_pipeline.files import sha256_json, write_json
from embed_pipeline.finetune.teacher import SETTING
from embed_pipeline.llm.endpoint import host_of
from embed_pipeline.llm.ledger import BYTES_PER_TOKEN
from embed_pipeline.llm.prices import known_price
from embed_pipeline.llm.responses import Entry, ResponseStore
from embed_pipeline.progress import say

LEARNED, EMBEDDINGS, RESPONSES = "teacher_endpoint.json", "embeddings", "responses.sqlite"
KEPT_AT_ONCE = 512
"""Texts asked about before their vectors are kept, which is what a kill can lose."""


class EndpointTeacher:
    """The encoder of ``https://host/v1#model``; the endpoint is asked for what is not known and for nothing else.

    Args:
        key_env: environment variable with the key.
        cache: vectors go to ``embeddings/`` in it, bookings to ``responses.sqlite``.
        work: what was learned of the endpoint is kept here; its name is the scope of the bookings.

    Raises:
        InputError: see :class:`embed_pipeline.encoders.openai_encoder.EmbeddingsApi`.
    """

    def __init__(self, address: str, key_env: str, cache: Path, work: Path) -> None:
        self._url, model = urldefrag(address)
        key = os.environ.get(key_env, "").strip()
        self._api = _BookedApi(self._url, key, cache / RESPONSES, work.name)
        learned = work / LEARNED
        known = json.loads(learned.read_text("utf-8")) if learned.is_file() else {}
        if known.get("address") == address:
            self._encoder = OpenAIEncoder(self._api, known["model"], dimensions=known["dimensions"])
        else:
            self._encoder = OpenAIEncoder(self._api, model or self._api.only_model())
            spec = self._encoder.spec
            known = {"address": address, "model": self._encoder.model, "dimensions": spec.dimensions[0]}
            write_json(learned, {**known, "encoder": spec.version()})
        self._cached = CachedEncoder(self._encoder.spec, self._told, cache / EMBEDDINGS)

    @property
    def spec(self) -> EncoderSpec:
        """Names the endpoint and the length of its vectors."""
        return self._encoder.spec

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors in the order of ``texts``.

        Raises:
            InputError: see :meth:`embed_pipeline.encoders.openai_encoder.EmbeddingsApi.embed`.
        """
        for start in range(0, len(texts), KEPT_AT_ONCE):
            self._cached.encode(texts[start : start + KEPT_AT_ONCE], role)
        return self._cached.encode(texts, role)

    def _told(self) -> Encoder:
        say(f"passages and questions are sent to {host_of(self._url)} ({SETTING})")
        return self._encoder


class _BookedApi(EmbeddingsApi):
    """Books every answer before it is handed on."""

    def __init__(self, url: str, key: str, responses: Path, scope: str) -> None:
        super().__init__(url, key, key_setting=f"{SETTING}_key_env")
        self._store, self._scope = ResponseStore(responses), scope

    def embed(self, model: str, texts: Sequence[str]) -> Vectors:
        started = time.monotonic()
        vectors = super().embed(model, texts)
        seconds = time.monotonic() - started
        guessed = sum(len(text.encode("utf-8", "replace")) for text in texts) // BYTES_PER_TOKEN
        tokens = guessed if self.counted is None else self.counted
        key = sha256_json([model, list(texts)])
        entry = Entry(self._scope, key, model, tokens, 0, seconds, self.counted is None, answered=True)
        self._store.keep(None, entry).result()
        return vectors


def encoder_version(work: Path) -> str:
    """Names the vectors of the endpoint that a training in this folder asked."""
    return str(json.loads((work / LEARNED).read_text("utf-8"))["encoder"])


def spending(cache: Path, work: Path, address: str) -> dict[str, float]:
    """What a training has asked its endpoint for, restarts included; empty where nothing was asked.

    Requests, tokens, seconds, and usd where the price of the model is known.
    """
    store = ResponseStore(cache / RESPONSES)
    booked = store.spending(work.name)
    store.close()
    found: dict[str, float] = {}
    for model, sums in booked.items():  # one: the address is part of what the folder is named by
        price = known_price(model, urldefrag(address).url)
        found |= sums if price is None else {**sums, "usd": price.usd(sums["prompt_tokens"], 0)}
    return found

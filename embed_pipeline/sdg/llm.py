"""Questions by a language model, from documents to judged candidates."""

from collections.abc import Mapping
from dataclasses import replace

import httpx
import polars as pl

from embed_pipeline.content_cache import ContentCache
from embed_pipeline.sdg.client import ChatClient
from embed_pipeline.sdg.generate import GenerationResult, generate_with_llm
from embed_pipeline.sdg.judge import judge_with_llm
from embed_pipeline.settings import SdgSettings


def write_questions(
    documents: pl.DataFrame,
    passages: pl.DataFrame,
    settings: SdgSettings,
    cache: ContentCache,
    transport: httpx.AsyncBaseTransport | None = None,
    environment: Mapping[str, str] | None = None,
) -> GenerationResult:
    """Generate with ``llm.model``, judge with ``llm.judge_model``; every answer goes through ``cache``.

    Returns:
        Judged candidates, what was set aside, and the usage of both steps.

    Raises:
        LLMAccessError: key, model or address unusable.
        LLMUnavailableError: the endpoint kept failing; answers received so far are in the cache.
    """
    client = ChatClient(settings.llm, cache, transport, environment)
    result = generate_with_llm(documents, passages, settings, client)
    judged = judge_with_llm(result.candidates, passages, settings, client)
    return replace(result, candidates=judged, usage=client.usage())

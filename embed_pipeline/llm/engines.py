"""Which client asks: our own, or NeMo Data Designer."""

from collections.abc import Mapping

import httpx

from embed_pipeline.llm.client import ChatClient
from embed_pipeline.llm.data_designer.client import DataDesignerClient
from embed_pipeline.llm.ledger import Ledger, prices_of
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.settings import SdgSettings


def open_client(
    settings: SdgSettings,
    store: ResponseStore,
    scope: str,
    transport: httpx.AsyncBaseTransport | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[ChatClient, Ledger]:
    """A client whose answers go to ``store`` and whose spending counts for ``scope``.

    Args:
        scope: one generation, across kills and restarts; the budget is for all of it.
    """
    ledger = Ledger(store, scope, prices_of(settings.llm), settings.budget_usd, settings.budget_tokens)
    if settings.engine == "data_designer":
        return DataDesignerClient(settings.llm, store, ledger, environment), ledger
    return ChatClient(settings.llm, store, ledger, transport, environment), ledger

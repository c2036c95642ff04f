"""Who asks a language model: what a chat engine offers, which engines there are, and how one is opened.

Another engine is a class that offers what :class:`ChatEngine` says (a subclass of
:class:`~embed_pipeline.llm.client.ChatClient` need only fetch replies in its own way), a line in :data:`ENGINES`, and
its name among the values of ``sdg.engine``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from embed_pipeline.llm.chat_api import Answer, Message
from embed_pipeline.llm.client import ChatClient
from embed_pipeline.llm.data_designer.client import DataDesignerClient
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.prices import check_budget, prices_of
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.settings import LLMSettings, SdgSettings


class ChatEngine(Protocol):
    """Asks one endpoint. Use as ``async with engine:`` around calls of :meth:`complete`."""

    @property
    def store(self) -> ResponseStore:
        """Where every reply goes the moment it arrives."""

    @property
    def concurrency(self) -> int:
        """How many calls of :meth:`complete` are wanted at once."""

    @property
    def answers(self) -> int:
        """Replies of the endpoint so far, usable or not."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What besides model and prompt decides an answer."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *reason: object) -> None: ...

    def note(self) -> str:
        """Where it stands, in a few words."""

    def known(self, model: str, messages: Sequence[Message], schema: type[Answer]) -> Answer | None:
        """See :meth:`embed_pipeline.llm.client.ChatClient.known`."""

    async def complete(self, model: str, messages: Sequence[Message], schema: type[Answer]) -> Answer:
        """See :meth:`embed_pipeline.llm.client.ChatClient.complete`."""
        ...


class EngineFactory(Protocol):
    """Makes an engine; ``environment`` is where the key is looked up, the process environment by default."""

    def __call__(
        self, settings: LLMSettings, store: ResponseStore, ledger: Ledger, *, environment: Mapping[str, str] | None
    ) -> ChatEngine: ...


ENGINES: Mapping[str, EngineFactory] = {
    "llm": ChatClient,
    "data_designer": DataDesignerClient,
}
"""By the value of ``sdg.engine``."""
DEFAULT = "llm"


def open_client(
    settings: SdgSettings, store: ResponseStore, scope: str, environment: Mapping[str, str] | None = None
) -> tuple[ChatEngine, Ledger]:
    """An engine whose answers go to ``store`` and whose spending counts for ``scope``.

    Args:
        scope: one generation, across kills and restarts; the budget is for all of it.

    Raises:
        SettingsError: see :func:`embed_pipeline.llm.prices.check_budget`, or the engine is not installed.
        LLMAccessError: llm.base_url is no usable address.
    """
    check_budget(settings)
    ledger = Ledger(store, scope, prices_of(settings.llm), settings.budget_usd, settings.budget_tokens)
    make = ENGINES.get(settings.engine, ENGINES[DEFAULT])
    return make(settings.llm, store, ledger, environment=environment), ledger

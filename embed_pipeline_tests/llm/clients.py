"""Chat clients for tests: quick to give up, on a store of their own."""

from collections import Counter

from pydantic import BaseModel

from embed_pipeline.llm.ask import Round, ask_all
from embed_pipeline.llm.client import ChatClient
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.prices import prices_of
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.settings import LLMSettings

KEY = "sk-very-secret-0123456789"
GOOD = {"word": "skein", "number": 3}


class Pair(BaseModel):
    word: str
    number: int


def client_of(
    url,
    tmp_path,
    key=KEY,
    transport=None,
    cache="cache.sqlite",
    scope="test",
    budget_usd=None,
    budget_tokens=None,
    **settings,
):
    values = {"timeout_seconds": 5, "max_attempts": 4, "concurrency": 4, **settings}
    llm = LLMSettings(base_url=url, model="m", api_key_env="TEST_LLM_API_KEY", **values)
    environment = {} if key is None else {"TEST_LLM_API_KEY": key}
    store = ResponseStore(tmp_path / cache)
    ledger = Ledger(store, scope, prices_of(llm), budget_usd, budget_tokens)
    return ChatClient(llm, store, ledger, transport, environment, backoff_seconds=0.01)


def numbered(count):
    """``count`` records r0, r1, … with the prompts "question 0", "question 1", …"""
    return lambda: ((f"r{number}", f"question {number}") for number in range(count))


def asked_all(client, count, model="m"):
    """The outcome of every record, by name, in the order given."""
    return dict(ask_all(Round(client, model, Pair, "ask"), numbered(count), count))


def words(server):
    """How often the server was asked each of the numbered prompts, repair turns included."""
    return Counter(" ".join(body["messages"][0]["content"].split()[:2]) for body in server.bodies)

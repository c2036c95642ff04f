"""Engines: those of the settings are those there are, and whatever keeps the protocol can ask."""

import asyncio
from typing import get_args

import pytest

from embed_pipeline.llm.ask import Round, answered, ask_all
from embed_pipeline.llm.client import BadAnswerError, ChatClient
from embed_pipeline.llm.engines import ENGINES, open_client
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.settings import LLMSettings, SdgSettings
from embed_pipeline_tests.llm.clients import Pair, numbered


class Canned:
    """Nothing but the protocol: gives every prompt its last word and number, a prompt ending in 3 a bad answer."""

    def __init__(self, settings, store, ledger, *, environment):
        self.store = store
        self.ledger = ledger
        self.concurrency = settings.concurrency
        self.answers = 0
        self.parameters = {"engine": "canned"}
        self.opened = False
        self._known = {}

    async def __aenter__(self):
        self.opened = True
        return self

    async def __aexit__(self, *reason):
        self.opened = False

    def note(self):
        return "canned"

    def known(self, model, messages, schema):
        answer = self._known.get(messages[0]["content"])
        if answer == "bad":
            raise BadAnswerError("canned refusal")
        return answer

    async def complete(self, model, messages, schema):
        assert self.opened
        prompt = messages[0]["content"]
        await asyncio.sleep(0)
        self.answers += 1
        word, number = prompt.split()
        self._known[prompt] = "bad" if number == "3" else schema(word=word, number=int(number))
        return self.known(model, messages, schema)


def test_the_settings_name_the_engines_there_are():
    names = set(get_args(SdgSettings.model_fields["engine"].annotation))
    assert names == {"auto", "offline", *ENGINES}
    for name in names:
        settings = SdgSettings(engine=name, llm=LLMSettings(base_url="http://127.0.0.1:9/v1", model="m"))
        assert settings.names_engine == (name in ENGINES)


@pytest.mark.parametrize("engine", ["auto", "llm", "offline"])  # what is mined may be denoised by a model all the same
def test_unless_another_is_named_our_own_client_asks(tmp_path, engine):
    settings = SdgSettings(engine=engine, llm=LLMSettings(base_url="http://127.0.0.1:9/v1", model="m", concurrency=7))
    store = ResponseStore(tmp_path / "r.sqlite")
    client, ledger = open_client(settings, store, "run", {})
    store.close()
    assert type(client) is ChatClient
    assert (client.store, client.ledger, client.concurrency, client.answers) == (store, ledger, 7, 0)


def test_another_engine_is_a_class_and_a_line(tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, "data_designer", Canned)
    settings = SdgSettings(engine="data_designer", llm=LLMSettings(base_url="http://127.0.0.1:9/v1", model="m"))
    store = ResponseStore(tmp_path / "r.sqlite")
    client, ledger = open_client(settings, store, "run", {})
    assert isinstance(client, Canned)
    assert client.ledger is ledger
    asking = Round(client, "m", Pair, "ask")
    assert [outcome for _, outcome in answered(asking, numbered(2))] == [None, None]
    outcomes = dict(ask_all(asking, numbered(5), 5))
    store.close()
    assert outcomes["r4"].answer == Pair(word="question", number=4)
    assert (outcomes["r3"].answer, outcomes["r3"].reason) == (None, "canned refusal")
    assert client.answers == 5

"""Data Designer asks the loopback endpoint; the tests that need it are skipped where it is not installed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from embed_pipeline.errors import BudgetExceededError, LLMAccessError, LLMUnavailableError, SettingsError
from embed_pipeline.llm.client import ChatClient
from embed_pipeline.llm.data_designer import process
from embed_pipeline.llm.data_designer.client import DataDesignerClient
from embed_pipeline.llm.data_designer.process import PYTHON, interpreter, run_pass
from embed_pipeline.llm.data_designer.program import _cause, _Reasons
from embed_pipeline.llm.engines import open_client
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.prices import prices_of
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.sdg.generation.generate import write_questions
from embed_pipeline.settings import LLMSettings
from embed_pipeline_tests.llm.chat_server import hang, later, ok, serving, status
from embed_pipeline_tests.llm.clients import GOOD, KEY, asked_all
from embed_pipeline_tests.sdg.author import Author
from embed_pipeline_tests.sdg.generation.test_generate import corpus_of, settings_of

HAS = bool(os.environ.get(PYTHON)) or find_spec("data_designer") is not None
needs_data_designer = pytest.mark.skipif(
    not HAS, reason=f"Data Designer is not installed, and {PYTHON} names no Python that has it"
)


def client_of(url, tmp_path, key=KEY, budget_tokens=None, **settings):
    values = {"timeout_seconds": 20, "concurrency": 4, **settings}
    llm = LLMSettings(base_url=url, model="m", api_key_env="TEST_LLM_API_KEY", **values)
    store = ResponseStore(tmp_path / "cache.sqlite")
    ledger = Ledger(store, "test", prices_of(llm), None, budget_tokens)
    return DataDesignerClient(llm, store, ledger, {} if key is None else {"TEST_LLM_API_KEY": key})


def text_of(body):
    """The prompt, which Data Designer sends in parts."""
    content = body["messages"][0]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def as_author(author):
    """An author that reads the schema's name out of Data Designer's instructions."""

    def reply(number, body):
        prompt = text_of(body)
        if "<response_schema>" in prompt:
            schema = json.loads(prompt.split("<response_schema>\n")[1].split("\n</response_schema>")[0])
            body = {**body, "response_format": {"json_schema": {"name": schema["title"]}}}
        return author(number, {**body, "messages": [{"role": "user", "content": prompt}]})

    return reply


@needs_data_designer
def test_both_engines_give_the_same_questions(tmp_path):
    corpus, results, bodies = corpus_of(6), [], []
    for engine, kind in (("llm", ChatClient), ("data_designer", DataDesignerClient)):
        with serving(as_author(Author())) as server:
            settings = settings_of(server.url, engine=engine, closed_book_check=False)
            store = ResponseStore(tmp_path / f"{engine}.sqlite")
            client, ledger = open_client(settings, store, "run", environment={})
            assert type(client) is kind
            results.append(write_questions(corpus, settings, client, ledger))
            bodies.append(server.bodies)
            calls = len(server.bodies)
            again = write_questions(corpus, settings, client, ledger)
            assert len(server.bodies) == calls  # everything is stored
            assert again.candidates.equals(results[-1].candidates)
            store.close()
    one, other = results
    assert one.candidates["score"].drop_nulls().len() > 0
    assert other.candidates.equals(one.candidates)
    assert other.set_aside.equals(one.set_aside)
    assert other.counts == one.counts
    assert other.usage["requests"] == one.usage["requests"] == other.usage["estimated"]
    ours, theirs = ({text_of(body).partition("\n\n")[0] for body in some} for some in bodies)
    assert ours == theirs  # the very same prompts


@needs_data_designer
def test_sampling_key_and_schema_arrive(tmp_path):
    with serving([ok(GOOD)]) as server:
        outcomes = asked_all(client_of(server.url, tmp_path, temperature=0.3, max_tokens=99), 3)
    assert [outcome.answer.model_dump() for outcome in outcomes.values()] == [GOOD] * 3
    assert len(server.bodies) == 3
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("m", 0.3, 0.95, 99)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert '"Pair"' in text_of(body)


@needs_data_designer
def test_prompts_are_never_read_as_templates(tmp_path):
    from embed_pipeline.llm.ask import Round, ask_all
    from embed_pipeline_tests.llm.clients import Pair

    hard = "{{ row }} {% if %} {# no #} <built-in function print> &amp; \u2028 größer"
    with serving([ok(GOOD)]) as server:
        asking = Round(client_of(server.url, tmp_path, key=None), "m", Pair, "ask")
        assert [outcome.answer for _, outcome in ask_all(asking, lambda: [("r", hard)], 1)] == [Pair(**GOOD)]
    assert text_of(server.bodies[0]).startswith(hard)
    assert "Authorization" not in server.headers[0] or KEY not in server.headers[0]["Authorization"]


@needs_data_designer
def test_a_bad_answer_sets_one_record_aside_with_its_reason(tmp_path):
    def reply(_, body):
        return ok("no JSON at all") if text_of(body).startswith("question 1") else ok(GOOD)

    with serving(reply) as server:
        outcomes = asked_all(client_of(server.url, tmp_path), 3)
        assert len(server.bodies) == 4  # with one turn of repair
    assert [outcome.answer is None for outcome in outcomes.values()] == [False, True, False]
    assert outcomes["r1"].reason.startswith("Data Designer got no usable answer. Cause: The model output from 'm'")


@needs_data_designer
def test_nothing_but_bad_answers(tmp_path):
    with serving([ok("no JSON at all")]) as server:
        outcomes = asked_all(client_of(server.url, tmp_path), 2)
    assert all(outcome.answer is None for outcome in outcomes.values())


@needs_data_designer
@pytest.mark.parametrize("code", [401, 403, 404])
def test_refused_access(code, tmp_path):
    said = "Check the key in the environment variable TEST_LLM_API_KEY"
    with (
        serving([status(code, {"error": {"message": f"what is {KEY}?"}})]) as server,
        pytest.raises(LLMAccessError, match=said) as caught,
    ):
        asked_all(client_of(server.url, tmp_path), 2)
    assert KEY not in str(caught.value)


@needs_data_designer
def test_an_endpoint_that_is_down(tmp_path):
    said = "Data Designer got no answer from http"
    with serving([status(500, "oops")]) as server, pytest.raises(LLMUnavailableError, match=said):
        asked_all(client_of(server.url, tmp_path), 2)


@needs_data_designer
def test_answers_before_a_failure_are_kept_and_not_asked_again(tmp_path):
    def reply(number, body):
        return ok(GOOD) if number < 16 else later(1, status(401, "no"))

    with serving(reply) as server:
        with pytest.raises(LLMAccessError):
            asked_all(client_of(server.url, tmp_path), 20)
        first = len(server.bodies)
    with serving([ok(GOOD)]) as server:
        outcomes = asked_all(client_of(server.url, tmp_path), 20)
        assert len(server.bodies) == 4
    assert first == 20
    assert all(outcome.answer for outcome in outcomes.values())


@needs_data_designer
def test_the_budget_is_kept(tmp_path):
    with serving([ok(GOOD)]) as server:
        with pytest.raises(BudgetExceededError, match="answers are kept"):
            asked_all(client_of(server.url, tmp_path, budget_tokens=1200, max_tokens=300), 12)
        assert 0 < len(server.bodies) < 12
        spent = ResponseStore(tmp_path / "cache.sqlite").spending("test")["m"]
    assert spent["prompt_tokens"] + spent["completion_tokens"] <= 1200


@needs_data_designer
def test_the_key_is_never_on_the_disk_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    seen: list[tuple[str, bool]] = []

    def reply(_, body):
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        seen.extend((path.name, KEY.encode() in path.read_bytes()) for path in files)
        return ok(GOOD)

    with serving(reply) as server:
        asked_all(client_of(server.url, tmp_path), 2)
    assert {name for name, _ in seen} >= {"prompts.jsonl", "log"}
    assert not any(found for _, found in seen)
    assert list((tmp_path / "tmp").iterdir()) == []


@needs_data_designer
def test_it_dies_with_its_parent(tmp_path):
    script = """
import sys, pathlib
from embed_pipeline_tests.llm.data_designer.test_client import client_of, asked_all
asked_all(client_of(sys.argv[1], pathlib.Path(sys.argv[2])), 100)
"""
    with serving([hang(30)]) as server:
        parent = subprocess.Popen([sys.executable, "-c", script, server.url, str(tmp_path)])
        deadline = time.monotonic() + 60
        while not server.in_flight and time.monotonic() < deadline:
            time.sleep(0.1)
        children = subprocess.run(
            ["pgrep", "-P", str(parent.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        while any(os.path.exists(f"/proc/{child}") for child in children) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert children
        assert not any(os.path.exists(f"/proc/{child}") for child in children)


# -- without Data Designer -------------------------------------------------------------------------------


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.setattr(process, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"not installed. Install the extra \(pip install .*data-designer"):
        client_of("http://127.0.0.1:9/v1", tmp_path)


def test_an_interpreter_that_is_none():
    with pytest.raises(SettingsError, match=f"{PYTHON}: /no/such is no program"):
        interpreter({PYTHON: "/no/such"})


def test_an_interpreter_of_ones_own():
    assert interpreter({PYTHON: f" {sys.executable} "}) == sys.executable


@pytest.mark.skipif(find_spec("data_designer") is not None, reason="Data Designer is installed here")
def test_an_interpreter_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, sys.executable)
    with pytest.raises(SettingsError, match="cannot run Data Designer: No module named 'data_designer'"):
        asked_all(client_of("http://127.0.0.1:9/v1", tmp_path), 1)


def test_a_program_that_breaks_off():
    async def lines():
        return [line async for line in run_pass("/bin/false", {}, [], {})]

    assert asyncio.run(lines()) == [{"error": "it ended with code 1: it said nothing", "kinds": []}]


def test_its_constraints_are_ours_but_for_what_it_holds_back():
    root = Path(__file__).parents[3]
    if not (root / "constraints.txt").is_file():
        pytest.skip("not in a checkout")
    ours, its = (
        dict(line.split("==") for line in (root / name).read_text().splitlines() if "==" in line)
        for name in ("constraints.txt", "constraints-data-designer.txt")
    )
    held = {name for name in its if name in ours and its[name] != ours[name]}
    held -= {"opentelemetry-api", "opentelemetry-sdk", "opentelemetry-semantic-conventions"}  # pinned for MLflow
    assert held == {"huggingface-hub", "pyarrow", "rich"}, "constraints-data-designer.txt must follow constraints.txt"


def test_reasons_are_read_from_the_log():
    import logging

    said: list[dict[str, Any]] = []
    handler = _Reasons(16, list(range(40)), said.append)
    text = "Non-retryable failure on answer[rg=1, row=2]:   |----------\n  | Cause: Too long.\n  | Solution: Cut it."
    for message in (text, "something else", text.replace("rg=1", "rg=9")):
        handler.emit(logging.LogRecord("x", logging.WARNING, "", 0, message, None, None))
    assert said == [{"row": 18, "reason": "Cause: Too long.", "kinds": []}]
    assert _cause("plain words") == "plain words"

import asyncio
import contextlib
import email.utils
import json
import logging
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import LLMAccessError, LLMUnavailableError, UserError
from embed_pipeline.llm.chat_api import RetryableError, error_message, read_reply, retry_after
from embed_pipeline.llm.client import BadAnswerError
from embed_pipeline_tests.llm.chat_server import completion, hang, ok, reset_mid_body, serving, status
from embed_pipeline_tests.llm.clients import GOOD, KEY, Pair, client_of


async def ask(client, prompt="hello", model="m"):
    async with client:
        return await client.complete(model, [{"role": "user", "content": prompt}], Pair)


def asked(client, prompt="hello", model="m"):
    return asyncio.run(ask(client, prompt, model))


TROUBLE = {
    "rate limited": [status(429, {"error": {"message": "slow down"}})],
    "rate limited with seconds": [status(429, "", Retry_After="0")],
    "server error": [status(500, "oops")],
    "bad gateway with a page": [status(502, "<html>Bad gateway</html>")],
    "overloaded": [status(503), status(529)],
    "reset mid-body": [reset_mid_body],
    "truncated body": [status(200, json.dumps(completion(json.dumps(GOOD)))[:40])],
    "error in disguise": [status(200, {"error": {"message": "upstream timed out", "code": 504}})],
    "no choices": [status(200, {"choices": []}), status(200, {"choices": None}), status(200, {})],
    "deep nonsense": [status(200, "[" * 100_000)],
    "garbage bytes": [status(200, b"\xff\xfe\x00garbage\x80")],
}


@pytest.mark.parametrize("name", TROUBLE)
def test_passing_trouble_is_outlived(name, tmp_path):
    with serving([*TROUBLE[name], ok(GOOD)]) as server:
        client = client_of(server.url, tmp_path)
        assert asked(client) == Pair(**GOOD)
        assert len(server.bodies) == len(TROUBLE[name]) + 1
        totals = client.ledger.totals()
        assert totals["requests"] == 1
        if not totals["estimated"]:
            assert (totals["prompt_tokens"], totals["completion_tokens"]) == (7, 3)


def test_a_hanging_answer_is_given_up_and_asked_again(tmp_path):
    with serving([hang(3), ok(GOOD)]) as server:
        began = time.monotonic()
        assert asked(client_of(server.url, tmp_path, timeout_seconds=0.3)) == Pair(**GOOD)
        assert time.monotonic() - began < 2


def test_an_answer_that_drips_does_not_outlast_the_timeout(tmp_path):
    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    with serving([drip]) as server, pytest.raises(LLMUnavailableError, match=r"no answer within 0\.3 s"):
        asked(client_of(server.url, tmp_path, timeout_seconds=0.3, max_attempts=1))


def test_retry_after_is_honoured(tmp_path):
    with serving([status(429, "", Retry_After="1"), ok(GOOD)]) as server:
        began = time.monotonic()
        assert asked(client_of(server.url, tmp_path)) == Pair(**GOOD)
        assert time.monotonic() - began >= 1


def test_retry_after_as_a_date_and_as_nonsense():
    later = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < retry_after(httpx.Response(429, headers={"Retry-After": later})) <= 30
    assert retry_after(httpx.Response(429, headers={"Retry-After": "1.5"})) == 1.5
    assert retry_after(httpx.Response(429, headers={"Retry-After": "soon"})) is None
    assert retry_after(httpx.Response(429)) is None


def test_a_very_long_retry_after_is_reported_at_once(tmp_path):
    with (
        serving([status(429, {"error": {"message": "daily limit"}}, Retry_After="86400")]) as server,
        pytest.raises(LLMUnavailableError, match=r"come back in 86400 s.*daily limit"),
    ):
        asked(client_of(server.url, tmp_path))
    assert len(server.bodies) == 1


def test_lasting_failure_stops_after_max_attempts(tmp_path):
    with serving([status(500, "oops")]) as server:
        with pytest.raises(LLMUnavailableError, match="still fails after 4 attempts: 500: oops"):
            asked(client_of(server.url, tmp_path))
        assert len(server.bodies) == 4


def test_nobody_listens(tmp_path):
    with serving([ok(GOOD)]) as server:
        url = server.url
    with pytest.raises(LLMUnavailableError, match="ConnectError"):
        asked(client_of(url, tmp_path, max_attempts=2))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (status(401, {"error": {"message": f"Incorrect key {KEY}"}}), "key was refused.*TEST_LLM_API_KEY"),
        (status(403, f"no access with {KEY}"), "access was refused.*TEST_LLM_API_KEY"),
        (status(402, "pay"), "cannot pay.*TEST_LLM_API_KEY"),
        (status(429, {"error": {"message": "quota", "code": "insufficient_quota"}}), "cannot pay"),
        (status(404, {"error": {"message": "no model m"}}), "serves the model m"),
        (status(307, "", Location="http://example.com/"), "sdg.llm.base_url"),
    ],
)
def test_what_the_user_must_put_right_is_said_at_once(reply, words, tmp_path):
    with serving([reply]) as server:
        with pytest.raises(LLMAccessError, match=words) as caught:
            asked(client_of(server.url, tmp_path))
        assert len(server.bodies) == 1
    assert isinstance(caught.value, UserError)
    assert caught.value.exit_code == 2
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        status(401, KEY),
        status(500, KEY),
        status(400, {"error": {"message": KEY}}),
        ok("", refusal=f"I will not use {KEY}"),
        reset_mid_body,
    ],
)
def test_the_key_is_in_no_error_and_no_log(reply, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with serving([reply]) as server:
        with pytest.raises(Exception) as caught:
            asked(client_of(server.url, tmp_path, max_attempts=2))
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    text = "".join(traceback.format_exception(caught.value))
    assert KEY not in text
    assert KEY not in caplog.text
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_missing_key_is_named_before_any_call(tmp_path):
    calls: list[httpx.Request] = []

    def answer(request):
        calls.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(answer)
    client = client_of("https://llm.example.com/v1", tmp_path, key=None, transport=transport)
    with pytest.raises(LLMAccessError, match=r"TEST_LLM_API_KEY is not set.*llm.example.com"):
        client.check_access()
    with pytest.raises(LLMAccessError, match="TEST_LLM_API_KEY"):
        asked(client)
    assert not calls


def test_an_impossible_key_is_not_shown(tmp_path):
    client = client_of("https://llm.example.com/v1", tmp_path, key="se\ncret\x07")
    with pytest.raises(LLMAccessError, match="TEST_LLM_API_KEY") as caught:
        asked(client)
    assert "cret" not in str(caught.value)


def test_an_endpoint_on_this_machine_needs_no_key(tmp_path):
    with serving([ok(GOOD)]) as server:
        assert asked(client_of(server.url, tmp_path, key=None)) == Pair(**GOOD)
        assert "Authorization" not in server.headers[0]


def test_no_address_is_named(tmp_path):
    with pytest.raises(LLMAccessError, match="base_url"):
        client_of(None, tmp_path)


ODD_BUT_USABLE = {
    "fence": f"Here it is:\n```json\n{json.dumps(GOOD)}\n```\nAnything else?",
    "thinking": f'<think>maybe {{"word": 1}}?</think>{json.dumps(GOOD)}',
    "two objects": '{"note": "draft"} ' + json.dumps(GOOD),
    "more keys": {**GOOD, "comment": "x"},
    "raw line break in a text": '{"word": "ske\nin", "number": 3}',
    "duplicated keys": '{"word": "first", "word": "skein", "number": 1, "number": 3}',
    "control characters": '{"word": "sk\x00\x07ein", "number": 3}',
    "byte order mark": "\ufeff" + json.dumps(GOOD),
    "half a surrogate": '{"word": "sk\\ud83d", "number": 3}',
}


@pytest.mark.parametrize("name", ODD_BUT_USABLE)
def test_answers_in_odd_dress_are_read(name, tmp_path):
    with serving([ok(ODD_BUT_USABLE[name])]) as server:
        answer = asked(client_of(server.url, tmp_path))
        assert answer.number == 3
        assert answer.word.encode("utf-8").startswith(b"sk")
        assert len(server.bodies) == 1


def test_content_in_parts_is_joined(tmp_path):
    text = json.dumps(GOOD)
    parts = [{"type": "text", "text": text[:5]}, {"type": "text", "text": text[5:]}]
    with serving([status(200, completion(parts))]) as server:
        assert asked(client_of(server.url, tmp_path)) == Pair(**GOOD)


BAD_ANSWERS = {
    "wrong schema": (ok({"word": "skein"}), "number"),
    "wrong type": (ok({"word": "skein", "number": "three"}), "number"),
    "prose": (ok("I would rather not."), "no JSON object"),
    "empty": (ok(""), "empty"),
    "choices of no form": (status(200, {"choices": ["x"], "usage": "y"}), "empty"),
    "cut": (ok('{"word": "ske', finish="length"), "cut off at llm.max_tokens"),
    "thought too long": (ok("", finish="length"), "llm.max_tokens"),
    "deep nonsense": (ok('{"a":' * 5000), "no JSON object"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_gets_one_repair_turn(name, tmp_path):
    reply, problem = BAD_ANSWERS[name]
    with serving([reply, ok(GOOD)]) as server:
        assert asked(client_of(server.url, tmp_path)) == Pair(**GOOD)
        assert len(server.bodies) == 2
        assert problem.split()[-1] in server.prompts[1]
        roles = [message["role"] for message in server.bodies[1]["messages"]]
        assert roles in (["user"], ["user", "assistant", "user"])


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_second_bad_answer_is_an_error_of_this_record(name, tmp_path):
    reply, problem = BAD_ANSWERS[name]
    with serving([reply]) as server:
        with pytest.raises(BadAnswerError, match=f"after a repair turn: .*{problem}"):
            asked(client_of(server.url, tmp_path))
        assert len(server.bodies) == 2


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_was_paid_for_and_is_not_asked_for_again(name, tmp_path):
    reply, problem = BAD_ANSWERS[name]
    with serving([reply]) as server:
        client = client_of(server.url, tmp_path)
        for _ in range(2):
            with pytest.raises(BadAnswerError, match=f"after a repair turn: .*{problem}"):
                asked(client)
        assert len(server.bodies) == 2
        with pytest.raises(BadAnswerError, match=problem):
            client.known("m", [{"role": "user", "content": "hello"}], Pair)
        assert client.ledger.totals()["requests"] == 2


def test_the_first_bad_reply_is_kept_when_the_run_ends_before_the_repair(tmp_path):
    with serving([ok("prose"), status(401)]) as server, pytest.raises(LLMAccessError):
        asked(client_of(server.url, tmp_path))
    with serving([ok(GOOD)]) as server:
        client = client_of(server.url, tmp_path)
        assert client.known("m", [{"role": "user", "content": "hello"}], Pair) is None
        assert asked(client) == Pair(**GOOD)
        assert len(server.bodies) == 1
        assert "no JSON object" in server.prompts[0]
        assert client.known("m", [{"role": "user", "content": "hello"}], Pair) == Pair(**GOOD)


def test_a_refusal_is_not_argued_with(tmp_path):
    with serving([ok("", refusal="I cannot help with that")]) as server:
        with pytest.raises(BadAnswerError, match="refused: I cannot help with that"):
            asked(client_of(server.url, tmp_path))
        assert len(server.bodies) == 1


def test_usage_may_be_missing(tmp_path):
    with serving([ok(GOOD, usage=None)]) as server:
        client = client_of(server.url, tmp_path)
        assert asked(client) == Pair(**GOOD)
        totals = client.ledger.totals()
        assert totals["estimated"] == 1
        assert totals["completion_tokens"] == len(json.dumps(GOOD)) // 3 + 1
        assert 0 < totals["prompt_tokens"] < len(json.dumps(server.bodies[0]))


@pytest.mark.parametrize("usage", [(-1, "3"), (True, 1.5), (None, None), (10**30, 10**400)])
def test_nonsense_as_usage_is_estimated(usage, tmp_path):
    with serving([ok(GOOD, usage=usage)]) as server:
        client = client_of(server.url, tmp_path)
        assert asked(client) == Pair(**GOOD)
        assert client.ledger.totals()["estimated"] == 1
        assert 0 < client.ledger.totals()["completion_tokens"] < 4096


@pytest.mark.parametrize("code", [400, 422])
@pytest.mark.parametrize("taken", ["json_schema", "json_object", "plain"])
def test_structured_output_falls_back_and_remembers(code, taken, tmp_path):
    def reply(_, body):
        form = body.get("response_format", {}).get("type", "plain")
        return ok(GOOD) if form == taken else status(code, {"error": {"message": "response_format unknown"}})

    with serving(reply) as server:
        client = client_of(server.url, tmp_path)
        assert asked(client, "one") == asked(client, "two") == Pair(**GOOD)
        forms = [body.get("response_format", {}).get("type", "plain") for body in server.bodies]
    order = ["json_schema", "json_object", "plain"]
    assert forms == [*order[: order.index(taken) + 1], taken]
    described = '"number"' in server.prompts[-1]
    assert described == (taken != "json_schema")


def test_sampling_parameters_that_are_refused_are_left_out(tmp_path):
    def reply(_, body):
        if "max_tokens" in body:
            return status(400, {"error": {"message": "Unsupported: 'max_tokens'. Use 'max_completion_tokens'."}})
        if "temperature" in body:
            return status(400, {"error": {"message": "'temperature' does not support 0.6"}})
        return ok(GOOD)

    with serving(reply) as server:
        client = client_of(server.url, tmp_path)
        assert asked(client, "one") == asked(client, "two") == Pair(**GOOD)
        assert len(server.bodies) == 4
        assert server.bodies[-1]["max_completion_tokens"] == 4096
        assert server.bodies[-1]["response_format"]["type"] == "json_schema"


def test_one_refused_request_does_not_weaken_the_next(tmp_path):
    def reply(_, body):
        long = "long" in body["messages"][-1]["content"].split()
        return status(400, {"error": {"message": "context length exceeded"}}) if long else ok(GOOD)

    with serving(reply) as server:
        client = client_of(server.url, tmp_path)
        with pytest.raises(BadAnswerError, match="context length exceeded"):
            asked(client, "a long one")
        assert asked(client, "short") == Pair(**GOOD)
        assert server.bodies[-1]["response_format"]["type"] == "json_schema"


def test_a_second_run_makes_no_call_even_without_server_or_key(tmp_path):
    with serving([ok(GOOD)]) as server:
        assert asked(client_of(server.url, tmp_path)) == Pair(**GOOD)
    elsewhere = client_of("https://elsewhere.example.com/v1", tmp_path, key=None)
    assert asked(elsewhere) == Pair(**GOOD)
    assert elsewhere.ledger.totals()["requests"] == 1  # the scope's, booked by the first run


@pytest.mark.parametrize("change", [{"temperature": 0.1}, {"top_p": 0.5}, {"max_tokens": 100}, {"model": "other"}])
def test_what_changes_an_answer_is_asked_again(change, tmp_path):
    model = change.pop("model", "m")
    with serving([ok(GOOD), ok({"word": "other", "number": 4})]) as server:
        asked(client_of(server.url, tmp_path))
        assert asked(client_of(server.url, tmp_path, **change), model=model).number == 4
        assert len(server.bodies) == 2


def test_what_cannot_change_an_answer_is_not(tmp_path):
    with serving([ok(GOOD)]) as server:
        asked(client_of(server.url, tmp_path))
        asked(client_of(server.url, tmp_path, concurrency=1, timeout_seconds=9, max_attempts=1))
        assert len(server.bodies) == 1


def test_calling_a_closed_client_is_explained(tmp_path):
    client = client_of("http://127.0.0.1:9/v1", tmp_path)
    with pytest.raises(Exception, match="async with client"):
        asyncio.run(client.complete("m", [{"role": "user", "content": "x"}], Pair))


@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none()
            | st.booleans()
            | st.floats()
            | st.integers()
            | st.text(max_size=8)
            | st.sampled_from(["choices", "usage", "message", "error", "content"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["choices", "usage", "message", "error", "content", "prompt_tokens", "refusal"]),
                    inner,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_body_whatever_breaks_the_reader(body):
    with contextlib.suppress(RetryableError):
        reply = read_reply(body)
        (reply.content + reply.refusal).encode("utf-8")
        assert all(count is None or 0 <= count <= 2**40 for count in (reply.prompt_tokens, reply.completion_tokens))
    assert len(error_message(body)) <= 200


@given(st.text(max_size=40))
def test_no_retry_after_header_whatever_breaks_the_client(value):
    try:
        response = httpx.Response(429, headers={"Retry-After": value})
    except (UnicodeEncodeError, ValueError):
        return
    seconds = retry_after(response)
    assert seconds is None or seconds >= 0


KILLED = """
import asyncio, sys
from pathlib import Path
from pydantic import BaseModel
from embed_pipeline.llm.client import ChatClient
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.settings import LLMSettings

class Pair(BaseModel):
    word: str
    number: int

async def main():
    store = ResponseStore(Path(sys.argv[2]))
    ledger = Ledger(store, "test", {}, None, None)
    client = ChatClient(LLMSettings(base_url=sys.argv[1], model="m"), store, ledger, None, {})
    async with client:
        for number in range(5):
            await client.complete("m", [{"role": "user", "content": f"question {number}"}], Pair)
            print(number, flush=True)

asyncio.run(main())
"""


def test_a_killed_run_keeps_every_answer_it_received(tmp_path):
    def reply(number, _):
        return ok(GOOD) if number < 3 else hang(60)

    with serving(reply) as server:
        command = [sys.executable, "-c", textwrap.dedent(KILLED), server.url, str(tmp_path / "cache.sqlite")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert [process.stdout.readline().strip() for _ in range(3)] == ["0", "1", "2"]
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with serving([ok(GOOD)]) as server:
        client = client_of(server.url, tmp_path)
        for number in range(5):
            assert asked(client, f"question {number}") == Pair(**GOOD)
        assert server.prompts == ["question 3", "question 4"]
        assert client.ledger.totals()["requests"] == 5  # booked before the kill: 3

"""Whole rounds against an endpoint that misbehaves: nothing crashes, nothing is paid twice, the cap holds."""

import asyncio
import itertools
import json
import re
import threading
import time

import pytest

from embed_pipeline.errors import BudgetExceededError, LLMAccessError, LLMUnavailableError
from embed_pipeline.llm import endpoint
from embed_pipeline.llm.ask import Outcome, Round, answered, ask_all
from embed_pipeline.llm.throttle import EndpointDownError
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline_tests.llm.chat_server import completion, hang, later, ok, reset_mid_body, serving, status
from embed_pipeline_tests.llm.clients import GOOD, Pair, asked_all, client_of, numbered, words


def number_in(body):
    return int(body["messages"][0]["content"].split()[1])


def echo(_, body):
    """Every prompt gets its own answer."""
    return ok({"word": "w", "number": number_in(body)})


def test_outcomes_come_in_the_order_of_the_prompts_and_answers_are_those_of_the_prompts(tmp_path):
    def reply(_, body):
        return later(0.05 * (number_in(body) % 3), echo(_, body))

    with serving(reply) as server:
        outcomes = asked_all(client_of(server.url, tmp_path), 12)
        assert list(outcomes) == [f"r{number}" for number in range(12)]
        assert [outcome.answer.number for outcome in outcomes.values()] == list(range(12))
        assert server.most_in_flight == 4


def test_everything_is_asked_before_the_first_outcome_is_read(tmp_path):
    calls = []

    def prompts():
        calls.append(1)
        return numbered(6)()

    with serving(echo) as server:
        client = client_of(server.url, tmp_path)
        outcomes = ask_all(Round(client, "m", Pair, "ask"), prompts, 6)
        assert len(server.bodies) == 6
        assert len(calls) == 1
    assert len(list(outcomes)) == 6  # read from the store, the server being gone
    assert len(calls) == 2


def test_a_second_run_asks_nothing_also_of_records_set_aside(tmp_path):
    def reply(_, body):
        case = number_in(body) % 4
        if case == 1:
            return ok("", refusal="no")
        return {0: ok(GOOD), 2: ok("prose"), 3: ok({"word": 1})}[case]

    with serving(reply) as server:
        first = asked_all(client_of(server.url, tmp_path), 8)
        asked = len(server.bodies)
        assert asked == 2 + 2 + 4 + 4
        client = client_of(server.url, tmp_path)
        assert asked_all(client, 8) == first
        assert len(server.bodies) == asked
        assert client.ledger.totals()["requests"] == asked
    assert first["r0"] == Outcome(Pair(**GOOD))
    assert first["r1"] == Outcome(None, "the model refused: no")
    assert "no JSON object" in first["r2"].reason
    assert "after a repair turn" in first["r3"].reason


def test_what_is_known_can_be_listed_without_asking(tmp_path):
    with serving(lambda _, body: ok("", refusal="no") if number_in(body) == 1 else ok(GOOD)) as server:
        asked_all(client_of(server.url, tmp_path), 2)
    client = client_of("http://127.0.0.1:9/v1", tmp_path)
    known = dict(answered(Round(client, "m", Pair, "x"), numbered(3)))
    assert known == {"r0": Outcome(Pair(**GOOD)), "r1": Outcome(None, "the model refused: no"), "r2": None}


def test_records_with_the_same_prompt_are_asked_once(tmp_path):
    with serving(lambda *_: later(0.05, ok(GOOD))) as server:
        client = client_of(server.url, tmp_path)
        same = lambda: ((f"r{number}", "question 0") for number in range(6))  # noqa: E731
        outcomes = dict(ask_all(Round(client, "m", Pair, "ask"), same, 6))
        assert {outcome.answer.number for outcome in outcomes.values()} == {3}
        assert len(outcomes) == 6
        assert len(server.bodies) == 1


def test_it_works_inside_a_running_event_loop(tmp_path):
    async def notebook(client):
        return asked_all(client, 3)

    with serving(echo) as server:
        client = client_of(server.url, tmp_path)
        assert len(asyncio.run(notebook(client))) == 3
        assert len(asked_all(client, 5)) == 5  # the same client in another loop
        assert len(server.bodies) == 5


def test_progress_tells_what_is_in_flight_and_spent(tmp_path):
    said: list[str] = []
    with (
        serving(lambda *_: later(0.02, ok(GOOD, usage=(1_000_000, 0)))) as server,
        reporting(LogReporter(said.append, 0)),
    ):
        asked_all(client_of(server.url, tmp_path, prompt_price=0.5, completion_price=1), 8)
    assert said[0] == "ask: 8 to do"
    notes = [match for line in said if (match := re.search(r"(\d+) in flight, (\d+\.\d\d) USD", line))]
    assert notes, said
    in_flight, spent = ([float(match[place]) for match in notes] for place in (1, 2))
    assert spent == sorted(spent)
    assert spent[-1] == 4.0  # eight answers; how many of them a line finds there is up to the machine
    assert in_flight[-1] < 8
    assert said[-1].startswith("ask: 8 in ")


TROUBLES = [
    status(500, "oops"),
    status(502, "<html>"),
    status(429, {"error": {"message": "slow"}}),
    status(429, "", Retry_After="0.1"),
    reset_mid_body,
    status(200, json.dumps(completion(json.dumps(GOOD)))[:40]),
    status(200, {"choices": []}),
    status(200, b"\xff\xfe\x00garbage\x80"),
    hang(0.5),
    ok("prose"),
    ok('{"word": "half \\ud83d", "number": "x"}'),
    ok({"other": "schema"}),
]


def test_an_endpoint_that_does_everything_wrong_now_and_then_is_outlived(tmp_path):
    """Each prompt meets another trouble first; every one is answered in the end."""
    seen = set()

    def reply(_, body):
        number = number_in(body)
        if number not in seen:
            seen.add(number)
            return TROUBLES[number % len(TROUBLES)]
        return echo(_, body)

    with serving(reply) as server:
        client = client_of(server.url, tmp_path, timeout_seconds=0.4, concurrency=8)
        outcomes = asked_all(client, 2 * len(TROUBLES))
        assert [outcome.answer.number for outcome in outcomes.values()] == list(range(2 * len(TROUBLES)))
        assert set(words(server).values()) == {2}
        assert client.ledger.totals()["requests"] == 2 * (len(TROUBLES) + 3)


@pytest.mark.parametrize(
    "trouble", [status(500, "oops"), status(200, {"choices": []}), status(200, "{"), reset_mid_body]
)
def test_a_record_for_which_the_endpoint_always_fails_is_set_aside(trouble, tmp_path):
    with serving(lambda _, body: trouble if number_in(body) == 2 else echo(_, body)) as server:
        client = client_of(server.url, tmp_path)
        outcomes = asked_all(client, 6)
        assert [record for record, outcome in outcomes.items() if outcome.answer is None] == ["r2"]
        assert "still fails after 4 attempts" in outcomes["r2"].reason
        assert words(server)["question 2"] == 4
        again = asked_all(client_of(server.url, tmp_path), 6)  # alone it still does not stop the run
        assert again == outcomes


def test_an_empty_choice_is_paid_for_as_the_endpoint_says(tmp_path):
    empty = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 5}}
    with serving([status(200, empty), ok(GOOD, usage=(7, 3))]) as server:
        client = client_of(server.url, tmp_path)
        asked_all(client, 1)
        totals = client.ledger.totals()
        assert (totals["requests"], totals["prompt_tokens"], totals["completion_tokens"]) == (1, 18, 8)
        assert totals == client_of(server.url, tmp_path).ledger.totals()


def test_a_timed_out_request_counts_at_its_worst_case(tmp_path):
    with serving([hang(2), ok(GOOD)]) as server:
        client = client_of(server.url, tmp_path, timeout_seconds=1, max_tokens=500)
        asked_all(client, 1)
        totals = client.ledger.totals()
        assert totals["requests"] == totals["estimated"] == 1
        assert totals["completion_tokens"] == 500 + 3


def test_a_request_the_endpoint_refuses_sets_its_record_aside(tmp_path):
    def reply(_, body):
        return status(413, {"error": {"message": "too long"}}) if number_in(body) == 1 else echo(_, body)

    with serving(reply) as server:
        client = client_of(server.url, tmp_path)
        outcomes = asked_all(client, 3)
        assert outcomes["r1"].reason == "the endpoint refuses the request (413): too long"
        assert outcomes["r2"].answer.number == 2
        assert client.ledger.totals()["requests"] == 2


def test_concurrency_falls_when_the_endpoint_asks_for_it_and_recovers(tmp_path):
    """Three at once are borne at first, later any number."""
    phase = {"bears": 3, "most": 0, "latency": 0.1}
    lock = threading.Lock()

    def reply(_, body):
        with lock:
            in_flight = server.in_flight
            phase["most"] = max(phase["most"], in_flight)
        return later(phase["latency"], echo(_, body) if in_flight <= phase["bears"] else status(429, ""))

    with serving(reply) as server:
        client = client_of(server.url, tmp_path, concurrency=16, max_attempts=3)
        assert all(outcome.answer is not None for outcome in asked_all(client, 40).values())
        assert phase["most"] > 6
        assert client.gate.limiter.limit < 8
        refused = sum(words(server).values()) - 40
        assert 0 < refused < 120
        phase["most"] = 0
        asked_all(client, 50)  # the limit that was learned is kept for the next round
        assert phase["most"] < 8
        phase.update(bears=1000, most=0, latency=0.1)
        outcomes = asked_all(client, 200)
        assert client.gate.limiter.limit >= 12
        assert phase["most"] >= 9
        assert [outcome.answer.number for outcome in outcomes.values()] == list(range(200))


def test_all_requests_hold_back_while_a_retry_after_runs(tmp_path):
    times = []

    def reply(number, body):
        times.append(time.monotonic())
        return status(429, "", Retry_After="0.6") if number == 2 else later(0.05, echo(number, body))

    with serving(reply) as server:
        asked_all(client_of(server.url, tmp_path), 20)
        assert set(words(server).values()) == {1, 2}
    times.sort()
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) > 0.5
    assert len([one for one in times if one < times[2] + 0.5]) <= 7  # the four in flight, and what they made room for


def test_a_refused_key_halfway_keeps_what_was_answered(tmp_path):
    spent = threading.Event()

    def reply(number, body):
        if number >= 10:
            spent.set()
        return status(401, {"error": {"message": "revoked"}}) if spent.is_set() else echo(number, body)

    with serving(reply) as server:
        with pytest.raises(LLMAccessError, match="key was refused"):
            asked_all(client_of(server.url, tmp_path), 30)
        assert len(server.bodies) <= 10 + 4
        kept = set(server.prompts[:10])
    with serving(echo) as server:
        client = client_of(server.url, tmp_path)
        outcomes = asked_all(client, 30)
        assert [outcome.answer.number for outcome in outcomes.values()] == list(range(30))
        assert not kept & set(server.prompts)
        assert len(server.bodies) == 20
        assert client.ledger.totals()["requests"] == 30


def test_a_dead_endpoint_is_noticed_once_for_all_records(tmp_path):
    began = time.monotonic()
    with serving(lambda number, body: echo(number, body) if number < 20 else status(500, "oops")) as server:
        with pytest.raises(EndpointDownError, match=r"is down, also after 5 pauses: 500: oops\. Answers .* kept"):
            asked_all(client_of(server.url, tmp_path, concurrency=8), 2000)
        assert len(server.bodies) < 20 + 60
    assert time.monotonic() - began < 20
    with serving(echo) as server:
        assert len(asked_all(client_of(server.url, tmp_path), 25)) == 25
        assert len(server.bodies) == 5


def test_an_endpoint_that_comes_back_is_used_again(tmp_path):
    down = {"from": 20, "to": 28}
    with serving(lambda n, body: status(503, "") if down["from"] <= n < down["to"] else echo(n, body)) as server:
        client = client_of(server.url, tmp_path, concurrency=8, max_attempts=6)
        outcomes = asked_all(client, 60)
        assert all(outcome.answer is not None for outcome in outcomes.values())
        assert len(server.bodies) == 60 + 8


def test_nobody_there_is_noticed_at_once_although_much_is_stored(tmp_path):
    with serving(echo) as server:
        url = server.url
        asked_all(client_of(url, tmp_path), 20)
    with pytest.raises(LLMUnavailableError, match="ConnectError"):
        asked_all(client_of(url, tmp_path, max_attempts=2), 21)


def test_an_endpoint_that_hangs_is_given_up_after_few_requests(tmp_path):
    began = time.monotonic()
    with serving(lambda number, body: hang(0.3) if number >= 20 else echo(number, body)) as server:
        client = client_of(server.url, tmp_path, concurrency=8, timeout_seconds=0.2)
        with pytest.raises(EndpointDownError, match=r"no answer within 0\.2 s"):
            asked_all(client, 2000)
        assert len(server.bodies) < 20 + 40
        assert client.gate.limiter.limit < 8
    assert time.monotonic() - began < 20


def test_an_endpoint_that_is_too_slow_for_so_many_gets_fewer_at_once(tmp_path):
    """One after the other it would be quick enough; together they all wait for each other."""
    lock = threading.Lock()

    def reply(_, body):
        def act(handler):
            with lock:
                time.sleep(0.1)
            echo(_, body)(handler)

        return act

    with serving(reply) as server:
        client = client_of(server.url, tmp_path, concurrency=16, timeout_seconds=1, max_attempts=8)
        outcomes = asked_all(client, 40)
        assert all(outcome.answer is not None for outcome in outcomes.values())
        assert client.gate.limiter.limit < 16


def test_a_body_without_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(endpoint, "LARGEST_BODY", 100_000)
    with serving([status(200, b" " * 200_000), ok(GOOD)]) as server:
        client = client_of(server.url, tmp_path)
        assert asked_all(client, 1)["r0"].answer == Pair(**GOOD)
        assert len(server.bodies) == 2


def test_an_endpoint_that_only_refuses_for_being_busy_is_given_up(tmp_path):
    with serving([status(429, "busy")]) as server:
        with pytest.raises(LLMUnavailableError, match="429: busy"):
            asked_all(client_of(server.url, tmp_path, max_attempts=2), 100)
        assert len(server.bodies) <= 20


def test_a_cap_in_usd_holds_with_many_in_flight_and_a_higher_one_goes_on(tmp_path):
    prices = {"prompt_price": 1000.0, "completion_price": 2000.0, "max_tokens": 100, "concurrency": 8}

    def reply(_, body):
        return later(0.01, ok({"word": "w", "number": number_in(body)}, usage=(100, 50 + number_in(body) % 50)))

    def billed(server):
        return sum(0.1 + (50 + number_in(body) % 50) * 0.002 for body in server.bodies)

    with serving(reply) as server:
        with pytest.raises(BudgetExceededError, match=r"sdg\.budget_usd 3 is reached"):
            asked_all(client_of(server.url, tmp_path, budget_usd=3.0, **prices), 60)
        first = len(server.bodies)
        assert 5 < first < 15
        assert billed(server) <= 3.0
        with pytest.raises(BudgetExceededError):  # a restart does not get around the cap
            asked_all(client_of(server.url, tmp_path, budget_usd=3.0, **prices), 60)
        assert billed(server) <= 3.0
        client = client_of(server.url, tmp_path, budget_usd=100.0, **prices)
        assert len(asked_all(client, 60)) == 60
        assert set(words(server).values()) == {1}
        assert client.ledger.totals()["usd"] == pytest.approx(billed(server))
        other = client_of(server.url, tmp_path, budget_usd=0.01, scope="other", **prices)
        assert len(asked_all(other, 60)) == 60  # answers from the store cost nothing
        assert other.ledger.totals()["usd"] == 0


def test_a_cap_in_tokens_holds_also_when_the_endpoint_counts_nothing(tmp_path):
    with serving(lambda *_: later(0.01, ok(GOOD, usage=None))) as server:
        client = client_of(server.url, tmp_path, budget_tokens=5000, max_tokens=300, concurrency=8)
        with pytest.raises(BudgetExceededError, match=r"sdg\.budget_tokens 5000 is reached.*answers are kept"):
            asked_all(client, 200)
        totals = client.ledger.totals()
        assert 3500 < totals["prompt_tokens"] + totals["completion_tokens"] <= 5000
        assert totals["estimated"] == totals["requests"] == len(server.bodies)


def test_the_judge_has_its_own_price_within_the_same_budget(tmp_path):
    values = {"prompt_price": 1, "completion_price": 1, "judge_model": "j", "judge_prompt_price": 10, "max_tokens": 100}
    with serving([ok(GOOD, usage=(100_000, 0))]) as server:
        client = client_of(server.url, tmp_path, budget_usd=3.2, judge_completion_price=0, concurrency=1, **values)
        asked_all(client, 2)
        asked_all(client, 1, "j")
        assert client.ledger.totals()["usd"] == pytest.approx(0.2 + 1.0)
        with pytest.raises(BudgetExceededError):
            asked_all(client, 9, "j")
        assert client.ledger.by_model()["j"]["usd"] <= 3.0

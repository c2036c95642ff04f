"""Spending of one generation and its cap: never exceeded, whatever order requests end in."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import BudgetExceededError, SettingsError, StageError
from embed_pipeline.llm.chat_api import Reply
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.prices import Price
from embed_pipeline.llm.responses import ResponseStore

PRICES = {"m": Price(1.0, 4.0), "judge": Price(2.0, 8.0)}
ZERO = {"requests": 0, "prompt_tokens": 0, "completion_tokens": 0, "estimated": 0, "seconds": 0, "usd": 0}


@pytest.fixture
def store(tmp_path):
    opened = ResponseStore(tmp_path / "r.sqlite")
    yield opened
    opened.close()


def spend(store, ledger, usage, key="k", model="m", sent=400, text=300, most=100):
    async def one():
        reserved = await ledger.reserve(model, sent, most)
        return reserved.settle(key, usage, 0.5, text)

    booked = asyncio.run(one())
    store.keep(Reply("x", "", False, *usage) if text is not None else None, booked).result(5)
    return booked


def test_nothing_is_spent_in_the_beginning(store):
    assert Ledger(store, "s", PRICES, None, None).totals() == ZERO
    assert Ledger(store, "s", PRICES, None, None).by_model() == {}


def test_each_model_has_its_price_and_a_restart_finds_what_was_spent(store):
    ledger = Ledger(store, "s", PRICES, None, None)
    spend(store, ledger, (1_000_000, 500_000), "a")
    spend(store, ledger, (100_000, 0), "b", "judge")
    spend(store, ledger, (10, 10), "c", "unpriced")
    again = Ledger(store, "s", PRICES, None, None)
    assert ledger.totals() == again.totals()
    assert ledger.by_model() == again.by_model()
    assert again.by_model()["m"]["usd"] == 3.0
    assert again.by_model()["judge"]["usd"] == pytest.approx(0.2)
    assert again.totals()["usd"] == pytest.approx(3.2)
    assert again.totals()["requests"] == 3
    assert again.totals()["seconds"] == 1.5
    assert Ledger(store, "another", PRICES, None, None).totals() == ZERO


def test_a_cap_in_usd_says_what_is_spent_and_what_to_do(store):
    spend(store, Ledger(store, "s", PRICES, None, None), (1_000_000, 999_000))
    ledger = Ledger(store, "s", PRICES, 5.0, None)
    words = r"sdg\.budget_usd 5 is reached: 4\.996 USD are spent.*0\.02[0-9]* USD; 1 answers are kept\. Raise it"
    with pytest.raises(BudgetExceededError, match=words) as caught:
        spend(store, ledger, (1, 1), most=5000)
    assert isinstance(caught.value, StageError)
    assert caught.value.exit_code == 1
    assert not caught.value.transient
    assert spend(store, Ledger(store, "s", PRICES, 5.1, None), (1, 1), most=5000).answered


def test_a_cap_in_tokens(store):
    ledger = Ledger(store, "s", {}, None, 1000)
    spend(store, ledger, (400, 100))
    with pytest.raises(BudgetExceededError, match=r"budget_tokens 1000 is reached: 500 tokens.*may take 700"):
        spend(store, ledger, (1, 1), sent=100, most=550)


def test_a_cap_in_usd_needs_a_price(store):
    with pytest.raises(SettingsError, match=r"no price for the model other.*prompt_price"):
        spend(store, Ledger(store, "s", PRICES, 5.0, None), (1, 1), model="other")


def test_the_worst_case_follows_what_replies_have_shown(store):
    ledger = Ledger(store, "s", PRICES, None, None)
    assert ledger.worst_case("m", 4000, 100) == (4000, 100)  # a token has at least one byte
    spend(store, ledger, (1000, 100), sent=4000)
    assert ledger.worst_case("m", 4000, 100) == (1500, 100)
    spend(store, ledger, (1000, 120), sent=2000)  # denser; and the endpoint exceeds max_tokens
    assert ledger.worst_case("m", 4000, 100) == (3000, 120)
    spend(store, ledger, (1, 1), sent=4000)
    assert ledger.worst_case("m", 4000, 100) == (3000, 120)
    assert ledger.worst_case("judge", 4000, 100) == (4000, 100)


def test_what_is_not_counted_is_estimated_within_the_worst_case(store):
    ledger = Ledger(store, "s", PRICES, None, None)
    answer = spend(store, ledger, (None, None), "a", sent=4000, text=300, most=4096)
    assert (answer.prompt_tokens, answer.completion_tokens, answer.estimated) == (1334, 101, True)
    half = spend(store, ledger, (7, None), "b", sent=4000, text=300, most=50)
    assert (half.prompt_tokens, half.completion_tokens, half.estimated) == (7, 50, True)
    lost = spend(store, ledger, (None, None), "c", sent=4000, text=None, most=4096)
    assert (lost.prompt_tokens, lost.completion_tokens, lost.answered) == (
        ledger.worst_case("m", 4000, 1)[0],
        4096,
        False,
    )
    broken = spend(store, ledger, (70, 0), "d", text=None)
    assert (broken.prompt_tokens, broken.completion_tokens, broken.estimated) == (70, 0, False)
    assert ledger.totals() == Ledger(store, "s", PRICES, None, None).totals()
    assert ledger.totals()["estimated"] == 3
    assert ledger.totals()["requests"] == 2


def test_a_request_that_does_not_fit_waits_for_those_on_their_way(store):
    async def main():
        ledger = Ledger(store, "s", {}, None, 1000)
        first = await ledger.reserve("m", 500, 400)
        second = asyncio.create_task(ledger.reserve("m", 500, 400))
        await asyncio.sleep(0.01)
        assert not second.done()
        first.settle("a", (50, 40), 0.1, 10)
        (await asyncio.wait_for(second, 2)).release()
        third = await ledger.reserve("m", 500, 400)
        fourth = asyncio.create_task(ledger.reserve("m", 500, 400))
        await asyncio.sleep(0.01)
        third.settle("b", (500, 400), 0.1, 10)
        with pytest.raises(BudgetExceededError):
            await asyncio.wait_for(fourth, 2)

    asyncio.run(main())


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["m", "judge"]),
        st.integers(1, 3000),  # bytes sent
        st.integers(1, 500),  # max_tokens
        st.floats(0, 1),  # share of the worst case that is billed
        st.sampled_from(["counted", "half", "silent", "lost", "failed"]),
    ),
    max_size=40,
)


@given(REQUESTS, st.floats(0.0001, 0.05), st.none() | st.integers(100, 20_000), st.integers(1, 12), st.integers())
def test_the_cap_is_never_exceeded_and_the_totals_are_the_sum_of_the_bookings(
    tmp_path_factory, requests, budget_usd, budget_tokens, workers, seed
):
    store = ResponseStore(tmp_path_factory.mktemp("ledger") / "r.sqlite")
    ledger, entries, shuffle = Ledger(store, "s", PRICES, budget_usd, budget_tokens), [], random.Random(seed)
    waiting = iter(enumerate(requests))

    def usage_of(how, reserved, share):
        prompt, completion = int(reserved.prompt_tokens * share), int(reserved.completion_tokens * share)
        return {"counted": (prompt, completion), "half": (prompt, None)}.get(how, (None, None))

    async def worker():
        for number, (model, sent, most, share, how) in waiting:
            reserved = await ledger.reserve(model, sent, most)
            for _ in range(shuffle.randrange(4)):
                await asyncio.sleep(0)
            if how == "failed":
                reserved.release()
                continue
            text = None if how == "lost" else int(most * share)
            entry = reserved.settle(str(number), usage_of(how, reserved, share), 0.1, text)
            entries.append(entry)
            store.keep(None, entry)
            totals = ledger.totals()
            assert totals["usd"] <= budget_usd * (1 + 1e-9)
            used = totals["prompt_tokens"] + totals["completion_tokens"]
            assert budget_tokens is None or used <= budget_tokens

    async def main():
        results = await asyncio.gather(*(worker() for _ in range(workers)), return_exceptions=True)
        assert all(isinstance(one, BudgetExceededError | None) for one in results), results

    asyncio.run(asyncio.wait_for(main(), 20))
    store.flush().result(5)
    for totals in (ledger.totals(), Ledger(store, "s", PRICES, None, None).totals()):
        assert totals["requests"] == sum(entry.answered for entry in entries)
        assert totals["prompt_tokens"] == sum(entry.prompt_tokens for entry in entries)
        assert totals["completion_tokens"] == sum(entry.completion_tokens for entry in entries)
        assert totals["estimated"] == sum(entry.estimated for entry in entries)
        usd = sum(PRICES[entry.model].usd(entry.prompt_tokens, entry.completion_tokens) for entry in entries)
        assert totals["usd"] == pytest.approx(usd)
    store.close()

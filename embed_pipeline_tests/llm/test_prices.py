"""Prices: the settings first, then what genai-prices knows; where neither helps, none."""

import socket
import subprocess
import sys

import genai_prices
import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.llm.engines import open_client
from embed_pipeline.llm.estimate import Step, estimate_of
from embed_pipeline.llm.prices import Price, check_budget, described_sources, known_price, prices_of
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.settings import LLMSettings, SdgSettings, Settings

OPENAI = "https://api.openai.com/v1"
MILLION = genai_prices.Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def settings_of(budget_usd=None, base_url=OPENAI, model="gpt-4o-mini", **llm):
    return SdgSettings(budget_usd=budget_usd, llm=LLMSettings(base_url=base_url, model=model, **llm))


def test_prices_of_the_judge_default_to_those_of_the_model():
    def prices(**values):
        return prices_of(LLMSettings(base_url="http://x", model="m", **values))

    assert prices() == {}
    assert prices(prompt_price=1, completion_price=2) == {"m": Price(1, 2)}
    assert prices(prompt_price=1, completion_price=2, judge_model="j") == {"m": Price(1, 2), "j": Price(1, 2)}
    values = {"prompt_price": 1, "completion_price": 2, "judge_model": "j", "judge_prompt_price": 0}
    assert prices(**values) == {"m": Price(1, 2), "j": Price(0, 2)}
    assert prices(**{**values, "judge_model": "m"}) == {"m": Price(1, 2)}
    assert prices(judge_model="j", judge_prompt_price=3, judge_completion_price=4) == {"j": Price(3, 4)}


def test_a_model_and_a_provider_that_are_known_have_a_price_that_names_its_source():
    price = known_price("gpt-4o-mini", OPENAI)
    assert (price.prompt, price.completion) == (0.15, 0.6)
    assert price.source == f"genai-prices {genai_prices.__version__}, without cached tokens"
    counted = genai_prices.calc_price(MILLION, "gpt-4o-mini", provider_api_url=OPENAI)
    assert price.usd(1_000_000, 1_000_000) == pytest.approx(float(counted.total_price))


def test_of_a_price_with_tiers_the_first_is_taken_and_that_is_said():
    url = "https://generativelanguage.googleapis.com/v1beta/openai"
    price = known_price("gemini-2.5-pro", url)
    short = genai_prices.Usage(input_tokens=1000, output_tokens=1000)
    counted = genai_prices.calc_price(short, "gemini-2.5-pro", provider_api_url=url)
    assert price.usd(1000, 1000) == pytest.approx(float(counted.total_price))
    assert price.source.endswith(", without tiers and cached tokens")


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-4o-mini", "http://127.0.0.1:8000/v1"),  # whoever serves it there may ask another price
        ("no-such-model", OPENAI),
        ("sonar", "https://api.perplexity.ai"),  # billed by requests besides tokens
        ("whisper-large-v3", "https://api.groq.com/openai/v1"),  # billed by the hour
    ],
)
def test_what_is_not_known_or_billed_otherwise_has_no_price(model, url):
    assert known_price(model, url) is None


def test_prices_in_the_settings_win_each_for_itself():
    def prices(**values):
        return prices_of(settings_of(**values).llm)

    (known,) = prices().values()
    assert known == Price(0.15, 0.6) and known.source
    (own,) = prices(prompt_price=3.0, completion_price=4.0).values()
    assert own == Price(3.0, 4.0) and not own.source
    (mixed,) = prices(prompt_price=0.0).values()
    assert mixed == Price(0.0, 0.6) and mixed.source
    assert prices(judge_model="gpt-4o")["gpt-4o"] == known_price("gpt-4o", OPENAI)
    judged = prices(judge_model="gpt-4o", prompt_price=1.0, completion_price=2.0)
    assert judged["gpt-4o"] == Price(1.0, 2.0)  # as documented: unset prices of the judge are those set for the model
    assert set(prices(judge_model="no-such-model")) == {"gpt-4o-mini"}
    assert prices(model="no-such-model", prompt_price=1.0) == {}  # half a price would count the rest as free


def test_a_budget_needs_a_price_of_every_model(tmp_path):
    check_budget(settings_of(budget_usd=1.0))
    check_budget(settings_of(budget_usd=1.0, model="unknown", prompt_price=1.0, completion_price=2.0))
    check_budget(settings_of(model="unknown"))
    words = r"budget_usd needs llm\.prompt_price and llm\.completion_price.*no price of unknown at https://api\.openai"
    for wrong in ({"model": "unknown"}, {"judge_model": "unknown"}, {"model": "unknown", "prompt_price": 1.0}):
        with pytest.raises(SettingsError, match=words) as caught:
            check_budget(settings_of(budget_usd=1.0, **wrong))
        assert caught.value.exit_code == 2
    store = ResponseStore(tmp_path / "r.sqlite")
    with pytest.raises(SettingsError, match=words):
        open_client(settings_of(budget_usd=1.0, model="unknown"), store, "run", {})
    _, ledger = open_client(settings_of(budget_usd=1.0), store, "run", {})
    assert ledger.totals()["usd"] == 0
    store.close()


def test_an_estimate_says_where_its_prices_come_from(tmp_path):
    store = ResponseStore(tmp_path / "r.sqlite")

    def estimate(**values):
        step = Step("questions", "gpt-4o-mini", calls=10, prompt_tokens=1_000_000, completion_tokens=1_000_000)
        return estimate_of([step], settings_of(**values), store)

    known, own = estimate(judge_model="gpt-4o"), estimate(prompt_price=1.0, completion_price=1.0)
    store.close()
    assert known.usd == pytest.approx(0.75)
    assert f"about 0.75 USD (price of gpt-4o-mini from genai-prices {genai_prices.__version__}" in known.line()
    assert "gpt-4o " not in known.line()  # no step asks it
    assert known.as_json()["price_sources"] == known.price_sources != ""
    assert "about 2.00 USD, about" in own.line()
    assert own.price_sources == ""


def test_sources_of_several_models_are_all_named():
    prices = {"a": Price(1, 1, "x 1"), "b": Price(1, 1), "c": Price(1, 1, "x 2")}
    assert described_sources(prices) == "price of a from x 1; price of c from x 2"
    assert described_sources({}) == ""


def test_prices_are_part_of_no_key():
    one = Settings(sdg=settings_of())
    other = Settings(sdg=settings_of(budget_usd=1.0, prompt_price=1.0, completion_price=2.0))
    assert one.key_part(["sdg"]) == other.key_part(["sdg"])


def test_nothing_is_looked_up_over_the_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a price needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert known_price("gpt-4o", OPENAI) is not None


def test_the_package_is_imported_only_when_a_price_is_looked_up():
    script = "import sys, embed_pipeline.llm.engines; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"

"""What a language model's tokens cost: as the settings say, else as the package genai-prices knows.

Its data lie in the package, so nothing is looked up over the network. Prices decide what an estimate shows and when a
budget stops a run; they are part of no key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import LLMSettings, SdgSettings

_Pair = tuple[float | None, float | None]  # of a prompt token and of a completion token


@dataclass(frozen=True)
class Price:
    """USD per million tokens.

    Attributes:
        source: where it comes from, for people; empty: the settings.
    """

    prompt: float
    completion: float
    source: str = field(default="", compare=False)

    def usd(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Price of so many tokens."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


def prices_of(settings: LLMSettings) -> dict[str, Price]:
    """Prices by model name, of those that have both; prices set for the model hold for the judge as well.

    Each price comes from the settings where it is set there, else from :func:`known_price`.
    """
    model_price = (settings.prompt_price, settings.completion_price)
    judge_price = (settings.judge_prompt_price, settings.judge_completion_price)
    judge = settings.judge_model if settings.judge_model != settings.model else None
    chosen = {
        settings.model: _price(settings.model, settings.base_url, model_price),
        judge: _price(judge, settings.base_url, _filled(judge_price, model_price)),
    }
    return {model: price for model, price in chosen.items() if model and price is not None}


def check_budget(settings: SdgSettings) -> None:
    """Look whether ``budget_usd``, where it is set, can be kept.

    Raises:
        SettingsError: a model that would be asked has no price.
    """
    if settings.budget_usd is None:
        return
    prices = prices_of(settings.llm)
    for model in filter(None, (settings.llm.model, settings.llm.judge_model)):
        if model not in prices:
            raise SettingsError(
                "sdg: budget_usd needs llm.prompt_price and llm.completion_price, in USD per million tokens, since "
                f"genai-prices knows no price of {model} at {settings.llm.base_url}. Set them, or use budget_tokens."
            )


def described_sources(prices: Mapping[str, Price]) -> str:
    """Where prices that are not from the settings come from, for people; empty when all are."""
    return "; ".join(f"price of {model} from {price.source}" for model, price in prices.items() if price.source)


def known_price(model: str, base_url: str) -> Price | None:
    """Today's price of a model at the provider with this address, as genai-prices knows it, else None.

    It is the plain price of a prompt token and a completion token: higher tiers of long prompts (from 32,000 tokens
    up) and cheaper tokens from a provider's cache are left out. None as well for a model that is billed otherwise,
    by requests for example.
    """
    import genai_prices
    from genai_prices.types import TieredPrices

    nothing = genai_prices.Usage(input_tokens=0, output_tokens=0)
    try:
        prices = genai_prices.calc_price(nothing, model, provider_api_url=base_url).model_price
    except LookupError:
        return None
    listed = (prices.input_mtok, prices.output_mtok)
    prompt, completion = (price.base if isinstance(price, TieredPrices) else price for price in listed)
    if prompt is None or completion is None or prices.requests_kcount or prices.output_reasoning_mtok:
        return None
    tiers = any(isinstance(price, TieredPrices) for price in listed)
    left_out = {"tiers": tiers, "cached tokens": prices.cache_read_mtok is not None}
    names = " and ".join(name for name, there in left_out.items() if there)
    source = f"genai-prices {genai_prices.__version__}" + (f", without {names}" if names else "")
    return Price(float(prompt), float(completion), source)


def _filled(values: _Pair, defaults: _Pair) -> _Pair:
    (prompt, completion), (default_prompt, default_completion) = values, defaults
    return default_prompt if prompt is None else prompt, default_completion if completion is None else completion


def _price(model: str | None, base_url: str | None, values: _Pair) -> Price | None:
    """The price in the settings; what is not set there, as it is known."""
    known = known_price(model, base_url) if None in values and model and base_url else None
    prompt, completion = _filled(values, (known.prompt, known.completion)) if known else values
    if prompt is None or completion is None:
        return None
    return Price(prompt, completion, known.source if known else "")

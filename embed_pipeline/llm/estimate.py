"""What calls to a language model will cost: tokens, money, time."""

from collections.abc import Sequence
from dataclasses import dataclass

from embed_pipeline.llm.endpoint import host_of
from embed_pipeline.llm.prices import described_sources, prices_of
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.progress import spoken
from embed_pipeline.settings import SdgSettings

# Completion tokens of usual answers, for what was never asked; and how long an unknown endpoint takes.
ARTIFACT_TOKENS, QUESTION_TOKENS, JUDGEMENT_TOKENS, RELEVANCE_TOKENS = 55, 200, 130, 40
FIRST_TOKEN_SECONDS, TOKENS_PER_SECOND = 1.0, 60.0
QUESTION_PROMPT_TOKENS = 120
"""Of a question with its answer, in the judge's prompt."""
BYTES_PER_TOKEN = 4.0
"""Of prompts: English has about four UTF-8 bytes a token, Chinese and Arabic three to four."""


@dataclass
class Step:
    """One step: calls in all, calls answered already, tokens of the calls that are left."""

    name: str
    model: str
    calls: int = 0
    answered: int = 0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0

    def add(self, prompt_tokens: float, completion_tokens: float, calls: float = 1.0) -> None:
        """Calls that are left."""
        self.calls += round(calls)
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    def known(self, calls: int = 1) -> None:
        """Calls that are answered already."""
        self.calls += calls
        self.answered += calls


@dataclass(frozen=True)
class Estimate:
    """The cost of what is left of a generation.

    Attributes:
        usd: None without prices.
        seconds: at full concurrency, by the endpoint's own pace so far, else by a usual one.
        price_sources: of the prices that are not from the settings, in words.
        host: that text would be sent to.
        rough: made from the size of the corpus alone, since there are no passages (or questions) yet.
    """

    steps: tuple[Step, ...]
    usd: float | None
    seconds: float
    rough: bool = False
    price_sources: str = ""
    host: str = ""

    @property
    def calls(self) -> int:
        """Calls that are left."""
        return sum(step.calls - step.answered for step in self.steps)

    @property
    def answered(self) -> int:
        """Calls whose answers are stored."""
        return sum(step.answered for step in self.steps)

    @property
    def prompt_tokens(self) -> float:
        """Of the calls that are left."""
        return sum(step.prompt_tokens for step in self.steps)

    @property
    def completion_tokens(self) -> float:
        """Likewise."""
        return sum(step.completion_tokens for step in self.steps)

    def line(self) -> str:
        """For people."""
        if self.calls == 0:
            return f"no calls are left to make; {self.answered} answers are stored"
        money = (
            "cost unknown (set sdg.llm.prompt_price and completion_price)"
            if self.usd is None
            else f"about {self.usd:.2f} USD"
        )
        if self.usd is not None and self.price_sources:
            money += f" ({self.price_sources})"
        stored = f"{self.answered} answers stored already; " if self.answered else ""
        roughly = " (roughly)" if self.rough else ""
        where = f", which send text of the corpus to {self.host}" if self.host else ""
        return (
            f"{stored}about {self.calls:,} calls to a language model{roughly}{where}, "
            f"{_in_words(self.prompt_tokens)} prompt and {_in_words(self.completion_tokens)} completion tokens, "
            f"{money}, about {spoken(self.seconds)}"
        )

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "calls": self.calls,
            "answered": self.answered,
            "prompt_tokens": round(self.prompt_tokens),
            "completion_tokens": round(self.completion_tokens),
            "usd": None if self.usd is None else round(self.usd, 4),
            "price_sources": self.price_sources,
            "seconds": round(self.seconds),
            "rough": self.rough,
            "host": self.host,
            "steps": {step.name: {"calls": step.calls, "answered": step.answered} for step in self.steps},
        }


def estimated_tokens(text: str) -> float:
    """About how many tokens a prompt has."""
    return len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN


def estimate_of(steps: Sequence[Step], settings: SdgSettings, store: ResponseStore, rough: bool = False) -> Estimate:
    """Money by the prices set or known, time by the endpoint's own pace where it is known."""
    prices, usd = prices_of(settings.llm), None
    used = {step.model for step in steps}
    if used <= prices.keys():
        usd = sum(prices[step.model].usd(step.prompt_tokens, step.completion_tokens) for step in steps)
    pace = store.pace()
    seconds = sum(_seconds(step, pace.get(step.model)) for step in steps) / settings.llm.concurrency
    sources = described_sources({model: price for model, price in prices.items() if model in used})
    host = host_of(settings.llm.base_url) if settings.llm.base_url is not None else ""
    return Estimate(tuple(steps), usd, seconds, rough, sources, host)


def _seconds(step: Step, pace: float | None) -> float:
    left = step.calls - step.answered
    if pace is not None:
        return left * pace
    return left * FIRST_TOKEN_SECONDS + step.completion_tokens / TOKENS_PER_SECOND


def _in_words(tokens: float) -> str:
    return f"{tokens / 1e6:.1f} million" if tokens >= 1e6 else f"{round(tokens, -3):,.0f}"

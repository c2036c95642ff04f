"""What one generation has spent, and the cap on it.

Before a request is sent its worst case is set aside; when it ends, what it really cost is booked instead. Spent
plus set aside never exceeds the cap, so the total does not either, as long as the endpoint counts within the
worst case. Bookings lie in the :class:`embed_pipeline.llm.responses.ResponseStore` under the scope of the
generation: a restart finds them. Requests that are on their way when a run is stopped or killed are not booked,
for nobody learns whether they were paid for; that is at most ``llm.concurrency`` requests per stop.
"""

import math
from collections.abc import Mapping

from embed_pipeline.errors import BudgetExceededError, SettingsError
from embed_pipeline.llm.chat_api import Usage
from embed_pipeline.llm.prices import Price
from embed_pipeline.llm.responses import Entry, ResponseStore
from embed_pipeline.llm.throttle import Waiters

BYTES_PER_TOKEN = 3  # of text whose tokens nobody counted; English has about four
CAUTION = 1.5  # the next prompt may have this many times the tokens per byte of any before it
_COUNTED = ("requests", "prompt_tokens", "completion_tokens", "estimated", "seconds")


class Ledger:
    """Spending of one generation.

    Args:
        store: where bookings lie.
        scope: identifies the generation; the same after a restart.
        prices: by model name.
        budget_usd: most money, in USD, all models together; None: no limit.
        budget_tokens: most tokens, prompt and completion together; None: no limit.
    """

    def __init__(
        self,
        store: ResponseStore,
        scope: str,
        prices: Mapping[str, Price],
        budget_usd: float | None,
        budget_tokens: int | None,
    ) -> None:
        self.scope = scope
        self._prices = dict(prices)
        self._budget_usd = budget_usd
        self._budget_tokens = budget_tokens
        self._spent = store.spending(scope)
        self._rates: dict[str, float] = {}  # most prompt tokens per byte seen, by model
        self._longest: dict[str, int] = {}  # most completion tokens seen, by model
        self._open: set[Reservation] = set()
        self._settled = Waiters()

    def by_model(self) -> dict[str, dict[str, float]]:
        """For each model: requests, prompt_tokens, completion_tokens, usd, estimated, seconds."""
        return {model: {**sums, "usd": self._usd(model, sums)} for model, sums in sorted(self._spent.items())}

    def totals(self) -> dict[str, float]:
        """The same over all models, since the generation began, restarts included.

        ``requests`` are answers received; ``estimated`` are bookings whose tokens the endpoint did not say: an
        answer without usage is taken as one token per :data:`BYTES_PER_TOKEN` bytes, a request that timed out or
        broke off after it was accepted at its worst case.
        """
        models = self.by_model().values()
        return {name: sum((one[name] for one in models), 0.0) for name in (*_COUNTED, "usd")}

    def worst_case(self, model: str, sent_bytes: int, max_tokens: int) -> tuple[int, int]:
        """Most prompt and completion tokens a request may be billed for.

        A token has at least one byte; once replies have shown how many bytes it has, :data:`CAUTION` times the
        densest prompt so far is assumed.
        """
        rate = self._rates.get(model)
        prompt = math.ceil(sent_bytes * (CAUTION * rate if rate is not None else 1.0))
        return prompt, max(max_tokens, self._longest.get(model, 0))

    async def reserve(self, model: str, sent_bytes: int, max_tokens: int) -> "Reservation":
        """Set the worst case of a request aside, waiting for others to settle if it does not fit now.

        Args:
            model: that will be asked.
            sent_bytes: length of the request's body.
            max_tokens: longest answer.

        Raises:
            BudgetExceededError: it does not fit and nothing is on its way that could make room.
            SettingsError: a budget in USD, but no price for this model.
        """
        if self._budget_usd is not None and model not in self._prices:
            raise SettingsError(
                f"sdg.budget_usd is set, but there is no price for the model {model}. Set sdg.llm.prompt_price "
                "and sdg.llm.completion_price, or use sdg.budget_tokens."
            )
        while True:
            wanted = Reservation(self, model, sent_bytes, *self.worst_case(model, sent_bytes, max_tokens))
            problem = self._problem(wanted)
            if problem is None:
                self._open.add(wanted)
                return wanted
            if not self._open:
                raise BudgetExceededError(
                    f"{problem}; {self.totals()['requests']:.0f} answers are kept. Raise it and run again; nothing "
                    "that was answered is asked or paid again."
                )
            await self._settled.wait()

    def _problem(self, wanted: "Reservation") -> str | None:
        """Which cap would be exceeded, in words."""
        if self._budget_usd is None and self._budget_tokens is None:
            return None
        spent, waiting = self.totals(), [*self._open, wanted]
        usd = sum(self._price(one.model).usd(one.prompt_tokens, one.completion_tokens) for one in waiting)
        if self._budget_usd is not None and spent["usd"] + usd > self._budget_usd:
            return (
                f"sdg.budget_usd {self._budget_usd:g} is reached: {spent['usd']:.4g} USD are spent and the next "
                f"request may cost {usd:.2g} USD"
            )
        used = spent["prompt_tokens"] + spent["completion_tokens"]
        tokens = sum(one.prompt_tokens + one.completion_tokens for one in waiting)
        if self._budget_tokens is not None and used + tokens > self._budget_tokens:
            return (
                f"sdg.budget_tokens {self._budget_tokens} is reached: {used:.0f} tokens are spent and the next "
                f"request may take {tokens}"
            )
        return None

    def _book(self, entry: Entry) -> None:
        sums = self._spent.setdefault(entry.model, dict.fromkeys(_COUNTED, 0.0))
        sums["requests"] += entry.answered
        sums["prompt_tokens"] += entry.prompt_tokens
        sums["completion_tokens"] += entry.completion_tokens
        sums["estimated"] += entry.estimated
        sums["seconds"] += entry.seconds

    def _learn(self, reservation: "Reservation", usage: Usage) -> None:
        model, (prompt, completion) = reservation.model, usage
        if prompt is not None:
            rate = prompt / max(1, reservation.sent_bytes)
            self._rates[model] = max(rate, self._rates.get(model, 0.0))
        if completion is not None:
            self._longest[model] = max(completion, self._longest.get(model, 0))

    def _price(self, model: str) -> Price:
        return self._prices.get(model, Price(0.0, 0.0))

    def _usd(self, model: str, sums: Mapping[str, float]) -> float:
        return self._price(model).usd(sums["prompt_tokens"], sums["completion_tokens"])


class Reservation:
    """The worst case of one request that is on its way; ends by :meth:`settle` or :meth:`release`."""

    def __init__(self, ledger: Ledger, model: str, sent_bytes: int, prompt_tokens: int, completion_tokens: int) -> None:
        self.model = model
        self.sent_bytes = sent_bytes
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self._ledger = ledger

    def settle(self, key: str, usage: Usage, seconds: float, received_bytes: int | None) -> Entry:
        """Book what the request cost.

        Args:
            key: identity of the request.
            usage: as the endpoint says.
            seconds: from sending to the last byte.
            received_bytes: length of the answer's text; None: there was no answer.

        Returns:
            The booking, to be stored.
        """
        answered = received_bytes is not None
        prompt = self.sent_bytes // BYTES_PER_TOKEN + 1 if answered else self.prompt_tokens
        completion = received_bytes // BYTES_PER_TOKEN + 1 if received_bytes is not None else self.completion_tokens
        entry = Entry(
            scope=self._ledger.scope,
            key=key,
            model=self.model,
            prompt_tokens=min(prompt, self.prompt_tokens) if usage[0] is None else usage[0],
            completion_tokens=min(completion, self.completion_tokens) if usage[1] is None else usage[1],
            seconds=seconds,
            estimated=None in usage,
            answered=answered,
        )
        self._ledger._learn(self, usage)
        self._ledger._book(entry)
        self.release()
        return entry

    def release(self) -> None:
        """The request is over; what was set aside and not booked is free again."""
        self._ledger._open.discard(self)
        self._ledger._settled.wake()

"""Denoising by a language model: does this passage answer this question after all?"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.llm.ask import Round, ask_all
from embed_pipeline.llm.chat_api import StrictAnswer
from embed_pipeline.llm.client import ChatClient
from embed_pipeline.llm.prompts import boundary, render, using_prompts
from embed_pipeline.progress import say
from embed_pipeline.settings import SdgSettings


class Relevance(StrictAnswer):
    """Whether a passage answers a question; the reason comes first."""

    reason: str
    answers: bool


class LlmDenoiser:
    """Asks ``llm.judge_model`` about every (question, passage); each answer is stored, hence paid for once.

    A pair without a usable answer counts as answered: a negative nobody could vouch for is not taken.
    """

    reason = "denoised"

    def __init__(
        self, settings: SdgSettings, client: ChatClient, questions: Sequence[str], passages: Sequence[str]
    ) -> None:
        self._settings, self._client = settings, client
        self._questions, self._passages = questions, passages

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (question, passage) whether the passage answers the question.

        Raises:
            LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.llm.ask.ask_all`.
        """
        model = self._settings.llm.judge_model or self._settings.llm.model or ""
        asking = Round(self._client, model, Relevance, "denoise negatives")

        def prompts() -> Iterator[tuple[str, str]]:
            for question, passage in pairs:
                texts = {"question": self._questions[question], "passage": self._passages[passage]}
                yield f"{question}/{passage}", render("relevance", boundary=boundary(*texts.values()), **texts)

        with using_prompts(self._settings.prompts):
            outcomes = [outcome for _, outcome in ask_all(asking, prompts, len(pairs))]
        lost = [outcome.reason for outcome in outcomes if outcome.answer is None]
        if lost:
            say(f"denoise negatives: {len(lost)} of {len(pairs)} got no usable answer and are dropped: {lost[0]}")
        return np.array([outcome.answer is None or outcome.answer.answers for outcome in outcomes], bool)

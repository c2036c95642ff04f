"""Denoising: a cross-encoder or a language model reads each negative once more and drops what answers the question.

Sources: RocketQA (Qu et al. 2021, arXiv 2010.08191): of the best-ranked unlabelled passages most are relevant, and
training on them as negatives does harm; a cross-encoder tells them apart well, 0.1 and 0.9 as the probabilities below
and above which it is trusted. RLHN (Thakur et al. 2025, arXiv 2505.16967): what answers the question helps more as a
positive of it than it does left out; such pairs are collected in ``sure``.
"""

from collections.abc import Iterator, Sequence, Set

import numpy as np
import polars as pl
from numpy.typing import NDArray

from embed_pipeline.encoders.pair_scores import PairScores
from embed_pipeline.llm.ask import Round, ask_all
from embed_pipeline.llm.chat_api import StrictAnswer
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.estimate import (
    QUESTION_PROMPT_TOKENS,
    RELEVANCE_TOKENS,
    Estimate,
    Step,
    estimate_of,
    estimated_tokens,
)
from embed_pipeline.llm.prompts import boundary, render, using_prompts
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.llm.withheld import withheld_documents
from embed_pipeline.progress import say
from embed_pipeline.records import passage_text
from embed_pipeline.settings import LLMSettings, SdgSettings


class CrossEncoderDenoiser:
    """Drops what a cross-encoder gives more than ``threshold`` as the probability of relevance.

    Args:
        scores: the cross-encoder's logits; the probability is their sigmoid.
        sure_above: the probability above which a pair is sure.
    """

    reason = "denoised"

    def __init__(
        self,
        scores: PairScores,
        threshold: float,
        sure_above: float,
        questions: Sequence[str],
        passages: Sequence[str],
    ) -> None:
        self._scores, self._threshold, self._sure_above = scores, threshold, sure_above
        self._questions, self._passages = questions, passages
        self.sure: set[tuple[int, int]] = set()

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (question, passage) whether the passage answers the question."""
        texts = [(self._questions[question], self._passages[passage]) for question, passage in pairs]
        logits = self._scores.of(texts, "denoise negatives").astype(np.float64)
        probabilities = 1 / (1 + np.exp(-logits))
        self.sure |= {pairs[place] for place in np.flatnonzero(probabilities > self._sure_above).tolist()}
        found: NDArray[np.bool_] = probabilities > self._threshold
        return found


def estimate_denoising(
    pairs: float, passage_tokens: float, settings: SdgSettings, store: ResponseStore, rough: bool = False
) -> Estimate:
    """Looking at hard negatives once more; those that take the place of dropped ones are not foreseen.

    Args:
        pairs: of a question and a passage. passage_tokens: of a usual passage.
    """
    step = Step("denoise", settings.llm.judge_model or settings.llm.model or "")
    with using_prompts(settings.prompts):
        asked = estimated_tokens(render("relevance", boundary="", question="", passage=""))
    step.add(pairs * (asked + passage_tokens + QUESTION_PROMPT_TOKENS / 2), pairs * RELEVANCE_TOKENS, pairs)
    return estimate_of([step], settings, store, rough)


def withheld_texts(qa_pairs: pl.DataFrame, passages: pl.DataFrame, settings: LLMSettings) -> frozenset[str]:
    """Texts of the passages that ``llm.exclude`` withholds, and of the questions about their documents.

    Args:
        qa_pairs: :class:`embed_pipeline.tables.QaPairs`. passages: :class:`embed_pipeline.tables.Passages`.
    """
    documents = withheld_documents(passages["doc_id"].unique(), settings)
    rows = passages.filter(pl.col("doc_id").is_in(list(documents))).select("title", "text").iter_rows()
    about = (
        question for question, ids in qa_pairs.select("question", "doc_ids").iter_rows() if documents.intersection(ids)
    )
    return frozenset(passage_text(title, text) for title, text in rows) | frozenset(about)


class Relevance(StrictAnswer):
    """Whether a passage answers a question; the reason comes first."""

    reason: str
    answers: bool


class LlmDenoiser:
    """Asks ``llm.judge_model`` about every (question, passage); each answer is stored, hence paid for once.

    A pair without a usable answer counts as answered: a negative nobody could vouch for is not taken, and is not sure.
    So does one whose question or passage must not be shown.

    Args:
        withheld: texts of questions and passages that are never sent.
    """

    reason = "denoised"

    def __init__(
        self,
        settings: SdgSettings,
        client: ChatEngine,
        questions: Sequence[str],
        passages: Sequence[str],
        withheld: Set[str] = frozenset(),
    ) -> None:
        self._settings, self._client = settings, client
        self._questions, self._passages, self._withheld = questions, passages, withheld
        self.sure: set[tuple[int, int]] = set()

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (question, passage) whether the passage answers the question.

        Raises:
            LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.llm.ask.ask_all`.
        """
        answered = np.ones(len(pairs), bool)
        asked = [place for place, pair in enumerate(pairs) if not self._is_withheld(pair)]
        if len(asked) < len(pairs):
            say(f"denoise negatives: {len(pairs) - len(asked)} of {len(pairs)} must not be shown and are dropped.")
        answered[asked] = self._told([pairs[place] for place in asked])
        return answered

    def _is_withheld(self, pair: tuple[int, int]) -> bool:
        question, passage = pair
        return self._questions[question] in self._withheld or self._passages[passage] in self._withheld

    def _told(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """What the model says; the texts of these pairs may be sent."""
        model = self._settings.llm.judge_model or self._settings.llm.model or ""
        asking = Round(self._client, model, Relevance, "denoise negatives")

        def prompts() -> Iterator[tuple[str, str]]:
            for question, passage in pairs:
                texts = {"question": self._questions[question], "passage": self._passages[passage]}
                yield f"{question}/{passage}", render("relevance", boundary=boundary(*texts.values()), **texts)

        with using_prompts(self._settings.prompts):
            outcomes = [outcome for _, outcome in ask_all(asking, prompts, len(pairs))]
        told = zip(pairs, outcomes, strict=True)
        self.sure |= {pair for pair, outcome in told if outcome.answer is not None and outcome.answer.answers}
        lost = [outcome.reason for outcome in outcomes if outcome.answer is None]
        if lost:
            say(f"denoise negatives: {len(lost)} of {len(pairs)} got no usable answer and are dropped: {lost[0]}")
        return np.array([outcome.answer is None or outcome.answer.answers for outcome in outcomes], bool)

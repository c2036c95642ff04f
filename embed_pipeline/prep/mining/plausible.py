"""Whether who looks at negatives once more can be believed.

Of the best-ranked unlabelled passages many do answer (RocketQA, Qu et al. 2021, arXiv 2010.08191, found 70 % of the
first ones on MS MARCO), so that a large share dropped is told and no more. Made positives, they would be most of what
a model is trained on: a judge that says yes to everything then teaches that everything answers everything.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.errors import StageError
from embed_pipeline.prep.mining.miner import Judge
from embed_pipeline.progress import say
from embed_pipeline.settings import PrepSettings

ENOUGH = 50
"""Pairs looked at below which a share says nothing."""
IMPLAUSIBLE = 0.5
"""Share of the negatives looked at; when more are said to answer their question, the user is told."""


class Watched:
    """A judge, with how many pairs it has looked at and how many of them it dropped."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.looked_at, self.dropped = 0, 0

    @property
    def reason(self) -> str:
        """Why what it drops is dropped."""
        return self._judge.reason

    @property
    def sure(self) -> Collection[tuple[int, int]]:
        """(query row, passage row) of passages that answer the question beyond doubt."""
        return self._judge.sure

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (query row, passage row) whether the passage answers the question after all."""
        found = self._judge.answers(pairs)
        self.looked_at += len(pairs)
        self.dropped += int(found.sum())
        return found

    def summary(self) -> dict[str, float]:
        """For the summary of the negatives."""
        if not self.looked_at:
            return {}
        return {
            "looked_at": self.looked_at,
            "share_said_to_answer": round(self.dropped / self.looked_at, 4),
            "share_surely_said_to_answer": round(len(self.sure) / self.looked_at, 4),
        }


def check_judge(watched: Watched, settings: PrepSettings) -> None:
    """Tell what is hard to believe, and stop before most of the negatives become positives.

    Raises:
        StageError: with ``prep.relabel``, more than ``prep.relabel_at_most`` of them would.
    """
    if watched.looked_at < ENOUGH:
        return
    sure = len(watched.sure)
    if settings.relabel and sure > settings.relabel_at_most * watched.looked_at:
        raise StageError(
            f"prep.relabel would make positives of {sure:,} of the {watched.looked_at:,} negatives that "
            f"{_who(settings)} looked at ({sure / watched.looked_at:.0%}), more than prep.relabel_at_most "
            f"({settings.relabel_at_most:.0%}). One that says yes to nearly everything tells nothing apart: "
            f"{' or '.join(_ways_out(settings))}, or, where so many do answer (look at some), raise "
            "prep.relabel_at_most."
        )
    if watched.dropped > IMPLAUSIBLE * watched.looked_at:
        say(
            f"warning: {_who(settings)} says of {watched.dropped:,} of the {watched.looked_at:,} negatives it looked "
            f"at ({watched.dropped / watched.looked_at:.0%}) that they answer their question or may do so, and they "
            "are dropped. Look at some (show mined_negatives) before you believe it."
        )


def _who(settings: PrepSettings) -> str:
    return f"prep.cross_encoder {settings.cross_encoder}" if settings.denoise == "cross_encoder" else "the judge"


def _ways_out(settings: PrepSettings) -> Iterator[str]:
    if settings.denoise == "cross_encoder":
        yield "name another prep.cross_encoder"
        yield f"raise prep.relabel_threshold ({settings.relabel_threshold:g})"
    else:
        yield "name another sdg.llm.judge_model"
    yield "set prep.relabel to false, which drops them instead"

"""Who says yes to everything is not believed without a word, and makes no positives."""

import numpy as np
import pytest

from embed_pipeline.errors import StageError
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.mining.plausible import ENOUGH, Watched, check_judge
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus

ENCODER = WordEncoder()


class Saying:
    """Says of the first ``yes`` of every ten pairs that they answer, and is sure of ``sure`` of them."""

    reason = "denoised"

    def __init__(self, yes: int, sure: int) -> None:
        self._yes, self._sure = yes, sure
        self.sure: set[tuple[int, int]] = set()

    def answers(self, pairs):
        self.sure |= {pair for place, pair in enumerate(pairs) if place % 10 < self._sure}
        return np.arange(len(pairs)) % 10 < self._yes


def looked(yes: int, sure: int, count: int = 100, **changes) -> list[str]:
    """What is said after so many pairs."""
    watched = Watched(Saying(yes, sure))
    watched.answers([(0, place) for place in range(count)])
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        check_judge(watched, PrepSettings(**{"denoise": "llm", "relabel": True, **changes}))
    return lines


def test_most_called_relevant_is_told_with_numbers():
    (line,) = looked(yes=6, sure=5)
    assert "the judge says of 60 of the 100 negatives it looked at (60%)" in line
    assert looked(yes=5, sure=5) == looked(yes=10, sure=10, count=ENOUGH - 1) == []
    (line,) = looked(yes=10, sure=10, relabel=False, denoise="cross_encoder", cross_encoder="some/model")
    assert "prep.cross_encoder some/model says of 100 of the 100" in line


def test_most_surely_relevant_stops_before_they_become_positives():
    with pytest.raises(StageError, match=r"positives of 60 of the 100 negatives .*\(60%\), more than .*\(50%\)"):
        looked(yes=6, sure=6)
    with pytest.raises(StageError, match=r"name another prep\.cross_encoder or raise prep\.relabel_threshold \(0\.9\)"):
        looked(yes=9, sure=9, denoise="cross_encoder", cross_encoder="some/model")
    assert len(looked(yes=6, sure=6, relabel_at_most=0.6)) == 1


def test_mining_stops_and_says_in_its_summary_what_the_judge_said():
    pairs, passages = corpus(24)
    chosen = PrepSettings(denoise="llm", relabel=True, hard_negative_margin=None)
    splits = split_items(pairs, passages, ENCODER, chosen)

    def mined(yes: int, sure: int):
        return mine_negatives(pairs, passages, splits, ENCODER, chosen, lambda *_: Saying(yes, sure))

    with pytest.raises(StageError, match=r"prep\.relabel would make positives of"):
        mined(10, 10)
    summary = mined(1, 0).summary
    assert summary["looked_at"] >= ENOUGH
    assert 0 < summary["share_said_to_answer"] < 0.2 and summary["share_surely_said_to_answer"] == 0

"""Scores of pairs: each computed once, and kept when something stops in the middle."""

import numpy as np
import pytest

from embed_pipeline.encoders import pair_scores
from embed_pipeline.encoders.pair_scores import PairScores


class Lengths:
    """Scores a pair by the lengths of its texts, and remembers what it was asked; fails at a call if told."""

    def __init__(self, fails_at=None):
        self.asked, self.calls, self.fails_at = [], 0, fails_at

    def __call__(self, pairs):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        self.asked += pairs
        return np.array([10 * len(question) + len(passage) for question, passage in pairs], np.float32)


PAIRS = [("a", "bb"), ("aaa", "b"), ("a", "bb")]


def test_each_pair_is_scored_once_ever(tmp_path):
    scorer = Lengths()
    scores = PairScores(tmp_path / "s.sqlite", "1", lambda: scorer)
    assert scores.of(PAIRS, "score").tolist() == [12, 31, 12]
    assert scorer.asked == PAIRS[:2]
    assert scores.of([], "score").tolist() == []

    def load():
        raise AssertionError("loaded for nothing")

    assert PairScores(tmp_path / "s.sqlite", "1", load).of(PAIRS, "score").tolist() == [12, 31, 12]


def test_another_version_is_scored_anew(tmp_path):
    first, second = Lengths(), Lengths()
    PairScores(tmp_path / "s.sqlite", "1", lambda: first).of(PAIRS, "score")
    PairScores(tmp_path / "s.sqlite", "2", lambda: second).of(PAIRS, "score")
    assert first.asked == second.asked


def test_a_stop_in_the_middle_keeps_what_was_scored(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_scores, "BLOCK", 2)
    pairs = [("q" * number, "p") for number in range(8)]
    failing, scorer = Lengths(fails_at=3), Lengths()
    with pytest.raises(KeyboardInterrupt):
        PairScores(tmp_path / "s.sqlite", "1", lambda: failing).of(pairs, "score")
    PairScores(tmp_path / "s.sqlite", "1", lambda: scorer).of(pairs, "score")
    assert (failing.asked, scorer.asked) == (pairs[:4], pairs[4:])

"""Hard negatives against a brute force that applies the rules one passage at a time."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.prep.mining import miner as module
from embed_pipeline.prep.mining.miner import mine
from embed_pipeline.prep.mining.rankings import Rankings
from embed_pipeline.prep.mining.rules import REASONS, Barred, Rules
from embed_pipeline.retrieval.passage_index import PassageIndex

NONE = np.zeros(0, np.int64)


def free(queries: int, passages: int) -> Barred:
    """Nothing is barred."""
    return Barred(np.ones(passages, bool), None, None, [NONE] * queries, [NONE] * queries)


def threshold_of(lowest: float, rules: Rules) -> float:
    limits = [np.inf]
    if rules.margin is not None:
        limits.append(lowest - (1 - rules.margin) * abs(lowest))
    if rules.absolute_margin is not None:
        limits.append(lowest - rules.absolute_margin)
    return min(limits)


def reason_of(row, passage, rank, score, problem, threshold) -> str:
    _, _, positives, barred, rules = problem
    if passage in positives[row]:
        return "positive"
    if passage in barred.near_duplicates[row]:
        return "near_duplicate"
    if passage in barred.siblings[row]:
        return "sibling"
    if not barred.allowed[passage]:
        return "held_out"
    if barred.passage_home is not None and barred.passage_home[passage] == barred.query_home[row]:
        return "same_document"
    if rank < rules.first_rank:
        return "before_first_rank"
    return "above_margin" if score > threshold else "usable"


def brute_force(problem, order_of):
    """(negatives, threshold, rejected) of each query; rejected: (passage, rank, reason) before the last one taken."""
    queries, passages, positives, _, rules = problem
    found = []
    for row, query in enumerate(queries):
        scores = passages @ query
        threshold = threshold_of(float(min(scores[list(positives[row])])), rules)
        rank, taken, dropped = 0, list[int](), list[tuple[int, int, str]]()
        for passage in order_of(row, scores):
            rank += passage not in positives[row]
            if len(taken) == rules.count or (rules.last_rank is not None and rank > rules.last_rank):
                break
            reason = reason_of(row, passage, rank, scores[passage], problem, threshold)
            if reason == "usable":
                taken.append(passage)
            elif reason != "positive":
                dropped.append((passage, rank, reason))
        found.append((taken, threshold, dropped))
    return found


def by_score(_, scores):
    return sorted(range(len(scores)), key=lambda passage: (-scores[passage], passage))


@st.composite
def problems(draw):
    """Vectors of small whole numbers: exact sums, many ties, scores of either sign."""
    size, queries, width = draw(st.integers(1, 90)), draw(st.integers(1, 30)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = lambda rows: rng.integers(-3, 4, (rows, width)).astype(np.float32)  # noqa: E731
    choose = lambda low: np.unique(rng.integers(0, size, rng.integers(low, 4)))  # noqa: E731
    homes = draw(st.booleans())
    barred = Barred(
        allowed=rng.random(size) < draw(st.sampled_from([0.1, 0.7, 1.0])),
        passage_home=rng.integers(0, 5, size) if homes else None,
        query_home=rng.integers(0, 5, queries) if homes else None,
        near_duplicates=[choose(0) for _ in range(queries)],
        siblings=[choose(0) for _ in range(queries)],
    )
    first = draw(st.sampled_from([1, 1, 3]))
    rules = Rules(
        count=draw(st.integers(0, 7)),
        margin=draw(st.sampled_from([None, 0.5, 0.95, 1.0])),
        absolute_margin=draw(st.sampled_from([None, 0.0, 2.0])),
        first_rank=first,
        last_rank=draw(st.sampled_from([None, None, first, 9])),
    )
    return numbers(queries), numbers(size), [choose(1) for _ in range(queries)], barred, rules


def rejections(result, row):
    own = result.rejected.queries == row
    parts = (getattr(result.rejected, name)[own].tolist() for name in ("passages", "ranks", "reasons"))
    return [(passage, rank, REASONS[reason]) for passage, rank, reason in zip(*parts, strict=True)]


@settings(max_examples=200, deadline=None)
@given(problems(), st.sampled_from([1, 4]), st.sampled_from([1, 7, 4096]), st.sampled_from([1, 50, 4_000_000]))
def test_equals_brute_force(problem, first_look, block, cells):
    queries, passages = problem[:2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CELLS", cells)
        patch.setattr(module, "FIRST_LOOK", first_look)
        patch.setattr(module, "BLOCK", block)
        result = mine(*problem)
    for row, (taken, threshold, dropped) in enumerate(brute_force(problem, by_score)):
        assert result.indices[row].tolist() == taken
        assert result.scores[row].tolist() == (passages[taken] @ queries[row]).tolist()
        assert result.threshold[row] == pytest.approx(threshold)
        if problem[4].count:
            assert rejections(result, row) == dropped


@settings(max_examples=100, deadline=None)
@given(problems(), st.sampled_from(["bm25", "both"]), st.integers(0, 2**32 - 1), st.sampled_from([1, 4]))
def test_equals_brute_force_over_other_rankings(problem, source, seed, first_look):
    queries, passages, positives, barred, rules = problem
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(len(passages))[: rng.integers(0, len(passages) + 1)].tolist() for _ in queries]

    def in_turn(row, scores):
        orders = [by_score(row, scores), lists[row]] if source == "both" else [lists[row]]
        merged = [order[place] for place in range(len(passages)) for order in orders if place < len(order)]
        return list(dict.fromkeys(merged))

    index = PassageIndex(passages, len(passages))
    rankings = Rankings(queries, index, source, lambda rows, k: [lists[row][:k] for row in rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST_LOOK", first_look)
        result = mine(queries, index, positives, barred, rules, rankings)
    for row, (taken, *_) in enumerate(brute_force(problem, in_turn)):
        assert result.indices[row].tolist() == taken


@settings(max_examples=100, deadline=None)
@given(problems())
def test_a_random_choice_is_of_the_window_and_each_query_s_own(problem):
    queries, passages, positives, barred, rules = problem
    window = Rules(rules.count, rules.margin, rules.absolute_margin, rules.first_rank, 12, "random")
    seeds = list(range(100, 100 + len(queries)))
    result = mine(queries, passages, positives, barred, window, seeds=seeds)
    all_usable = Rules(len(passages), rules.margin, rules.absolute_margin, rules.first_rank, 12)
    usable = mine(queries, passages, positives, barred, all_usable)
    for row in range(len(queries)):
        assert set(result.indices[row]) <= set(usable.indices[row])
        assert len(result.indices[row]) == min(rules.count, len(usable.indices[row]))
    alone = Barred(
        barred.allowed,
        barred.passage_home,
        None if barred.query_home is None else barred.query_home[-1:],
        barred.near_duplicates[-1:],
        barred.siblings[-1:],
    )
    last = mine(queries[-1:], passages, positives[-1:], alone, window, seeds=seeds[-1:])
    assert last.indices[0].tolist() == result.indices[-1].tolist()


class Listed:
    """A denoiser that knows which pairs are answers, and remembers what it was asked."""

    reason = "denoised"

    def __init__(self, answers):
        self._answers, self.asked = answers, []

    def answers(self, pairs):
        self.asked += pairs
        return np.array([pair in self._answers for pair in pairs], bool)


@settings(max_examples=100, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_denoised_negatives_are_replaced_by_others_that_were_looked_at(problem, seed):
    queries, passages, positives, barred, rules = problem
    rng = np.random.default_rng(seed)
    answers = {(row, passage) for row in range(len(queries)) for passage in range(len(passages)) if rng.random() < 0.3}
    cheap = Listed({pair for pair in answers if sum(pair) % 2})
    denoiser = Listed(answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DENOISING_ROUNDS", 100)
        result = mine(queries, passages, positives, barred, rules, denoisers=[cheap, denoiser])
    assert len(set(denoiser.asked)) == len(denoiser.asked)
    assert not {pair for pair in denoiser.asked if sum(pair) % 2} & answers  # the cheap one has dropped them
    everything = mine(queries, passages, positives, barred, Rules(**{**vars(rules), "count": len(passages)}))
    for row in range(len(queries)):
        good = [passage for passage in everything.indices[row].tolist() if (row, passage) not in answers]
        assert result.indices[row].tolist() == good[: rules.count]


def test_after_the_last_round_of_denoising_nothing_unseen_is_taken(monkeypatch):
    monkeypatch.setattr(module, "DENOISING_ROUNDS", 2)
    passages = np.linspace(1, 0.1, 40, dtype=np.float32)[:, None]
    denoiser = Listed({(0, passage) for passage in range(8)})
    rules = Rules(count=5, margin=None)
    result = mine(passages[:1], passages, [np.array([0])], free(1, 40), rules, denoisers=[denoiser])
    looked_at = {passage for _, passage in denoiser.asked}
    assert result.indices[0].tolist() == [8, 9, 10]
    assert set(result.indices[0].tolist()) <= looked_at


def test_negative_cosines_tighten_rather_than_loosen():
    queries = np.array([[1.0, 0.0]], np.float32)
    passages = np.array([[-0.5, 0], [-0.51, 0], [-0.6, 0]], np.float32)
    result = mine(queries, passages, [np.array([0])], free(1, 3), Rules(2, 0.95))
    assert result.threshold[0] == pytest.approx(-0.525)
    assert result.indices[0].tolist() == [2]
    assert rejections(result, 0) == [(1, 1, "above_margin")]


def test_dropped_candidates_never_come_back():
    passages = np.ones((50, 1), np.float32)
    result = mine(passages[:1], passages, [np.array([0])], free(1, 50), Rules(5, 0.95))
    assert result.indices[0].tolist() == []
    assert len(rejections(result, 0)) == 49


def test_planted_false_negatives_are_not_mined():
    """Unlabelled answers score at least as high as the labelled one; the margin drops all, without it all are mined."""
    rng = np.random.default_rng(0)
    passages = rng.normal(size=(2000, 32)).astype(np.float32)
    queries = passages[:50] + 0.15 * rng.normal(size=(50, 32)).astype(np.float32)
    passages[50:100] = 0.3 * passages[:50] + 0.7 * queries
    for vectors in (passages, queries):
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    positives = [np.array([row]) for row in range(50)]
    plain = mine(queries, passages, positives, free(50, 2000), Rules(5, None))
    ours = mine(queries, passages, positives, free(50, 2000), Rules(5, 0.95))
    assert all(50 + row in plain.indices[row] for row in range(50))
    assert not any(50 + row in ours.indices[row] for row in range(50))


def test_many_queries_that_need_a_deep_look_are_looked_at_a_few_at_a_time(monkeypatch):
    looked = []
    original = Rankings.best

    def look(self, rows, k):
        looked.append(len(rows) * min(k, 3000))
        return original(self, rows, k)

    monkeypatch.setattr(Rankings, "best", look)
    monkeypatch.setattr(module, "CELLS", 30_000)
    passages = np.ones((3000, 2), np.float32)  # the margin drops everything, however deep one looks
    result = mine(passages[:100], passages, [np.array([row]) for row in range(100)], free(100, 3000), Rules(5))
    assert all(len(found) == 0 for found in result.indices)
    assert max(looked) <= 30_000


def test_broken_input_is_refused():
    vectors = np.ones((2, 1), np.float32)
    with pytest.raises(InputError, match="at least one positive"):
        mine(vectors, vectors, [NONE, NONE], free(2, 2), Rules(1))
    with pytest.raises(InputError, match="not finite"):
        mine(vectors * np.nan, vectors, [np.array([0])] * 2, free(2, 2), Rules(1))


def test_core_needs_no_polars():
    code = (
        "import sys; sys.modules['polars'] = None; import numpy as np\n"
        "from embed_pipeline.prep.mining.miner import mine\n"
        "from embed_pipeline.prep.mining.rules import Barred, Rules\n"
        "v = np.eye(3, dtype=np.float32); none = np.array([], np.int64)\n"
        "barred = Barred(np.ones(3, bool), None, None, [none], [none])\n"
        "print(mine(v[:1], v, [np.array([0])], barred, Rules(2, 0.95)).indices[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 2]"

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline import tables
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.sdg.filters import all_questions
from embed_pipeline.sdg.filters.all_questions import closest_kept, first_rank
from embed_pipeline.sdg.filters.select import REASONS, refused_before_judging, select_pairs
from embed_pipeline.settings import SdgSettings
from embed_pipeline_tests.sdg.sample import candidate, documents_and_passages, table_of

SPEC = EncoderSpec(model="", content_sha256="", max_query_length=8, max_passage_length=8, dimensions=(3,))
PASSAGES = documents_and_passages()[1]


class TableEncoder:
    """Vectors from a table; a text that is not in it stands apart from all others."""

    spec = SPEC

    def __init__(self, **vectors):
        self.vectors = vectors
        self.encoded = []

    def encode(self, texts, role):
        self.encoded.append(role)
        if not texts:
            return np.zeros((0, 64), np.float32)
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text):
        vector = np.zeros(64, np.float32)
        known = self.vectors.get(text.replace(" ", "_"))
        if known is None:
            vector[4 + sum(text.encode()) % 60] = 1
        else:
            vector[: len(known)] = known
        return vector


def selected(*candidates, encoder=None, passages=PASSAGES, **values):
    return select_pairs(table_of(*candidates), passages, encoder or TableEncoder(), SdgSettings(**values))


def reasons(selection):
    return dict(selection.rejected.select("question", "reason").iter_rows())


@pytest.mark.parametrize(
    ("one", "values", "reason"),
    [
        (candidate("short"), {}, "too_short"),
        (candidate("塔是谁建的"), {}, None),
        (candidate("塔高"), {}, "too_short"),
        (candidate("short", generator="imported"), {}, None),
        (candidate("a question too long", generator="imported"), {"max_question_chars": 12}, "too_long"),
        (candidate("a question of no home", "x#0"), {}, "unknown_passage"),
        (candidate("a question of half a home", "alarm.md#0", "x#0"), {}, "unknown_passage"),
        (candidate("what does the passage say"), {}, "refers_to_text"),
        (candidate("what warns of low gas", score=6.9), {}, "low_score"),
        (candidate("what warns of low gas", score=7.0), {}, None),
        (candidate("what warns of low gas", generator="llm/m"), {}, "not_judged"),
        (candidate("what warns of low gas", generator="llm/m", score=9), {}, None),
        (candidate("Below 350 Pa: the low ALARM sounds"), {}, "copies_passage"),
        (candidate("Below 350 Pa: the low ALARM sounds", generator="llm/m", score=9), {}, "copies_passage"),
        (candidate("Below 350 Pa: the low ALARM sounds", mask=True), {}, None),
        (candidate("Below 350 Pa: the low ALARM sounds", generator="imported"), {}, None),
        (candidate("Below 350 Pa: the low ALARM sounds", "skein.md#0"), {}, None),
        (candidate("Below 350 Pa: the low ALARM sounds", "skein.md#0", "alarm.md#0"), {}, "copies_passage"),
        (candidate("why below 350 Pa the low alarm sounds"), {"max_overlap": 7 / 8}, None),
        (candidate("why below 350 Pa the low alarm sounds"), {"max_overlap": 0.87}, "copies_passage"),
    ],
)
def test_filters_that_look_at_one_question(one, values, reason):
    assert list(reasons(selected(one, **values)).values()) == [reason] * (reason is not None)


def test_a_title_is_part_of_what_can_be_copied():
    passages = documents_and_passages(titles={"alarm.md": "Low alarm of the lung"})[1]
    assert reasons(selected(candidate("low alarm of the lung"), passages=passages)) == {
        "low alarm of the lung": "copies_passage"
    }


def test_of_equal_questions_the_best_judged_is_kept():
    equal = [
        candidate("What warns of low gas?", score=7.5),
        candidate("what warns of LOW gas", score=8.5),
        candidate("what warns, of low gas"),
    ]
    selection = selected(*equal)
    assert selection.pairs["question"].to_list() == ["what warns of LOW gas"]
    assert set(reasons(selection).values()) == {"duplicate"}


def test_questions_that_differ_in_a_sign_are_two():
    asked = ["What if x > 5 holds?", "What if x < 5 holds?", "How is a C build made?", "How is a C++ build made?"]
    assert reasons(selected(*map(candidate, asked))) == {}


def test_an_imported_question_wins_over_a_generated_one():
    selection = selected(
        candidate("what warns of low gas", generator="imported"), candidate("What warns of low gas?", score=10)
    )
    assert selection.pairs["generator"].to_list() == ["imported"]


def test_near_duplicates_go_by_cosine_and_only_against_kept_questions():
    # In order of preference: angles 0, 20, 40 degrees. 20 is too close to 0; 40 only to 20, which is gone.
    vectors = {
        f"question_{angle}_deg": [2 * np.cos(np.radians(angle)), 2 * np.sin(np.radians(angle))] for angle in (0, 20, 40)
    }
    questions = [candidate(f"question {angle} deg", score=10 - angle / 40) for angle in (0, 20, 40)]
    selection = selected(*questions, encoder=TableEncoder(**vectors))
    assert reasons(selection) == {"question 20 deg": "near_duplicate"}
    assert selected(*questions, encoder=TableEncoder(**vectors), dedup_threshold=0.95).pairs.height == 3


@given(seed=st.integers(0, 50), block=st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_near_duplicates_do_not_depend_on_the_blocks(seed, block):
    vectors = np.random.default_rng(seed).normal(size=(20, 3)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kept: list[int] = []
    for position in range(len(unit)):
        if all(unit[position] @ unit[other] <= 0.9 for other in kept):
            kept.append(position)
    whole = all_questions.BLOCK
    try:
        all_questions.BLOCK = block
        dropped = closest_kept(vectors, 0.9)
    finally:
        all_questions.BLOCK = whole
    assert set(dropped) == set(range(20)) - set(kept)
    for position, (other, cosine) in dropped.items():
        assert other in kept
        assert other < position
        assert cosine == pytest.approx(unit[position] @ unit[other], abs=1e-5)


def round_trip(k, question="where is it said", passages=("skein.md#0",), **options):
    """Base model ranks: alarm.md#0, alarm.md#1, skein.md#0."""
    texts = dict(PASSAGES.select("passage_id", "text").iter_rows())
    ranks = {"alarm.md#0": [1.0], "alarm.md#1": [0.5], "skein.md#0": [0.1]}
    vectors = {texts[key].replace(" ", "_"): value for key, value in ranks.items()}
    encoder = TableEncoder(**{question.replace(" ", "_"): [1.0]}, **vectors)
    return selected(candidate(question, *passages, **options), encoder=encoder, round_trip_k=k), encoder


def test_a_question_must_find_one_of_its_passages():
    assert reasons(round_trip(2, "where could that be")[0]) == {"where could that be": "round_trip"}
    assert reasons(round_trip(2, "where could that be", mask=True)[0]) == {"where could that be": "round_trip"}
    assert reasons(round_trip(2, "where could that be", generator="imported")[0]) == {}
    assert reasons(round_trip(1, "what retired the thing")[0]) == {}
    assert reasons(round_trip(1, "what about credits", ("alarm.md#1",))[0]) == {"what about credits": "round_trip"}


def test_the_round_trip_costs_nothing_where_it_cannot_fail():
    selection, encoder = round_trip(3, "where could that be")
    assert selection.pairs.height == 1
    assert encoder.encoded == ["query"]


def test_words_are_looked_up_only_for_what_the_base_model_misses(monkeypatch):
    monkeypatch.setattr(all_questions, "Bm25Index", None)
    assert round_trip(1, "where could that be", ("alarm.md#0",))[0].pairs.height == 1


def test_one_of_several_positives_is_enough():
    assert round_trip(1, "where could that be", ("skein.md#0", "alarm.md#0"))[0].pairs.height == 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.data())
def test_the_first_rank_is_the_place_in_a_sorted_list(scores, data):
    own = data.draw(st.lists(st.integers(0, len(scores) - 1), min_size=1, unique=True))
    order = np.argsort(-np.array(scores), kind="stable").tolist()
    assert first_rank(np.array(scores, np.float32), own) == 1 + min(order.index(index) for index in own)


def detail(selection):
    return selection.rejected["detail"].item()


def judged(question, **values):
    return dataclasses.replace(candidate(question, generator="llm/m"), **values)


@pytest.mark.parametrize(
    ("one", "values", "expected"),
    [
        (candidate("short"), {}, "5 characters; sdg.min_question_chars is 12"),
        (candidate("what warns of us"), {"max_question_chars": 12}, "16 characters; sdg.max_question_chars is 12"),
        (candidate("a question of half a home", "alarm.md#0", "x#0"), {}, "no passage x#0"),
        (candidate("What, according to the passage, warns?"), {}, '"according to the passage"'),
        (
            candidate("why below 350 Pa the low alarm sounds"),
            {"max_overlap": 0.8},
            "7 of 8 words stand in order in passage alarm.md#0",
        ),
        (candidate("what warns of low gas", generator="llm/m"), {}, "the judge gave no scores"),
        (
            judged("what warns of low gas", score=5.25, relevance=8, accuracy=5, context_support=3, clarity=5,
                   judgement="context_support: not in the text"),
            {},
            "mean 5.25 is below sdg.judge_threshold 7: context_support 3, accuracy 5, clarity 5, relevance 8; "
            "context_support: not in the text",
        ),
        (candidate("what warns of low gas", score=6.5), {}, "mean 6.5 is below sdg.judge_threshold 7"),
        (
            judged("what warns of low gas", score=9, closed_book=True),
            {"closed_book_check": True},
            "the model answers it without the documents (sdg.closed_book_check)",
        ),
    ],
)  # fmt: skip
def test_a_refusal_tells_in_words_what_it_refused(one, values, expected):
    assert detail(selected(one, **values)) == expected


def test_a_refused_duplicate_names_the_other_question():
    kept, other = candidate("What warns of low gas?", score=9), candidate("what warns of LOW gas", score=8)
    selection = selected(kept, other)
    assert detail(selection) == f"same as question {selection.pairs['question_id'].item()}: What warns of low gas?"
    vectors = {"what_warns_of_low_gas": [1.0], "what_tells_of_low_gas": [0.93, np.sqrt(1 - 0.93**2)]}
    near = [candidate("what warns of low gas", score=9), candidate("what tells of low gas", score=8)]
    selection = selected(*near, encoder=TableEncoder(**vectors))
    assert detail(selection) == f"cosine 0.93 with {selection.pairs['question_id'].item()}: what warns of low gas"


def test_a_lost_question_tells_the_ranks_of_its_evidence():
    assert detail(round_trip(2, "where could that be")[0]) == (
        "its evidence is not among the first 2 passages of base model (rank 3) or BM25 (no word in common)"
    )
    assert detail(round_trip(1, "the loft warden is here", ("skein.md#0",))[0]) == (
        "its evidence is not among the first 1 passages of base model (rank 3) or BM25 (rank 3)"
    )  # fmt: skip


def test_what_the_model_knows_by_heart_is_dropped_on_demand_only():
    known = judged("what warns of low gas", score=9, closed_book=True)
    assert selected(known).pairs.height == 1
    assert reasons(selected(known, closed_book_check=True)) == {"what warns of low gas": "answerable_without"}
    for closed_book in (False, None):
        unknown = judged("what warns of low gas", score=9, closed_book=closed_book)
        assert selected(unknown, closed_book_check=True).pairs.height == 1


def many(count, *passage_ids, **options):
    names = ["one", "two", "three", "four", "five", "six", "seven", "eight"][:count]
    return [
        candidate(f"{name} {passage_id.replace('.', ' ')}", passage_id, **options)
        for name in names
        for passage_id in passage_ids
    ]


class ApartEncoder(TableEncoder):
    """All questions far from one another, all passages equally near."""

    def encode(self, texts, role):
        return np.eye(len(texts), 64, dtype=np.float32)


def test_the_limit_spreads_over_the_passages():
    lopsided = [*many(8, "alarm.md#0"), *many(2, "alarm.md#1", "skein.md#0")]
    selection = selected(*lopsided, encoder=ApartEncoder(), max_questions=6)
    counts = dict(selection.pairs["passage_ids"].list.first().value_counts().iter_rows())
    assert counts == {"alarm.md#0": 2, "alarm.md#1": 2, "skein.md#0": 2}
    assert selection.funnel["over_limit"] == 6


def test_the_limit_takes_imported_questions_first_and_then_the_best():
    asked = [
        *many(2, "alarm.md#0", generator="imported"),
        *many(3, "skein.md#0", score=8),
        candidate("the best of them", "skein.md#0", score=9),
    ]
    selection = selected(*asked, encoder=ApartEncoder(), max_questions=3)
    assert sorted(selection.pairs["question"]) == ["one alarm md#0", "the best of them", "two alarm md#0"]


def test_the_seed_decides_whose_turn_it_is():
    asked = many(1, *PASSAGES["passage_id"])
    chosen = {
        seed: selected(*asked, encoder=ApartEncoder(), max_questions=1, seed=seed).pairs["question"].item()
        for seed in range(6)
    }
    assert len(set(chosen.values())) == 3
    assert chosen == {
        seed: selected(*reversed(asked), encoder=ApartEncoder(), max_questions=1, seed=seed).pairs["question"].item()
        for seed in range(6)
    }


def test_no_candidates_give_empty_tables_and_a_whole_funnel():
    selection = selected()
    assert selection.pairs.is_empty()
    assert selection.rejected.is_empty()
    assert selection.funnel == dict.fromkeys(["candidates", *REASONS, "pairs"], 0)


FREE = list(REASONS)[: list(REASONS).index("not_judged")]
WORDS = ["what", "is", "the", "low", "alarm", "below", "350", "Pa", "skein", "credits", "in", "this", "passage"]
QUESTION = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
CANDIDATE = st.builds(
    lambda question, ids, generator, mask, score: candidate(
        question, *ids, generator=generator, mask=mask, score=score
    ),
    QUESTION,
    st.lists(st.sampled_from([*PASSAGES["passage_id"], "gone#0"]), min_size=1, max_size=2, unique=True),
    st.sampled_from(["offline/a", "llm/m", "imported"]),
    st.booleans(),
    st.none() | st.sampled_from([3.0, 7.0, 9.5]),
)


class WordEncoder:
    """Bag of words, so that similar questions are close and passages are found by their words."""

    spec = SPEC

    def encode(self, texts, role):
        vectors = np.zeros((len(texts), 32), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, sum(word.encode()) % 32] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@given(st.lists(CANDIDATE, max_size=25), st.randoms(use_true_random=False), st.integers(1, 10))
@settings(deadline=None, max_examples=30)
def test_nothing_is_lost_and_the_order_of_the_rows_is_without_effect(candidates, shuffler, limit):
    values = SdgSettings(max_questions=limit, round_trip_k=1, min_question_chars=4, dedup_threshold=0.8)
    frame = table_of(*candidates, passage_ids=["gone#0"])
    selection = select_pairs(frame, PASSAGES, WordEncoder(), values)
    together = pl.concat([selection.pairs, selection.rejected.drop("reason", "detail")]).sort("question_id")
    assert together.equals(frame)
    assert tables.validate(tables.QaPairs, selection.pairs).equals(selection.pairs)
    assert set(selection.rejected["reason"]) <= set(REASONS)
    assert selection.rejected["detail"].null_count() == 0
    free = set(refused_before_judging(frame, PASSAGES, WordEncoder(), values))
    assert free == set(selection.rejected.filter(pl.col("reason").is_in(FREE))["question_id"])
    counts = [selection.funnel[name] for name in REASONS]
    assert selection.funnel["candidates"] - sum(counts) == selection.funnel["pairs"] == selection.pairs.height <= limit
    positions = list(range(frame.height))
    shuffler.shuffle(positions)
    again = select_pairs(frame[positions] if positions else frame, PASSAGES.reverse(), WordEncoder(), values)
    assert again.pairs.equals(selection.pairs)
    assert again.rejected.equals(selection.rejected)
    assert again.funnel == selection.funnel


@given(st.lists(CANDIDATE, max_size=20))
@settings(deadline=None, max_examples=20)
def test_what_was_kept_is_kept_again(candidates):
    values = SdgSettings(round_trip_k=1, min_question_chars=4, dedup_threshold=0.8)
    once = select_pairs(table_of(*candidates), PASSAGES, WordEncoder(), values)
    twice = select_pairs(once.pairs, PASSAGES, WordEncoder(), values)
    assert twice.pairs.equals(once.pairs)


@given(st.lists(CANDIDATE, max_size=25), st.data())
@settings(deadline=None, max_examples=30)
def test_what_need_not_be_judged_is_refused_whatever_the_judge_says(candidates, data):
    values = SdgSettings(round_trip_k=1, min_question_chars=4, dedup_threshold=0.8)
    unjudged = table_of(*(dataclasses.replace(one, score=None) for one in candidates), passage_ids=["gone#0"])
    free = set(refused_before_judging(unjudged, PASSAGES, WordEncoder(), values))
    scores = [
        None if key in free else data.draw(st.sampled_from([0.0, 3.0, 7.0, 9.5])) for key in unjudged["question_id"]
    ]
    judged_later = unjudged.with_columns(score=pl.Series(scores, dtype=pl.Float64))
    assert free <= set(select_pairs(judged_later, PASSAGES, WordEncoder(), values).rejected["question_id"])

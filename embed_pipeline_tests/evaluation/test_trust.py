"""Whether a generated test may say ship."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.evaluation.forgetting import general_set
from embed_pipeline.evaluation.lexical import answered_by_words
from embed_pipeline.evaluation.probes import MOST, Probes, as_written, build_probes, headings
from embed_pipeline.evaluation.trust import judge, look, looked_at
from embed_pipeline.prep.rewording import reworded
from embed_pipeline.records import RetrievalSet
from embed_pipeline_tests.prep.build import WordEncoder

TOPICS = ("rotor", "sensor", "valve", "winch", "cradle", "mast", "sock", "lung", "drum", "kite")
BETTER = {
    "written_base": 0.5,
    "written_tuned": 0.7,
    "reworded_base": 0.4,
    "reworded_tuned": 0.55,
    "reworded_agreement": 0.6,
    "headings_base": 0.7,
    "headings_tuned": 0.69,
    "headings_agreement": 0.8,
    "reworded_share": 0.95,
    "cosine": 0.96,
}


class Scrambled(WordEncoder):
    """A model whose vectors mean nothing any more."""

    def encode(self, texts, role) -> Vectors:
        vectors = super().encode(texts, role)
        noise = np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
        return noise / np.linalg.norm(noise, axis=1, keepdims=True)


def corpus() -> tuple[RetrievalSet, dict[str, str], pl.DataFrame]:
    """A generated test, its questions as they were written, and the table of passages."""
    rows, written, qrels = [], {}, {}
    for topic in TOPICS:
        for part in range(3):
            name = f"{topic}.md#000{part}"
            own = " ".join(f"{topic}{letter}{part}" for letter in "abcdef")
            rows.append({"passage_id": name, "doc_id": f"{topic}.md", "title": f"The {topic}", "text": f"it has {own}"})
            written[f"q-{name}"] = f"how has {own}"
            qrels[f"q-{name}"] = {name: 1}
    passages = {row["passage_id"]: f"{row['title']}\n{row['text']}" for row in rows}
    return RetrievalSet("synthetic", passages, written, qrels, kind="synthetic"), written, pl.DataFrame(rows)


def probes(log: tuple[str, ...] = ()) -> Probes:
    synthetic, written, table = corpus()
    plain = as_written(synthetic, written)
    return build_probes(
        plain, reworded(plain, set(plain.queries), WordEncoder(), answered_by_words(plain.passages)), table, log
    )


def test_headings_ask_for_the_passages_below_them():
    synthetic, _, table = corpus()
    found = headings(synthetic.passages, table)
    assert set(found.queries.values()) == {f"The {topic}" for topic in TOPICS}
    name = next(one for one, title in found.queries.items() if title == "The rotor")
    assert set(found.qrels[name]) == {f"rotor.md#000{part}" for part in range(3)}


@pytest.mark.parametrize("title", ["", "  ", "FAQ"])
def test_a_corpus_with_hardly_a_heading_is_not_asked_for_them(title):
    synthetic, _, table = corpus()
    assert headings(synthetic.passages, table.with_columns(title=pl.lit(title))).queries == {}


def test_of_many_headings_and_queries_some_are_asked_the_same_every_time():
    synthetic, _, table = corpus()
    many = pl.concat([table.with_columns(title=pl.lit(f"heading {number}")) for number in range(MOST + 50)])
    log = [f"query {number}" for number in range(MOST + 50)]
    one = build_probes(synthetic, synthetic, many, log)
    again = build_probes(synthetic, synthetic, many, list(reversed(log)))
    assert len(one.headings.queries) == len(one.log.queries) == MOST
    assert set(one.log.queries.values()) == set(again.log.queries.values())


def test_questions_are_asked_in_their_own_and_in_reworded():
    found = probes()
    assert dict(found.written.queries) == corpus()[1]
    assert all(found.reworded.queries[one] != found.written.queries[one] for one in found.written.queries)


def test_the_base_model_itself_earns_nothing():
    encoder = WordEncoder()
    told = look(probes(("the rotor", "a winch")), encoder, encoder, general_set())
    assert told["cosine"] == pytest.approx(1, abs=1e-5)
    assert told["headings_agreement"] == told["log_agreement"] == 1
    assert told["written_base"] == told["written_tuned"]
    assert not judge(told).earned


def test_a_model_whose_vectors_mean_nothing_is_refused():
    told = look(probes(("the rotor",)), WordEncoder(), Scrambled(), general_set())
    assert abs(told["cosine"]) < 0.3
    assert told["headings_agreement"] < 0.6  # ten of thirty passages: chance alone finds a third of them
    reasons = " ".join(judge(told).reasons)
    assert "Headings find" in reasons
    assert "nothing to do with" in reasons


def test_agreement_is_the_mean_over_the_questions():
    """One model turns the vectors of half of the queries around: they find the last passages instead of the first."""

    class HalfTurned(WordEncoder):
        def encode(self, texts, role) -> Vectors:
            vectors = super().encode(texts, role)
            turned = np.array([role == "query" and text in odd for text in texts])
            return np.where(turned[:, None], -vectors, vectors)

    log = tuple(f"has {topic}a0 {topic}b0 {topic}c0" for topic in TOPICS)
    odd = set(log[::2])
    half = look(probes(log), WordEncoder(), HalfTurned(), general_set())["log_agreement"]
    odd = set(log)
    turned = look(probes(log), WordEncoder(), HalfTurned(), general_set())["log_agreement"]
    assert turned < 1
    assert half == pytest.approx((1 + turned) / 2, abs=0.05)


def test_what_got_better_everywhere_is_believed():
    found = judge(BETTER)
    assert found.earned
    assert found.reasons == ()
    assert found.as_json()["evidence"] == BETTER


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reworded_tuned": 0.45}, "Reworded they gain"),
        ({"reworded_tuned": 0.39, "written_tuned": 0.45}, "Reworded they gain"),
        ({"reworded_share": 0.3}, "Only 30% of"),
        ({"headings_tuned": 0.6}, "Headings find"),
        ({"reworded_agreement": 0.4}, "For reworded questions"),
        ({"headings_agreement": 0.4}, "For headings"),
        ({"log_agreement": 0.4}, "queries of your log"),
        ({"cosine": 0.85}, "nothing to do with"),
    ],
)
def test_each_figure_beyond_its_bound_is_a_reason_of_its_own(changed, said):
    found = judge(BETTER | changed)
    assert not found.earned
    assert len(found.reasons) == 1
    assert said in found.reasons[0]


def test_every_figure_is_told_with_its_bound():
    told = looked_at(BETTER | {"log_agreement": 0.55})
    for words in (
        "+0.150 (as written +0.200",
        "67% of it needed",
        "headings -1% (at worst -10%)",
        "log 0.55 (0.5 needed)",
        "0.960 (0.9",
    ):
        assert words in told
    assert "headings" not in looked_at({name: value for name, value in BETTER.items() if "headings" not in name})


def test_what_is_no_number_speaks_against_it():
    assert not judge(dict.fromkeys(BETTER, float("nan"))).earned
    assert len(judge(dict.fromkeys(BETTER, float("nan"))).reasons) == 6


def test_questions_that_could_not_be_reworded_prove_nothing():
    synthetic, _, table = corpus()
    encoder = WordEncoder()
    told = look(build_probes(synthetic, synthetic, table), encoder, encoder, general_set())
    assert told["reworded_share"] == 0
    assert not judge(BETTER | {"reworded_share": told["reworded_share"]}).earned


def test_a_corpus_without_headings_is_judged_by_the_rest():
    without = {name: value for name, value in BETTER.items() if not name.startswith("headings")}
    assert judge(without).earned
    assert not judge(without | {"cosine": 0.5}).earned


@given(name=st.sampled_from(["reworded_tuned", "headings_tuned", "headings_agreement", "cosine"]), by=st.floats(0, 1))
def test_a_worse_figure_never_earns_more(name, by):
    assert len(judge(BETTER | {name: BETTER[name] - by}).reasons) >= len(judge(BETTER).reasons)

"""What people would search with words, by the settings; and the plain words that rewording is calibrated with."""

import pytest

from embed_pipeline.evaluation.lexical import answered_by_words, found_by_words
from embed_pipeline.evaluation.retrieve import bm25_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.word_index import word_index
from embed_pipeline.settings import Bm25Settings, EvalSettings

PASSAGES = {
    "a": "Mooring The lines are checked before every flight of the season, whatever the weather may be like.",
    "b": "Weather A flight is not begun in strong wind, and passengers are told about it as early as possible.",
    "c": "Refunds Money is paid back within a week when a flight was cancelled by the company because of wind.",
}
TITLES = {"a": "Mooring", "b": "Weather", "c": "Refunds"}
ASKED = RetrievalSet("s", PASSAGES, {"q": "refunding", "w": "weather"}, {"q": {"c": 1}, "w": {"b": 1}}, titles=TITLES)


def found(**chosen) -> dict[str, dict[str, float]]:
    return found_by_words(ASKED, EvalSettings(bm25=Bm25Settings(**chosen)), 10)


def test_inflected_forms_are_found_unless_stemming_is_off() -> None:
    assert list(found()["q"]) == ["c"]
    assert found(stemming="off")["q"] == {}


def test_without_stems_and_with_its_old_constants_it_is_plain_bm25() -> None:
    assert found(stemming="off", k1=1.5, b=0.75) == bm25_run(ASKED, 10)
    assert found(stemming="off") != bm25_run(ASKED, 10)


@pytest.mark.parametrize(("chosen", "counts"), [({"k1": 0.0}, False), ({"k1": 2.0}, True)])
def test_k1_says_how_much_repetitions_count(chosen: dict[str, float], counts: bool) -> None:
    index = word_index(["wind wind", "wind calm"], ["", ""], Bm25Settings(**chosen))
    twice, once = index.scores(["wind"])[0]
    assert bool(twice > once) is counts


def test_b_says_how_much_long_passages_are_held_back() -> None:
    texts, titles = ["wind", "wind over the hills and the sea"], ["", ""]
    of_each = [word_index(texts, titles, Bm25Settings(b=b)).scores(["wind"])[0] for b in (0, 1)]
    assert of_each[0][0] == of_each[0][1]
    assert of_each[1][0] > of_each[1][1]


def test_a_title_counts_as_often_as_asked() -> None:
    once, twice = found()["w"], found(title_weight=3)["w"]
    assert list(once) != ["b"]  # the word stands in the text of another, too
    assert twice["b"] - twice["a"] > once["b"] - once["a"]
    repeated = word_index([f"{PASSAGES['b']} Weather Weather"], [""], Bm25Settings())
    assert word_index([PASSAGES["b"]], ["Weather"], Bm25Settings(title_weight=3)).scores(["weather"]) == (
        repeated.scores(["weather"])
    )


def test_what_rewording_is_calibrated_with_stays_plain() -> None:
    inflected = RetrievalSet("s", PASSAGES, {"q": "refunding"}, {"q": {"c": 1}})
    assert answered_by_words(PASSAGES)(inflected) == 0.0


@pytest.mark.parametrize(
    "chosen", [{"k1": -1}, {"k1": float("nan")}, {"b": 1.1}, {"title_weight": 0}, {"stemming": "on"}]
)
def test_settings_out_of_range_are_refused(chosen) -> None:
    with pytest.raises(ValueError, match=next(iter(chosen))):
        Bm25Settings(**chosen)

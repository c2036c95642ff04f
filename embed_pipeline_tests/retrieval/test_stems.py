"""Stems beside the words, in one language and in several."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.retrieval.bm25 import Bm25Index, words_of
from embed_pipeline.retrieval.stems import ALGORITHMS, WithStems, stemmed_languages

ENGLISH = [
    f"The wardens of station {number} were checking every mooring line before the wind came." for number in range(4)
]
GERMAN = [f"Die Wärter der Station {number} prüften jede Leine, bevor der Wind am Abend kam." for number in range(4)]
CHINESE = ["东京是日本的首都，人口很多，交通也很方便，每年都有很多游客。"] * 4


def first(passages: list[str], query: str, languages: list[str]) -> int | None:
    found = Bm25Index(passages, WithStems(languages)).top_k([query], 1)[0]
    return found[0][0] if found else None


@pytest.mark.parametrize(
    ("language", "relevant", "other", "query"),
    [
        ("en", "The refunds were delayed.", "Lung pressure is low.", "when is my refund delaying"),
        ("de", "Die Häuser stehen leer.", "Der Weg ist frei.", "leeres Haus"),
        ("ar", "هذه مدرسة كبيرة", "البحر واسع", "المدرسة"),
        ("ru", "Книги лежат на столах", "Байкал озеро", "книга на столе"),
        ("fr", "Les remboursements tardent.", "La mer est calme.", "remboursement"),
    ],
)
def test_other_forms_of_a_word_are_found(language: str, relevant: str, other: str, query: str) -> None:
    assert first([other, relevant], query, [language]) == 1


def test_the_same_form_counts_more_than_another() -> None:
    passages = ["a boat", "some boats", "two boats"]
    scores = Bm25Index(passages, WithStems(["en"])).scores(["boats"])[0]
    assert scores[1] == scores[2] > scores[0] > 0


def test_stems_stand_behind_the_words_where_they_differ() -> None:
    assert WithStems(["en"])("Boats, boat: boating") == ["boats", "boat", "boating", "boat", "boat"]
    assert WithStems(["en", "de"])("houses") == ["houses", "hous"]  # both say so, which counts once
    assert WithStems(["de", "en"])("Häuser boats") == ["häuser", "boats", "haus", "boat"]
    assert WithStems(["no", "nb"])("båtene") == WithStems(["no"])("båtene")


@given(st.text(max_size=60), st.lists(st.sampled_from(["en", "de", "ar", "tr", "zh", "hi", "xx"]), max_size=3))
@settings(deadline=None)
def test_every_word_stays_and_a_language_without_a_stemmer_adds_nothing(text: str, languages: list[str]) -> None:
    found = WithStems(languages)(text)
    words = words_of(text)
    assert found[: len(words)] == words
    assert WithStems(["zh", "ja", "ko", "xx"])(text) == words
    assert all(found[len(words) :])  # no stem is empty


def test_snowball_knows_every_algorithm_named() -> None:
    import Stemmer

    assert set(ALGORITHMS.values()) <= set(Stemmer.algorithms())


def test_the_languages_of_a_corpus_are_those_of_a_fifth_of_it() -> None:
    assert stemmed_languages(ENGLISH) == ["en"]
    assert stemmed_languages([*GERMAN, *ENGLISH, *GERMAN]) == ["de", "en"]
    assert stemmed_languages([*ENGLISH * 4, GERMAN[0]]) == ["en"]
    assert stemmed_languages([*CHINESE, ENGLISH[0]]) == ["en"]
    assert stemmed_languages(CHINESE) == stemmed_languages([]) == stemmed_languages(["12", "?"]) == []

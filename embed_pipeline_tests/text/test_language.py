"""The language of a text, and the languages of many."""

from embed_pipeline.text.language import UNKNOWN, detect_language, main_languages

ENGLISH = "The envelope is inspected every spring before the first flight of the year."
GERMAN = "Die Hülle wird jedes Jahr im Frühling vor dem ersten Flug geprüft."
FRENCH = "L'enveloppe est vérifiée chaque printemps avant le premier vol de l'année."


def test_the_language_of_a_text() -> None:
    assert [detect_language(text) for text in (ENGLISH, GERMAN, FRENCH)] == ["en", "de", "fr"]
    assert detect_language("12 kg, 3 m") == UNKNOWN


def test_the_most_common_language_comes_first_and_rare_ones_do_not_count() -> None:
    assert main_languages([ENGLISH] * 3 + [GERMAN] * 5 + [FRENCH]) == ["de", "en"]
    assert main_languages([GERMAN, ENGLISH]) == ["de", "en"]  # as many: by name
    assert main_languages([ENGLISH, "12", "?", ""]) == ["en"]
    assert main_languages([]) == main_languages(["12"]) == []


def test_texts_are_looked_at_from_the_first_to_the_last() -> None:
    assert main_languages([ENGLISH] * 700 + [GERMAN] * 300) == ["en", "de"]

"""Stems beside the words, by which BM25 finds a word in its other forms, too.

::

    "refunds for boats" ── words ── stems where they differ ── refunds for boats refund boat

The whole words stay, so that the same form still counts more than another one, and a stem that is wrong, or of another
language, takes nothing away: Lucene's KeywordRepeatFilter, a stemmer, and RemoveDuplicatesTokenFilter.
"""

from collections.abc import Sequence

from embed_pipeline.retrieval.bm25 import words_of
from embed_pipeline.text.language import main_languages

ALGORITHMS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
"""ISO 639-1 code -> the algorithm of Snowball (snowballstem.org) that knows the language."""


class WithStems:
    """An analysis for :class:`embed_pipeline.retrieval.bm25.Bm25Index`.

    Passages and queries get the stems of every language given, whatever their own: a query is too short to tell it. A
    language that Snowball does not know adds nothing.

    Args:
        languages: ISO 639-1 codes.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self._beside = _Beside(languages)

    def __call__(self, text: str) -> list[str]:
        words, beside = words_of(text), self._beside
        return words + [stem for word in words for stem in beside[word]]


class _Beside(dict[str, tuple[str, ...]]):
    """Word -> its stems, but for one that is the word; each worked out once, since texts repeat their words."""

    def __init__(self, languages: Sequence[str]) -> None:
        from Stemmer import Stemmer

        super().__init__()
        names = dict.fromkeys(ALGORITHMS[code] for code in known(languages))
        self._stemmers = [Stemmer(name, 0) for name in names]  # 0: without a cache of its own

    def __missing__(self, word: str) -> tuple[str, ...]:
        stems = dict.fromkeys(stemmer.stemWord(word) for stemmer in self._stemmers)
        self[word] = tuple(stem for stem in stems if stem != word)
        return self[word]


def known(languages: Sequence[str]) -> list[str]:
    """Those that Snowball knows."""
    return [code for code in languages if code in ALGORITHMS]


def stemmed_languages(passages: Sequence[str]) -> list[str]:
    """The main languages of a corpus, as far as Snowball knows them."""
    return known(main_languages(passages))

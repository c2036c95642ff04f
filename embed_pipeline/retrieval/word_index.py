"""The index by which words are compared, as ``eval.bm25`` says: when people search, and where training looks at it."""

from collections.abc import Sequence

from embed_pipeline.retrieval.bm25 import Bm25Index, words_of
from embed_pipeline.retrieval.stems import WithStems, stemmed_languages
from embed_pipeline.settings import Bm25Settings


def word_index(texts: Sequence[str], titles: Sequence[str] | None, settings: Bm25Settings) -> Bm25Index:
    """The index of the system ``bm25`` and of what is fused of it.

    Args:
        texts: of the passages, with their titles.
        titles: of the passages, empty where there is none; None: they are not known, and count once.
    """
    analysis = words_of if settings.stemming == "off" else WithStems(stemmed_languages(texts))
    more = settings.title_weight - 1 if titles is not None else 0
    weighted = (
        [f"{text}{f' {title}' * more}" for title, text in zip(titles or (), texts, strict=True)] if more else texts
    )
    return Bm25Index(weighted, analysis, settings.k1, settings.b)

"""Recognising pieces of texts inside other texts, whatever is around them."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

WORDS = 6
"""So many words in a row are taken as a quotation; a shorter text must be there whole."""
_WORD: Final = re.compile(r"\w+")


class Traces:
    """The runs of :data:`WORDS` words of some texts; case, blank space and punctuation do not count."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._lengths: set[int] = set()
        self.add(texts)

    def add(self, texts: Iterable[str], short: bool = True) -> None:
        """Recognise these as well; with ``short`` also those of fewer words, if they are there whole."""
        for text in texts:
            words = _words(text)
            if words and (short or len(words) >= WORDS):
                length = min(WORDS, len(words))
                self._known.update(_runs(words, length))
                self._lengths.add(length)

    def __len__(self) -> int:
        return len(self._known)

    def forget(self, texts: Iterable[str]) -> None:
        """Take out what these texts hold as well, so that they are no longer recognised."""
        for text in texts:
            words = _words(text)
            for length in self._lengths:
                self._known.difference_update(_runs(words, length))

    def among(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts holds a piece of what is known."""
        return any(self.within(text) for text in texts)

    def within(self, text: str) -> bool:
        """Whether a text holds a piece of what is known."""
        words = _words(text)
        return any(run in self._known for length in self._lengths for run in _runs(words, length))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _runs(words: list[str], length: int) -> Iterator[str]:
    return (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))

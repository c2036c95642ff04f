"""When two texts count as the same, and which repeated text is boilerplate."""

import unicodedata

BOILERPLATE_SHARE = 0.1
"""A repeated passage without any question in more than this share of the documents is boilerplate."""
BOILERPLATE_MINIMUM = 3
SIMILAR_QUESTION = 0.95
"""Cosine above which two questions must not stand on both sides of the split."""


def normalise(text: str) -> str:
    """NFKC, case folded, without punctuation, single spaces; symbols alone stay as they are."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(" " if unicodedata.category(char)[0] in "PZC" else char for char in folded).split()
    return " ".join(words) or " ".join(folded.split())


def boilerplate_limit(documents: int) -> float:
    """Documents up to which a repeated passage without any question still joins them.

    A footer that stands in every file would otherwise make the whole corpus one group that cannot be split;
    since nobody asks about it, it gives no answer away.
    """
    return max(BOILERPLATE_MINIMUM, BOILERPLATE_SHARE * documents)

"""Which language a text is in."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

UNKNOWN = "und"
LEAST_SHARE = 0.2
"""Of the texts whose language can be told, for a language to be one of theirs."""
_SAMPLED = 256
_SAMPLE = 4000
_LETTERS = 20


def detect_language(text: str) -> str:
    """ISO 639-1 code of the text's beginning, ``und`` when it has fewer than 20 letters."""
    from py3langid import rank

    sample = text[:_SAMPLE]
    if sum(1 for _ in islice(filter(str.isalpha, sample), _LETTERS)) < _LETTERS:
        return UNKNOWN
    return next((code for code, _ in rank(sample) if len(code) == 2), UNKNOWN)


def main_languages(texts: Sequence[str]) -> list[str]:
    """ISO 639-1 codes of the languages that at least a fifth of the texts is in, the most common first.

    256 of the texts, evenly spread, are looked at.
    """
    sample = texts[:: -(-len(texts) // _SAMPLED) or 1]
    told = Counter(code for code in map(detect_language, sample) if code != UNKNOWN)
    least = LEAST_SHARE * told.total()
    return [code for code, count in sorted(told.items(), key=lambda one: (-one[1], one[0])) if count >= least]

"""Which language a text is in."""

from itertools import islice

UNKNOWN = "und"
_SAMPLE = 4000
_LETTERS = 20


def detect_language(text: str) -> str:
    """ISO 639-1 code of the text's beginning, ``und`` when it has fewer than 20 letters."""
    from py3langid import rank

    sample = text[:_SAMPLE]
    if sum(1 for _ in islice(filter(str.isalpha, sample), _LETTERS)) < _LETTERS:
        return UNKNOWN
    return next((code for code, _ in rank(sample) if len(code) == 2), UNKNOWN)

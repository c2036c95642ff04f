"""Finding a quotation in a text, whatever its line breaks."""

import re


def find_spans(text: str, quotation: str) -> list[tuple[int, int]]:
    """Character spans of ``text`` in which ``quotation`` stands word for word, runs of whitespace being equal.

    A blank quotation stands nowhere.
    """
    words = quotation.split()
    if not words:
        return []
    pattern = r"\s+".join(re.escape(word) for word in words)
    return [match.span() for match in re.finditer(pattern, text)]


def as_in(text: str, quotation: str) -> str | None:
    """The first place where ``quotation`` stands, as ``text`` has it; None when it does not."""
    spans = find_spans(text, quotation)
    return text[spans[0][0] : spans[0][1]] if spans else None

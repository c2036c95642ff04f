"""Finding a quotation in a text, whatever its line breaks."""

import re

_ALIKE = ("'‘’‚‛`´′", '"“”„‟«»″', "-‐‑‒–—−")  # what language models exchange while copying
_CLASS = {character: f"[{re.escape(alike)}]" for alike in _ALIKE for character in alike}
_EDGES = " \t\n\"'“”„‘’«»….。"


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
    """The first place where ``quotation`` stands, as ``text`` has it; None when it does not.

    Word for word; failing that, kinds of quotation marks and dashes and the case of letters are not told apart,
    and marks around the quotation do not count. No word may differ.
    """
    spans = find_spans(text, quotation)
    if spans:
        return text[spans[0][0] : spans[0][1]]
    words = quotation.strip(_EDGES).split()
    if not words:
        return None
    pattern = r"\s+".join("".join(_CLASS.get(character, re.escape(character)) for character in word) for word in words)
    match = re.search(pattern, text, re.IGNORECASE)
    return match.group() if match else None

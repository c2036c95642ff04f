"""Words that a line end has parted: put together, with or without their hyphen."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from embed_pipeline.corpus.parsers.blocks import clean_text, unwrap
from embed_pipeline.corpus.parsers.losses import Losses

_HYPHENS = "-\u2010\u2011\x02\xad\ufffe"
_PARTED = re.compile(rf"(?<=\w)[{_HYPHENS}]$")
_AT_END = re.compile("[\x02\xad\ufffe]$")
_INSIDE = re.compile("[\x02\xad\ufffe]")
_TOKEN = re.compile(r"\S+$")
_FIRST_WORD = re.compile(r"^[^\W\d_]+")
_LAST_WORD = re.compile(r"[^\W_]+$")
_WORD = re.compile(r"[^\W_]+(?:[-\u2010\u2011][^\W_]+)*")
_AND = frozenset(
    [
        "and",
        "or",
        "und",
        "oder",
        "bis",
        "sowie",
        "bzw",
        "et",
        "ou",
        "y",
        "o",
        "e",
        "u",
        "i",
        "a",
        "en",
        "of",
        "och",
        "eller",
        "og",
        "lub",
        "ve",
    ]
)
_ADDRESS = re.compile(r"://|^www\.|@|[\w-]\.\w|[/\\_=]|(?:^|[(\[\"'`])--?\w")
_NAME = re.compile(r"@|://|\w\.\w|^[\w-]*-\w")


def is_parted(line: str) -> bool:
    """Whether the line ends with a hyphen after a word."""
    return _PARTED.search(line.rstrip()) is not None


class Hyphens:
    """Decides by the words that stand elsewhere in the document."""

    def __init__(self, texts: Iterable[str], losses: Losses) -> None:
        self._words = Counter(
            word.casefold() for text in texts for word in _WORD.findall(_PARTED.sub(" ", text.rstrip()))
        )
        self._losses = losses

    def mend(self, lines: Sequence[str]) -> str:
        """One paragraph of its lines."""
        parts: list[str] = []
        for line in lines:
            text = line.strip()
            if not text:
                continue
            if parts and _PARTED.search(parts[-1]):
                parts[-1] = self._together(parts[-1], text)
            else:
                parts.append(text)
        whole = _INSIDE.sub("", _AT_END.sub("-", unwrap("\n".join(parts))))
        return re.sub(r" {2,}", " ", clean_text(whole))

    def _together(self, above: str, below: str) -> str:
        before = _TOKEN.search(above)
        assert before is not None
        first, token = _FIRST_WORD.match(below), before.group()[:-1]
        if not (below[0].isalnum() or _ADDRESS.search(token)):
            return f"{above[:-1]}- {below}"
        following = below.split(maxsplit=1)[0]
        if following.casefold() in _AND and not self._words[f"{token}{following}".casefold()]:
            return f"{above[:-1]}- {below}"
        if first is None or self._keeps(token, first.group(), following):
            return f"{above[:-1]}-{below}"
        self._losses.add("hyphenation", f"{token}-{first.group()}")
        return above[:-1] + below

    def _keeps(self, token: str, first: str, following: str) -> bool:
        """Whether ``token`` and ``first`` are a compound with a hyphen, or part of what must be copied as it is."""
        if first[0].isupper() or _ADDRESS.search(token):
            return True
        word = _LAST_WORD.search(token)
        if word is None or len(word.group()) == 1 or word.group()[-1].isdigit():
            return True
        compound = re.split(r"[^\w\u2010\u2011-]", token)[-1]
        if self._words[f"{compound}{first}".casefold()]:
            return False
        return "-" in compound or bool(_NAME.search(following)) or bool(self._words[f"{compound}-{first}".casefold()])

"""When two texts are the same."""

import re
import unicodedata
from functools import cache

from embed_pipeline.text.scripts import HANGUL, UNSPACED, combining_marks


def normalise(text: str) -> str:
    """NFKC, case folded, without punctuation, single spaces; symbols alone stay as they are."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(" " if unicodedata.category(char)[0] in "PZC" else char for char in folded).split()
    return " ".join(words) or " ".join(folded.split())


def plain(text: str) -> str:
    """Case folded, single spaces: texts that are equal so are the same text."""
    return " ".join(text.casefold().split())


# Every character of these counts as a word.
_ALONE = f"[{UNSPACED}{HANGUL}]"


def words(text: str) -> list[str]:
    """Words without case, punctuation and compatibility forms."""
    return _word().findall(unicodedata.normalize("NFKC", text).casefold())


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"{_ALONE}|[^\W_]+(?:[{combining_marks()}]+[^\W_]*)*")


def same_form(question: str) -> str:
    """Questions with the same form are one: only case, punctuation and spaces differ."""
    return " ".join(words(question)) or question.strip()

"""The smallest units of cutting: sentences, and parts of those that exceed the token budget.

Pieces of a document lie side by side: nothing but blank space stands between two of them.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

CountTokens = Callable[[Sequence[str]], list[int]]
CHARS_PER_TOKEN = 12
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_WORD = re.compile(r"\s*\S+\s*")
_CLAUSE_ENDS = tuple(",;:)，、；：）،؛")
_EARLY = 0.7
_ENUMERATOR = 4  # characters: "10." and "(a)" are no sentences


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters of a document's section; ``cost`` as in :func:`cost_of`.

    Attributes:
        origin: where the line begins that had to be cut between words; None for whole lines and sentences.
    """

    document: int
    section: int
    start: int
    end: int
    origin: int | None = None
    cost: int = 0


Budget = Callable[[Span], int]
"""What a piece may cost."""


def cost_of(text: str, tokens: int) -> int:
    """What a text takes from the budget: its tokens, but at least one for every twelve characters.

    A tokenizer that does not know a script gives one "unknown" for a whole run of characters; without the
    second bound a passage in such a script could be pages long.
    """
    return max(tokens, -(-len(text) // CHARS_PER_TOKEN))


def sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Spans of the sentences, blank space after a sentence included; together they are the whole text."""
    from sentencex import segment

    ends = []
    place = 0
    for sentence in segment(language, text):
        if not text.startswith(sentence, place):  # never trust a splitter with the text's integrity
            break
        place += len(sentence)
        if len(sentence.strip()) > _ENUMERATOR and not _inside_a_name(text, place):
            ends.append(place)
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    return list(zip([0, *ends], ends, strict=False)) if text else []


def _inside_a_name(text: str, place: int) -> bool:
    """Whether a full stop before ``place`` belongs to a name such as ``web.xml``, not to a sentence."""
    if not 1 < place < len(text) or text[place - 1] not in ".!?" or not text[place].isalnum():
        return False
    return not (text[place - 2].islower() and text[place].isupper())


def within_budget(spans: Sequence[Span], texts: Mapping[int, str], count: CountTokens, budget: Budget) -> list[Span]:
    """Cut every span that costs more than its ``budget``: at lines, else between words, else between characters.

    One call of ``count`` a round, over all documents; a single character is never cut. What was cut into
    words is put together again into parts of about equal cost.

    Returns:
        Spans with their cost, in the order of the text; those of blank space only are left out.
    """
    done: list[Span] = []
    waiting = list(spans)
    while waiting:
        stripped = [texts[span.document][span.start : span.end].strip() for span in waiting]
        kept = [(span, text) for span, text in zip(waiting, stripped, strict=True) if text]
        counts = count([text for _, text in kept])
        waiting = []
        for (span, text), tokens in zip(kept, counts, strict=True):
            cost = cost_of(text, tokens)
            if cost <= budget(span) or len(text) == 1:
                done.append(replace(span, cost=cost))
            else:
                waiting.extend(_cut(span, texts[span.document]))
    done.sort(key=lambda span: (span.document, span.start))
    return [
        part
        for (document, origin), group in groupby(done, key=lambda span: (span.document, span.origin))
        for part in (group if origin is None else _equal_parts(list(group), texts[document], budget))
    ]


def halves(span: Span, text: str) -> list[Span]:
    """Two spans that make up ``span``, parted between words where there are any, and nearest to the middle."""
    middle = (span.start + span.end) // 2
    places = [match.end() for match in _WORD.finditer(text, span.start, span.end)][:-1]
    place = min(places, key=lambda end: abs(end - middle)) if places else _boundary(text, middle, span)
    return [replace(span, end=place), replace(span, start=place)]


def _cut(span: Span, text: str) -> list[Span]:
    """Smaller spans that make up ``span``."""
    lines = [match.span() for match in _LINE.finditer(text, span.start, span.end)]
    if span.origin is None and len(lines) > 1:
        return [replace(span, start=start, end=end) for start, end in lines]
    origin = span.start if span.origin is None else span.origin
    words = [match.span() for match in _WORD.finditer(text, span.start, span.end)]
    if len(words) > 1:
        return [replace(span, start=start, end=end, origin=origin) for start, end in words]
    return halves(replace(span, origin=origin), text)


def _boundary(text: str, middle: int, span: Span) -> int:
    """A place from ``middle`` on where no combining mark is torn from its letter."""
    place = middle
    while place < span.end and unicodedata.category(text[place]).startswith("M"):
        place += 1
    return place if place < span.end else max(middle, span.start + 1)


def _equal_parts(words: Sequence[Span], text: str, budget_of: Budget) -> list[Span]:
    """Join the words of one line into as few parts as fit, of about equal cost, better at a comma."""
    parts: list[Span] = []
    budget = budget_of(words[0])
    remaining = sum(word.cost for word in words)
    target = remaining / -(-remaining // budget)
    start, used = 0, 0
    for place, word in enumerate(words):
        used += word.cost
        at_end = place + 1 == len(words)
        at_clause = used >= _EARLY * target and text[word.start : word.end].rstrip().endswith(_CLAUSE_ENDS)
        if at_end or at_clause or used >= target or used + words[place + 1].cost > budget:
            parts.append(replace(word, start=words[start].start, cost=used))
            remaining -= used
            target = remaining / max(-(-remaining // budget), 1)
            start, used = place + 1, 0
    return parts

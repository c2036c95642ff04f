"""Whether judgements still stand beside the texts that they were made on.

A gold set without a corpus of its own names passages by number (``guide.md#0003``). When the document, its parser or
how it is cut changes, the number stays and the text under it is another one: the judgement is then wrong without a
word. So the text of each judged passage is kept from when the judgement was first seen.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from embed_pipeline.formats.rows import first_three
from embed_pipeline.records import RetrievalSet

SAME = 0.5
"""Share of the words of the judged text that a passage must still have."""


class Judged(NamedTuple):
    """A judgement and the text that it was made on."""

    set: str
    query_id: str
    passage_id: str
    text: str


def judged_now(one: RetrievalSet) -> list[Judged]:
    """The judgements of a set as they stand; not those of whole documents, whose passages may change."""
    of_document: dict[str, set[str]] = {}
    for passage in one.passages:
        of_document.setdefault(_document(passage), set()).add(passage)
    return [
        Judged(one.name, query, passage, one.passages[passage])
        for query, relevant in one.qrels.items()
        for passage in relevant
        if passage in one.passages and not _is_whole(of_document[_document(passage)], relevant)
    ]


def _document(passage: str) -> str:
    return passage.rpartition("#")[0]


def _is_whole(passages: set[str], judged: Mapping[str, int]) -> bool:
    return len(passages) > 1 and passages <= judged.keys()


def as_judged(now: Iterable[Judged], before: Iterable[Judged]) -> list[Judged]:
    """The judgements of ``now``, each with the text that it was first seen with."""
    first = {one[:3]: one.text for one in before}
    return [one._replace(text=first.get(one[:3], one.text)) for one in now]


def moved(now: Iterable[Judged], judged: Iterable[Judged]) -> list[Judged]:
    """Those of ``now`` whose passage has less than half of the words that it had when it was judged."""
    texts = {one[:3]: one.text for one in judged}
    return [one for one in now if _kept(texts.get(one[:3], one.text), one.text) < SAME]


def _kept(before: str, now: str) -> float:
    words = Counter(before.split())
    return (words & Counter(now.split())).total() / words.total() if words else 1.0


def moved_warning(setting: str, found: list[Judged]) -> str:
    """What to say of them."""
    places = first_three(list(dict.fromkeys(one.passage_id for one in found)))
    count = "1 judgement names a passage" if len(found) == 1 else f"{len(found)} judgements name passages"
    return (
        f"{setting}: {count} with another text now than when first measured ({places}): the documents have changed, or "
        "how they are read and cut. Judge them again, or name whole documents instead of passages."
    )

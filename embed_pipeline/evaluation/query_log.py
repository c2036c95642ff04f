"""Queries that people really typed, without judgements: those on which the systems differ most."""

import codecs
import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import AnyStr, NoReturn

from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_text
from embed_pipeline.retrieval.fusion import Scores, ranked

SAMPLE = 500
"""Queries taken of a log, at most: each is encoded by every model."""
LONGEST = 2_000
"""Characters of a query of a log; what follows is cut off."""
DEPTH = 10
_BINARY = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
"""What no text in an older encoding holds; bell, white space and escape sequences stand in captured ones."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LINE_BYTES = 1 << 16


@dataclass(frozen=True)
class QueryLog:
    """Queries of a log, each once.

    Attributes:
        queries: those taken, in the order of the file; as they were typed where they differ in case alone.
        distinct: how many different ones the file holds.
        lines: how many lines hold a query.
    """

    queries: Sequence[str]
    distinct: int
    lines: int


def read_query_log(path: Path, most: int = SAMPLE) -> QueryLog:
    """Read a text file of queries, one a line.

    Blank lines are left out, and so are repeated queries, whatever their case and white space. UTF-8 and UTF-16 (with
    its mark); a line that is neither is read as Windows-1252, if it looks like text then. Of more than ``most``
    different queries a sample is taken, the same each time: those with the lowest hashes, so that the file may be of
    any size.

    Raises:
        InputError: it cannot be read, is no text, or holds no query.
    """
    chosen: list[tuple[int, int, str]] = []  # (-hash, line, query): the highest hash first
    taken, seen, lines = set[int](), set[int](), 0
    try:
        for number, line in enumerate(_lines(path)):
            query = clean_query(line)[:LONGEST]
            if not query:
                continue
            lines += 1
            key = int(sha256_text(query.casefold())[:16], 16)
            seen.add(key)
            if key in taken or (len(chosen) == most and key > -chosen[0][0]):
                continue
            taken.add(key)
            if len(chosen) < most:
                heapq.heappush(chosen, (-key, number, query))
            else:
                taken.discard(-heapq.heapreplace(chosen, (-key, number, query))[0])
    except OSError as error:
        raise InputError(f"eval.query_log {path}: cannot be read: {error.strerror or error}.") from None
    if not chosen:
        raise InputError(f"eval.query_log {path}: holds no query; write one a line, or take the setting out.")
    in_order = sorted(chosen, key=lambda one: one[1])
    return QueryLog([query for _, _, query in in_order], len(seen), lines)


def clean_query(text: str) -> str:
    """A query without control characters, halves of surrogate pairs, and white space that says nothing."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def disagreement(found: Mapping[str, Scores], depth: int = DEPTH) -> float:
    """How much systems differ on one query: 0 for the same passages in the same order, 1 for none in common.

    One minus the mean over all pairs of systems of their :func:`average_overlap`.

    Args:
        found: system -> {passage id: score}.
    """
    best = [ranked(scores)[:depth] for scores in found.values()]
    overlaps = [average_overlap(one, other, depth) for one, other in combinations(best, 2)]
    return 1.0 - sum(overlaps) / len(overlaps) if overlaps else 0.0


def average_overlap(one: Sequence[str], other: Sequence[str], depth: int = DEPTH) -> float:
    """Mean over d = 1 … depth of the share of passages that both have among their first d.

    Source: Webber, Moffat and Zobel 2010, "A Similarity Measure for Indefinite Rankings", section 3: top-weighted, so
    that a difference at the top counts more. Beyond the end of the longer ranking nothing is compared; two that found
    nothing are the same.
    """
    depth = min(depth, max(len(one), len(other)))
    if not depth:
        return 1.0
    return sum(len(set(one[:d]) & set(other[:d])) / d for d in range(1, depth + 1)) / depth


def by_disagreement(runs: Mapping[str, Mapping[str, Scores]], depth: int = DEPTH) -> list[tuple[str, float]]:
    """(query id, disagreement) of every query, those on which the systems differ most first.

    Args:
        runs: system -> query id -> {passage id: score}; base, tuned and BM25, not what is fused of them.
    """
    queries = dict.fromkeys(query for run in runs.values() for query in run)
    rated = [
        (query, disagreement({name: run.get(query, {}) for name, run in runs.items()}, depth)) for query in queries
    ]
    return sorted(rated, key=lambda one: -one[1])


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        head = file.read(4)
        mark, encoding = next((found for found in _MARKS if head.startswith(found[0])), (b"", ""))
        file.seek(len(mark))
        if encoding.startswith("utf-16"):
            with path.open("r", encoding="utf-16", errors="replace") as text:
                for number, piece, _ in _pieces(lambda: text.readline(_LINE_BYTES), "\n"):
                    yield _without_nul(piece, path, number)
            return
        for number, data, cut in _pieces(lambda: file.readline(_LINE_BYTES), b"\n"):
            yield _without_nul(_decoded(data, path, number, cut), path, number)


def _pieces(read: Callable[[], AnyStr], end: AnyStr) -> Iterator[tuple[int, AnyStr, bool]]:
    """(number of the line, its first piece, whether it goes on), and what goes on of it is left out."""
    number = 0
    while piece := read():
        number += 1
        cut = len(piece) == _LINE_BYTES and not piece.endswith(end)
        yield number, piece, cut
        while cut and (more := read()):
            cut = not more.endswith(end)


def _decoded(data: bytes, path: Path, number: int, cut: bool) -> str:
    """UTF-8, where the piece may end inside a character; else Windows-1252, which must look like text."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut)
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = "\0"
    if _BINARY.search(text):
        _refuse_binary(path, number)
    return text


def _without_nul(text: str, path: Path, number: int) -> str:
    if "\0" in text:
        _refuse_binary(path, number)
    return text


def _refuse_binary(path: Path, number: int) -> NoReturn:
    raise InputError(
        f"eval.query_log {path}, line {number}: is no text. Name a text file with one query a line, saved as UTF-8."
    )

"""Running headers, footers, page numbers: what stands at the same height on most pages or counts with them."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from embed_pipeline.corpus.parsers.blocks import one_line
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.pdf_page import Piece, RawPage

_EDGE_ROWS = 3
_MOST_PAGES = 0.6
_FEWEST_PAGES = 3
_SAME_PLACE = 3.0  # points
_APART = 1.4  # pitches of lines between furniture and text
_MARGIN, _OUTER = 0.06, 0.25  # of the page's height: a line there is certainly, may be outside the text
_FOOT = 0.12
_NUMBER = r"(\d{1,4}|[ivxlc]{1,7})"
_PAGE_WORDS = (
    r"page|pages|pg\.?|p\.|seite|s\.|página|pagina|pág\.?|pag\.?|side|sida|sivu|strana|strona|str\.?"
    r"|bladzijde|blz\.?|oldal|sayfa|стр\.?|страница|σελίδα|עמוד|صفحة|第"
)
_WITH_WORD = re.compile(
    rf"^(?P<before>.*?)(?<!\w)(?:{_PAGE_WORDS})\s*{_NUMBER}"
    rf"(?:\s*(?:of|von|de|di|van|sur|av|af|из|/)\s*\d{{1,4}})?\s*(?:页|頁|ページ|쪽)?(?P<after>(?!\w).*)$",
    re.IGNORECASE,
)
_OF_ALL = re.compile(r"^(?P<before>)[\W_]*(\d{1,4})\s*(?:of|von|de|/)\s*\d{1,4}[\W_]*(?P<after>)$", re.IGNORECASE)
_BARE = re.compile(rf"^(?P<before>)[-–—\s\[(|]*{_NUMBER}[-–—\s\])|]*(?P<after>)$", re.IGNORECASE)
_AT_END = re.compile(r"^(?P<before>.*\S(?:\s+|[-–|·•]))(\d{1,4})(?P<after>)$")
_AT_START = re.compile(r"^(?P<before>)(\d{1,4})(?P<after>\s+\D.*)$")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


class _Counted(NamedTuple):
    """A number that may be the page's: its value less the page's index, and the text around it."""

    offset: int
    around: str
    worded: bool


@dataclass
class _Row:
    """Pieces on one height of a page."""

    pieces: list[Piece]
    bottom: float
    counts: list[_Counted | None] = field(default_factory=list)

    @property
    def text(self) -> str:
        return one_line(" ".join(piece.text for piece in sorted(self.pieces, key=lambda piece: piece.left)))


def without_furniture(pages: Sequence[RawPage], losses: Losses) -> list[RawPage]:
    """Pages without their running headers, footers and page numbers, which ``losses`` is told of.

    A line is dropped from the edge of a page inwards, when every piece of it is the same at the same height on most
    pages, or is a number that counts with the pages, and a gap or the margin parts it from the text.
    """
    rows = [_rows(page.pieces) for page in pages]
    repeated = _Repeated(rows)
    edges = [_edges(page_rows) for page_rows in rows]
    for index, of_page in enumerate(edges):
        for row in {id(row): row for edge in of_page for row in edge}.values():
            row.counts = [_counted(piece, index) for piece in row.pieces]
    chains = [_Chains([of_page[side] for of_page in edges]) for side in (0, 1)]
    kept = []
    for index, (page, page_rows) in enumerate(zip(pages, rows, strict=True)):
        dropped: set[int] = set()
        for side in (0, 1):
            fits = [row for row in edges[index][side] if not dropped.intersection(map(id, row.pieces))]
            for row in _edge_furniture(fits, page_rows, page.height, index, repeated, chains[side], at_foot=side == 1):
                losses.add("furniture", row.text)
                dropped.update(map(id, row.pieces))
        kept.append(page._replace(pieces=[piece for piece in page.pieces if id(piece) not in dropped]))
    return kept


def _edge_furniture(
    edge: Sequence[_Row],
    rows: Sequence[_Row],
    page_height: float,
    index: int,
    repeated: "_Repeated",
    chains: "_Chains",
    *,
    at_foot: bool,
) -> list[_Row]:
    """The outermost rows of an edge that are furniture, from outside inwards."""
    found: list[_Row] = []
    sure = 0
    for row in edge:
        distance = (row.bottom if at_foot else page_height - row.pieces[0].top) / page_height
        counted = [chains.hold(index, count, at_foot=at_foot and distance < _FOOT) for count in row.counts]
        if distance > _OUTER:
            break
        if not all(count or repeated.holds(piece, index) for count, piece in zip(counted, row.pieces, strict=True)):
            break
        found.append(row)
        inner = _next_inner(row, rows, at_foot=at_foot)
        worded = all(
            count is not None and held and count.worded for count, held in zip(row.counts, counted, strict=True)
        )
        if worded or inner is None or distance < _MARGIN or _is_gap(row, inner, rows):
            sure = len(found)
    return found[:sure]


def _next_inner(row: _Row, rows: Sequence[_Row], *, at_foot: bool) -> _Row | None:
    place = rows.index(row) + (-1 if at_foot else 1)
    return rows[place] if 0 <= place < len(rows) else None


def _is_gap(row: _Row, inner: _Row, rows: Sequence[_Row]) -> bool:
    steps = [above.bottom - below.bottom for above, below in pairwise(rows)]
    pitch = median(steps) if len(steps) >= _EDGE_ROWS else 1.1 * row.pieces[0].height
    return abs(row.bottom - inner.bottom) > _APART * min(pitch, 1.6 * inner.pieces[0].height)


def _rows(pieces: Sequence[Piece]) -> list[_Row]:
    """Rows from top to bottom; what has no place is in none."""
    rows: list[_Row] = []
    for piece in sorted((piece for piece in pieces if piece.placed), key=lambda piece: -piece.bottom):
        if rows and rows[-1].bottom - piece.bottom < _SAME_PLACE:
            rows[-1].pieces.append(piece)
        else:
            rows.append(_Row([piece], piece.bottom))
    return rows


def _edges(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row]]:
    return list(rows[:_EDGE_ROWS]), list(reversed(rows[-_EDGE_ROWS:]))


def _key(piece: Piece) -> str:
    return one_line(piece.text).casefold()


class _Repeated:
    """Text -> (height, page) of each piece, sorted."""

    def __init__(self, pages: Sequence[Sequence[_Row]]) -> None:
        self._pages = len(pages)
        self._places: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for index, rows in enumerate(pages):
            for row in {id(row): row for edge in _edges(rows) for row in edge}.values():
                for piece in row.pieces:
                    self._places[_key(piece)].append((piece.bottom, index))
        for places in self._places.values():
            places.sort()

    def holds(self, piece: Piece, index: int) -> bool:
        """Whether it stands so on most pages, or on most left or right ones."""
        places = self._places[_key(piece)]
        first = bisect_left(places, (piece.bottom - _SAME_PLACE, -1))
        last = bisect_right(places, (piece.bottom + _SAME_PLACE, self._pages))
        found = {page for _, page in places[first:last]}
        alike = {page for page in found if page % 2 == index % 2}
        side = (self._pages + (index % 2 == 0)) // 2
        return self._most(found, self._pages) or self._most(alike, side)

    @staticmethod
    def _most(found: set[int], pages: int) -> bool:
        return len(found) >= max(_FEWEST_PAGES, _MOST_PAGES * pages)


def _counted(piece: Piece, index: int) -> _Counted | None:
    text = one_line(piece.text).casefold()
    for pattern in (_WITH_WORD, _OF_ALL, _BARE, _AT_END, _AT_START):
        match = pattern.match(text)
        number = _value(match.group(2)) if match else None
        if match and number is not None:
            around = match.group("before") + "\0" + match.group("after")
            worded = pattern in (_WITH_WORD, _OF_ALL)
            return _Counted(number - index, around, worded)
    return None


def _value(number: str) -> int | None:
    if number.isdecimal():
        return int(number)
    values = [_ROMAN[letter] for letter in number]
    return sum(-value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True))


class _Chains:
    """Numbers at one edge that go up by one from page to page."""

    def __init__(self, edges: Sequence[Sequence[_Row]]) -> None:
        pages_of: dict[tuple[int, str], set[int]] = defaultdict(set)
        for index, edge in enumerate(edges):
            for row in edge:
                for count in row.counts:
                    if count is not None:
                        pages_of[count.offset, count.around].add(index)
        self._pages_of = pages_of
        self._all = len(edges)

    def hold(self, index: int, count: _Counted | None, *, at_foot: bool) -> bool:
        """Whether the pages beside ``index`` have the numbers beside this one.

        A number within other text (``Annual report 12``) is taken for a page's at the foot only: at the head it may
        be the title of one of many alike parts.
        """
        if count is None or (count.around != "\0" and not count.worded and not at_foot):
            return False
        pages = self._pages_of[count.offset, count.around]
        chain = 1
        for step in (-1, 1):
            at, missed = index + step, 0
            while 0 <= at < self._all and missed < 2:
                chain, missed = (chain + 1, 0) if at in pages else (chain, missed + 1)
                at += step
        return chain >= (2 if count.worded or self._all == 2 else _FEWEST_PAGES)

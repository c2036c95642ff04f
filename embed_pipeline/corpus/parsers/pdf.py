"""PDF text: paragraphs mended, running headers, footers and page numbers dropped, outline entries as headings."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line
from embed_pipeline.corpus.parsers.pdf_lines import Line, Page, paragraphs, read_page

_EDGE_LINES = 3
_MOST_PAGES = 0.6
_FEWEST_PAGES = 3
_MOST_STEPS = 0.8
_COUNTING = (0, 1, 2)  # a number at the foot and again at the head of the next page; a page whose number is missing
_BARE_NUMBER = re.compile(r"^\s*(?:(\d{1,4})|[-–—]\s?(\d{1,4})\s?[-–—])\s*$")
_PAGE_NUMBER = re.compile(
    r"^[-–—\s\[(]*(?:page|seite|p\.|第)?\s*(?:\d{1,4}|[ivxl]{1,6})\s*(?:(?:of|von|/)\s*\d{1,4})?\s*页?[-–—\s\])]*$",
    re.IGNORECASE,
)
_JUNK_TITLE = re.compile(
    r"^(untitled|microsoft (word|powerpoint)\b.*|.*\.(docx?|pdf|indd|tex|pptx?|html?))$", re.IGNORECASE
)


def parse_pdf(data: bytes) -> Extracted:
    """Paragraphs in reading order.

    Raises:
        UnreadableError: not a PDF, encrypted, or without text (scanned pages).
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        encrypted = "password" in str(error).lower()
        raise UnreadableError("an encrypted PDF" if encrypted else "not a valid PDF") from error
    try:
        pages = [read_page(document, number) for number in range(len(document))]
        outline = _outline(document)
        title = one_line(document.get_metadata_dict().get("Title") or "")
    except pypdfium2.PdfiumError as error:
        raise UnreadableError(f"a damaged PDF: {error}") from error
    finally:
        document.close()
    if not any(line.text.strip() for page in pages for line in page.lines):
        raise UnreadableError("no text in the PDF; scanned pages need text recognition (OCR) first")
    blocks = _with_headings(paragraphs(_without_furniture(pages), set(outline)), outline)
    return Extracted(blocks, "" if _JUNK_TITLE.match(title) else title)


def _outline(document: Any) -> dict[str, int]:
    """Bookmarks: lower-case title -> level, the first one of a name."""
    entries: dict[str, int] = {}
    for bookmark in document.get_toc():
        key = heading_key(bookmark.get_title() or "")
        if key:
            entries.setdefault(key, bookmark.level + 1)
    return entries


def heading_key(text: str) -> str:
    """What a bookmark and its line on the page have in common."""
    return one_line(text).casefold()


def _with_headings(texts: Sequence[str], outline: dict[str, int]) -> list[Block]:
    return [Block(text, outline.get(heading_key(text), 0)) for text in texts]


def _without_furniture(pages: Sequence[Page]) -> list[Page]:
    """Drop bare page numbers, and lines that stand at the edge of most pages (digits aside)."""
    pages = _without_counted_pages(pages)
    seen = Counter(key for page in pages for key in {_furniture_key(line) for line in _edges(page)})
    needed = max(_FEWEST_PAGES, _MOST_PAGES * len(pages))
    running = {key for key, count in seen.items() if count >= needed}
    return [_strip_edges(page, running) for page in pages]


def _without_counted_pages(pages: Sequence[Page]) -> list[Page]:
    """Drop lines that are a number each and count up: page numbers of a document that was paginated before."""
    matches = [match for page in pages for line in page.lines if (match := _BARE_NUMBER.match(line.text))]
    numbers = [int(match.group(1) or match.group(2)) for match in matches]
    steps = [after - before for before, after in pairwise(numbers)]
    counting = sum(step in _COUNTING for step in steps)
    if steps.count(1) < _FEWEST_PAGES - 1 or counting < _MOST_STEPS * len(steps):
        return list(pages)
    return [Page([line for line in page.lines if not _BARE_NUMBER.match(line.text)], page.width) for page in pages]


def _strip_edges(page: Page, running: set[str]) -> Page:
    lines = list(page.lines)
    for edge in (0, -1):
        while lines and _is_furniture(lines[edge], running):
            lines.pop(edge)
    return Page(lines, page.width)


def _is_furniture(line: Line, running: set[str]) -> bool:
    text = one_line(line.text)
    return not text or _furniture_key(line) in running or bool(_PAGE_NUMBER.match(text))


def _edges(page: Page) -> list[Line]:
    lines = [line for line in page.lines if line.text.strip()]
    return lines[:_EDGE_LINES] + lines[-_EDGE_LINES:]


def _furniture_key(line: Line) -> str:
    return re.sub(r"\d+", "#", one_line(line.text).casefold())

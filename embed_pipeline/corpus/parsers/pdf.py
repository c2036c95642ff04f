"""PDF text: columns and tables in order, paragraphs mended, furniture dropped, outline entries as headings."""

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import correlation
from typing import Any

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import About
from embed_pipeline.corpus.parsers.pdf_fields import with_fields
from embed_pipeline.corpus.parsers.pdf_furniture import without_furniture
from embed_pipeline.corpus.parsers.pdf_hyphens import Hyphens
from embed_pipeline.corpus.parsers.pdf_layout import Line, lines_of
from embed_pipeline.corpus.parsers.pdf_lines import paragraphs
from embed_pipeline.corpus.parsers.pdf_metadata import tell_pdf
from embed_pipeline.corpus.parsers.pdf_page import Piece, RawPage, read_pieces

_BARE_NUMBER = re.compile(r"^\s*(?:(\d{1,3})|[-–—]\s?(\d{1,3})\s?[-–—])\s*$")
_FEWEST_NUMBERS = 4
_COUNTING = (0, 1, 2)  # a number at the foot and again at the head of the next page; a page whose number is missing
_STARTS = 20  # numbers from which a chain is tried
_LINES_OF_PAGE, _MOST_LINES = 10, 100
_EVENLY = 0.94
_NO_TEXT = "no text in the PDF; corpus.ocr reads scanned pages (with the extra documents)"
_RULE = re.compile(r"^(?=.*\S)[-_=.*~\s]{3,}$")
_JUNK_TITLE = re.compile(
    r"^(\W*(untitled|anonymous|unknown|unspecified|unnamed|no title|none|null|title|document|print|scan|layout|slide"
    r"|powerpoint presentation|presentation)\W*\d*\W*|\W*|microsoft (word|powerpoint|excel|office)\b.*"
    r"|.*\.(docx?|pdf|indd|tex|dvi|ps|rtf|odt|pptx?|xlsx?|html?|txt|qxd|pmd|p65|fm|cdr|ai))$",
    re.IGNORECASE,
)


def parse_pdf_with_ocr(data: bytes) -> Extracted:
    """As :func:`parse_pdf`, with the text of pages that are pictures."""
    return parse_pdf(data, ocr=True)


def parse_pdf(data: bytes, *, ocr: bool = False) -> Extracted:
    """Paragraphs and tables in reading order.

    Args:
        ocr: read the text of pages that are pictures; needs the extra ``documents``.

    Raises:
        UnreadableError: not a PDF, encrypted, or without text (scanned pages).
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        encrypted = "password" in str(error).lower()
        raise UnreadableError("an encrypted PDF" if encrypted else "not a valid PDF") from error
    losses = Losses()
    try:
        pages = _read(document, losses, ocr=ocr)
        outline = _outline(document)
        about = About(losses)
        title = one_line(tell_pdf(document, data, about))
    except pypdfium2.PdfiumError as error:
        raise UnreadableError(f"a damaged PDF: {error}") from error
    finally:
        document.close()
    if not any(page.pieces for page in pages):
        raise UnreadableError("no text in the PDF" if ocr else _NO_TEXT)
    blocks = _with_headings(_texts(pages, set(outline), losses), outline)
    return Extracted(blocks, "" if _JUNK_TITLE.match(title) else title, losses.told(), about.told())


def _read(document: Any, losses: Losses, *, ocr: bool) -> list[RawPage]:
    """Pages without their furniture; what they lose is told."""
    form = _form(document)
    pages, silent = [], []
    for number in range(len(document)):
        page = document[number]
        try:
            raw = read_pieces(page)
            raw = raw._replace(pieces=_without_rules(with_fields(page, form, raw.pieces, losses), losses))
            if not raw.pieces and _has_content(page):
                raw = _recognised(page, number, losses) if ocr else raw
                silent += [] if raw.pieces else [number]
        finally:
            page.close()
        pages.append(raw)
    kept = without_furniture(pages, losses)
    silent += [number for number, page in enumerate(kept) if pages[number].pieces and not page.pieces]
    for number in sorted(silent):
        losses.add("empty page", f"page {number + 1}", characters=0)
    return kept


def _recognised(page: Any, number: int, losses: Losses) -> RawPage:
    from embed_pipeline.corpus.parsers.pdf_ocr import recognise

    raw = recognise(page, losses)
    if raw.pieces:
        losses.add("recognised", f"page {number + 1}")
    return raw


def _form(document: Any) -> Any:
    """The form environment, None of a document without fields."""
    import pypdfium2.raw as pdfium

    if document.get_formtype() == pdfium.FORMTYPE_NONE:
        return None
    document.init_forms()
    return document.formenv


def _has_content(page: Any) -> bool:
    import pypdfium2.raw as pdfium

    return bool(pdfium.FPDFPage_CountObjects(page))


def _without_rules(pieces: Sequence[Piece], losses: Losses) -> list[Piece]:
    """Lines drawn with characters are none of the text."""
    for piece in pieces:
        if _RULE.match(piece.text):
            losses.add("ruling", piece.text)
    return [piece for piece in pieces if not _RULE.match(piece.text)]


def _texts(pages: Sequence[RawPage], headings: set[str], losses: Losses) -> list[str]:
    pieces = [piece for page in pages for piece in page.pieces]
    for piece in pieces:
        for mark in piece.lost:
            losses.add("note mark", mark)
    hyphens = Hyphens([piece.text for piece in pieces], losses)
    lines = [lines_of(page.pieces, hyphens.mend) for page in pages]
    return paragraphs(_without_old_numbers(lines, losses), headings, hyphens)


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


def _without_old_numbers(pages: Sequence[Sequence[Line]], losses: Losses) -> list[list[Line]]:
    """Drop the page numbers of a document that was paginated before: they stand alone, count up, at like distances.

    Numbers that only count up, as those of a list, of chapters or of years in a column, are text.
    """
    lines = [line for page in pages for line in page]
    found = [(at, match) for at, line in enumerate(lines) if (match := _BARE_NUMBER.match(line.text))]
    chain = _counting_chain([(at, int(match.group(1) or match.group(2))) for at, match in found])
    if not _count_pages(chain):
        return [list(page) for page in pages]
    dropped = {id(lines[at]) for at, _ in chain}
    for at, _ in chain:
        losses.add("furniture", lines[at].text)
    return [[line for line in page if id(line) not in dropped] for page in pages]


def _counting_chain(numbers: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of places with their numbers the longest run that counts up, others between them left out."""
    best: list[tuple[int, int]] = []
    for start in range(min(len(numbers), _STARTS)):
        chain = [numbers[start]]
        for place, number in numbers[start + 1 :]:
            if number - chain[-1][1] in _COUNTING:
                chain.append((place, number))
        best = max(best, chain, key=len)
    return best


def _count_pages(chain: Sequence[tuple[int, int]]) -> bool:
    """Whether numbers go up evenly with the lines of a text, pages apart."""
    numbers, places = [number for _, number in chain], [place for place, _ in chain]
    if len(set(numbers)) < _FEWEST_NUMBERS:
        return False
    apart = (places[-1] - places[0]) / (len(set(numbers)) - 1)
    longest = max(after - before for before, after in pairwise(places))
    return apart >= _LINES_OF_PAGE and longest <= _MOST_LINES and correlation(numbers, places) >= _EVENLY

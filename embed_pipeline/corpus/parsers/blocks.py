"""What a parser returns, and how it becomes one text with sections."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from embed_pipeline.corpus.parsers.losses import Loss

_LINE_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_ODD_SPACES = re.compile(r"[\xa0\u2007\u202f]")
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\ufeff\ufffe\uffff\ud800-\udfff]")
_WIDE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_PRESENTATION_FORMS = re.compile(
    r"[\ufb00-\ufb06\ufb13-\ufb17\ufb1f-\ufb28\ufb4f-\ufbb1\ufbd3-\ufbff\ufe80-\ufefc\u0132\u0133\u01c4-\u01cc\u01f1-\u01f3]"
)
_TRAILING = re.compile(r"[^\S\n]\n")
_STRETCH = 1_000_000
_BLANK_LINES = re.compile(r"\n{3,}")


class UnreadableError(Exception):
    """A file cannot be turned into text; it is skipped and this is the reason."""


@dataclass(frozen=True)
class Block:
    """A paragraph, list, table or code block (``level`` 0), or a heading (``level`` 1 and deeper).

    ``is_clean``: the text is what :func:`clean_text` gives, which costs a copy of a large one.
    """

    text: str
    level: int = 0
    is_clean: bool = False


@dataclass(frozen=True)
class Extracted:
    """The content of one file in reading order, and what is told about it.

    Attributes:
        title: that its metadata names; may be empty.
        losses: what is not in the blocks.
        metadata: name -> values, as :class:`~embed_pipeline.corpus.parsers.metadata.About` tells them.
        is_collection: whether its top headings are those of parts, as the chapters of a book: none names the whole.
    """

    blocks: Sequence[Block]
    title: str = ""
    losses: Sequence[Loss] = ()
    metadata: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_collection: bool = False


@dataclass(frozen=True)
class Section:
    """A heading and the half-open character span from it to the next heading of any level."""

    heading: str
    level: int
    start: int
    end: int


def clean_text(text: str) -> str:
    """NFC, line feeds as line ends, plain spaces, no control characters, no trailing or repeated blank space.

    Ligatures and other forms of letters for printing become the letters, which is what encoders know and people type.
    """
    return _BLANK_LINES.sub("\n\n", _clean_lines(text)).strip("\n")


def clean_stretches(text: str) -> Iterator[bytes]:
    """What :func:`clean_text` gives, in UTF-8 and in parts of about a million characters, parted at line feeds.

    So of a large text there is no second one in memory, for which Python may take four bytes a character.
    """
    start, feeds, told = 0, "", False
    while start < len(text):
        end = text.find("\n", start + _STRETCH)
        end = len(text) if end < 0 else end + 1
        lines = feeds + _clean_lines(text[start:end])
        start, shown = end, lines.rstrip("\n")
        feeds = lines[len(shown) :][:3]  # more than two become two
        if shown:
            part = _BLANK_LINES.sub("\n\n", shown)
            yield (part if told else part.lstrip("\n")).encode()
            told = True


def _clean_lines(text: str) -> str:
    text = _ODD_SPACES.sub(" ", _LINE_BREAKS.sub("\n", text))
    text = _PRESENTATION_FORMS.sub(lambda form: unicodedata.normalize("NFKC", form.group()), text)
    text = unicodedata.normalize("NFC", _UNWANTED.sub("", text))
    return _without_trailing_blanks(text)


def _without_trailing_blanks(text: str) -> str:
    """Every line without blank space at its end; a long text stretch by stretch, since its lines fill the memory."""
    if _TRAILING.search(text) is None and not text[-1:].isspace():
        return text
    stretches = []
    start = 0
    while start < len(text):
        end = text.find("\n", start + _STRETCH)
        end = len(text) if end < 0 else end + 1
        stretches.append("\n".join(line.rstrip() for line in text[start:end].split("\n")))
        start = end
    return "".join(stretches)


def one_line(text: str) -> str:
    """Cleaned, on one line, single spaces."""
    if text.isascii() and text.isprintable():  # as most are; there is nothing to clean
        return " ".join(text.split())
    return " ".join(clean_text(text).split())


def join_blocks(blocks: Sequence[Block]) -> tuple[str, list[Section]]:
    """One text, blocks parted by a blank line; sections do not overlap and follow one another.

    Headings stay in the text as a line of their own: ``text[section.start:]`` starts with the heading.
    """
    parts: list[str] = []
    headings: list[tuple[str, int, int]] = []
    length = 0
    for block in blocks:
        text = one_line(block.text) if block.level else block.text if block.is_clean else clean_text(block.text)
        if not text or text.isspace():
            continue
        if block.level:
            headings.append((text, block.level, length))
        parts.append(text)
        length += len(text) + 2
    joined = "\n\n".join(parts)
    ends = [*(start for _, _, start in headings), len(joined)][1:]
    return joined, [Section(*heading, end=end) for heading, end in zip(headings, ends, strict=True)]


def list_item(marker: str, text: str) -> str:
    """``marker`` and the text, further lines indented under it."""
    return marker + text.replace("\n", "\n" + " " * len(marker))


def table_rows(rows: Sequence[Sequence[str]]) -> str:
    """One line a row, cells parted by `` | ``; empty rows are left out."""
    lines = [" | ".join(one_line(cell) for cell in row) for row in rows]
    return "\n".join(line for line in lines if line.strip(" |"))


def unwrap(text: str, line_break: str = "\n") -> str:
    """Join wrapped lines by a space, or by nothing between characters of scripts written without spaces."""
    parts = [part for part in text.split(line_break) if part.strip()]
    joined = parts[0] if parts else ""
    for part in parts[1:]:
        wide = _WIDE.match(joined[-1]) and _WIDE.match(part[0])
        joined += part if wide else " " + part
    return joined.strip()

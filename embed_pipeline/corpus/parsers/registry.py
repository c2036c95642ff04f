"""The formats of documents: one line each in :data:`FORMATS`, from which everything else follows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from embed_pipeline.corpus.parsers.blocks import Extracted
from embed_pipeline.corpus.parsers.docx import parse_docx
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.corpus.parsers.pdf import parse_pdf
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline.corpus.parsers.text import parse_text

TXT = ".txt"


@dataclass(frozen=True)
class Format:
    """A format of documents and its parser.

    Attributes:
        name: of the format, as the manifest and the reasons for skipping a file give it.
        suffixes: of its files, in lower case.
        parse: a file's bytes -> its blocks. It raises
            :class:`~embed_pipeline.corpus.parsers.blocks.UnreadableError` with the reason for skipping a file, imports
            heavy libraries inside itself, and runs in several processes at once.
        is_text: its files hold characters and nothing else; one with binary content is skipped unread.
        is_text_source: people read it as it stands, so that it is published with ``.txt`` after its own suffix, as
            Sphinx does with ``guide.rst.txt``.
    """

    name: str
    suffixes: tuple[str, ...]
    parse: Callable[[bytes], Extracted]
    is_text: bool = False
    is_text_source: bool = False


FORMATS = (
    Format("text", (TXT, ".text"), parse_text, is_text=True),
    Format("markdown", (".md", ".markdown"), parse_markdown, is_text=True, is_text_source=True),
    Format("rst", (".rst",), parse_rst, is_text=True, is_text_source=True),
    Format("html", (".html", ".htm"), parse_html, is_text=True),
    Format("pdf", (".pdf",), parse_pdf),
    Format("docx", (".docx",), parse_docx),
)
BY_SUFFIX = {suffix: one for one in FORMATS for suffix in one.suffixes}
SUPPORTED = " ".join(BY_SUFFIX)


def format_of(path: str) -> Format | None:
    """Format of a file by its name, None when it is not supported.

    A name such as ``guide.rst.txt`` counts as what stands before ``.txt``.
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if not suffixes:
        return None
    published = BY_SUFFIX.get(suffixes[-2]) if suffixes[-1] == TXT and len(suffixes) > 1 else None
    if published is not None and published.is_text_source:
        return published
    return BY_SUFFIX.get(suffixes[-1])


def stem_of(path: str) -> str:
    """File name without its folder and its format's suffixes."""
    name = PurePosixPath(path)
    while name.suffix.lower() in BY_SUFFIX and name.stem:
        name = PurePosixPath(name.stem)
    return name.name

"""The formats of documents: one line each in :data:`FORMATS`, from which everything else follows."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from embed_pipeline.corpus.parsers.blocks import Extracted
from embed_pipeline.corpus.parsers.docx import parse_docx
from embed_pipeline.corpus.parsers.email import parse_email
from embed_pipeline.corpus.parsers.epub import parse_epub
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.corpus.parsers.pdf import parse_pdf, parse_pdf_with_ocr
from embed_pipeline.corpus.parsers.pptx import parse_pptx
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline.corpus.parsers.text import parse_text
from embed_pipeline.corpus.parsers.xlsx import parse_xlsx

EXTRA = "documents"
"""The extra that installs what some formats need."""
HOW_TO_INSTALL = f"pip install 'embed-pipeline[{EXTRA}]'"
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
        parse_with_ocr: the same with the text of pages that are pictures, for ``corpus.ocr``.
        package: of the extra :data:`EXTRA`, imported by its name; without it no file of the format is read.
    """

    name: str
    suffixes: tuple[str, ...]
    parse: Callable[[bytes], Extracted]
    is_text: bool = False
    is_text_source: bool = False
    parse_with_ocr: Callable[[bytes], Extracted] | None = None
    package: str | None = None

    @property
    def needs(self) -> str | None:
        """What to install before its files are read, None if nothing is missing."""
        if self.package is None or is_installed(self.package):
            return None
        return f"{self.name} files need the extra {EXTRA}: {HOW_TO_INSTALL}"


def is_installed(package: str) -> bool:
    """Whether an optional package is there; it is not loaded. A folder of its name is no package."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


FORMATS = (
    Format("text", (TXT, ".text"), parse_text, is_text=True),
    Format("markdown", (".md", ".markdown"), parse_markdown, is_text=True, is_text_source=True),
    Format("rst", (".rst",), parse_rst, is_text=True, is_text_source=True),
    Format("html", (".html", ".htm"), parse_html, is_text=True),
    Format("pdf", (".pdf",), parse_pdf, parse_with_ocr=parse_pdf_with_ocr),
    Format("docx", (".docx",), parse_docx),
    Format("epub", (".epub",), parse_epub),
    Format("email", (".eml",), parse_email),
    Format("pptx", (".pptx",), parse_pptx, package="pptx"),
    Format("xlsx", (".xlsx",), parse_xlsx, package="python_calamine"),
)
BY_SUFFIX = {suffix: one for one in FORMATS for suffix in one.suffixes}
SUPPORTED = " ".join(BY_SUFFIX)


def format_of(path: str) -> Format | None:
    """Format of a file by its name, None when it is not supported.

    A name such as ``guide.rst.txt`` counts as what stands before ``.txt``.
    """
    name = path.rpartition("/")[2]
    suffixes = [f".{suffix}" for suffix in name.lstrip(".").lower().split(".")[1:]]  # many are asked for: no PurePath
    if not suffixes or name.endswith("."):
        return None
    published = BY_SUFFIX.get(suffixes[-2]) if suffixes[-1] == TXT and len(suffixes) > 1 else None
    if published is not None and published.is_text_source:
        return published
    return BY_SUFFIX.get(suffixes[-1])


def is_read(path: str) -> bool:
    """Whether files of that name are read: their format is known and nothing it needs is missing."""
    chosen = format_of(path)
    return chosen is not None and chosen.needs is None


def stem_of(path: str) -> str:
    """File name without its folder and its format's suffixes."""
    name = PurePosixPath(path)
    while name.suffix.lower() in BY_SUFFIX and name.stem:
        name = PurePosixPath(name.stem)
    return name.name

"""The formats of documents: one line each in :data:`FORMATS`, from which everything else follows."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from embed_pipeline.corpus.parsers.blocks import Extracted

EXTRA = "documents"
"""The extra that installs what some formats need."""
HOW_TO_INSTALL = f"pip install 'embed-pipeline[{EXTRA}]'"
TXT = ".txt"
Parser = Callable[[bytes], Extracted]


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
    parse: Parser
    is_text: bool = False
    is_text_source: bool = False
    parse_with_ocr: Parser | None = None
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


def lazy(module: str, function: str) -> Parser:
    """A parser of this folder, imported when the first file is read: a listing of formats loads none of them."""

    def parse(data: bytes) -> Extracted:
        parser: Parser = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        return parser(data)

    return parse


FORMATS = (
    Format("text", (TXT, ".text"), lazy("text", "parse_text"), is_text=True),
    Format("markdown", (".md", ".markdown"), lazy("markdown", "parse_markdown"), is_text=True, is_text_source=True),
    Format("rst", (".rst",), lazy("rst", "parse_rst"), is_text=True, is_text_source=True),
    Format("html", (".html", ".htm"), lazy("html", "parse_html"), is_text=True),
    Format("pdf", (".pdf",), lazy("pdf", "parse_pdf"), parse_with_ocr=lazy("pdf", "parse_pdf_with_ocr")),
    Format("docx", (".docx",), lazy("docx", "parse_docx")),
    Format("epub", (".epub",), lazy("epub", "parse_epub")),
    Format("email", (".eml",), lazy("email", "parse_email")),
    Format("pptx", (".pptx",), lazy("pptx", "parse_pptx"), package="pptx"),
    Format("xlsx", (".xlsx",), lazy("xlsx", "parse_xlsx"), package="python_calamine"),
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

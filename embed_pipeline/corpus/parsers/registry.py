"""Which parser reads which file."""

from collections.abc import Callable
from pathlib import PurePosixPath

from embed_pipeline.corpus.parsers.blocks import Extracted
from embed_pipeline.corpus.parsers.docx import parse_docx
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.corpus.parsers.pdf import parse_pdf
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline.corpus.parsers.text import parse_text

KIND_BY_SUFFIX = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".rst": "rst",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
}
TEXT_KINDS = frozenset({"text", "markdown", "rst", "html"})
BEIR_CORPUS = "corpus.jsonl"
SUPPORTED = " ".join(KIND_BY_SUFFIX)


def kind_of(path: str) -> str | None:
    """Format of a file by its name, None when it is not supported.

    A name such as ``guide.rst.txt`` (Sphinx' published sources) counts as what stands before ``.txt``.
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if not suffixes:
        return None
    if suffixes[-1] == ".txt" and len(suffixes) > 1 and suffixes[-2] in (".rst", ".md", ".markdown"):
        return KIND_BY_SUFFIX[suffixes[-2]]
    return KIND_BY_SUFFIX.get(suffixes[-1])


def stem_of(path: str) -> str:
    """File name without its folder and its format's suffixes."""
    name = PurePosixPath(path)
    while name.suffix.lower() in KIND_BY_SUFFIX and name.stem:
        name = PurePosixPath(name.stem)
    return name.name


PARSERS: dict[str, Callable[[bytes], Extracted]] = {
    "text": parse_text,
    "markdown": parse_markdown,
    "rst": parse_rst,
    "html": parse_html,
    "pdf": parse_pdf,
    "docx": parse_docx,
}

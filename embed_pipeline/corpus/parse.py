"""Files to documents: dispatch by format, titles, languages; what cannot be read is skipped by name."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.corpus.blocks import Extracted, Section, UnreadableError, join_blocks, one_line
from embed_pipeline.corpus.formats import BEIR_CORPUS, kind_of, stem_of
from embed_pipeline.corpus.manifest import is_beir_folder
from embed_pipeline.corpus.parse_beir import parse_beir
from embed_pipeline.corpus.parse_docx import parse_docx
from embed_pipeline.corpus.parse_html import parse_html
from embed_pipeline.corpus.parse_markdown import parse_markdown
from embed_pipeline.corpus.parse_pdf import parse_pdf
from embed_pipeline.corpus.parse_rst import parse_rst
from embed_pipeline.corpus.parse_text import parse_text
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_bytes
from embed_pipeline.progress import say, track
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Documents, validate

_PARSERS: dict[str, Callable[[bytes], Extracted]] = {
    "text": parse_text,
    "markdown": parse_markdown,
    "rst": parse_rst,
    "html": parse_html,
    "pdf": parse_pdf,
    "docx": parse_docx,
}
_TITLE_CHARS = 120
_TITLE_LINES = 6
_LABEL = re.compile(r"^(?:\S+\s+)?[\w.-]*\(?\d[\w.()-]*$|^[\W\d]*$")
_LANGUAGE_SAMPLE = 4000
_LANGUAGE_LETTERS = 20
_SENTENCE_ENDS = tuple(".!?:;,。！？：；，؟")
_SHOWN = 20


@dataclass(frozen=True)
class ParsedCorpus:
    """Documents (:class:`~embed_pipeline.tables.Documents`) and files skipped while parsing (path, reason)."""

    documents: pl.DataFrame
    skipped: pl.DataFrame


def read_documents(root: Path, manifest: pl.DataFrame, settings: CorpusSettings) -> ParsedCorpus:
    """Extract the text of every file that the manifest marks as read.

    Args:
        root: the folder the manifest was made of.
        manifest: a :class:`~embed_pipeline.tables.CorpusManifest`.
        settings: ``min_document_chars`` is used, but not for a BEIR folder, whose rows are all kept.

    Raises:
        InputError: a file changed since the manifest was made, every document had to be skipped, or a BEIR
            row is malformed.
    """
    files = manifest.filter(pl.col("status") == "read").select("path", "sha256").rows()
    if is_beir_folder(root):
        rows, skipped = _read_beir(root, files[0][1])
    else:
        rows, skipped = _read_files(root, files, settings)
    for path, reason in skipped[:_SHOWN]:
        say(f"skipped {path}: {reason}")
    if len(skipped) > _SHOWN:
        say(f"skipped {len(skipped) - _SHOWN} more documents")
    if not rows:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped[:5])
        raise InputError(f"{root}: no document of the corpus can be used ({reasons}).")
    documents = pl.DataFrame(rows, schema=_schema(Documents), orient="row")
    skipped_frame = pl.DataFrame(skipped, schema={"path": pl.String, "reason": pl.String}, orient="row")
    return ParsedCorpus(validate(Documents, documents, str(root)), skipped_frame)


def _schema(table: Any) -> dict[str, pl.DataType]:
    return {name: column.dtype for name, column in table.columns().items()}


def _read_files(
    root: Path, files: list[tuple[str, str]], settings: CorpusSettings
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    rows, skipped = [], []
    for path, sha256 in track(files, "read the documents"):
        data = _read_unchanged(root / path, sha256)
        try:
            extracted = _extract(path, data)
            text, sections = join_blocks(extracted.blocks)
            if len(text) < settings.min_document_chars:
                raise UnreadableError(
                    f"only {len(text)} characters of text (corpus.min_document_chars is {settings.min_document_chars})"
                )
        except UnreadableError as error:
            skipped.append((path, str(error)))
            continue
        rows.append(_document(path, _title(path, extracted, text, sections), text, sections, sha256))
    return rows, skipped


def _read_unchanged(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: changed while it was being read ({error.strerror}); run again.") from error
    if sha256_bytes(data) != sha256:
        raise InputError(f"{path}: changed while it was being read; run again.")
    return data


def _extract(path: str, data: bytes) -> Extracted:
    """Parse one file; whatever a parser stumbles over becomes the reason for skipping it."""
    kind = kind_of(path)
    if kind is None:
        raise UnreadableError("unsupported format")
    try:
        return _PARSERS[kind](data)
    except UnreadableError:
        raise
    except (Exception, RecursionError) as error:  # parsers of foreign formats raise anything on broken input
        reason = one_line(str(error))[:120]
        raise UnreadableError(f"cannot be parsed as {kind} ({type(error).__name__}: {reason})") from error


def _document(path: str, title: str, text: str, sections: list[Section], sha256: str) -> dict[str, Any]:
    return {
        "doc_id": path,
        "path": path,
        "title": title,
        "text": text,
        "sections": [vars(section) for section in sections],
        "language": detect_language(text),
        "sha256": sha256,
    }


def _title(path: str, extracted: Extracted, text: str, sections: list[Section]) -> str:
    """Top heading, the metadata's title, any heading, a short first line, the file's name."""
    top = [section.heading for section in sections if section.level == 1]
    candidates = [*top[:1], extracted.title, *(section.heading for section in sections[:1])]
    return next((title for title in candidates if title), "") or _first_short_line(text) or stem_of(path)


def _first_short_line(text: str) -> str:
    """The first line that may be a title; a mere label such as "Exhibit 10.2" only for want of a better one."""
    lines = [line.strip() for line in text.split("\n", _TITLE_LINES)[:_TITLE_LINES] if line.strip()]
    short = [line for line in lines if len(line) <= _TITLE_CHARS and not line.endswith(_SENTENCE_ENDS)]
    if not short or short[0] != lines[0]:
        return ""
    return next((line for line in short if not _LABEL.match(line)), short[0])


def detect_language(text: str) -> str:
    """ISO 639-1 code of the text's beginning, ``und`` when it has fewer than 20 letters."""
    from py3langid import rank

    sample = text[:_LANGUAGE_SAMPLE]
    if sum(character.isalpha() for character in sample) < _LANGUAGE_LETTERS:
        return "und"
    return next((code for code, _ in rank(sample) if len(code) == 2), "und")


def _read_beir(root: Path, sha256: str) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    path = root / BEIR_CORPUS
    found, empty = parse_beir(_read_unchanged(path, sha256), path)
    rows = [
        {**_document(BEIR_CORPUS, row.title, row.text, [], sha256), "doc_id": row.doc_id}
        for row in track(found, "read the documents")
    ]
    return rows, empty

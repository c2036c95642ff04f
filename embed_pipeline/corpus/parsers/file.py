"""One file to one document: dispatch by format, title, language. Light to import, for worker processes."""

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from embed_pipeline.corpus.parsers.blocks import Extracted, Section, UnreadableError, join_blocks, one_line
from embed_pipeline.corpus.parsers.registry import format_of, stem_of
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_bytes
from embed_pipeline.text.language import detect_language

_TITLE_CHARS = 120
_LONGEST_TITLE = 500
"""Every passage begins with the title; one of thousands of characters would leave nothing of the text to be seen."""
_TITLE_LINES = 6
_BEGINNING = 20_000
"""Characters in which a title is looked for."""
_LABEL = re.compile(
    r"^(?:\S+\s+)?[\w.-]*\(?\d[\w.()-]*$|^[\W\d]*$|^\[.*\]$"
    r"|^(?:exhibit|annex|appendix|schedule)\s+\W?\w{1,3}\W?$|^(?:confidential|execution copy|draft)$",
    re.IGNORECASE,
)
_SENTENCE_ENDS = tuple(".!?:;,。！？：；，؟")

_PANIC = "PanicException"
"""What libraries in Rust raise; no :class:`Exception`."""

DocumentRow = dict[str, Any]
LOSSES = "losses"
"""Beside the columns of a row: what of the file is not in its text."""
METADATA = "metadata"
"""The same: what the file tells of its document, name -> values."""


class Skipped(NamedTuple):
    """A file that gives no document, and why."""

    path: str
    reason: str


class FileBatch(NamedTuple):
    """Work for one process: paths relative to ``root`` with the hashes the manifest gives.

    With ``ocr`` the text of pages that are pictures is read.
    """

    root: Path
    files: Sequence[tuple[str, str]]
    min_document_chars: int
    ocr: bool = False


def parse_batch(batch: FileBatch) -> list[DocumentRow | Skipped]:
    """A document or the reason for none, for each file in its order.

    Raises:
        InputError: a file changed since the manifest was made.
    """
    return [_parse_file(batch, path, sha256) for path, sha256 in batch.files]


def _parse_file(batch: FileBatch, path: str, sha256: str) -> DocumentRow | Skipped:
    data, least = read_unchanged(batch.root / path, sha256), batch.min_document_chars
    try:
        extracted = _extract(path, data, ocr=batch.ocr)
        del data  # of a large file there is room for little more than its text
        text, sections = join_blocks(extracted.blocks)
        if len(text) < least:
            raise UnreadableError(f"only {len(text)} characters of text (corpus.min_document_chars is {least})")
    except UnreadableError as error:
        return Skipped(path, str(error))
    row = document_row(path, path, _title(path, extracted, text, sections), text, sha256, sections)
    told = {name: list(values) for name, values in extracted.metadata.items()}
    return row | {LOSSES: [asdict(loss) for loss in extracted.losses], METADATA: told}


def read_unchanged(path: Path, sha256: str) -> bytes:
    """A file's bytes.

    Raises:
        InputError: it is not the one with that hash any more.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: changed while it was being read ({error.strerror}); run again.") from error
    if sha256_bytes(data) != sha256:
        raise InputError(f"{path}: changed while it was being read; run again.")
    return data


def document_row(
    doc_id: str, path: str, title: str, text: str, sha256: str, sections: Sequence[Section] = ()
) -> DocumentRow:
    """A row of :class:`~embed_pipeline.tables.Documents`, a group of its own until the groups are looked for."""
    return {
        "doc_id": doc_id,
        "path": path,
        "title": title,
        "text": text,
        "sections": [vars(section) for section in sections],
        "language": detect_language(text),
        "group_id": doc_id,
        "sha256": sha256,
    }


def _extract(path: str, data: bytes, *, ocr: bool) -> Extracted:
    """Parse one file; whatever a parser stumbles over becomes the reason for skipping it."""
    chosen = format_of(path)
    if chosen is None:
        raise UnreadableError("unsupported format")
    try:
        with _no_collection():
            return (chosen.parse_with_ocr or chosen.parse)(data) if ocr else chosen.parse(data)
    except UnreadableError:
        raise
    except RecursionError as error:
        raise UnreadableError(f"nested too deeply to be read as {chosen.name}") from error
    except BaseException as error:  # parsers of foreign formats raise anything on broken input
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        reason = one_line(str(error))[:120]
        raise UnreadableError(f"cannot be parsed as {chosen.name} ({type(error).__name__}: {reason})") from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """While a file is read nothing is garbage: to look through its growing tree would take most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _title(path: str, extracted: Extracted, text: str, sections: Sequence[Section]) -> str:
    """Top heading, the metadata's title, any heading, a short first line, the file's name; of a book its own title."""
    top = [section.heading for section in sections if section.level == 1]
    own = extracted.title if extracted.is_collection else ""
    candidates = [own, *top[:1], extracted.title, *(section.heading for section in sections[:1])]
    title = next((title for title in candidates if title), "")
    if len(title) > _LONGEST_TITLE:
        title = title[:_LONGEST_TITLE].rpartition(" ")[0] or title[:_LONGEST_TITLE]
    return title or _first_short_line(text) or one_line(stem_of(path))


def _first_short_line(text: str) -> str:
    """The first line that may be a title; a mere label such as "Exhibit 10.2" only for want of a better one."""
    lines = [line.strip() for line in text[:_BEGINNING].split("\n", _TITLE_LINES)[:_TITLE_LINES] if line.strip()]
    short = [line for line in lines if len(line) <= _TITLE_CHARS and not line.endswith(_SENTENCE_ENDS)]
    if not short or short[0] != lines[0]:
        return ""
    return next((line for line in short if not _LABEL.match(line)), short[0])

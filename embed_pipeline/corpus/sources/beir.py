"""A BEIR corpus.jsonl: its rows are the documents, ids kept."""

import json
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.corpus.parsers.blocks import normalise, one_line
from embed_pipeline.corpus.parsers.file import Row, Skipped, document_row, read_unchanged
from embed_pipeline.corpus.parsers.registry import BEIR_CORPUS
from embed_pipeline.errors import InputError
from embed_pipeline.progress import track


@dataclass(frozen=True)
class BeirRow:
    """One document; an empty text with a title becomes the title's text."""

    doc_id: str
    title: str
    text: str


def parse_beir(data: bytes, where: Path) -> tuple[list[BeirRow], list[tuple[str, str]]]:
    """Rows of a corpus.jsonl, and (id, reason) of those without any text.

    Raises:
        InputError: names the line that is not JSON, lacks ``_id`` or ``text``, or repeats an id.
    """
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        broken = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where} line {broken}: not valid UTF-8. Save the file as UTF-8.") from error
    rows: list[BeirRow] = []
    empty: list[tuple[str, str]] = []
    first_seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _parse_line(line, f"{where} line {number}")
        if row.doc_id in first_seen:
            raise InputError(
                f"{where} line {number}: the _id {row.doc_id!r} stands already in line {first_seen[row.doc_id]}. "
                "Give every document its own _id."
            )
        first_seen[row.doc_id] = number
        if row.text:
            rows.append(row)
        else:
            empty.append((row.doc_id, f"line {number} has neither text nor title"))
    return rows, empty


def _parse_line(line: str, where: str) -> BeirRow:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON ({error}). Every line must be one object.") from error
    if not isinstance(values, dict):
        raise InputError(f"{where}: not an object with _id and text.")
    doc_id = values.get("_id")
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    if not isinstance(doc_id, str) or not doc_id:
        raise InputError(f"{where}: _id is missing or not a string.")
    text, title = values.get("text"), values.get("title") or ""
    if not isinstance(text, str):
        raise InputError(f"{where}: text is missing or not a string.")
    if not isinstance(title, str):
        raise InputError(f"{where}: title is not a string.")
    text, title = normalise(text).strip(), one_line(title)
    return BeirRow(doc_id, title, text) if text else BeirRow(doc_id, "", title)


def read_beir(root: Path, sha256: str) -> tuple[list[Row], list[Skipped]]:
    """The rows of a BEIR folder as documents, and those without any text."""
    path = root / BEIR_CORPUS
    found, empty = parse_beir(read_unchanged(path, sha256), path)
    rows = [
        document_row(row.doc_id, BEIR_CORPUS, row.title, row.text, sha256) for row in track(found, "read the documents")
    ]
    return rows, [Skipped(*each) for each in empty]

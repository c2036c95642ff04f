"""A BEIR corpus.jsonl: its rows are the documents, ids kept."""

from pathlib import Path

from embed_pipeline.corpus.parsers.blocks import clean_text, one_line
from embed_pipeline.corpus.parsers.file import DocumentRow, Skipped, document_row, read_unchanged
from embed_pipeline.formats.beir import CORPUS, read_passages
from embed_pipeline.progress import track


def read_beir(path: Path, sha256: str) -> tuple[list[DocumentRow], list[Skipped]]:
    """The rows of a corpus.jsonl as documents, and those without any text; a title alone becomes the text.

    Raises:
        InputError: a row is malformed, or the file changed; see :func:`embed_pipeline.formats.beir.read_passages`.
    """
    rows, skipped = [], []
    for passage in track(list(read_passages(path, read_unchanged(path, sha256))), "read the documents"):
        text, title = clean_text(passage.text).strip(), one_line(passage.title)
        if text:
            rows.append(document_row(passage.passage_id, CORPUS, title, text, sha256))
        elif title:
            rows.append(document_row(passage.passage_id, CORPUS, "", title, sha256))
        else:
            skipped.append(Skipped(passage.passage_id, f"{passage.place} has neither text nor title"))
    return rows, skipped

"""A BEIR corpus.jsonl: its rows are the documents, ids and metadata kept."""

from collections.abc import Mapping
from pathlib import Path

from embed_pipeline.corpus.parsers.blocks import clean_text, one_line
from embed_pipeline.corpus.parsers.file import Skipped, document_row, read_unchanged
from embed_pipeline.corpus.parsers.metadata import NAMES
from embed_pipeline.corpus.sources.gathered import Gathered
from embed_pipeline.formats.beir import CORPUS, read_passages
from embed_pipeline.progress import track

_NAME_CHARS = 100


def read_beir(path: Path, sha256: str) -> Gathered:
    """The rows of a corpus.jsonl as documents, and those without any text; a title alone becomes the text.

    Raises:
        InputError: a row is malformed, or the file changed; see :func:`embed_pipeline.formats.beir.read_passages`.
    """
    found = Gathered()
    for passage in track(list(read_passages(path, read_unchanged(path, sha256))), "read the documents"):
        text, title = clean_text(passage.text).strip(), one_line(passage.title)
        if not (text or title):
            found.skipped.append(Skipped(passage.passage_id, f"{passage.place} has neither text nor title"))
            continue
        row = document_row(passage.passage_id, CORPUS, title if text else "", text or title, sha256)
        told = passage.metadata if isinstance(passage.metadata, Mapping) else {}
        found.add_row(row, ((_name(name), value) for name, value in told.items()))
    return found


def _name(given: str) -> str:
    """A name of metadata; those that every format knows in lower case."""
    name = one_line(given[:_NAME_CHARS])
    return name.lower() if name.lower() in NAMES else name

"""Which passages a text of somebody's training data stands for.

Where the corpus was read from the same data, a text is a passage. Else it may be a passage word for word, or stand
in a document that was cut otherwise.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping

import polars as pl

from embed_pipeline.formats.sdg_records import ChunkPlace
from embed_pipeline.records import passage_text
from embed_pipeline.sdg.candidates import Hop
from embed_pipeline.sdg.exchange.chunk_finder import ChunkFinder, NotFoundError
from embed_pipeline.sdg.exchange.cut_rows import CutRows, shown_as

WINDOW = 24
"""Characters by which a text is looked for in the documents, white space not counted; shorter ones are not."""
_IGNORED = re.compile(r"[\s\x00-\x1f\x7f-\x9f\xad\ufeff\ufffe\uffff]+")


def find_passages(
    texts: Mapping[str, str], passages: pl.DataFrame, documents: pl.DataFrame, cut_rows: CutRows | None = None
) -> dict[str, tuple[Hop, ...]]:
    """The passages that each text stands for; a text that stands for none is not among them.

    White space does not count. Of several passages with the same text the one with the text's own id is taken, else
    the first. A text that is no passage is searched in the documents, once through all of them.

    Args:
        texts: id -> text.
        passages: :class:`embed_pipeline.tables.Passages`.
        documents: :class:`embed_pipeline.tables.Documents`.
        cut_rows: rows that were cut; a text that is such a row stands for all its pieces.

    Returns:
        id -> the passages; evidence is the part of the text in each, empty where it is the whole passage.
    """
    plain = {name: _plain(text) for name, text in texts.items()}
    hops_of = _equal(plain, passages)
    if cut_rows is not None:
        hops_of = _cut(plain, cut_rows) | hops_of
    rest = {name: text for name, text in texts.items() if name not in hops_of}
    return hops_of | _within(rest, plain, ChunkFinder(passages, documents), documents) if rest else hops_of


def _plain(text: str) -> str:
    return _IGNORED.sub("", unicodedata.normalize("NFC", text))


def _digest(plain: str) -> bytes:
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _equal(plain: Mapping[str, str], passages: pl.DataFrame) -> dict[str, tuple[Hop, ...]]:
    wanted: dict[bytes, list[str]] = defaultdict(list)
    for name, text in plain.items():
        if text:
            wanted[_digest(text)].append(name)
    passage_of: dict[str, str] = {}
    for passage_id, title, text in passages.select("passage_id", "title", "text").iter_rows():
        for shown in {passage_text(title, text), text}:
            for name in wanted.get(_digest(_plain(shown)), ()):
                if name == passage_id or name not in passage_of:
                    passage_of[name] = passage_id
    return {name: (Hop(passage_id, ""),) for name, passage_id in passage_of.items()}


def _cut(plain: Mapping[str, str], cut_rows: CutRows) -> dict[str, tuple[Hop, ...]]:
    """The texts that are whole rows which were cut."""
    row_of: dict[bytes, str] = {}
    for doc_id, title, text in cut_rows.whole:
        for shown in shown_as(title, text):
            row_of.setdefault(_digest(_plain(shown)), doc_id)
    found = {}
    for name, text in plain.items():
        row = row_of.get(_digest(text))
        if row is not None:
            found[name] = tuple(Hop(piece, "") for piece in cut_rows.pieces[row])
    return found


def _within(
    texts: Mapping[str, str], plain: Mapping[str, str], finder: ChunkFinder, documents: pl.DataFrame
) -> dict[str, tuple[Hop, ...]]:
    names_of: dict[str, list[str]] = defaultdict(list)
    for name in texts:
        middle = (len(plain[name]) - WINDOW) // 2
        if middle >= 0:
            names_of[plain[name][middle : middle + WINDOW]].append(name)
    hops_of: dict[str, tuple[Hop, ...]] = {}
    for doc_id, text in documents.select("doc_id", "text").iter_rows() if names_of else ():
        for window in names_of.keys() & _windows(_plain(text)):
            for name in names_of[window]:
                if name not in hops_of and (hops := _in_document(texts[name], doc_id, finder)):
                    hops_of[name] = hops
    return hops_of


def _windows(plain: str) -> Iterator[str]:
    return (plain[start : start + WINDOW] for start in range(len(plain) - WINDOW + 1))


def _in_document(text: str, doc_id: str, finder: ChunkFinder) -> tuple[Hop, ...]:
    try:
        quoted = finder.find(ChunkPlace(0, doc_id, unicodedata.normalize("NFC", text), -1), 0.0)
    except NotFoundError:
        return ()
    return tuple(Hop(part.passage_id, part.text) for part in quoted)

"""The reference recipe's SDG records: a document (or a bundle of them) with its chunks and its questions.

::

    file_name [str]            source documents; in older files one string
    chunks [{chunk_id, text}]  chunk_id is unique in a record; in a bundle also doc_id (or doc_path)
    deduplicated_qa_pairs, qa_evaluations, …

Files: ``.jsonl``, ``.json`` (one object or a list) and ``.parquet``; or a folder of one of these kinds, named
by its ``generation_result.json`` if it has one, else every file of the kind, in the folder or its ``data/``.

Format: github.com/NVIDIA-NeMo/DataDesignerPlugins, data-designer-retrieval-sdg, ``chunking.py`` and ``convert.py``.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from embed_pipeline.errors import InputError
from embed_pipeline.formats.parts import refuse_missing_parts
from embed_pipeline.formats.rows import SUFFIXES, Form, Row, read_json, read_rows, short

RESULT = "generation_result.json"
_NO_RECORDS = (RESULT, "config_provenance.json")
_BATCHES = "generated_batch"
_PEEK_BYTES = 4_000_000
_FORM = Form("file_name and chunks", lists_on_lines=True)


class ChunkPlace(NamedTuple):
    """Where a chunk stands: ``position`` counts from 0 within its document, chunks without text included."""

    chunk_id: int
    doc_id: str
    text: str
    position: int

    @property
    def passage_id(self) -> str:
        """Id of the passage that a corpus of these records makes of the chunk."""
        return f"{self.doc_id}#{self.position:04d}"


def read_records(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Records of a file or folder, one after the other, in a fixed order.

    Args:
        path: a .jsonl, .json or .parquet file, or a folder that holds one kind of them.
        columns: what to read of a Parquet file; None is everything. Other files are always read whole.

    Raises:
        InputError: missing, no record file, several kinds in one folder, or a line or row that is no record
            (names file and line).
    """
    files = record_files(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: there is no .jsonl, .json or .parquet file of SDG records in this folder.")
    for file in files:
        yield from read_rows(file, _FORM, columns)


def record_files(folder: Path) -> list[Path]:
    """The record files of a folder, sorted; empty when there is none. Their content is not looked at.

    Raises:
        InputError: several kinds, a part is missing, or ``generation_result.json`` names a file that is not there.
    """
    files = _record_files(folder)
    refuse_missing_parts(files, "SDG records")
    return files


def holds_records(path: Path) -> bool:
    """Whether a file, or the first record file of a folder, is one of SDG records, judged by its beginning.

    Raises:
        InputError: several kinds in one folder, or a file that is named or found cannot be read.
    """
    file = next(iter(_record_files(path)), None) if path.is_dir() else path
    if file is None or file.suffix.lower() not in SUFFIXES or not file.is_file():
        return False
    try:
        if file.suffix.lower() == ".parquet":
            return _parquet_holds_records(file)
        with file.open("rb") as opened:
            head = opened.read(_PEEK_BYTES)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error
    return b'"chunks"' in head and b'"chunk_id"' in head


def file_names(record: Mapping[str, Any]) -> list[str]:
    """The record's source documents.

    Raises:
        InputError: ``file_name`` is missing, or neither a text nor a list of texts.
    """
    value = record.get("file_name")
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise InputError(f"{_where(record)}: file_name must be a text or a list of texts, not {short(value)}.")
    return names


def chunk_places(record: Mapping[str, Any]) -> list[ChunkPlace]:
    """The record's chunks in their order, each with its document.

    A document's id is its ``file_name`` as it stands; a chunk of a bundle names its own by ``doc_id`` or
    ``doc_path``. The same document gives the same ids in every record it stands in.

    Raises:
        InputError: a chunk lacks chunk_id or text, repeats an id, or (in a bundle) does not name its document.
    """
    names, where = file_names(record), _where(record)
    chunks = record.get("chunks")
    if not isinstance(chunks, list):
        raise InputError(f"{where}: chunks must be a list of objects with chunk_id and text, not {short(chunks)}.")
    places: list[ChunkPlace] = []
    seen, counts = set[int](), dict[str, int]()
    for number, chunk in enumerate(chunks, 1):
        at = f"{where}, chunk {number}"
        chunk_id, text = _chunk_fields(chunk, at)
        if chunk_id in seen:
            raise InputError(f"{at}: the chunk_id {chunk_id} stands twice in this record.")
        seen.add(chunk_id)
        doc_id = names[0] if len(names) == 1 else _member(chunk, names, at)
        places.append(ChunkPlace(chunk_id, doc_id, text, counts.get(doc_id, 0)))
        counts[doc_id] = places[-1].position + 1
    return places


def _where(record: Mapping[str, Any]) -> str:
    return getattr(record, "where", "an SDG record")


def _chunk_fields(chunk: Any, at: str) -> tuple[int, str]:
    values = chunk if isinstance(chunk, dict) else {}
    chunk_id, text = values.get("chunk_id"), values.get("text")
    if isinstance(chunk_id, float) and chunk_id.is_integer():
        chunk_id = int(chunk_id)
    if not isinstance(chunk_id, int) or isinstance(chunk_id, bool):
        raise InputError(f"{at}: chunk_id must be a whole number, not {short(chunk_id)}.")
    if not isinstance(text, str):
        raise InputError(f"{at}: text must be a text, not {short(text)}.")
    return chunk_id, text


def _member(chunk: Mapping[str, Any], names: Sequence[str], at: str) -> str:
    """Which document of a bundle a chunk belongs to; ``doc_path`` may be absolute."""
    given = [value for key in ("doc_id", "doc_path") if isinstance(value := chunk.get(key), str) and value.strip()]
    for value in given:
        if value in names:
            return value
    for value in given:
        ends = [name for name in names if PurePosixPath("/", value).as_posix().endswith("/" + name.lstrip("/"))]
        if ends:
            return max(ends, key=len)
    raise InputError(
        f"{at}: its doc_id or doc_path must name one of the record's {len(names)} documents "
        f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''}), but is {short(given[0] if given else None)}."
    )


# -- files -----------------------------------------------------------------------------------------------


def _record_files(folder: Path) -> list[Path]:
    """As :func:`record_files`, complete or not."""
    if (folder / RESULT).is_file():
        return [_named_by_result(folder)]
    found = _by_kind(folder) or _by_kind(folder / "data")
    if len(found) > 1:
        kinds = "; ".join(f"{suffix}: {files[0].name}" for suffix, files in found.items())
        raise InputError(
            f"{folder}: holds record files of several kinds ({kinds}). Name one file, or keep one kind in the folder."
        )
    return next(iter(found.values()), [])


def _named_by_result(folder: Path) -> Path:
    result = folder / RESULT
    value = read_json(result)
    named = value.get("output_path") if isinstance(value, dict) else None
    if not isinstance(named, str) or not named.strip():
        raise InputError(f"{result}: must be a JSON object with output_path, the name of the file of records.")
    place = Path(named)
    candidates = [folder / place.name]  # an absolute path may be that of another machine
    candidates += [] if place.is_absolute() or ".." in place.parts else [folder / place]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        raise InputError(f"{result}: names {named}, but there is no such file; put {place.name} beside it.")
    inside = record_files(found) if found.is_dir() and found != folder else [found]
    if len(inside) != 1 or inside[0].is_dir():
        raise InputError(f"{result}: output_path must name one .jsonl, .json or .parquet file, not {named}.")
    return inside[0]


def _by_kind(folder: Path) -> dict[str, list[Path]]:
    """Record files by suffix; of .json files only the ``generated_batch*`` ones where there are any."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        hidden = path.name.startswith(".") or path.name in _NO_RECORDS
        if not hidden and path.suffix.lower() in SUFFIXES and path.is_file():
            found.setdefault(path.suffix.lower(), []).append(path)
    batches = [path for path in found.get(".json", []) if path.name.startswith(_BATCHES)]
    return {**found, ".json": batches} if batches else found


def _parquet_holds_records(file: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except pa.ArrowException:
        return False
    if not {"file_name", "chunks"} <= set(schema.names):
        return False
    kind = schema.field("chunks").type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    fields = {field.name for field in kind.value_type} if is_list and pa.types.is_struct(kind.value_type) else set()
    return {"chunk_id", "text"} <= fields

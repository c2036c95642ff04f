"""The training set in other tools' formats, and read back without Polars.

``train_mined.automodel_unrolled.json`` and ``corpus/`` are what NeMo Automodel's retrieval dataset reads
(schema: github.com/NVIDIA-NeMo/Automodel, docs/guides/llm/retrieval-dataset.md); triplets are what
sentence-transformers reads with ``datasets.load_dataset("json", ...)``.
"""

import io
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.errors import ArtifactError
from embed_pipeline.files import sha256_text, write_bytes, write_json, write_jsonl
from embed_pipeline.records import TrainingRow, passage_text

if TYPE_CHECKING:
    import polars as pl
    import pyarrow

RECIPE_FILE = "train_mined.automodel_unrolled.json"
CORPUS_ID = "corpus"
_COLUMNS = [field.name for field in fields(TrainingRow)]


def document_id(text: str) -> str:
    """The recipe's id of a passage: ``d_`` and 16 hex digits of the text's SHA-256."""
    return f"d_{sha256_text(text)[:16]}"


def write_recipe_files(training_set: "pl.DataFrame", passages: "pl.DataFrame", folder: Path) -> None:
    """Write the reference recipe's training file and corpus under ``folder``.

    The corpus holds the unique texts of every passage, and the positives with their evidence cut out.
    """
    import pyarrow

    texts = {passage_text(*row) for row in passages.select("title", "text").iter_rows()}
    texts.update(training_set["positive"])
    by_id = {document_id(text): text for text in texts}
    data = [
        {
            "question_id": row["row_id"],
            "question": row["question"],
            "corpus_id": CORPUS_ID,
            "pos_doc": [{"id": document_id(row["positive"])}],
            "neg_doc": [{"id": document_id(text)} for text in row["negatives"]],
        }
        for row in training_set.iter_rows(named=True)
    ]
    write_json(folder / RECIPE_FILE, {"corpus": {"path": "./corpus/"}, "data": data})
    ids = sorted(by_id)
    table = pyarrow.table({"id": ids, "text": [by_id[key] for key in ids]})
    _write_parquet(table, folder / "corpus" / "train.parquet")
    write_json(folder / "corpus" / "merlin_metadata.json", {"corpus_id": CORPUS_ID, "class": "TextQADataset"})


def write_triplets(training_set: "pl.DataFrame", path: Path) -> None:
    """Write one JSON object a row: anchor, positive, negative_1 … negative_n (n may differ)."""
    write_jsonl(path, _triplets(training_set))


def _triplets(training_set: "pl.DataFrame") -> Iterator[dict[str, Any]]:
    for row in training_set.iter_rows(named=True):
        negatives = {f"negative_{place}": text for place, text in enumerate(row["negatives"], start=1)}
        yield {"anchor": row["question"], "positive": row["positive"], **negatives}


def read_training_rows(folder: Path) -> list[TrainingRow]:
    """Read ``table.parquet`` of a training set.

    Raises:
        ArtifactError: missing, unreadable or without one of the columns.
    """
    import pyarrow
    import pyarrow.parquet

    path = folder / "table.parquet"
    try:
        table = pyarrow.parquet.read_table(path, columns=_COLUMNS)
    except (OSError, pyarrow.ArrowException) as error:
        raise ArtifactError(f"{path}: cannot be read as a training set: {' '.join(str(error).split())}") from error
    return [TrainingRow(**row) for row in table.to_pylist()]


def _write_parquet(table: "pyarrow.Table", path: Path) -> None:
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    write_bytes(path, buffer.getvalue())

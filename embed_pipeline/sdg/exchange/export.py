"""Questions as the reference recipe's SDG records, the opposite of :mod:`embed_pipeline.sdg.exchange.sdg_records`.

A record is a document with its passages as chunks and the questions about it. A question that needs passages
of several documents stands in a record of its own kind, the bundle of these documents. A hop is a hop context
with one segment.

What the recipe has no place for (evidence of a hop; question id, generator, mask_evidence, closed_book) stands
in keys that it passes over. A question that nobody judged has no overall score, which the recipe counts as 0;
set its quality_threshold to 0 to keep such questions.

Format: github.com/NVIDIA-NeMo/DataDesignerPlugins, data-designer-retrieval-sdg, ``chunking.py`` and ``models.py``.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.errors import StageError
from embed_pipeline.files import fsync_folder, temporary_folder, write_json
from embed_pipeline.formats.sdg_records import RESULT
from embed_pipeline.records import CRITERIA, TableRow

SCHEMA_VERSION = 1
DATASET = "questions"
_BOUNDARY = "\n\n=== Document Boundary ===\n\n"

_JUDGEMENT = re.compile(rf"(?:^|; )({'|'.join(CRITERIA)}) [\d.]+: ")


def export_records(
    candidates: pl.DataFrame, documents: pl.DataFrame, passages: pl.DataFrame, folder: Path, name: str = DATASET
) -> Path:
    """Write ``<name>.jsonl`` and then generation_result.json, each whole or not at all; equal input, equal bytes.

    Documents without questions are written as well: the recipe takes its corpus from the records.

    Args:
        candidates: :class:`embed_pipeline.tables.QaCandidates` or :class:`~embed_pipeline.tables.QaPairs`.
        documents: :class:`embed_pipeline.tables.Documents`.
        passages: :class:`embed_pipeline.tables.Passages`.
        folder: is made when it is missing.
        name: the data set's name.

    Returns:
        The path of the records.

    Raises:
        StageError: a question cites a passage that ``passages`` lacks.
    """
    target = folder / f"{name}.jsonl"
    with temporary_folder(folder, name) as temporary:
        written = temporary / target.name
        with written.open("w", encoding="utf-8", newline="\n") as file:
            for record in _records(candidates, documents, passages):
                file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        written.replace(target)
    fsync_folder(folder)
    result = {"dataset_name": name, "output_path": target.name, "schema_version": SCHEMA_VERSION}
    write_json(folder / RESULT, result)
    return target


def _records(candidates: pl.DataFrame, documents: pl.DataFrame, passages: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """One document after the other, then the bundles."""
    ordered = candidates.sort("question_id")
    questions: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, doc_ids in enumerate(ordered["doc_ids"]):
        questions[tuple(sorted(doc_ids))].append(row)
    corpus = _Corpus(documents, passages)
    bundles = sorted(key for key in questions if len(key) > 1)
    for members in [*((doc_id,) for doc_id in corpus.doc_ids), *bundles]:
        yield _record(members, corpus, ordered[questions.get(members, [])])


class _Corpus:
    """Documents and their passages, looked up without a copy of the tables."""

    def __init__(self, documents: pl.DataFrame, passages: pl.DataFrame) -> None:
        ordered = passages.sort("doc_id", "position", "passage_id")
        counts = ordered.group_by("doc_id", maintain_order=True).len()
        starts = counts["len"].cum_sum() - counts["len"]
        self.doc_ids = counts["doc_id"].to_list()
        self._rows = dict(zip(self.doc_ids, zip(starts, counts["len"], strict=True), strict=True))
        self._passages = ordered.select("passage_id", "text", "language")
        self._documents = documents.select("doc_id", "path", "text")
        self._row_of = {doc_id: row for row, doc_id in enumerate(documents["doc_id"])}

    def document(self, doc_id: str) -> TableRow:
        return self._documents.row(self._row_of[doc_id], named=True)

    def passages(self, doc_id: str) -> list[dict[str, Any]]:
        return self._passages.slice(*self._rows[doc_id]).to_dicts()


def _record(members: Sequence[str], corpus: _Corpus, questions: pl.DataFrame) -> dict[str, Any]:
    documents = [corpus.document(doc_id) for doc_id in members]
    chunks: list[dict[str, Any]] = []
    segment_of: dict[str, int] = {}
    for document in documents:
        passages = corpus.passages(document["doc_id"])
        segment_of.update((row["passage_id"], len(chunks) + number) for number, row in enumerate(passages, 1))
        chunks.extend(_chunks(document, passages, len(chunks)))
    rows = questions.to_dicts()
    pairs = [_pair(row, segment_of) for row in rows]
    joined = "||".join(sorted(members)).encode()
    digest = hashlib.md5(joined, usedforsecurity=False).hexdigest()
    several = len(members) > 1
    return {
        "file_name": list(members),
        "source_id": digest[:16] if several else members[0],
        "text": _BOUNDARY.join(document["text"] for document in documents),
        "chunks": chunks,
        "sections_structured": [_section(chunks)],
        "bundle_id": digest if several else "",
        "bundle_members": list(members),
        "is_multi_doc": several,
        "document_artifacts": {},
        "qa_generation": {"pairs": pairs},
        "deduplicated_qa_pairs": pairs,
        "qa_evaluations": {"evaluations": [_evaluation(row) for row in rows]},
    }


def _chunks(document: TableRow, passages: Sequence[TableRow], before: int) -> Iterator[dict[str, Any]]:
    """``start`` and ``end`` count words, as in the recipe."""
    from sentencex import segment

    place = 0
    for number, row in enumerate(passages, 1):
        words = len(row["text"].split())
        yield {
            "text": row["text"],
            "start": place,
            "end": place + words,
            "sentence_count": sum(bool(sentence.strip()) for sentence in segment(row["language"], row["text"])),
            "word_count": words,
            "chunk_id": before + number,
            "doc_chunk_index": number,
            "doc_id": document["doc_id"],
            "doc_path": document["path"],
        }
        place += words


def _section(chunks: Sequence[TableRow]) -> str:
    """The text that the recipe shows a language model; it has no times, but writes them."""
    lines = (
        f"Segment {chunk['chunk_id']} [Doc: {chunk['doc_id']}] (00:00:00 - 00:00:00): {chunk['text']}"
        for chunk in chunks
    )
    return "\n".join(("=== Section 1 ===", *lines))


def _pair(row: TableRow, segment_of: Mapping[str, int]) -> dict[str, Any]:
    unknown = [passage_id for passage_id in row["passage_ids"] if passage_id not in segment_of]
    if unknown:
        raise StageError(f"question {row['question_id']} cites passage {unknown[0]}, which the passages table lacks.")
    return {
        "question": row["question"],
        "answer": row["answer"],
        "question_complexity": row["complexity"],
        "query_type": row["query_type"],
        "reasoning_type": row["reasoning_type"],
        "segment_ids": [segment_of[passage_id] for passage_id in row["passage_ids"]],
        "hop_count": len(row["hops"]),
        "hop_contexts": [
            {
                "hop_number": hop["hop_number"],
                "segment_ids": [segment_of[hop["passage_id"]]],
                "summary": hop["summary"],
                "evidence": hop["evidence"],
            }
            for hop in row["hops"]
        ],
        "embed_pipeline": {name: row[name] for name in ("question_id", "generator", "mask_evidence", "closed_book")},
    }


def _evaluation(row: TableRow) -> dict[str, Any]:
    parts = _JUDGEMENT.split(row["judgement"] or "")
    reasons = dict(zip(parts[1::2], parts[2::2], strict=True))
    criteria = {
        name: {"score": _number(row[name]), "justification": reasons.get(name, "")}
        for name in CRITERIA
        if row[name] is not None
    }
    if row["score"] is None:
        return {**criteria, "overall": {"assessment": "nobody judged it"}, "improvements": ""}
    overall = {"score": _number(row["score"]), "assessment": row["judgement"] or ""}
    return {**criteria, "overall": overall, "improvements": ""}


def _number(score: float) -> float | int:
    """7, not 7.0: the recipe's sub-scores are whole numbers."""
    return int(score) if float(score).is_integer() else score

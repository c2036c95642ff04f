"""Questions of one's own: plain JSONL, or a BEIR folder with qrels/train.tsv.

One line of the JSONL, evidence in either form (``answer`` and ``question_id`` are optional)::

    {"question": "…", "answer": "…", "passage_ids": ["guide.md#3"]}
    {"question": "…", "evidence": [{"document": "guide.md", "text": "words that stand in it"}]}
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file, sha256_json
from embed_pipeline.formats.beir import QUERIES, qrels_path, read_judged
from embed_pipeline.formats.rows import Form, Row, first_three, identifier, read_rows, refuse, short
from embed_pipeline.progress import say
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame
from embed_pipeline.sdg.exchange.cut_rows import CutRows
from embed_pipeline.text.quotations import find_spans

SPLIT = "train"
QRELS = qrels_path(Path(), SPLIT).as_posix()
_FORM = Form("question and evidence")
_ADVICE = "Use ids of the {kind}s table (embed-pipeline show {kind}s), or correct corpus.path"
_EVIDENCE_FORM = '"passage_ids": ["…"] or "evidence": [{"document": "…", "text": "…"}]'


def own_questions(
    path: Path, passages: pl.DataFrame, documents: pl.DataFrame, cut_rows: CutRows | None = None
) -> pl.DataFrame:
    """Read questions of one's own as candidates; see :func:`embed_pipeline.sdg.exchange.read.read_questions`.

    Args:
        path: a .jsonl file, or a BEIR folder whose ids are those of passages, or of documents for all their
            passages; of its judgements those above 0 count.
        passages: :class:`embed_pipeline.tables.Passages`.
        documents: :class:`embed_pipeline.tables.Documents`.
        cut_rows: rows that were cut: their ids stand for the piece that answers.

    Returns:
        :class:`embed_pipeline.tables.QaCandidates` with generator and query type "imported". Reasoning type
        and complexity, which nobody told, are factual and 3.

    Raises:
        InputError: the file is not of a known form, names unknown passages or documents, quotes evidence that
            does not stand in its document, or holds no question.
    """
    place = _Place(passages, documents, cut_rows)
    read = _from_beir(path, place) if path.is_dir() else _from_jsonl(path, place)
    candidates = list(read)
    place.refuse_unknown()
    if not candidates:
        raise InputError(f"{path}: there is no question in it. Add some, or unset sdg.import_from.")
    return candidates_frame(candidates, place.doc_of)


def own_fingerprint(path: Path) -> str:
    """Hash of everything :func:`own_questions` reads at ``path``.

    Raises:
        InputError: a file of the BEIR folder is missing.
    """
    if path.is_dir():
        return sha256_json({name: sha256_file(_existing(path, name)) for name in (QUERIES, QRELS)})
    return sha256_file(path)


@dataclass
class _Place:
    """Where questions point to, and which of their pointers lead nowhere."""

    passages: pl.DataFrame
    documents: pl.DataFrame
    cut_rows: CutRows | None
    doc_of: dict[str, str] = field(init=False)
    unknown: dict[str, dict[str, str]] = field(default_factory=lambda: {"passage": {}, "document": {}})

    def __post_init__(self) -> None:
        self.doc_of = dict(self.passages.select("passage_id", "doc_id").iter_rows())
        self.text_of: dict[str, str] = dict(self.documents.select("doc_id", "text").iter_rows())
        ordered = self.passages.sort("doc_id", "position", "passage_id")
        self.spans_of: dict[str, list[tuple[str, int, int]]] = {}
        for doc_id, *span in ordered.select("doc_id", "passage_id", "start", "end").iter_rows():
            self.spans_of.setdefault(doc_id, []).append((span[0], span[1], span[2]))
        self.passages_of = {doc_id: [span[0] for span in spans] for doc_id, spans in self.spans_of.items()}

    def passage_hop(self, passage_id: str, question: str, where: str) -> list[Hop]:
        """One hop, or none for an unknown passage, which is noted; a row that was cut stands for what answers."""
        if passage_id in self.doc_of:
            return [Hop(passage_id, "")]
        if self.cut_rows is not None and passage_id in self.cut_rows.pieces:
            return [Hop(piece, "") for piece in self.narrowed(question, self.cut_rows.pieces[passage_id])]
        self.unknown["passage"].setdefault(passage_id, where)
        return []

    def evidence_hops(self, doc_id: str, text: str, where: str) -> list[Hop]:
        """The passages in which the evidence stands whole, else those that share it, each with its part."""
        if doc_id not in self.text_of:
            self.unknown["document"].setdefault(doc_id, where)
            return []
        whole: list[Hop] = []
        parts: list[Hop] = []
        for start, end in find_spans(self.text_of[doc_id], text):
            for passage_id, first, last in self.spans_of.get(doc_id, []):
                low, high = max(start, first), min(end, last)
                evidence = self.text_of[doc_id][low:high].strip()
                if evidence:
                    (whole if (low, high) == (start, end) else parts).append(Hop(passage_id, evidence))
        if not whole and not parts:
            refuse(
                where,
                f"the evidence {short(text)} stands in no passage of document {doc_id}. Copy it from the document "
                "word for word (line breaks do not matter), or give passage_ids",
            )
        return whole or parts

    def narrowed(self, question: str, passage_ids: Iterable[str]) -> list[str]:
        """Of the pieces of a row that is meant as a whole those that answer."""
        return list(passage_ids) if self.cut_rows is None else self.cut_rows.narrowed(question, passage_ids)

    def refuse_unknown(self) -> None:
        """Raise an error if any question pointed to nothing."""
        for kind, ids in self.unknown.items():
            if ids:
                problem = f"{len(ids)} {kind} ids are not in the corpus: {first_three(list(ids))}"
                refuse(next(iter(ids.values())), f"{problem}. {_ADVICE.format(kind=kind)}")


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise InputError(
            f"{folder}: there is no {name}. A BEIR folder of training questions holds {QUERIES} and {QRELS}; "
            "point sdg.import_from at one, or at a file."
        )
    return folder / name


# -- JSONL -----------------------------------------------------------------------------------------------


def _from_jsonl(path: Path, place: _Place) -> Iterator[Candidate]:
    places: dict[str, str] = {}
    for row in read_rows(path, _FORM):
        question = _required_text(row, "question")
        own_id = _own_id(row, places)
        hops = _hops(row, question, place)
        answer = row.get("answer")
        if answer is not None and not isinstance(answer, str):
            refuse(row.where, f'"answer" must be a text, not {short(answer)}')
        if hops:
            yield own_candidate(question, (answer or "").strip(), hops, own_id)


def _own_id(row: Row, places: dict[str, str]) -> str | None:
    value = row.get("question_id")
    if value is None:
        return None
    own_id = (identifier(value) or "").strip()
    if not own_id:
        refuse(row.where, f'"question_id" must be a text or a whole number, not {short(value)}')
    if own_id in places:
        refuse(row.where, f"question_id {own_id} is already used in {places[own_id]}; ids must be unique")
    places[own_id] = row.place
    return own_id


def _hops(row: Row, question: str, place: _Place) -> list[Hop]:
    passage_ids, evidence = row.get("passage_ids") or [], row.get("evidence") or []
    if not passage_ids and not evidence:
        refuse(row.where, f"there is no evidence; add {_EVIDENCE_FORM}")
    names = [identifier(item) for item in passage_ids] if isinstance(passage_ids, list) else [None]
    if None in names:
        refuse(row.where, f'"passage_ids" must be a list of texts or whole numbers, not {short(passage_ids)}')
    if not isinstance(evidence, list):
        refuse(row.where, f'"evidence" must be a list, as in {_EVIDENCE_FORM}')
    hops: list[Hop] = []
    for item in evidence:
        doc_id, text = _quotation(row, item)
        hops += place.evidence_hops(doc_id, text, row.where)
    quoted = {hop.passage_id for hop in hops}
    for passage_id in filter(None, names):
        if passage_id not in quoted:
            hops += place.passage_hop(passage_id, question, row.where)
    return list(dict.fromkeys(hops))


def _quotation(row: Row, item: Any) -> tuple[str, str]:
    fields = item if isinstance(item, dict) else {}
    doc_id, text = identifier(fields.get("doc_id", fields.get("document"))), fields.get("text")
    if doc_id is None or not isinstance(text, str) or not text.strip():
        refuse(row.where, f'an entry of "evidence" lacks document or text; write {_EVIDENCE_FORM}')
    return doc_id, text


def own_candidate(
    question: str, answer: str, hops: list[Hop], own_id: str | None, negative_ids: tuple[str, ...] = ()
) -> Candidate:
    """A candidate of which only the question and its positives are known, and perhaps answer and negatives."""
    return Candidate(
        question=question,
        answer=answer or "\n".join(hop.evidence for hop in hops if hop.evidence),
        query_type="imported",
        reasoning_type="factual",
        complexity=3,
        hops=tuple(hops),
        mask_evidence=False,
        generator="imported",
        own_id=own_id,
        negative_ids=negative_ids,
    )


def _required_text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        refuse(row.where, f'"{name}" is missing or empty; it must be a text')
    return value.strip()


# -- BEIR ------------------------------------------------------------------------------------------------


def _from_beir(folder: Path, place: _Place) -> Iterator[Candidate]:
    for name in (QUERIES, QRELS):
        _existing(folder, name)
    judged = read_judged(folder, SPLIT, place.doc_of, place.passages_of, _ADVICE.format(kind="passage"))
    if judged.of_documents and place.cut_rows is None:
        say(
            f"{folder / QRELS}: {judged.of_documents} judgements name a document; each of its passages counts as a "
            "positive. Name the passages themselves where only some of them answer."
        )
    for query_id, query in judged.queries.items():
        positives = place.narrowed(query.text, judged.qrels[query_id])
        yield own_candidate(query.text.strip(), "", [Hop(passage_id, "") for passage_id in positives], query_id)

"""Questions from the reference recipe's SDG records (:mod:`embed_pipeline.formats.sdg_records`).

::

    deduplicated_qa_pairs [{question, answer, question_complexity, query_type, reasoning_type, segment_ids,
                            hop_contexts [{segment_ids, summary}]}]
    qa_evaluations {evaluations [{relevance, accuracy, context_support, clarity {score, justification},
                                  overall {score}}]}          in the order of the pairs

The positives of a question are its segment_ids, as in the recipe. Its score is the recipe's overall score,
since that is what the recipe judges by; questions generated here get the mean of their sub-scores instead.

Differently from the recipe, a record whose counts of evaluations and pairs differ loses its questions by
name, and so does every other question that is set aside. Files written by
:mod:`embed_pipeline.sdg.exchange.export` carry more (evidence, own ids, generator), which comes back.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, ValidationError

from embed_pipeline.errors import InputError
from embed_pipeline.formats.rows import Row
from embed_pipeline.formats.sdg_records import chunk_places, read_records
from embed_pipeline.progress import say
from embed_pipeline.records import CRITERIA, QUERY_TYPES, REASONING_TYPES
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame, set_aside_frame, type_name
from embed_pipeline.sdg.exchange.chunk_finder import ChunkFinder, NotFoundError, RecordChunks

STEP = "import questions"
COLUMNS = ("file_name", "chunks", "deduplicated_qa_pairs", "qa_evaluations")
GENERATOR = "llm/recipe"
MAX_POSITIVES = 5
"""Questions with more positives are set aside (the recipe's max_pos_docs)."""


@dataclass(frozen=True)
class Imported:
    """Questions from elsewhere.

    Attributes:
        candidates: :class:`embed_pipeline.tables.QaCandidates`.
        set_aside: :class:`embed_pipeline.tables.SetAside`, what could not be used: questions and whole records.
    """

    candidates: pl.DataFrame
    set_aside: pl.DataFrame


def recipe_questions(path: Path, passages: pl.DataFrame, documents: pl.DataFrame) -> Imported:
    """Read the questions of SDG records; memory holds one batch of them and the finished table.

    Args:
        path: see :func:`embed_pipeline.formats.sdg_records.read_records`.
        passages: :class:`embed_pipeline.tables.Passages`, made of the records or of the same documents.
        documents: :class:`embed_pipeline.tables.Documents`.

    Raises:
        InputError: a file is broken, or no question can be used.
    """
    finder = ChunkFinder(passages, documents)
    set_aside: list[tuple[str, str, str]] = []
    candidates = candidates_frame(_read(path, finder, set_aside), finder.doc_of)
    return imported(path, candidates, set_aside)


def imported(path: Path, candidates: pl.DataFrame, set_aside: Sequence[tuple[str, str, str]]) -> Imported:
    """What was read of ``path`` and what was set aside, of which an example is told.

    Raises:
        InputError: no question can be used.
    """
    if set_aside:
        _, record, reason = set_aside[0]
        example = f"{len(set_aside)} set aside, for example {record}: {reason}"
        if candidates.is_empty():
            raise InputError(f"{path}: no question in it can be used; {example}.")
        say(f"{STEP}: {example}")
    if candidates.is_empty():
        raise InputError(f"{path}: there is no question in it. Add some, or unset sdg.import_from.")
    return Imported(candidates, set_aside_frame(set_aside))


class _UnusableError(Exception):
    """Why a question or a record is set aside."""


def _read(path: Path, finder: ChunkFinder, set_aside: list[tuple[str, str, str]]) -> Iterator[Candidate]:
    for record in read_records(path, COLUMNS):
        name = _name(record)
        try:
            chunks = RecordChunks(finder, chunk_places(record))
            pairs = _pairs(record)
        except (InputError, _UnusableError) as error:
            set_aside.append((STEP, name, str(error)))
            continue
        for pair, evaluation in zip(pairs, _evaluations(record, len(pairs)), strict=True):
            try:
                yield _candidate(pair, evaluation, chunks)
            except (NotFoundError, _UnusableError) as error:
                set_aside.append((STEP, name, f"{error} (question: {_short(pair)})"))


def _name(record: Mapping[str, Any]) -> str:
    value = record.get("file_name")
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(pair: Any) -> str:
    question = pair.get("question") if isinstance(pair, dict) else pair
    return " ".join(str(question).split())[:120]


def _pairs(record: Row) -> Sequence[Any]:
    pairs = record.get("deduplicated_qa_pairs")
    if not isinstance(pairs, list):
        raise _UnusableError(f"{record.where}: it has no list deduplicated_qa_pairs")
    return pairs


def _evaluations(record: Mapping[str, Any], count: int) -> Sequence[Any]:
    """One evaluation a pair; where the counts differ, nobody can tell which is whose: the reason, for each."""
    value = record.get("qa_evaluations")
    evaluations = value.get("evaluations") if isinstance(value, dict) else None
    listed = evaluations if isinstance(evaluations, list) else []
    return listed if len(listed) == count else [f"the record has {len(listed)} evaluations for {count} pairs"] * count


# -- one pair ------------------------------------------------------------------------------------------------


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        word: str = type_name(value)
        if word not in names:
            raise ValueError(f"must be one of {', '.join(names)}, not {value!r}")
        return word

    return check


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _nothing(value: Any) -> Any:
    return [] if value is None else value


_Text = Annotated[str, BeforeValidator(_blank)]
_Segments = Annotated[list[int], BeforeValidator(_nothing)]


class _HopContext(BaseModel):
    segment_ids: _Segments = []
    summary: _Text = ""
    evidence: str | None = None


class _Own(BaseModel):
    """What :mod:`embed_pipeline.sdg.exchange.export` adds."""

    question_id: str | None = None
    generator: str | None = Field(None, pattern=r"^((offline|llm)/.+|imported)$")
    mask_evidence: bool | None = None
    closed_book: bool | None = None


class _Pair(BaseModel):
    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    answer: _Text = ""
    question_complexity: int = Field(ge=1, le=5)
    query_type: Annotated[str, AfterValidator(_one_of(QUERY_TYPES))]
    reasoning_type: Annotated[str, AfterValidator(_one_of(REASONING_TYPES))]
    segment_ids: Annotated[list[int], Field(min_length=1)]
    hop_contexts: Annotated[list[_HopContext], BeforeValidator(_nothing)] = []
    embed_pipeline: _Own | None = None


def _candidate(pair: Any, evaluation: Any, chunks: RecordChunks) -> Candidate:
    try:
        read = _Pair.model_validate(pair)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _UnusableError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
    segments = list(dict.fromkeys(read.segment_ids))
    if len(segments) > MAX_POSITIVES:
        raise _UnusableError(f"it cites {len(segments)} segments; {MAX_POSITIVES} are the most")
    own = read.embed_pipeline or _Own()
    generator = own.generator or GENERATOR
    judged = _judged(evaluation)
    if judged["score"] is None and generator.startswith("llm/"):
        raise _UnusableError(f"nobody judged it: {evaluation if isinstance(evaluation, str) else 'no overall score'}")
    hops = _hops(read, segments, chunks)
    if len({hop.passage_id for hop in hops}) > MAX_POSITIVES:
        raise _UnusableError(f"its segments lie in more than {MAX_POSITIVES} passages")
    return Candidate(
        question=read.question,
        answer=read.answer.strip() or "\n".join(hop.evidence for hop in hops),
        query_type=read.query_type,
        reasoning_type=read.reasoning_type,
        complexity=read.question_complexity,
        hops=tuple(hops),
        mask_evidence=bool(own.mask_evidence),
        generator=generator,
        closed_book=own.closed_book,
        own_id=own.question_id,
        **judged,
    )


def _hops(pair: _Pair, segments: Sequence[int], chunks: RecordChunks) -> list[Hop]:
    """A hop for every passage of every hop context; segments that no context names come last."""
    contexts = [*pair.hop_contexts, *(_HopContext(segment_ids=[segment]) for segment in segments)]
    hops: list[Hop] = []
    used: set[int] = set()
    for number, context in enumerate(contexts):
        for segment in dict.fromkeys(context.segment_ids):
            if segment not in segments or (number >= len(pair.hop_contexts) and segment in used):
                continue
            used.add(segment)
            for passage_id, text in chunks.cited(segment):
                evidence = text if context.evidence is None or context.evidence not in text else context.evidence
                hops.append(Hop(passage_id, evidence, " ".join(context.summary.split())))
    return list(dict.fromkeys(hops))


def _judged(evaluation: Any) -> dict[str, Any]:
    """Scores, and the reasons for them; None where there are none."""
    fields = evaluation if isinstance(evaluation, dict) else {}
    parts = {name: value if isinstance(value := fields.get(name), dict) else {} for name in (*CRITERIA, "overall")}
    scores = {name: _score(part.get("score")) for name, part in parts.items()}
    overall = parts["overall"].get("score")
    if scores["overall"] is None and overall is not None:
        raise _UnusableError(f"its overall score must be a number from 0 to 10, not {overall!r}")
    reasons = [
        f"{name} {scores[name]:g}: {' '.join(reason.split())}"
        for name in CRITERIA
        if scores[name] is not None and isinstance(reason := parts[name].get("justification"), str)
    ]
    return {
        **{name: scores[name] for name in CRITERIA},
        "score": scores["overall"],
        "judgement": "; ".join(reasons) or None,
    }


def _score(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number and 0 <= value <= 10 else None

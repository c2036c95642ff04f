"""Questions judged by hand, kept as a gold set: a BEIR folder of the home that several may write to at once.

::

    <home>/judged/queries.jsonl     {"_id", "text", "metadata": {"texts": {passage id: hash of what was judged}}}
    <home>/judged/qrels/test.tsv    query-id <tab> corpus-id <tab> score; 0: judged, and not relevant

There is no corpus.jsonl: ids are those of the pipeline's passages. The hashes tell later on whether a passage still
says what it said, for after another chunking the same id can belong to another text.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.query_log import clean_query
from embed_pipeline.files import sha256_text, write_jsonl, write_text
from embed_pipeline.formats.beir import QUERIES, qrels_path, read_queries
from embed_pipeline.formats.qrels import qrels_text, read_judgements

FOLDER = "judged"
GOAL = 50
"""Questions that make a gold set."""
SCORES = (0, 1, 2)
LONGEST = 20_000
"""Characters of a query."""
_SPLIT = "test"
_TEXTS = "texts"
_HALF = re.compile(r"[\ud800-\udfff]")
_HASH = re.compile(r"[0-9a-f]{64}")

State = Literal["same", "moved", "changed", "gone"]
"""What has become of a judged passage: as it was; its text has another id; its id has another text; not there."""


@dataclass(frozen=True)
class JudgedQuestion:
    """A question with its judgements.

    Attributes:
        scores: passage id -> 0, 1 or 2.
        texts: passage id -> hash of the text that was judged, where it is known.
    """

    query_id: str
    text: str
    scores: Mapping[str, int]
    texts: Mapping[str, str]

    @property
    def counts(self) -> bool:
        """Whether a gold set has it: something is relevant."""
        return any(score > 0 for score in self.scores.values())


class JudgedQuestions:
    """The judged questions of a home.

    Every change is made under a lock and leaves, whenever it is interrupted, a folder that can be read.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER

    def all(self) -> list[JudgedQuestion]:
        """The questions in the order in which they were first judged.

        Raises:
            InputError: a file was changed by hand and cannot be read; names it and the line.
        """
        if not (self.folder / QUERIES).is_file():
            return []
        scores: dict[str, dict[str, int]] = {}
        path = qrels_path(self.folder, _SPLIT)
        for one in read_judgements(path) if path.is_file() else ():
            scores.setdefault(one.query_id.strip(), {})[one.passage_id] = one.score
        return [
            JudgedQuestion(query_id, query.text, scores.get(query_id, {}), _texts(query.metadata))
            for query_id, query in read_queries(self.folder).items()
        ]

    def judge(self, query: str, passage_id: str, score: int | None, text: str = "") -> int | None:
        """Judge one passage for a query; what was judged before. None takes the judgement back.

        Args:
            query: as typed; the same question as one that differs in white space alone.
            score: 0 not relevant, 1 relevant, 2 exactly what was asked for.
            text: :func:`embed_pipeline.files.sha256_text` of what was judged.

        Raises:
            InputError: no query, no passage, or another score.
        """
        question = readable_query(query)
        if not passage_id.strip() or len(passage_id) > LONGEST or _HALF.search(passage_id):
            raise InputError("a judgement needs the id of a passage.")
        if score is not None and score not in SCORES:
            raise InputError("a judgement is 0 (not relevant), 1 (relevant) or 2 (exactly that).")
        if text and not _HASH.fullmatch(text):
            raise InputError("the hash of the passage's text is none.")
        with self._alone():
            known = {one.text: one for one in self.all()}
            before = known.get(question) or JudgedQuestion(_query_id(question), question, {}, {})
            scores, texts = dict(before.scores), dict(before.texts)
            was = scores.pop(passage_id, None)
            texts.pop(passage_id, None)
            if score is not None:
                scores[passage_id] = score
                texts |= {passage_id: text} if text else {}
            known[question] = JudgedQuestion(before.query_id, question, scores, texts)
            self._write([one for one in known.values() if one.scores])
        return was

    def remove(self, query_id: str) -> JudgedQuestion | None:
        """Forget a question with its judgements; what it was, None where there is none such."""
        with self._alone():
            every = self.all()
            self._write([one for one in every if one.query_id != query_id])
        return next((one for one in every if one.query_id == query_id), None)

    def forget(self, holds: Callable[[Iterable[str]], bool]) -> int:
        """Remove questions and judged passages that tell of documents to be forgotten; how many judgements.

        Args:
            holds: whether a text, or the id of a passage, tells of them.
        """
        if not (self.folder / QUERIES).is_file():
            return 0
        with self._alone():
            before, kept = self.all(), []
            for one in before:
                scores = {} if holds([one.text]) else {name: s for name, s in one.scores.items() if not holds([name])}
                texts = {name: text for name, text in one.texts.items() if name in scores}
                kept += [JudgedQuestion(one.query_id, one.text, scores, texts)] if scores else []
            self._write(kept)
        return sum(len(one.scores) for one in before) - sum(len(one.scores) for one in kept)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "judged.lock"):
            yield

    def _write(self, questions: list[JudgedQuestion]) -> None:
        """Questions first, then judgements: a judgement of a question that is not there could not be read."""
        kept = {one.query_id for one in questions}
        gone = [one for one in self.all() if one.query_id not in kept]
        self._write_queries([*questions, *gone])
        write_text(qrels_path(self.folder, _SPLIT), qrels_text({one.query_id: one.scores for one in questions}))
        if gone:
            self._write_queries(questions)

    def _write_queries(self, questions: list[JudgedQuestion]) -> None:
        rows = [{"_id": one.query_id, "text": one.text, "metadata": {_TEXTS: dict(one.texts)}} for one in questions]
        write_jsonl(self.folder / QUERIES, rows)


def readable_query(text: str) -> str:
    """A query as it is searched and kept.

    Raises:
        InputError: nothing that can be read is left of it, or it is too long.
    """
    cleaned = clean_query(text)
    if not cleaned:
        raise InputError("the query is empty: type some words.")
    if len(cleaned) > LONGEST:
        raise InputError(f"the query has {len(cleaned)} characters; {LONGEST} at most.")
    return cleaned


def what_became(passage_id: str, text: str, now: Mapping[str, str], places: Mapping[str, str]) -> tuple[State, str]:
    """State of a judged passage, and the id under which its text is found now.

    Args:
        text: hash of what was judged; empty: it is not known.
        now: passage id -> hash of its text.
        places: the other way around.
    """
    if passage_id in now and text in ("", now[passage_id]):
        return "same", passage_id
    if text in places:
        return "moved", places[text]
    return ("changed" if passage_id in now else "gone"), passage_id


def _query_id(question: str) -> str:
    return f"judged-{sha256_text(question)[:12]}"


def _texts(metadata: Any) -> dict[str, str]:
    found = metadata.get(_TEXTS) if isinstance(metadata, dict) else None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

"""Lines of relevance judgements, as BEIR and TREC write them.

::

    query-id <tab> corpus-id <tab> score        BEIR; the header is optional
    query-id 0 corpus-id score                  TREC, parted by tabs or spaces; the 0 is an iteration

A header may use other words (``query_id``, ``qid``, ``doc``, ``relevance`` ...), name more columns, or have them in
another order. A score is a whole number; 1.0 is one.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from embed_pipeline.formats.rows import first_three, plain_number, read_cells, refuse, short

QUERY_IDS = ("queryid", "qid", "topicid", "questionid")
PASSAGE_IDS = ("corpusid", "docid", "documentid", "passageid", "pid", "did", "docno")
_QUERY_COLUMN = (*QUERY_IDS, "query", "topic", "question")
_PASSAGE_COLUMN = (*PASSAGE_IDS, "corpus", "doc", "document", "passage")
_SCORE_COLUMN = ("score", "relevance", "label", "rel", "relevancy", "judgement", "judgment", "grade", "gain")
_SIGNS = re.compile(r"[\W_]")
_TREC_ITERATION = ("0", "Q0")
_MOST = 2**31 - 1


class Judgement(NamedTuple):
    """A line of a qrels file, ids as they stand."""

    query_id: str
    passage_id: str
    score: int
    line: int


class _Columns(NamedTuple):
    """Where query, passage and score stand among ``width`` columns; ``spaces`` part them instead of tabs."""

    query: int
    passage: int
    score: int
    width: int
    spaces: bool = False


_BEIR = _Columns(0, 1, 2, 3)
_TREC = _Columns(0, 2, 3, 4)


def read_judgements(path: Path) -> Iterator[Judgement]:
    """Every line of a qrels file, also those with a score of 0 and below.

    Raises:
        InputError: missing, or a line is not query, id and whole-number score separated by tabs.
    """
    columns = None
    for line, cells in read_cells(path):
        if columns is None:
            columns = _header(cells, is_first=True)
            if columns is not None:
                continue
            columns = _columns_of(cells)
        elif _score(cells[-1]) is None and _header(cells, is_first=False) is not None:
            continue  # the file was put together from several
        yield _judgement(cells, columns, path, line)


def qrels_text(qrels: Mapping[str, Mapping[str, int]]) -> str:
    """A qrels file as BEIR has it, with its header: query id -> {passage id: score}."""
    table = io.StringIO()
    plain = csv.writer(table, delimiter="\t", lineterminator="\n")
    quoted = csv.writer(table, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(("query-id", "corpus-id", "score"))
    for query, judged in qrels.items():
        for passage, score in judged.items():
            # Python before 3.13 leaves a carriage return unquoted, which would end the line.
            (quoted if "\r" in f"{query}{passage}" else plain).writerow((query, passage, score))
    return table.getvalue()


def plain_name(name: str) -> str:
    """``query-id``, ``query_id`` and ``Query ID`` are one name."""
    return _SIGNS.sub("", name).lower()


def _header(cells: Sequence[str], is_first: bool) -> _Columns | None:
    """The columns that a header names; None when the line is none. Later in a file it has to name all three."""
    names = [plain_name(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    query, passage, score = (
        next((names.index(name) for name in known if name in names), None)
        for known in (_QUERY_COLUMN, _PASSAGE_COLUMN, _SCORE_COLUMN)
    )
    if query is not None and passage is not None and score is not None:
        return _Columns(query, passage, score, len(names))
    if not is_first or (len(names) == 3 and _score(cells[2]) is not None):
        return None
    names_ids = (query, passage) == (0, 1) and len(names) in (2, 3)
    names_score = len(names) == 3 and names[2] in _SCORE_COLUMN
    return _BEIR if names_ids or names_score else None


def _columns_of(cells: Sequence[str]) -> _Columns:
    """The columns of a file without a header, by its first line."""
    words = cells[0].split() if len(cells) == 1 else [cell.strip() for cell in _trimmed(cells, _BEIR.width)]
    is_trec = len(words) == _TREC.width and _is_trec(words)
    return (_TREC if is_trec else _BEIR)._replace(spaces=is_trec and len(cells) == 1)


def _is_trec(words: Sequence[str]) -> bool:
    """Whether the second word is an iteration: 0 as usual, or another number before an id that is none."""
    numbers = [_score(word) is not None for word in words]
    return words[1].upper() in _TREC_ITERATION or numbers[1:] == [True, False, True]


def _judgement(cells: Sequence[str], columns: _Columns, path: Path, line: int) -> Judgement:
    where = f"{path}, line {line}"
    parts = cells[0].split() if columns.spaces and len(cells) == 1 else _trimmed(cells, columns.width)
    if len(parts) != columns.width:
        refuse(where, f"{len(parts)} columns; must be {_expected(columns)}{_cure(parts)}")
    query_id, passage_id, score = parts[columns.query], parts[columns.passage], parts[columns.score]
    value = _score(score)
    if value is None:
        refuse(where, f"the score {short(score)} is not a whole number; write 1 or more for relevant, 0 for not")
    if value > 0 and not (query_id.strip() and passage_id.strip()):
        refuse(where, "an id is missing; must be query-id, corpus-id, score with tabs")
    return Judgement(query_id, passage_id, value, line)


def _expected(columns: _Columns) -> str:
    if columns == _BEIR:
        return "query-id, corpus-id, score with tabs"
    return f"{columns.width}, as in the lines before"


def _cure(parts: Sequence[str]) -> str:
    if 6 in (len(parts), len(parts[0].split())):
        return ". This looks like a TREC run, which is what a system found; the judgements are needed"
    if len(parts) == 1:
        return " between them"
    return "; leave the others out" if len(parts) > 3 else ""


def _trimmed(cells: Sequence[str], count: int) -> list[str]:
    """Without the blank cells that stray tabs make at the end, and at the beginning."""
    parts = list(cells)
    while len(parts) > count and not parts[-1].strip():
        parts.pop()
    while len(parts) > count and not parts[0].strip():
        parts.pop(0)
    return parts


def _score(cell: str) -> int | None:
    value = plain_number(cell)
    return int(value) if value is not None and value.is_integer() and abs(value) <= _MOST else None


# -- what they mean --------------------------------------------------------------------------------------


class Ids:
    """Known ids. One that is not known as it stands is looked for without the white space around it."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._stripped: dict[str, str] | None = None

    def find(self, given: str) -> str | None:
        """The id that is meant, None when there is none."""
        if given in self._known:
            return given
        if self._stripped is None:
            self._stripped = {known.strip(): known for known in self._known}
        return self._stripped.get(given.strip())


class AnyId(Ids):
    """For passages that are not there yet: every id is taken as it stands."""

    def __init__(self) -> None:
        super().__init__(())

    def find(self, given: str) -> str:
        """The id itself."""
        return given


class MatchedJudgements:
    """Judgements with the ids they mean, and the lines of those that mean nothing.

    Attributes:
        passages: those above 0 that name a passage.
        documents: those above 0 that name a document, which stands for its passages.
    """

    def __init__(self, path: Path, queries: Ids, passages: Ids, documents: Ids) -> None:
        self._path = path
        self._queries = queries
        self._passages_known = passages
        self._documents_known = documents
        self._judged: dict[tuple[str, str], Judgement] = {}
        self._unknown: dict[str, dict[str, int]] = {"query": {}, "passage": {}}
        self.passages: list[Judgement] = []
        self.documents: list[Judgement] = []

    def add(self, given: Judgement) -> None:
        """Take in one judgement.

        Raises:
            InputError: the pair was judged before with another score.
        """
        query, passage = self._queries.find(given.query_id), self._passages_known.find(given.passage_id)
        document = self._documents_known.find(given.passage_id) if passage is None else None
        one = given._replace(
            query_id=given.query_id if query is None else query,
            passage_id=next((name for name in (passage, document) if name is not None), given.passage_id),
        )
        self._refuse_contradiction(one)
        if one.score <= 0:
            return
        if query is None:
            self._unknown["query"].setdefault(one.query_id.strip(), one.line)
        if passage is None and document is None:
            self._unknown["passage"].setdefault(one.passage_id.strip(), one.line)
        (self.passages if document is None else self.documents).append(one)

    def refuse_unknown(self, kind: str, where: str, advice: str) -> None:
        """Raise an error if a judgement above 0 names a "query" or "passage" that is unknown."""
        unknown = self._unknown[kind]
        if unknown:
            first = next(iter(unknown.values()))
            count = f"{len(unknown)} {kind} id{'' if len(unknown) == 1 else 's'}"
            problem = f"{count} not in {where}: {first_three(list(unknown))}. {advice}"
            refuse(f"{self._path}, line {first}", problem)

    def qrels(self, documents: Mapping[str, Sequence[str]]) -> dict[str, dict[str, int]]:
        """A document's passages count 1 each, unless they are judged themselves."""
        qrels: dict[str, dict[str, int]] = defaultdict(dict)
        for one in self.documents:
            qrels[one.query_id].update(dict.fromkeys(documents[one.passage_id], 1))
        for one in self.passages:
            qrels[one.query_id][one.passage_id] = one.score
        return dict(qrels)

    def _refuse_contradiction(self, one: Judgement) -> None:
        before = self._judged.setdefault((one.query_id, one.passage_id), one)
        if before.score != one.score:
            refuse(
                f"{self._path}, line {one.line}",
                f"query {short(one.query_id)} and {short(one.passage_id)} are judged twice, differently (before in "
                f"line {before.line}); keep one of the lines",
            )

"""Questions of training data in other tools' formats, with negatives (:mod:`embed_pipeline.formats.training_files`).

Their texts are matched to the passages of the corpus. A positive that stands in none is set aside, with its
question if it has no other; so are negatives.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from embed_pipeline.formats.training_questions import GivenQuestion, GivenQuestions, read_given_questions
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame
from embed_pipeline.sdg.exchange.cut_rows import CutRows
from embed_pipeline.sdg.exchange.own import own_candidate
from embed_pipeline.sdg.exchange.passage_finder import find_passages
from embed_pipeline.sdg.exchange.sdg_records import STEP, Imported, imported

_ADVICE = "let corpus.path name the same data, or the documents it was made of"
SetAside = list[tuple[str, str, str]]


def training_questions(
    files: Sequence[Path], passages: pl.DataFrame, documents: pl.DataFrame, cut_rows: CutRows | None = None
) -> Imported:
    """Read training data as candidates, as other imported questions; given negatives are kept in their order.

    Args:
        files: see :func:`embed_pipeline.formats.training_files.training_files`.
        passages: :class:`embed_pipeline.tables.Passages`, made of the same data or of anything that holds its texts.
        documents: :class:`embed_pipeline.tables.Documents`.
        cut_rows: texts that were cut: of each the piece that answers stands for it, as positive and as negative.

    Raises:
        InputError: a file is broken (names file and line), or no question can be used.
    """
    given = read_given_questions(files)
    found = find_passages(given.texts, passages, documents, cut_rows)
    doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
    set_aside: SetAside = []
    whole = candidates_frame(_candidates(given, found, set_aside, cut_rows), doc_of)
    return imported(files[0] if len(files) == 1 else files[0].parent, whole, set_aside)


def _candidates(
    given: GivenQuestions, hops_of: Mapping[str, Sequence[Hop]], set_aside: SetAside, cut_rows: CutRows | None
) -> Iterator[Candidate]:
    for question in given.questions:
        name = question.own_id or question.where
        if not question.positives:
            set_aside.append((STEP, name, f"all its texts are negatives (label 0) (question: {_short(question)})"))
            continue
        unplaced = [positive for positive in question.positives if positive not in hops_of]
        hops = _answering(question, question.positives, hops_of, cut_rows)
        set_aside += [
            (STEP, name, f"{_why(positive, given.texts)} (positive of: {_short(question)})") for positive in unplaced
        ]
        if not hops:
            continue
        missing = [negative for negative in question.negatives if negative not in hops_of]
        if missing:
            set_aside.append((STEP, name, _missing(missing, question, given.texts)))
        negatives = _answering(question, question.negatives, hops_of, cut_rows, negatives=True)
        kept = tuple(dict.fromkeys(hop.passage_id for hop in negatives))
        yield own_candidate(question.question, "", hops, question.own_id, kept)


def _answering(
    question: GivenQuestion,
    texts: Iterable[str],
    hops_of: Mapping[str, Sequence[Hop]],
    cut_rows: CutRows | None,
    negatives: bool = False,
) -> list[Hop]:
    """What stands for the texts; of one that was cut the piece most like the question."""
    hops = list(dict.fromkeys(hop for text in texts for hop in hops_of.get(text, ())))
    if cut_rows is None:
        return hops
    left = set(cut_rows.narrowed(question.question, [hop.passage_id for hop in hops], negatives))
    return [hop for hop in hops if hop.passage_id in left]


def _why(name: str, texts: Mapping[str, str]) -> str:
    if name not in texts:
        return f"its corpus folder has no text {name}"
    if not texts[name].strip():
        return f"the text {name} is empty"
    return f"{name} ({' '.join(texts[name].split())[:60]!r}) stands in no passage of the corpus; {_ADVICE}"


def _missing(missing: Sequence[str], question: GivenQuestion, texts: Mapping[str, str]) -> str:
    none_left = len(missing) == len(question.negatives)
    consequence = "; negatives are mined for it instead" if none_left else ""
    count = f"{len(missing)} of its {len(question.negatives)} negatives cannot be used"
    return f"{count}, for example {_why(missing[0], texts)}{consequence} (negatives of: {_short(question)})"


def _short(question: GivenQuestion) -> str:
    return " ".join(question.question.split())[:120]

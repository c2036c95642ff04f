"""Gold sets: BEIR folders with questions asked and judged by people."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from embed_pipeline.errors import InputError
from embed_pipeline.files import remembered_sha256, sha256_json
from embed_pipeline.formats.beir import CORPUS, QUERIES, judged_queries, qrels_path, read_judged, read_retrieval_set
from embed_pipeline.formats.rows import first_three
from embed_pipeline.records import RetrievalSet

GOLD = "gold"
_SPLIT = "test"
_DEVELOPMENT = "dev"


def load_gold(folder: Path, passages: Mapping[str, str], name: str = GOLD) -> RetrievalSet:
    """Read a gold set's queries.jsonl, qrels/test.tsv and, if it has one, corpus.jsonl.

    Args:
        folder: the BEIR folder.
        passages: the pipeline's own passages, id -> text as the encoder sees it; used when the folder has no
            corpus.jsonl. The judgements then name passages, or documents for all their passages.
        name: of the set.

    Raises:
        InputError: see :func:`embed_pipeline.formats.beir.read_retrieval_set`.
    """
    return read_retrieval_set(folder, _SPLIT, name, passages)


def check_gold(folder: Path) -> None:
    """Refuse a gold set that could not be read, before there are passages.

    Judgements may name any passage where the folder has no corpus.jsonl.

    Raises:
        InputError: as :func:`load_gold` and :func:`load_development`.
    """
    asked = judged_queries(folder, _SPLIT)
    if has_development(folder):
        _refuse_both(folder, judged_queries(folder, _DEVELOPMENT), asked)


def has_development(folder: Path) -> bool:
    """Whether a gold set has a qrels/dev.tsv."""
    return qrels_path(folder, _DEVELOPMENT).is_file()


def load_development(folder: Path, passages: Mapping[str, str], name: str = GOLD) -> RetrievalSet:
    """The questions of qrels/dev.tsv, which may choose how to fuse.

    Raises:
        InputError: as :func:`load_gold`; or a question stands in qrels/test.tsv as well.
    """
    found = read_retrieval_set(folder, _DEVELOPMENT, name, passages)
    _refuse_both(folder, found.queries, read_judged(folder, _SPLIT, None, {}, "").queries)
    return found


def _refuse_both(folder: Path, development: Iterable[str], asked: Collection[str]) -> None:
    both = sorted(set(development) & set(asked))
    if both:
        raise InputError(
            f"{qrels_path(folder, _DEVELOPMENT)}: {len(both)} of its questions stand in {_SPLIT}.tsv as well "
            f"({first_three(both)}), so that they would judge their own choice; leave them in one of the two."
        )


def own_answers(retrieval_set: RetrievalSet) -> str | None:
    """What to tell where questions have the id of a passage that answers them, which is then left out; else None."""
    own = [query for query, judged in retrieval_set.qrels.items() if query in judged]
    if not own:
        return None
    return (
        f"{retrieval_set.name}: {len(own)} questions have the id of a passage that is judged for them "
        f"({first_three(own)}), and such a passage is left out of what is found; give the questions other ids, or set "
        "eval.keep_identical_ids to true."
    )


def gold_fingerprint(folder: Path, setting: str = "eval.gold") -> str:
    """Hash of the bytes of every file that is read of a gold set, wherever the folder lies.

    Raises:
        InputError: queries.jsonl or qrels/test.tsv is missing or unreadable.
    """
    required = (folder / QUERIES, qrels_path(folder, _SPLIT))
    optional = [path for path in (folder / CORPUS, qrels_path(folder, _DEVELOPMENT)) if path.is_file()]
    try:
        return sha256_json(
            {path.relative_to(folder).as_posix(): remembered_sha256(path) for path in (*required, *optional)}
        )
    except OSError as error:
        raise InputError(f"{setting} {folder}: {error.filename} cannot be read: {error.strerror}.") from None


def set_version(retrieval_set: RetrievalSet) -> str:
    """Hash of questions, judgements and passages; figures can be compared where it is the same."""
    judged = {query: dict(sorted(rows.items())) for query, rows in sorted(retrieval_set.qrels.items())}
    texts = [sorted(retrieval_set.queries.items()), sorted(retrieval_set.passages.items())]
    pieces = (
        [sorted((name, list(texts)) for name, texts in retrieval_set.pieces.items())] if retrieval_set.pieces else []
    )
    return sha256_json([judged, *texts, *pieces])

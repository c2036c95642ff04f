"""The gold set: a BEIR folder with questions asked and judged by people."""

from collections.abc import Mapping
from pathlib import Path

from embed_pipeline.errors import InputError
from embed_pipeline.files import remembered_sha256, sha256_json
from embed_pipeline.formats.beir import CORPUS, QUERIES, qrels_path, read_retrieval_set
from embed_pipeline.records import RetrievalSet

GOLD = "gold"
_SPLIT = "test"


def load_gold(folder: Path, passages: Mapping[str, str]) -> RetrievalSet:
    """Read the gold set's queries.jsonl, qrels/test.tsv and, if it has one, corpus.jsonl.

    Args:
        folder: the BEIR folder.
        passages: the pipeline's own passages, id -> text as the encoder sees it; used when the folder has no
            corpus.jsonl. The judgements then name passages, or documents for all their passages.

    Raises:
        InputError: see :func:`embed_pipeline.formats.beir.read_retrieval_set`.
    """
    return read_retrieval_set(folder, _SPLIT, GOLD, passages)


def gold_fingerprint(folder: Path) -> str:
    """Hash of the bytes of every file that :func:`load_gold` reads, wherever the folder lies.

    Raises:
        InputError: queries.jsonl or qrels/test.tsv is missing or unreadable.
    """
    required = (folder / QUERIES, qrels_path(folder, _SPLIT))
    optional = [folder / CORPUS] if (folder / CORPUS).is_file() else []
    try:
        return sha256_json(
            {path.relative_to(folder).as_posix(): remembered_sha256(path) for path in (*required, *optional)}
        )
    except OSError as error:
        raise InputError(f"eval.gold {folder}: {error.filename} cannot be read: {error.strerror}.") from None

"""Removing what :mod:`embed_pipeline.stages.purge` found, and looking for it once more.

What the documents are known by goes last, so that a removal that was stopped can be begun again.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from embed_pipeline.errors import StageError
from embed_pipeline.evaluation.judged import FOLDER as JUDGED
from embed_pipeline.evaluation.judged import JudgedQuestions
from embed_pipeline.files import is_being_written, remove_tree
from embed_pipeline.stages.purge import Purge, file_holds
from embed_pipeline.store.artifacts import POINTER, Store
from embed_pipeline.store.strings import strings_of

EMBEDDINGS = "cache/embeddings"
RESPONSES = "cache/responses.sqlite"
SCORES = "cache/cross_encoder.sqlite"
CORPUS = "cache/corpus"
LOOKED_AFTER = ("artifacts/", "dagster/", "work/", f"{JUDGED}/", EMBEDDINGS, RESPONSES, SCORES)
"""What of a home is looked after in a way of its own; any other file that quotes or names the documents goes."""


def replies_about(purge: Purge) -> list[str]:
    """Keys of the replies of language models that quote the documents or what was asked about them."""
    from embed_pipeline.store.content_cache import ContentCache

    if not (purge.home / RESPONSES).is_file():
        return []
    cache = ContentCache(purge.home / RESPONSES)
    found = [key for key, value in cache.items() if purge.holds(strings_of(value))]
    cache.close()
    return found


def embeddings_of(purge: Purge, erase: bool = False) -> int:
    """How many vectors there are of what was encoded of the documents; with ``erase`` they are removed."""
    from embed_pipeline.encoders.cached_encoder import keys_of
    from embed_pipeline.store.vector_cache import VectorCache, width_of

    keys = [key for text in sorted(purge.texts) for key in keys_of(text)]
    found = 0
    for index in sorted((purge.home / EMBEDDINGS).glob("*/index.sqlite")):
        width = width_of(index.parent)
        if width is None:  # nobody knows where a vector ends: all of them are computed again
            if erase:
                remove_tree(index.parent)
            continue
        cache = VectorCache(index.parent, width)
        found += len(cache.positions(keys))
        if erase:
            cache.forget(keys)
        cache.close()
    return found


def files_that_quote(purge: Purge) -> list[Path]:
    """Other files of the home, records of runs and of checks for example, that hold a piece of the text."""
    files = ((path, path.relative_to(purge.home).as_posix()) for path in _files(purge.home))
    return [path for path, name in files if not name.startswith(LOOKED_AFTER) and file_holds(path, purge.holds)]


def remove_half_done(home: Path) -> None:
    """Remove what killed runs and removals left behind: it may hold anything."""
    leftovers = [path for folder in ("artifacts/*", "releases") for path in home.glob(f"{folder}/.*.tmp")]
    for path in [*leftovers, *home.glob("work/*")]:
        if not is_being_written(path):
            remove_tree(path)


def erase_caches(purge: Purge) -> None:
    """Remove embeddings, replies, scores, and what was read of the corpus.

    Whether the score of a cross-encoder is about the documents cannot be told from its key, so they all go; and so does
    what was read of other documents, which is made again from their files.

    Raises:
        sqlite3.OperationalError: somebody else is using a cache.
    """
    from embed_pipeline.store.content_cache import ContentCache

    embeddings_of(purge, erase=True)
    replies = replies_about(purge)
    if (purge.home / RESPONSES).is_file():
        cache = ContentCache(purge.home / RESPONSES)
        cache.forget(replies)  # also when there are none: a removal that was stopped may have left them in the log
        cache.close()
    for suffix in ("", "-wal", "-shm"):
        (purge.home / f"{SCORES}{suffix}").unlink(missing_ok=True)
    for path in (purge.home / CORPUS).glob("*.sqlite*"):
        path.unlink(missing_ok=True)


def erase_files(purge: Purge, others: Iterable[Path]) -> None:
    """Remove other files, judgements, and the artifacts with their keys, pointers and records."""
    JudgedQuestions(purge.home).forget(purge.holds)
    store = Store(purge.home)
    for path in [*others, *_records_of(purge, store)]:
        path.unlink(missing_ok=True)
    for one in purge.doomed:
        if store.pointer(one.asset).get("version") == one.version:
            (store.root / one.asset / POINTER).unlink(missing_ok=True)
        for key in (store.root / one.asset / "keys").glob("*.json"):
            if store.version_of(one.asset, key.stem) == one.version:
                key.unlink()
        remove_tree(one.folder)


def verify(purge: Purge) -> int:
    """Read every file of the home once more; how many.

    Raises:
        StageError: one of them still holds a piece of the text.
    """
    files = list(_files(purge.home))
    for path in files:
        outside = path.relative_to(purge.home).parts[0] != "artifacts"
        if file_holds(path, purge.holds if outside else purge.quoted.among):
            raise StageError(
                f"{path}: still holds a piece of the text. Stop whatever else uses the home (the web UI, a notebook) "
                "and purge again."
            )
    return len(files)


def _records_of(purge: Purge, store: Store) -> Iterator[Path]:
    """Records of runs that name an artifact to be removed."""
    for record in (purge.home / "runs").glob("*/*.json"):
        if store.of_run(record.parent.name, record.stem) in purge.doomed:
            yield record


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())

"""What a home was trained on, read from its pointers: no run history is needed, so that none can mislead.

Runs of the command line, of the web UI and of the sensor all move the pointers. They tell one story when every artifact
in use was made from the ones in use before it.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import polars as pl

from embed_pipeline.corpus.manifest import listed_fingerprint
from embed_pipeline.errors import ArtifactError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.graph import with_upstream
from embed_pipeline.stages.provenance import ancestors
from embed_pipeline.store.artifacts import Artifact, Store

MANIFEST, MODEL, JUDGEMENT, MEASURED = "corpus_manifest", "checkpoint", "metrics", "endpoint_metrics"


def content_in_use(store: Store) -> str | None:
    """Fingerprint of the corpus that was read last, None where none was."""
    current = store.current(MANIFEST)
    return None if current is None else content_of(current)


def content_of(manifest: Artifact) -> str | None:
    """Fingerprint of the corpus as a corpus_manifest lists it, None when that cannot be read."""
    try:
        return _fingerprint(manifest.file("table.parquet"))
    except (ArtifactError, OSError, pl.exceptions.PolarsError):
        return None


@lru_cache(maxsize=8)
def _fingerprint(table: Path) -> str:
    return listed_fingerprint(pl.read_parquet(table))  # an artifact never changes


def is_trained(store: Store, graph: Mapping[str, Stage], content: str) -> bool:
    """Whether the model in use was trained and measured on that content, with whatever settings.

    A new file of which no text is read changes the corpus and not the documents. Then the measurement still names the
    corpus before it, and only the story of all pointers tells that nothing is left to do.
    """
    if content_in_use(store) != content:
        return False
    measured_on = _manifest_behind(store, JUDGEMENT)
    if measured_on is not None and content_of(measured_on) == content:
        return True
    return _is_one_story(store, graph, with_upstream([JUDGEMENT], graph))


def is_complete(store: Store, graph: Mapping[str, Stage], settings: Settings, content: str) -> bool:
    """Whether everything in use goes back to that content, and what was served answered as it must.

    An endpoint that was stopped since then does not matter: somebody stopped it.
    """
    if content_in_use(store) != content or not _is_one_story(store, graph, list(graph)):
        return False
    measured = store.current(MEASURED)
    try:
        return measured is not None and graph[MEASURED].alive(measured, settings, store.home)
    except ArtifactError:
        return False


def files_trained_on(store: Store) -> dict[str, tuple[int, str]] | None:
    """``{path: (bytes, sha256)}`` of the corpus behind the model in use; without a model of the corpus read last.

    None where no corpus was read yet, or nothing is left of it.
    """
    manifest = _manifest_behind(store, MODEL) or store.current(MANIFEST)
    if manifest is None:
        return None
    try:
        rows = manifest.frame().select("path", "bytes", "sha256").filter(pl.col("sha256") != "").iter_rows()
    except (ArtifactError, OSError, pl.exceptions.PolarsError):
        return None
    return {path: (size, digest) for path, size, digest in rows}


def _manifest_behind(store: Store, asset: str) -> Artifact | None:
    """The listing of the corpus that an asset in use goes back to, by the work done last."""
    start = store.current(asset)
    found = ancestors(start, store, store.last_made).get(MANIFEST) if start is not None else None
    return store.handle(MANIFEST, found.version) if found is not None else None


def _is_one_story(store: Store, graph: Mapping[str, Stage], names: list[str]) -> bool:
    versions = {name: store.pointer(name).get("version") for name in names}
    return None not in versions.values() and all(
        store.was_made_from(name, str(versions[name]), {one: str(versions[one]) for one in graph[name].inputs})
        for name in names
    )

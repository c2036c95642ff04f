"""A home as a run leaves it, without the computing: every artifact of the graph is a line of text."""

import json
from collections.abc import Mapping

from embed_pipeline.automation.trained import MANIFEST, MEASURED
from embed_pipeline.corpus.manifest import corpus_fingerprint, scan_corpus
from embed_pipeline.files import sha256_json, temporary_folder
from embed_pipeline.settings import Settings
from embed_pipeline.stages.corpus import corpus_external, corpus_root
from embed_pipeline.stages.declare import Stage
from embed_pipeline.store.artifacts import Artifact, Store


def pretend_run(
    store: Store,
    graph: Mapping[str, Stage],
    settings: Settings,
    up_to: str | None = None,
    run_id: str | None = None,
    within_tolerance: bool = True,
    same_documents: bool = False,
) -> None:
    """Move every pointer as a run does.

    Args:
        up_to: the last asset that was reached.
        within_tolerance: the endpoint answered as the checkpoint does.
        same_documents: the texts came out as those in use, although the corpus is another.
    """
    for name, stage in graph.items():
        if same_documents and name == "documents":
            inputs = {MANIFEST: str(store.pointer(MANIFEST)["version"])}
            key, documents = stage.key(settings, inputs, {}), store.current(name)
            assert documents is not None
            store.record_key(name, key, documents.version, inputs)
            store.point(documents, key, "computed", 0.1, run_id)
            continue
        artifact, key = _artifact(store, stage, settings, within_tolerance)
        store.point(artifact, key, "computed", 0.1, run_id)
        if name == up_to:
            return


def _fingerprint(settings: Settings, store: Store) -> str:
    if settings.corpus.folder is not None:
        return corpus_fingerprint(settings.corpus.folder)
    return corpus_external(settings)["corpus"](store.home)


def _artifact(store: Store, stage: Stage, settings: Settings, within_tolerance: bool) -> tuple[Artifact, str]:
    inputs = {name: str(store.pointer(name)["version"]) for name in stage.inputs}
    external = {"corpus": _fingerprint(settings, store)} if stage.name == MANIFEST else {}
    key = stage.key(settings, inputs, external)
    known = store.lookup(stage.name, key)
    if known is not None:
        return known, key
    with temporary_folder(store.staging(stage.name), "new") as staged:
        (staged / "data").mkdir()
        if stage.name == MANIFEST:
            with corpus_root(settings, store.home) as root:
                scan_corpus(root, settings.corpus).write_parquet(staged / "data" / "table.parquet")
        (staged / "data" / "note.json").write_text(json.dumps([stage.name, sha256_json(inputs)]))
        values = {
            "asset": stage.name,
            "key": key,
            "stage_version": stage.version,
            "settings": {},
            "inputs": inputs,
            "external": external,
            "started": "2026-01-01T00:00:00+00:00",
            "seconds": 0.1,
            "host": "here",
            "device": "cpu",
            "libraries": {},
            "summary": {"outside_tolerance": 0 if within_tolerance else 1} if stage.name == MEASURED else {},
        }
        return store.commit(staged, values), key

"""What was made from what in a home: the artifacts and their inputs, old versions and variants included."""

import json
from collections.abc import Mapping, Sequence

from embed_pipeline.errors import ArtifactError
from embed_pipeline.store.artifacts import MANIFEST, Artifact, Store
from embed_pipeline.store.names import plain_name

SOURCE, LISTING = "documents", "corpus_manifest"
Name = tuple[str, str]
"""An asset and a version of it."""


def artifacts(store: Store) -> list[Artifact]:
    """Every artifact of a home."""
    manifests = sorted(store.root.glob(f"*/*/{MANIFEST}"))
    return [Artifact(path.parents[1].name, path.parent.name, path.parent) for path in manifests]


def inputs_of(store: Store, artifact: Artifact) -> set[Name]:
    """What an artifact was made from, by its manifest and by every key that leads to it."""
    found: set[Name] = set()
    for path in (store.root / artifact.asset / "keys").glob("*.json"):
        try:
            known = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if known.get("version") == artifact.version:
            found |= set(known.get("inputs", {}).items())
    try:
        return found | set(artifact.manifest().inputs.items())
    except ArtifactError:
        return found


def made_from(
    sources: Sequence[Artifact], every: Sequence[Artifact], inputs: Mapping[Name, set[Name]]
) -> list[Artifact]:
    """The sources and everything made from them, what was made last first, and ``documents`` last of all.

    Args:
        sources: versions of documents and of corpus manifests.
        inputs: of every artifact, see :func:`inputs_of`.
    """
    begins = {SOURCE: 1, LISTING: 0}
    depth = {(one.asset, one.version): begins[plain_name(one.asset)] for one in sources}
    changed = True
    while changed:
        changed = False
        for name, needed in inputs.items():
            found = max((depth[one] + 1 for one in needed if one in depth), default=-1)
            if depth.get(name, -1) < found <= len(inputs):
                depth[name], changed = found, True
    made = [one for one in every if (one.asset, one.version) in depth]
    return sorted(made, key=lambda one: (plain_name(one.asset) == SOURCE, -depth[one.asset, one.version]))


def ancestors(name: Name, inputs: Mapping[Name, set[Name]]) -> set[Name]:
    """All that a version was made from, directly or not."""
    found, waiting = set[Name](), [name]
    while waiting:
        for one in inputs.get(waiting.pop(), set()) - found:
            found.add(one)
            waiting.append(one)
    return found

"""Where an artifact comes from: settings, base model, corpus, questions, git revision, run.

Other work may give the same content later. People are told of the work done last, see ``Store.last_made``; what stands
in an artifact itself is read off the manifests, which never change.
"""

from collections.abc import Callable, Mapping
from typing import Any

from embed_pipeline.errors import ArtifactError
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline.stages.inputs import BASE_MODEL
from embed_pipeline.store.artifacts import Artifact, Manifest, Store
from embed_pipeline.store.names import plain_name

SHOWN_ON = ("checkpoint", "metrics", "endpoint", "endpoint_metrics", "report")
"""The assets whose origin people ask for."""
LINKED = ("corpus_manifest", "qa_pairs", "training_set", "checkpoint", "metrics")
SHORT = 12
BEHIND_THE_MODEL = (*BASE_MODEL, "corpus", "sdg", "prep", "finetune", "sweep")
"""Settings and sections that a model comes from; what is measured, exported and served afterwards is none of it."""


def ancestors(
    artifact: Artifact, store: Store, read: Callable[[Artifact], Manifest] = Artifact.manifest
) -> dict[str, Manifest]:
    """The manifest of an artifact and of everything it was made from, by the plain name of the asset, nearest first.

    What the store has not kept is left out, with what stands behind it. Of several rounds there is one entry each.

    Args:
        read: gives the manifest of one of them; ``store.last_made`` tells of the work done last.
    """
    found: dict[str, Manifest] = {}
    waiting = [artifact]
    while waiting:
        one = waiting.pop(0)
        if plain_name(one.asset) in found:
            continue
        try:
            manifest = read(one)
        except ArtifactError:
            continue
        found[plain_name(one.asset)] = manifest
        waiting += [store.handle(name, version) for name, version in manifest.inputs.items()]
    return found


def provenance(artifact: Artifact, store: Store) -> dict[str, Any]:
    """Facts about where an artifact comes from, in the order in which they are shown; what is not known is left out.

    Returns:
        ``{"profile", "settings": {name: value}, "base_model", "base_model_version", "corpus_version", "documents",
        "questions", "questions_from", "cost": {name: amount}, "git", "run", "upstream": {asset: version}}``
    """
    known = ancestors(artifact, store, store.last_made)
    own = store.last_made(artifact)
    # The settings of the model are those of its training: what follows it may have been made by a later run.
    trained = known.get("checkpoint", own)
    origin = trained.origin
    facts: dict[str, Any] = {
        "profile": origin.get("profile"),
        "settings": _behind_the_model(origin.get("settings")),
        "base_model": origin.get("base_model"),
        **lineage(known),
        "cost": _cost(known) or None,
        "git": own.origin.get("git"),
        "run": own.origin.get("run"),
        "upstream": {
            one.asset: one.version for name, one in known.items() if name in LINKED and one.asset != artifact.asset
        },
    }
    return {name: value for name, value in facts.items() if value is not None}


def _behind_the_model(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    return {name: value for name, value in settings.items() if name.partition(".")[0] in BEHIND_THE_MODEL}


def lineage(known: Mapping[str, Manifest]) -> dict[str, Any]:
    """What follows from content and settings alone, so that it may stand in an artifact itself.

    Args:
        known: as :func:`ancestors` gives them.
    """
    facts: dict[str, Any] = {}
    if "checkpoint" in known:
        facts["base_model_version"] = known["checkpoint"].external.get("base_model", "")[:SHORT]
    if "corpus_manifest" in known:
        facts["corpus_version"] = known["corpus_manifest"].version[:SHORT]
    if "documents" in known:
        facts["documents"] = known["documents"].summary.get("documents")
    if "qa_pairs" in known:
        facts["questions"] = known["qa_pairs"].summary.get("questions")
    if "qa_candidates" in known:
        facts["questions_from"] = _questions_from(known["qa_candidates"])
    return facts


def report_lines(checkpoint: Artifact, store: Store) -> dict[str, str]:
    """What report.html tells about the model; nothing that another run with the same result would tell otherwise."""
    usual = FinetuneSettings().model_dump(mode="json")
    manifest = checkpoint.manifest()
    used = {"batch_size": manifest.summary["batch_size"]} if "batch_size" in manifest.summary else {}
    trained = manifest.settings.get("finetune", {}) | used
    differs = {name: value for name, value in trained.items() if value != usual.get(name)}
    told = {name.replace("_", " "): str(value) for name, value in lineage(ancestors(checkpoint, store)).items()}
    return told | {"training": ", ".join(f"{name} {value}" for name, value in differs.items()) or "the defaults"}


def _questions_from(candidates: Manifest) -> str:
    asked = "prompts" in candidates.external
    written = f"language model {candidates.settings.get('sdg.llm', {}).get('model')}" if asked else "offline generator"
    if "import_from" not in candidates.external:
        return written
    return f"imported, {written}" if candidates.settings.get("sdg.also_generate") else "imported"


def _cost(known: Mapping[str, Manifest]) -> dict[str, float]:
    """Requests, tokens and money of all that asked a language model."""
    total: dict[str, float] = {}
    for manifest in known.values():
        for name, amount in manifest.cost.items():
            total[name] = round(total.get(name, 0.0) + amount, 6)
    return total

"""Where an artifact comes from, on its page in the web UI."""

import os
from typing import Any

import dagster as dg

from embed_pipeline.settings.differences import git_revision
from embed_pipeline.stages.provenance import SHOWN_ON, provenance
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.names import plain_name
from embed_pipeline.store.reports import ASSETS as REPORTED


def origin_of(run_id: str) -> dict[str, str | None]:
    """What a run writes into the manifests of what it computes."""
    return {"run": run_id, "git": git_revision(os.environ.get("EMBED_PIPELINE_CONFIG"))}


def provenance_metadata(artifact: Artifact, store: Store) -> dict[str, Any]:
    """Metadata of a materialization: its report, and where it comes from, for the assets whose origin people ask for.

    Text, so that nothing of it is plotted.
    """
    name, shown = plain_name(artifact.asset), dict[str, Any]()
    if name in REPORTED:
        shown["report"] = dg.MetadataValue.url(f"/embed_pipeline/report/{artifact.version[:12]}")
    if name not in SHOWN_ON:
        return shown
    facts = provenance(artifact, store)
    links = {f"made from {name}": dg.MetadataValue.asset(dg.AssetKey(name)) for name in facts.pop("upstream", {})}
    settings, cost = facts.pop("settings", None), facts.pop("cost", None)
    shown |= {f"origin: {fact.replace('_', ' ')}": str(value) for fact, value in facts.items()}
    if settings is not None:
        shown["origin: settings that differ from the profile"] = dg.MetadataValue.json(settings)
    if cost is not None:
        shown["origin: cost"] = dg.MetadataValue.json(cost)
    if "run" in facts:
        shown["origin: run"] = dg.MetadataValue.dagster_run(facts["run"])
    return {**shown, **links}

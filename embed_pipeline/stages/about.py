"""What the report tells about a model besides its figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embed_pipeline.stages.inputs import passage_texts
from embed_pipeline.stages.provenance import ancestors, provenance, report_lines
from embed_pipeline.store.artifacts import Artifact, Manifest, Store

if TYPE_CHECKING:
    from embed_pipeline.evaluation.page import About

FUNNEL = (
    ("documents", "documents", "documents"),
    ("passages", "passages", "passages"),
    ("questions written", "qa_candidates", "candidates"),
    ("questions kept", "qa_pairs", "questions"),
    ("training rows", "training_set", "rows"),
)
"""Name of a step, the asset that counts it, and under what name in its summary."""


def about_model(checkpoint: Artifact, store: Store) -> "About":
    """What follows from content and settings alone: nothing that other work with the same result would tell otherwise.

    So it may stand in an artifact; seconds and costs do not.
    """
    from embed_pipeline.evaluation.page import About

    known = ancestors(checkpoint, store)
    funnel = {
        name: int(known[asset].summary[key])
        for name, asset, key in FUNNEL
        if asset in known and key in known[asset].summary
    }
    course = _course(checkpoint)
    curves = {
        "training loss": [(row["step"], row["loss"]) for row in course.get("log", []) if "loss" in row],
        "validation nDCG@10": [(row["step"], row["ndcg@10"]) for row in course.get("validations", [])],
    }
    return About(model=report_lines(checkpoint, store), funnel=funnel, curves=curves)


def about_work(checkpoint: Artifact, made: Sequence[Artifact], store: Store) -> "About":
    """All that is known, time, cost and settings among it.

    Args:
        made: what was made of the model, whose lineage is told.
    """
    facts = provenance(checkpoint, store)
    known: dict[str, Manifest] = {}
    for artifact in made:
        known |= ancestors(artifact, store, store.last_made)
    model = {name: facts[name] for name in ("profile", "base_model", "git", "run") if name in facts}
    settings = ", ".join(f"{name}: {value}" for name, value in facts.get("settings", {}).items())
    cost = {name: f"{amount:g}" for name, amount in facts.get("cost", {}).items()}
    seconds = sum(manifest.seconds for manifest in known.values())
    plain = about_model(checkpoint, store)
    return replace(
        plain,
        model={**{name.replace("_", " "): str(value) for name, value in model.items()}, **plain.model}
        | ({"settings that differ from the profile": settings} if settings else {}),
        cost={f"cost: {name.replace('_', ' ')}": amount for name, amount in cost.items()}
        | {"time of all stages": f"{seconds:,.0f} s"},
        versions=[
            (one.asset, one.version[:12], one.stage_version, f"{one.seconds:,.1f}")
            for one in sorted(known.values(), key=lambda one: one.started)
        ],
    )


def with_disputed(about: "About", disputed: Mapping[str, Any], passages: Artifact) -> "About":
    """With the queries of the log on which the systems differ, and the texts of what each of them puts first.

    Args:
        disputed: of :func:`embed_pipeline.evaluation.disputed.disputed_queries`.
    """
    texts = passage_texts(passages)
    rows = [
        {**row, "first": {system: texts.get(one or "", "nothing") for system, one in row["first"].items()}}
        for row in disputed["queries"]
    ]
    return replace(about, disputed={**disputed, "queries": rows})


def _course(checkpoint: Artifact) -> dict[str, Any]:
    """What the training wrote down; nothing where it cannot be read."""
    from embed_pipeline.finetune.train import LOG_FILE

    try:
        found: dict[str, Any] = json.loads((checkpoint.path / LOG_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found

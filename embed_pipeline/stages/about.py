"""What the report tells about a model besides its figures."""

from typing import TYPE_CHECKING

from embed_pipeline.finetune.sweep import course_of
from embed_pipeline.stages.provenance import ancestors, report_lines
from embed_pipeline.store.artifacts import Artifact, Store

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
    course = course_of(checkpoint.path)
    curves = {
        "training loss": [(row["step"], row["loss"]) for row in course.get("log", []) if "loss" in row],
        "validation nDCG@10": [(row["step"], row["ndcg@10"]) for row in course.get("validations", [])],
    }
    return About(model=report_lines(checkpoint, store), funnel=funnel, curves=curves)
